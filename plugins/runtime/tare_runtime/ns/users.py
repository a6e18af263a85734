"""Who a process is: ``--user`` looked up in the container's own /etc/passwd and /etc/group (passwd(5), group(5))."""

from __future__ import annotations

import os
import stat

from tare.linux.paths import open_in_root
from tare_runtime.ns.failure import Failure

HIGHEST_ID = 2**31 - 1
LARGEST_FILE = 4 << 20


class Identity:
    """``groups`` are all supplementary groups, the first one included; ``home`` is ``/`` for who has none."""

    __slots__ = ("gid", "groups", "home", "uid")

    def __init__(self, uid: int, gid: int, groups: list[int], home: str) -> None:
        self.uid = uid
        self.gid = gid
        self.groups = groups
        self.home = home


def look_up(root: int, wish: str, additional: list[str]) -> Identity:
    """``wish`` is ``""``, ``USER``, ``USER:GROUP`` or ``:GROUP``, names or numbers; ``additional`` further groups.

    Raises Failure in Docker's words for a name that the files do not have and for a number out of range."""
    user, _, group = wish.partition(":")
    uid, gid, name, home = _user(_entries(root, "/etc/passwd", 7), user)
    groups: list[list[str]] = []
    if group or name or additional:
        groups = _entries(root, "/etc/group", 3)
    if group:
        gid = _group(groups, group)
    member = [] if group or not name else [int(entry[2]) for entry in groups if name in entry[3:4] or _lists(entry, name)]
    more = [_group(groups, each) for each in additional]
    return Identity(uid, gid, list(dict.fromkeys([gid, *member, *more])), home)


def home_of(root: int, uid: int) -> str:
    """The home directory of a number, ``/`` without one."""
    for entry in _entries(root, "/etc/passwd", 7):
        if int(entry[2]) == uid:
            return entry[5] or "/"
    return "/"


def _user(entries: list[list[str]], user: str) -> tuple[int, int, str, str]:
    wanted = user or "0"
    for entry in entries:
        if entry[0] == wanted or entry[2] == wanted:
            return int(entry[2]), int(entry[3]), entry[0], entry[5] or "/"
    if not wanted.isdecimal():
        raise Failure("user", 0, f"unable to find user {user}: no matching entries in passwd file")
    return _in_range(wanted), 0, "", "/"


def _group(entries: list[list[str]], group: str) -> int:
    for entry in entries:
        if entry[0] == group or entry[2] == group:
            return int(entry[2])
    if not group.isdecimal():
        raise Failure("user", 0, f"unable to find group {group}: no matching entries in group file")
    return _in_range(group)


def _in_range(number: str) -> int:
    if int(number) > HIGHEST_ID:
        raise Failure("user", 0, f"uids and gids must be in range 0-{HIGHEST_ID}")
    return int(number)


def _lists(entry: list[str], name: str) -> bool:
    return len(entry) > 3 and name in entry[3].split(",")


def _entries(root: int, path: str, fields: int) -> list[list[str]]:
    """The well-formed lines of a file in the container, split at colons; a missing file has none."""
    try:
        fd = open_in_root(root, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return []
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return []
        text = os.read(fd, min(status.st_size, LARGEST_FILE)).decode(errors="surrogateescape")
    finally:
        os.close(fd)
    found = []
    for line in text.split("\n"):
        entry = line.split(":")
        if len(entry) >= fields and _number(entry[2]) and (fields != 7 or _number(entry[3])):
            found.append(entry)
    return found


def _number(text: str) -> bool:
    return text.isdecimal() and len(text) <= 10
