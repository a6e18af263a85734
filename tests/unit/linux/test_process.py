"""Clones, namespaces and waiting."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from tare.linux import process

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def cloned(flags: int, body: Callable[[], int]) -> tuple[int, int]:
    pid, fd = process.clone3(flags, pidfd=True)
    if pid == 0:
        code = 99
        try:
            code = body()
        finally:
            os._exit(code)
    return pid, fd


def test_a_clone_is_first_in_its_pid_namespace_and_waited_for_by_pidfd() -> None:
    pid, fd = cloned(process.CLONE_NEWPID, os.getpid)
    result = process.wait(fd)
    assert result is not None and (result.si_pid, result.si_status) == (pid, 1)
    os.close(fd)


def test_signals_by_pidfd_and_waiting_without_reaping() -> None:
    _, fd = cloned(0, lambda: signal.pause() or 0)
    assert process.wait(fd, block=False) is None
    process.pidfd_send_signal(fd, signal.SIGKILL)
    for reap in (False, True):
        result = process.wait(fd, reap=reap)
        assert result is not None and result.si_status == signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        process.pidfd_send_signal(fd, 0)
    os.close(fd)


def test_entering_a_namespace_and_coming_back() -> None:
    def body() -> int:
        home = os.open("/proc/self/ns/uts", os.O_RDONLY)
        before = os.readlink("/proc/self/ns/uts")
        process.unshare(process.CLONE_NEWUTS)
        process.set_hostname("elsewhere")
        away = os.uname().nodename == "elsewhere" and os.readlink("/proc/self/ns/uts") != before
        process.setns(home, process.CLONE_NEWUTS)
        return 0 if away and os.readlink("/proc/self/ns/uts") == before and os.uname().nodename != "elsewhere" else 1

    _, fd = cloned(0, body)
    result = process.wait(fd)
    assert result is not None and result.si_status == 0
    os.close(fd)


def test_close_range_and_start_time() -> None:
    def body() -> int:
        process.close_range(3)
        return len([number for number in range(3, 50) if os.path.exists(f"/proc/self/fd/{number}")])

    pid, fd = cloned(0, body)
    assert process.start_time(pid) >= process.start_time(os.getpid())
    result = process.wait(fd)
    assert result is not None and result.si_status == 0
    os.close(fd)
    with pytest.raises(OSError):
        process.start_time(2**22)


def test_the_child_loads_nothing_heavy() -> None:
    """The walls of the template, in a fresh interpreter."""
    heavy = ("click", "pluggy", "sqlite3", "asyncio", "http", "pyroute2", "dataclasses", "typing", "re", "json")
    code = (
        f"import sys; sys.path[:0] = {[path for path in sys.path if path]!r}\n"
        "import tare_runtime.ns.init, tare_runtime.ns.join\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
