"""What a storage driver hands to a runtime: mounts as data. Nobody mounts for the container but the container's child."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount to perform, in order, in the container's own mount namespace (mount(2)).

    ``target`` is relative to the container's root; ``"/"`` is the root itself.
    Paths inside ``options`` and ``source`` that are relative are resolved from the directory ``cwd``, which keeps
    overlay's option string short and free of characters that overlayfs would need escaped.
    ``options`` are fstab(5) words: flags (``ro``, ``nosuid``, ``rbind``, ``rslave`` …) and file system data mixed.
    ``fd`` is a descriptor that must stay open until the mount is made (an auto-clearing loop device), or -1.
    """

    type: str
    source: str
    target: str
    options: tuple[str, ...] = ()
    cwd: str = ""
    fd: int = -1
