"""How the drivers make themselves known (ST-02)."""

from __future__ import annotations

import json
import subprocess
import sys

CODE = """
import json, sys
from tare_storage import tare_register_storage_drivers
drivers = tare_register_storage_drivers()
print(json.dumps([[driver.kind, driver.name] for driver in drivers]))
print(json.dumps([name for name in sys.modules if name.startswith("tare_storage.")]))
"""


def test_metadata_is_read_without_importing_a_driver() -> None:
    out = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True).stdout.splitlines()
    assert json.loads(out[0]) == [["storage", "overlay2"], ["storage", "vfs"]]
    assert json.loads(out[1]) == []
