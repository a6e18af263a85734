"""Which extended attributes belong to a file's content, and which to the host it lies on."""

from __future__ import annotations

import errno
import os

DEFAULT_ACL = "system.posix_acl_default"
_HOST = ("trusted.overlay.", "security.selinux", "security.ima", "security.evm", "system.nfs4_acl")


def kept_attributes(where: int | bytes | str) -> dict[str, bytes]:
    """The extended attributes that a layer keeps (ST-41, ST-42), of an open file or of a path whose link is not followed."""
    follow = isinstance(where, int)
    try:
        names = os.listxattr(where, follow_symlinks=follow)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EBADF):
            return {}
        raise
    return {name: os.getxattr(where, name, follow_symlinks=follow) for name in sorted(names) if not name.startswith(_HOST)}


def strip_attributes(directory: int) -> None:
    """Take the attributes that a layer keeps from an open directory."""
    for name in kept_attributes(directory):
        os.removexattr(directory, name)
