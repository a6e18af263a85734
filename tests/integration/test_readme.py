"""The README's session is typed again, word by word, on a host of its own; what it shows is what comes."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import BIN, docker_binary

README = Path(__file__).parents[2] / "README.md"
TRY = README.parent / "contrib/try"
MARK = "=== end of a command"
PARENT = f"tare-suite-{os.getpid()}"

HOST = f"""
exec 2>&1
mount -t tmpfs run /run && mount -t tmpfs lib /var/lib && mount -t tmpfs srv /srv && mount -t tmpfs mnt /mnt || exit 99
mkdir /mnt/upper /mnt/work && mount -t overlay etc -o lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work /etc || exit 99
mkdir -p /etc/tare && echo 'cgroup-parent = "/{PARENT}"' >/etc/tare/daemon.toml && ip link set lo up || exit 99
tare import --change 'CMD ["sh"]' "$IMAGE" busybox >/dev/null 2>&1 || exit 99
"""
"""A newcomer's host after contrib/try: nothing of it outlives its first process, except the cgroups that it is given."""

VARYING = re.compile(
    r"(?P<id>[0-9a-f]{64}|\b(?=[0-9a-f]*[0-9])[0-9a-f]{12}\b)"
    r"|(?P<age>(?:Less than a|About a|[0-9]+) (?:seconds?|minutes?))"
    r"|(?P<kernel>kernel is \S+)"
    r"|(?P<number>[0-9]+)"
    r"|(?P<gap> {2,})"
)
ALLOWED = {
    "id": r"[0-9a-f]+",
    "age": r"(?:Less than a|About a|[0-9]+) (?:seconds?|minutes?)",
    "kernel": rf"kernel is {re.escape(os.uname().release)}",
    "number": r"[0-9]+",
    "gap": r" {2,}",
}
"""What differs from day to day in what the README shows, and what may stand there."""


def session() -> list[tuple[str, list[str]]]:
    """(command, lines that it shows) of every console block."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```console\n(.*?)^```", README.read_text(), re.M | re.S):
        for line in block.splitlines():
            if line.startswith("# "):
                found.append((line.removeprefix("# "), []))
            else:
                found[-1][1].append(line)
    return found


def pattern(line: str) -> re.Pattern[str]:
    """The same words, with other numbers, ids and times."""
    text, at = "", 0
    for match in VARYING.finditer(line):
        text += re.escape(line[at : match.start()]) + ALLOWED[str(match.lastgroup)]
        at = match.end()
    return re.compile(text + re.escape(line[at:]) + r"\s*")


def typed(command: str) -> str:
    """What is typed for a command; of contrib/try, which installs, what it does when it has installed."""
    if command != "contrib/try":
        return command
    return TRY.read_text().rpartition("\nexec ")[2].rstrip()


@pytest.fixture
def no_cgroups() -> Iterator[None]:
    yield
    for root, names, _files in os.walk("/sys/fs/cgroup", topdown=False):
        for name in names:
            if name == PARENT or PARENT in Path(root).parts:
                os.rmdir(f"{root}/{name}")


def test_the_session(busybox_tar: Path, no_cgroups: None) -> None:
    docker_binary()
    commands = session()
    assert commands[0][0] == "contrib/try"
    assert len(commands) > 10
    script = "\n".join([HOST, *(f"{typed(command)}\necho; echo {MARK}" for command, _shown in commands)])
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TARE", "DOCKER"))}
    done = subprocess.run(
        ["unshare", "--mount", "--pid", "--net", "--ipc", "--fork", "--mount-proc", "sh", "-c", script],
        env={**kept, "PATH": f"{BIN}:{kept['PATH']}", "IMAGE": str(busybox_tar)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    answers = done.stdout.split(MARK + "\n")
    assert len(answers) == len(commands) + 1, done.stdout + done.stderr
    for (command, shown), answer in zip(commands, answers, strict=False):
        got = [line for line in answer.splitlines() if line]
        assert len(got) == len(shown), f"{command}: {got}"
        for line, expected in zip(got, shown, strict=True):
            assert pattern(expected).fullmatch(line), f"{command}: {line!r} is not {expected!r}"
