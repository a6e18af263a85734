"""From flags to the body of Docker's ``POST /containers/create``.

Only what was asked for is said; what tare cannot do is the daemon's to refuse, by name.
"""

from __future__ import annotations

from tare.errors import Invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from tare.cli.flags import Options

CONFIG = (
    ("hostname", "Hostname"),
    ("domainname", "Domainname"),
    ("user", "User"),
    ("workdir", "WorkingDir"),
    ("stop-signal", "StopSignal"),
    ("stop-timeout", "StopTimeout"),
)
"""(flag, member of Config) whose value goes over as it is; HOST likewise for HostConfig."""

HOST = (
    ("rm", "AutoRemove"),
    ("cap-add", "CapAdd"),
    ("cap-drop", "CapDrop"),
    ("cgroup-parent", "CgroupParent"),
    ("cgroupns", "CgroupnsMode"),
    ("cidfile", "ContainerIDFile"),
    ("dns", "Dns"),
    ("dns-option", "DnsOptions"),
    ("dns-search", "DnsSearch"),
    ("group-add", "GroupAdd"),
    ("init", "Init"),
    ("ipc", "IpcMode"),
    ("isolation", "Isolation"),
    ("link", "Links"),
    ("oom-score-adj", "OomScoreAdj"),
    ("pid", "PidMode"),
    ("privileged", "Privileged"),
    ("publish-all", "PublishAllPorts"),
    ("read-only", "ReadonlyRootfs"),
    ("runtime", "Runtime"),
    ("shm-size", "ShmSize"),
    ("storage-driver", "StorageDriver"),
    ("userns", "UsernsMode"),
    ("uts", "UTSMode"),
    ("volume-driver", "VolumeDriver"),
    ("volumes-from", "VolumesFrom"),
)

PAIRS = (("annotation", "Annotations"), ("storage-opt", "StorageOpt"), ("sysctl", "Sysctls"))
"""(flag, member of HostConfig) of name=value words."""

RESOURCES = frozenset(
    (
        "memory", "memory-swap", "memory-reservation", "memory-swappiness", "kernel-memory", "cpus", "cpu-shares", "cpu-period",
        "cpu-quota", "cpu-rt-period", "cpu-rt-runtime", "cpuset-cpus", "cpuset-mems", "pids-limit", "blkio-weight",
        "blkio-weight-device", "oom-kill-disable", "device", "device-cgroup-rule", "device-read-bps", "device-write-bps",
        "device-read-iops", "device-write-iops", "ulimit",
    )
)  # fmt: skip
NETWORKING = frozenset(("network", "ip", "ip6", "mac-address", "network-alias", "link-local-ip", "publish", "expose"))
HEALTH = (
    ("health-interval", "Interval"),
    ("health-timeout", "Timeout"),
    ("health-start-period", "StartPeriod"),
    ("health-start-interval", "StartInterval"),
    ("health-retries", "Retries"),
)


def create_body(options: Options, streams: frozenset[str]) -> dict[str, Any]:
    """The body. ``streams`` are those to attach, of stdin, stdout and stderr. Raises Invalid."""
    given = options.given
    image, *command = options.words
    host: dict[str, Any] = {member: given[flag] for flag, member in HOST if flag in given}
    body: dict[str, Any] = {
        "Image": image,
        "Tty": options.flag("tty"),
        "OpenStdin": options.flag("interactive"),
        "StdinOnce": "stdin" in streams,
        "AttachStdin": "stdin" in streams,
        "AttachStdout": "stdout" in streams,
        "AttachStderr": "stderr" in streams,
        "HostConfig": host,
    }
    if command:
        body["Cmd"] = command
    if "entrypoint" in given:
        body["Entrypoint"] = [given["entrypoint"]]
    body.update((member, given[flag]) for flag, member in CONFIG if flag in given)
    if options.flag("tty"):
        from tare.cli import terminal

        rows, columns = terminal.size()
        if rows:
            host["ConsoleSize"] = [rows, columns]
    if not given.keys() <= _PLAIN:
        _richer(body, options)
    return body


_PLAIN = frozenset(("detach", "tty", "interactive", "name", "entrypoint", *(flag for flag, _ in (*CONFIG, *HOST))))


