"""What a stack of layers means (OCI image-spec, layer.md), as plainly as it can be said: a dictionary of paths."""

from __future__ import annotations

import os
import random
import stat
from dataclasses import dataclass, field, replace
from pathlib import Path

from .archives import Item, device, directory, fifo, file, hard, symlink

CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")


@dataclass
class Node:
    """``mtime`` None: nobody said when. ``names``: shared by the hard links of one file."""

    kind: str
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    mtime: int | None = None
    content: object = None
    xattrs: dict[str, bytes] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)


Tree = dict[str, Node]


def ancestors(path: str) -> list[str]:
    """The directories above a path, the topmost first."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]


def erase(tree: Tree, path: str, itself: bool = True) -> None:
    for name in [name for name in tree if name.startswith(path + "/") or not path or (itself and name == path)]:
        tree[name].names.discard(name)
        del tree[name]


def put(tree: Tree, path: str, node: Node) -> None:
    """What the layer puts at a path replaces what is there, but a directory keeps what is in it."""
    for above in ancestors(path):
        if above not in tree or tree[above].kind != "directory":
            erase(tree, above)
            tree[above] = Node("directory")
    if path in tree and not (tree[path].kind == node.kind == "directory"):
        erase(tree, path)
    node.names.add(path)
    tree[path] = node


class Layers:
    """Random layers, one on the other; ``tree`` is what they show together. ``links``: with hard links in them."""

    def __init__(self, seed: int, links: bool = True) -> None:
        self.dice = random.Random(seed)
        self.links = links
        self.tree: Tree = {}

    def path(self) -> str:
        return "/".join(self.dice.choice("abcd") for _ in range(self.dice.choice((1, 1, 2, 2, 3, 4))))

    def layer(self) -> list[Item]:
        """The entries of one more layer, whiteouts anywhere among them: they hide what the parents have, whenever they come."""
        links: dict[int, set[str]] = {id(node.names): set(node.names) for node in self.tree.values()}
        tree = self.tree = {path: replace(node, names=links[id(node.names)]) for path, node in self.tree.items()}
        marks: list[Item] = []
        for _ in range(self.dice.choice((0, 1, 2, 4))):
            known = [path for path in tree if self.dice.random() < 0.8]
            path = self.dice.choice(known) if known else self.path()
            what = self.dice.choice(("hide", "hide", "opaque", "opaque root" if self.dice.random() < 0.2 else "hide"))
            if what == "hide":
                parent, _, name = path.rpartition("/")
                marks.append(file(f"{parent}/.wh.{name}" if parent else f".wh.{name}"))
                erase(tree, path)
            else:
                path = "" if what == "opaque root" else path
                marks.append(file(f"{path}/.wh..wh..opq" if path else ".wh..wh..opq"))
                erase(tree, path, itself=False)
        items: list[Item] = []
        own: set[str] = set()
        for _ in range(self.dice.choice((0, 2, 5, 9))):
            path = self.path()
            if any(tree[above].kind == "symlink" and above in own for above in ancestors(path) if above in tree):
                continue
            items.append(self.entry(tree, path))
            own.add(path)
        for mark in marks:
            items.insert(self.dice.randrange(len(items) + 1), mark)
        return items

    def entry(self, tree: Tree, path: str) -> Item:
        dice = self.dice
        kind = dice.choice(("file", "file", "file", "directory", "directory", "directory", "symlink", "fifo", "device", "hard"))
        targets = [
            name for name, node in tree.items() if node.kind != "directory" and len(node.names) == 1 and not path.startswith(name)
            and not name.startswith(path)
        ]  # fmt: skip
        if kind == "hard":
            if targets and self.links:
                target = dice.choice(targets)
                put(tree, path, tree[target])
                return hard(path, target)
            kind = "file"
        mode, uid, gid = dice.choice((0o755, 0o644, 0o4711, 0o1777, 0)), dice.choice((0, 7)), dice.choice((0, 8))
        node = Node(kind, mode, uid, gid, dice.randrange(2**31))
        xattrs = {
            name: value
            for name, value in (("user.mime", b"a=\0\n"), ("trusted.one", b"1"), ("security.capability", CAPABILITY))
            if dice.random() < 0.2 and (kind == "file" or (kind == "directory" and name != "security.capability"))
        }
        node.xattrs = xattrs
        members: dict[str, object] = {
            "mode": node.mode, "uid": node.uid, "gid": node.gid, "mtime": node.mtime,
            "pax_headers": {f"SCHILY.xattr.{name}": value.decode("utf-8", "surrogateescape") for name, value in xattrs.items()},
        }  # fmt: skip
        put(tree, path, node)
        if kind == "file":
            node.content = dice.randbytes(dice.choice((0, 1, 5000))) + bytes(dice.choice((0, 0, 200_000)))
            return file(path, node.content, **members)  # type: ignore[arg-type]
        if kind == "directory":
            return directory(path, **members)
        if kind == "symlink":
            node.mode, node.content = 0o777, dice.choice(("a", "/etc", "../..", "b/c"))
            return symlink(path, node.content, **members)  # type: ignore[arg-type]
        if kind == "fifo":
            return fifo(path, **members)
        node.content = os.makedev(1, 3)
        return device(path, devmajor=1, devminor=3, **members)


def expected(tree: Tree) -> dict[str, tuple[object, ...]]:
    return {
        path: (node.kind, oct(node.mode), node.uid, node.gid, node.mtime, node.content, node.xattrs,
               () if node.kind == "directory" else tuple(sorted(node.names)))
        for path, node in tree.items()
    }  # fmt: skip


KINDS = {
    stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink", stat.S_IFIFO: "fifo", stat.S_IFCHR: "device",
}  # fmt: skip


def found(root: Path, like: Tree) -> dict[str, tuple[object, ...]]:
    """The same of a tree on the disk. Times that ``like`` does not know are left out."""
    paths = [os.path.join(top, name) for top, names, files in os.walk(root) for name in names + files]
    groups: dict[int, list[str]] = {}
    for path in paths:
        groups.setdefault(os.lstat(path).st_ino, []).append(os.path.relpath(path, root))
    shown: dict[str, tuple[object, ...]] = {}
    for path in paths:
        relative = os.path.relpath(path, root)
        status = os.lstat(path)
        kind = KINDS[stat.S_IFMT(status.st_mode)]
        content: object = None
        if kind == "file":
            content = Path(path).read_bytes()
        elif kind == "symlink":
            content = os.readlink(path)
        elif kind == "device":
            content = status.st_rdev
        known = like.get(relative)
        mtime = None if known is not None and known.mtime is None else int(status.st_mtime)
        names = [name for name in os.listxattr(path, follow_symlinks=False) if not name.startswith("trusted.overlay.")]
        xattrs = {name: os.getxattr(path, name, follow_symlinks=False) for name in names}
        links = () if kind == "directory" else tuple(sorted(groups[status.st_ino]))
        shown[relative] = (kind, oct(stat.S_IMODE(status.st_mode)), status.st_uid, status.st_gid, mtime, content, xattrs, links)
    return shown
