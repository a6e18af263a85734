"""Lists are rendered on the quick path too: what that loads must stay small."""

import subprocess
import sys

HEAVY = {"re", "json", "typing", "dataclasses", "enum", "datetime", "argparse", "collections.abc", "click", "asyncio"}


def test_rendering_a_list_loads_nothing_heavy():
    code = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "from tare.present import listing, template, containers, images, networks\n"
        "text = listing.render('networks', [{'Id': 'a' * 64, 'Name': 'n'}], now=0, tz=None)\n"
        "assert 'aaaaaaaaaaaa' in text\n"
        "assert template.render('{{.State.Pid}}', {'State': {'Pid': 7}}, 'container') == '7'\n"
        "print(*sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, *[path for path in sys.path if path]], capture_output=True, text=True, check=True
    )
    assert HEAVY.isdisjoint(done.stdout.split())