def _richer(body: dict[str, Any], options: Options) -> None:
    given, host = options.given, body["HostConfig"]
    for flag, member in PAIRS:
        if flag in given:
            from tare.cli.wish.environment import pairs

            host[member] = pairs(given[flag])
    if "env" in given or "env-file" in given:
        from tare.cli.wish.environment import environment

        body["Env"] = environment(options.many("env"), options.many("env-file"))
    if "label" in given or "label-file" in given:
        from tare.cli.wish.environment import labels

        body["Labels"] = labels(options.many("label"), options.many("label-file"))
    if "volume" in given or "mount" in given or "tmpfs" in given:
        _mounts(body, options)
    if not NETWORKING.isdisjoint(given):
        from tare.cli.wish import networking

        networking.put(body, options)
    if not RESOURCES.isdisjoint(given):
        from tare.cli.wish import resources

        resources.put(host, options)
    if "log-driver" in given or "log-opt" in given:
        from tare.cli.wish.environment import pairs

        host["LogConfig"] = {"Type": options.text("log-driver"), "Config": pairs(options.many("log-opt"))}
    if "add-host" in given:
        host["ExtraHosts"] = [_extra_host(word) for word in given["add-host"]]
    if "security-opt" in given:
        _security(host, given["security-opt"])
    if "restart" in given:
        host["RestartPolicy"] = _restart(given["restart"], options.flag("rm"))
    if options.flag("no-healthcheck") or any(flag.startswith("health-") for flag in given):
        body["Healthcheck"] = _health(options)


def _mounts(body: dict[str, Any], options: Options) -> None:
    from tare.cli.wish import mounts

    host = body["HostConfig"]
    binds, anonymous = mounts.volumes(options.many("volume"))
    if binds:
        host["Binds"] = binds
    if anonymous:
        body["Volumes"] = anonymous
    if "mount" in options.given:
        host["Mounts"] = [mounts.mount(word) for word in options.many("mount")]
    if "tmpfs" in options.given:
        host["Tmpfs"] = mounts.tmpfs(options.many("tmpfs"))


def _extra_host(text: str) -> str:
    name, separator, address = text.partition("=")
    if not separator:
        name, separator, address = text.partition(":")
    if not name or not address:
        raise Invalid(f"bad format for --add-host: {text}", subject=text, hint="use HOST:IP")
    return f"{name}:{address.strip('[]')}"


def _security(host: dict[str, Any], words: list[str]) -> None:
    """A seccomp profile is a file of ours: its content goes over."""
    kept = []
    for word in words:
        name, _, value = word.partition("=" if "=" in word else ":")
        if word == "systempaths=unconfined":
            host["MaskedPaths"], host["ReadonlyPaths"] = [], []
        elif name == "seccomp" and value not in ("unconfined", "builtin"):
            kept.append(f"seccomp={_profile(value)}")
        else:
            kept.append(word)
    if kept:
        host["SecurityOpt"] = kept


def _profile(path: str) -> str:
    from tare.client import quickjson

    try:
        with open(path, "rb") as file:
            return quickjson.dumps(quickjson.loads(file.read()))
    except OSError as error:
        raise Invalid(f"opening seccomp profile ({path}) failed: {(error.strerror or '').lower()}", subject=path) from None
    except ValueError as error:
        raise Invalid(f"the seccomp profile {path} is not JSON: {error}", subject=path) from None


def _restart(text: str, remove: bool) -> dict[str, Any]:
    name, colon, count = text.partition(":")
    if remove and name not in ("", "no"):
        raise Invalid("conflicting options: cannot specify both --restart and --rm", subject=text)
    if not colon:
        return {"Name": name}
    try:
        return {"Name": name, "MaximumRetryCount": int(count)}
    except ValueError:
        raise Invalid(f"invalid restart policy {text}: maximum retry count must be an integer", subject=text) from None


def _health(options: Options) -> dict[str, Any]:
    given = options.given
    if options.flag("no-healthcheck"):
        if any(flag.startswith("health-") for flag in given):
            raise Invalid("--no-healthcheck conflicts with --health-* options", subject="--no-healthcheck")
        return {"Test": ["NONE"]}
    check: dict[str, Any] = {member: given[flag] for flag, member in HEALTH if flag in given}
    if options.text("health-cmd"):
        check["Test"] = ["CMD-SHELL", options.text("health-cmd")]
    return check
