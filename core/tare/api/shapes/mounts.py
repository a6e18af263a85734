"""Mounts as Docker's clients write them (``Binds``, ``Mounts``, ``Tmpfs``) and as ``inspect`` shows them."""

from __future__ import annotations

from typing import Any

from tare.api.shapes.members import Members
from tare.errors import Invalid, Unsupported
from tare.model.container import BindMount, ContainerConfig, TmpfsMount

PROPAGATIONS = ("private", "rprivate", "shared", "rshared", "slave", "rslave")

WITHOUT_EFFECT = ("rw", "z", "Z", "consistent", "cached", "delegated", "default")
"""Modes that change nothing here: relabelling without SELinux, and the consistency of a virtual machine's file sharing."""

TMPFS_DEFAULTS = ("noexec", "nosuid", "nodev")
OPPOSITES = {"exec": "noexec", "suid": "nosuid", "dev": "nodev"}

VOLUME_HINT = "use a directory of the host instead: -v /host/path:/path"


def bind(spec: str) -> BindMount:
    """``SOURCE:TARGET[:MODES]``. Raises Unsupported for volumes, Invalid for what is no bind."""
    parts = spec.split(":")
    if len(parts) == 1 and spec.startswith("/"):
        raise Unsupported(f"anonymous volumes are not supported yet: -v {spec}", subject=spec, hint=VOLUME_HINT)
    if not 2 <= len(parts) <= 3 or not parts[0] or not parts[1]:
        raise Invalid(f"invalid volume specification: '{spec}'", subject=spec, hint="write SOURCE:TARGET[:ro]")
    source, target = parts[0], parts[1]
    if not source.startswith("/"):
        if "/" in source or source.startswith("."):
            raise Invalid(f"invalid mount path: '{source}' mount path must be absolute", subject=source)
        raise Unsupported(f"named volumes are not supported yet: -v {spec}", subject=spec, hint=VOLUME_HINT)
    modes = [mode for mode in parts[2].split(",") if mode] if len(parts) == 3 else []
    if {"ro", "rw"} <= set(modes):
        raise Invalid(f"invalid volume specification: '{spec}': invalid mode: {parts[2]}", subject=spec, hint="either ro or rw")
    read_only = False
    propagation = ""
    for mode in modes:
        if mode == "ro":
            read_only = True
        elif mode in PROPAGATIONS and not propagation:
            propagation = mode
        elif mode not in WITHOUT_EFFECT:
            raise Invalid(f"invalid volume specification: '{spec}': invalid mode: {mode}", subject=spec)
    return BindMount(source, target, read_only, propagation or "rprivate", create=True, spelled="bind")


def tmpfs(target: str, options: str) -> TmpfsMount:
    """``--tmpfs TARGET:OPTIONS``: Docker's defaults unless the user takes them back."""
    given = tuple(word for word in options.split(",") if word)
    return TmpfsMount(target, _with_defaults(given), spelled="tmpfs")


def _with_defaults(given: tuple[str, ...]) -> tuple[str, ...]:
    taken_back = {OPPOSITES[word] for word in given if word in OPPOSITES}
    return (*(word for word in TMPFS_DEFAULTS if word not in taken_back and word not in given), *given)


def without_defaults(options: tuple[str, ...]) -> tuple[str, ...]:
    """What the user wrote: the options without the leading defaults."""
    left = list(options)
    for word in TMPFS_DEFAULTS:
        if left and left[0] == word:
            left.pop(0)
    return tuple(left)


def mounts(every: Members) -> tuple[tuple[BindMount, ...], tuple[TmpfsMount, ...]]:
    """``Mounts`` of a HostConfig. Raises Unsupported, Invalid."""
    binds: list[BindMount] = []
    temporary: list[TmpfsMount] = []
    for member in every.each("Mounts"):
        kind = member.text("Type")
        target = member.text("Target")
        if not target:
            raise Invalid(f'invalid mount config for type "{kind}": field Target must not be empty', subject="--mount")
        member.take("Consistency")
        if kind == "bind":
            binds.append(_bind(member, target))
        elif kind == "tmpfs":
            temporary.append(_tmpfs(member, target))
        elif kind in ("volume", "image", "cluster"):
            raise Unsupported(f"--mount type={kind} is not supported yet", subject=target, hint=VOLUME_HINT)
        else:
            raise Invalid(f"mount type unknown: {kind!r}", subject=kind, hint="use bind or tmpfs")
        for other in ("BindOptions", "TmpfsOptions", "VolumeOptions", "ImageOptions"):
            for name, _value in member.inside(other).rest():
                raise Invalid(f'invalid mount config for type "{kind}": {other}.{name} does not belong here', subject=target)
        member.done()
    return tuple(binds), tuple(temporary)


