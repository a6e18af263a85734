"""Mount options and mountinfo as values; a shielded program on the real kernel."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tare.linux import mounts, process


def test_options_are_flags_propagation_and_data() -> None:
    words = ("rbind", "ro", "nosuid", "rw", "rslave", "size=1m", "mode=755")
    assert mounts.split_options(words) == (
        mounts.MS_BIND | mounts.MS_REC | mounts.MS_NOSUID,
        mounts.MS_SLAVE | mounts.MS_REC,
        "size=1m,mode=755",
    )


def test_mountinfo() -> None:
    line = r"36 35 98:0 /mnt\0401 /a\134b rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue"
    mount = mounts.MountInfo(line)
    assert (mount.id, mount.parent, mount.root, mount.target) == (36, 35, "/mnt 1", "/a\\b")
    assert (mount.options, mount.optional) == (["rw", "noatime"], ["master:1", "shared:2"])
    assert (mount.type, mount.source, mount.data) == ("ext3", "/dev/root", ["rw", "errors=continue"])
    assert any(each.target == "/proc" for each in mounts.mount_table())


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_shielded_program_cannot_be_written(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("original")
    pid, fd = process.clone3(process.CLONE_NEWNS, pidfd=True)
    if pid == 0:
        code = 1
        try:
            mounts.mount("", "/", flags=mounts.MS_REC | mounts.MS_SLAVE)
            mounts.shield(str(program))
            try:
                program.write_text("changed")
            except OSError:
                code = 0
        finally:
            os._exit(code)
    result = process.wait(fd)
    os.close(fd)
    assert result is not None and result.si_status == 0
    program.write_text("the host may")