def _bind(member: Members, target: str) -> BindMount:
    source = member.text("Source")
    if not source:
        raise Invalid('invalid mount config for type "bind": field Source must not be empty', subject=target)
    if not source.startswith("/"):
        raise Invalid(f"invalid mount path: '{source}' mount path must be absolute", subject=source)
    options = member.inside("BindOptions")
    propagation = options.text("Propagation") or "rprivate"
    if propagation not in PROPAGATIONS:
        raise Invalid(f"invalid propagation mode: {propagation}", subject=target, hint=f"one of {', '.join(PROPAGATIONS)}")
    recursive = not options.flag("NonRecursive")
    create = options.flag("CreateMountpoint")
    for name in ("ReadOnlyNonRecursive", "ReadOnlyForceRecursive"):
        if options.flag(name):
            raise Unsupported(f"--mount with {name} is not supported yet", subject=target)
    options.done()
    return BindMount(source, target, member.flag("ReadOnly"), propagation, recursive, create, "mount")


def _tmpfs(member: Members, target: str) -> TmpfsMount:
    if member.text("Source"):
        raise Invalid('invalid mount config for type "tmpfs": field Source must not be specified', subject=target)
    options = member.inside("TmpfsOptions")
    words: list[str] = ["ro"] if member.flag("ReadOnly") else []
    size = options.number("SizeBytes")
    mode = options.number("Mode")
    if size < 0:
        raise Invalid("invalid tmpfs size: a size cannot be negative", subject=target)
    if size:
        words.append(f"size={size}")
    if mode:
        words.append(f"mode={mode & 0o7777:o}")
    for entry in options.take("Options") or []:
        if not isinstance(entry, list) or not 1 <= len(entry) <= 2 or not all(isinstance(word, str) for word in entry):
            raise Invalid("invalid tmpfs option: expected [name] or [name, value]", subject=target)
        words.append("=".join(entry))
    options.done()
    return TmpfsMount(target, _with_defaults(tuple(words)), "mount")


def bind_spec(mount: BindMount) -> str:
    """The ``-v`` form of a bind."""
    modes = [*(["ro"] if mount.read_only else []), *([mount.propagation] if mount.propagation != "rprivate" else [])]
    return f"{mount.source}:{mount.target}" + (f":{','.join(modes)}" if modes else "")


def wished(config: ContainerConfig) -> list[dict[str, Any]]:
    """``HostConfig.Mounts``: what was asked for by ``--mount``."""
    out: list[dict[str, Any]] = []
    for bound in config.binds:
        if bound.spelled == "mount":
            entry: dict[str, Any] = {"Type": "bind", "Source": bound.source, "Target": bound.target}
            if bound.read_only:
                entry["ReadOnly"] = True
            options: dict[str, Any] = {}
            if bound.propagation != "rprivate":
                options["Propagation"] = bound.propagation
            if not bound.recursive:
                options["NonRecursive"] = True
            if bound.create:
                options["CreateMountpoint"] = True
            out.append(entry | ({"BindOptions": options} if options else {}))
    for mount in config.tmpfs:
        if mount.spelled == "mount":
            entry = {"Type": "tmpfs", "Target": mount.target}
            options = {}
            for word in without_defaults(mount.options):
                name, _, value = word.partition("=")
                if name == "ro":
                    entry["ReadOnly"] = True
                elif name == "size":
                    options["SizeBytes"] = int(value)
                elif name == "mode":
                    options["Mode"] = int(value, 8)
                else:
                    options.setdefault("Options", []).append([name, value] if value else [name])
            out.append(entry | ({"TmpfsOptions": options} if options else {}))
    return out


def points(config: ContainerConfig) -> list[dict[str, Any]]:
    """``Mounts`` of ``inspect`` and ``ps``; tmpfs from ``--tmpfs`` is not among them, as in Docker."""
    out: list[dict[str, Any]] = []
    for bound in config.binds:
        mode = bind_spec(bound).removeprefix(f"{bound.source}:{bound.target}").lstrip(":") if bound.spelled == "bind" else ""
        out.append(
            {
                "Type": "bind",
                "Source": bound.source,
                "Destination": bound.target,
                "Mode": mode,
                "RW": not bound.read_only,
                "Propagation": bound.propagation,
            }
        )
    for mount in config.tmpfs:
        if mount.spelled == "mount":
            entry = {"Type": "tmpfs", "Source": "", "Destination": mount.target, "Mode": ""}
            out.append(entry | {"RW": "ro" not in mount.options, "Propagation": ""})
    return out
