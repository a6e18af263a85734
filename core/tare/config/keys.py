"""Every key of the configuration, in one table: what settings, flags, errors, ``config show`` and docs/config.md read.

A key's ``path`` is its TOML path; ``docker`` is its name in daemon.json, accepted as an alias at top level; ``flags`` are
dockerd's spellings for tared. A key with a ``refused`` text is known but not honoured: naming it is an error that says
why. A key with an ``ignored`` text changes nothing, as in dockerd, and warns.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Key:
    """One key. ``type`` is a name from tare.config.values; ``reload`` says that SIGHUP takes a new value."""

    path: str
    type: str
    default: object
    says: str
    docker: str = ""
    flags: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    reload: bool = False
    environ: str = ""
    refused: str = ""
    ignored: str = ""

    @property
    def supported(self) -> bool:
        return not self.refused and not self.ignored


EMPTY: MappingProxyType[str, object] = MappingProxyType({})


def _key(
    path: str,
    type: str,
    default: object,
    says: str,
    docker: str = "",
    flags: str = "",
    *,
    choices: str = "",
    reload: bool = False,
    environ: str = "",
) -> Key:
    return Key(path, type, default, says, docker, tuple(flags.split()), tuple(choices.split()), reload, environ)


def _refused(why: str, *rows: tuple[str, str, str]) -> tuple[Key, ...]:
    """Rows of (path, daemon.json name, flags). A row without a path exists in daemon.json alone."""
    return tuple(Key(path or docker, "any", None, why, docker, tuple(flags.split()), refused=why) for path, docker, flags in rows)


_ENGINE = (
    _key("data-root", "path", Path("/var/lib/tare"), "where images, containers and state live", "data-root", "--data-root"),
    _key("exec-root", "path", Path("/run/tare"), "where sockets and process ids live; dies with the host", "exec-root",
         "--exec-root"),
    _key("pidfile", "path", Path("/run/tare.pid"), "the daemon's process id", "pidfile", "--pidfile -p"),
    _key("labels", "labels", (), "`key=value` labels of this daemon, shown by `tare info`", "labels", "--label", reload=True),
    _key("shutdown-timeout", "seconds", 15, "how long requests in flight may take when the daemon stops", "shutdown-timeout",
         "--shutdown-timeout", reload=True),
    _key("live-restore", "bool", True, "containers outlive the daemon; tare knows no other way", "live-restore", "--live-restore",
         choices="true"),
)  # fmt: skip

_API = (
    _key("api.hosts", "hosts", ("unix:///run/tare/tare.sock",), "where the API listens: `unix://`, `tcp://`, `fd://`", "hosts",
         "--host -H"),
    _key("api.group", "string", "tare", "the group that may use the unix socket", "group", "--group -G"),
    _key("api.min-version", "api-version", "1.24", "the oldest API version to serve", "min-api-version",
         environ="TARE_MIN_API_VERSION"),
    _key("api.allow-plain-tcp", "bool", False, "permit `tcp://` hosts: whoever reaches the port is root on this host", "",
         "--allow-plain-tcp"),
)  # fmt: skip

_LOG = (
    _key("log.debug", "bool", False, "the same as `log.level = \"debug\"`", "debug", "--debug -D", reload=True),
    _key("log.level", "string", "info", "the least severe line that the daemon logs", "log-level", "--log-level -l",
         choices="debug info warn error fatal"),
    _key("log.format", "string", "text", "how the daemon writes its log", "log-format", "--log-format", choices="text json"),
)  # fmt: skip

_DRIVERS = (
    _key("storage.driver", "string", "", "the default storage driver; empty is overlay2 where it works, else vfs",
         "storage-driver", "--storage-driver -s", environ="TARE_STORAGE_DRIVER"),
    _key("storage.opts", "pairs", (), "`DRIVER.KEY=VALUE`, the same as `KEY` in `[storage.DRIVER]`", "storage-opts",
         "--storage-opt"),
    _key("runtime.default", "string", "ns", "the default runtime", "default-runtime", "--default-runtime", reload=True),
    _key("runtime.runtimes", "runtimes", EMPTY, "further runtimes by name", "runtimes", "--add-runtime"),
    _key("runtime.exec-opts", "pairs", (), "`native.cgroupdriver=cgroupfs`, the only one there is", "exec-opts", "--exec-opt",
         choices="native.cgroupdriver=cgroupfs"),
    _key("plugins.disable", "strings", (), "plugins (see `tare plugin ls`) that are not loaded", "", "--disable-plugin"),
)  # fmt: skip

_CONTAINERS = (
    _key("cgroups.parent", "string", "", "the cgroup under which containers get theirs; empty is `/tare`", "cgroup-parent",
         "--cgroup-parent"),
    _key("cgroups.namespace", "string", "", "the default cgroup namespace; empty is private on v2, host on v1",
         "default-cgroupns-mode", "--default-cgroupns-mode", choices="private host", reload=True),
    _key("containers.init", "bool", False, "run an init in each container", "init", "--init"),
    _key("containers.init-path", "string", "", "the static init of the host to run; empty looks for one", "init-path",
         "--init-path"),
    _key("containers.ipc", "string", "private", "the default IPC mode", "default-ipc-mode", "--default-ipc-mode",
         choices="private shareable", reload=True),
    _key("containers.shm-size", "bytes", 64 << 20, "the default size of /dev/shm", "default-shm-size", "--default-shm-size",
         reload=True),
    _key("containers.ulimits", "ulimits", (), "default resource limits by name", "default-ulimits", "--default-ulimit"),
    _key("containers.stop-timeout", "seconds", 10, "from the stop signal to SIGKILL", "default-stop-timeout",
         "--default-stop-timeout", reload=True),
    _key("containers.log.driver", "string", "json-file", "the default log driver", "log-driver", "--log-driver",
         choices="local json-file none"),
    _key("containers.log.opts", "log-opts", EMPTY, "options of the log driver: `max-size`, `max-file`", "log-opts", "--log-opt"),
    _key("security.seccomp-profile", "seccomp", "builtin", "`builtin`, `unconfined` or the path of a profile", "seccomp-profile",
         "--seccomp-profile"),
    _key("security.no-new-privileges", "bool", False, "no_new_privs for every container", "no-new-privileges",
         "--no-new-privileges"),
    _key("dns.servers", "ips", (), "name servers of containers; empty takes the host's", "dns", "--dns"),
    _key("dns.options", "strings", (), "resolv.conf options of containers", "dns-opts", "--dns-opt"),
    _key("dns.search", "strings", (), "search domains of containers", "dns-search", "--dns-search"),
)  # fmt: skip

_NETWORK = (
    _key("network.bridge.name", "device", "", "the bridge device; empty lets tare make its own", "bridge", "--bridge -b"),
    _key("network.bridge.ip", "interface4", "", "address and prefix of the bridge", "bip", "--bip"),
    _key("network.bridge.ip6", "interface6", "", "IPv6 address and prefix of the bridge", "bip6", "--bip6"),
    _key("network.bridge.fixed-cidr", "cidr4", "", "the part of the subnet that containers get", "fixed-cidr", "--fixed-cidr"),
    _key("network.bridge.fixed-cidr-v6", "cidr6", "", "the IPv6 subnet of containers", "fixed-cidr-v6", "--fixed-cidr-v6"),
    _key("network.bridge.gateway", "ip4", "", "default gateway of containers; empty is the bridge", "default-gateway",
         "--default-gateway"),
    _key("network.bridge.gateway-v6", "ip6", "", "IPv6 default gateway of containers", "default-gateway-v6",
         "--default-gateway-v6"),
    _key("network.bridge.ipv6", "bool", False, "IPv6 on the default bridge", "ipv6", "--ipv6"),
    _key("network.bridge.mtu", "mtu", 1500, "MTU of the bridge and of containers' devices", "mtu", "--mtu"),
    _key("network.bridge.icc", "bool", True, "containers on the bridge reach each other", "icc", "--icc"),
    _key("network.bridge.publish-ip", "ip", "", "where `-p` without an address publishes; empty is every address", "ip", "--ip"),
    _key("network.bridge.masquerade", "bool", True, "NAT for what containers send out", "ip-masq", "--ip-masq"),
    _key("network.address-pools", "pools", (), "where subnets of networks come from", "default-address-pools",
         "--default-address-pool"),
    _key("network.ip-forward", "bool", True, "turn the host's IP forwarding on", "ip-forward", "--ip-forward"),
    _key("network.ip-forward-no-drop", "bool", False, "with ip-forward: leave the host's forward policy alone",
         "ip-forward-no-drop", "--ip-forward-no-drop"),
    _key("network.firewall.ipv4", "bool", True, "write IPv4 rules", "iptables", "--iptables"),
    _key("network.firewall.ipv6", "bool", True, "write IPv6 rules", "ip6tables", "--ip6tables"),
    _key("network.firewall.backend", "string", "nftables", "what the rules are written with", "firewall-backend",
         "--firewall-backend", choices="nftables"),
    _key("network.allow-direct-routing", "bool", False, "let other hosts route to containers' own addresses",
         "allow-direct-routing", "--allow-direct-routing"),
    _key("network.userland-proxy", "bool", True, "serve published ports on ::1 by a forwarder", "userland-proxy",
         "--userland-proxy"),
    _key("network.host-gateway-ips", "ips", (), "what `host-gateway` means in --add-host; empty is the bridge",
         "host-gateway-ips", "--host-gateway-ip"),
)  # fmt: skip

_NOT_YET = (
    *_refused("TLS is not supported yet",
              ("api.tls.enabled", "tls", "--tls"), ("api.tls.verify", "tlsverify", "--tlsverify"),
              ("api.tls.ca", "tlscacert", "--tlscacert"), ("api.tls.cert", "tlscert", "--tlscert"),
              ("api.tls.key", "tlskey", "--tlskey")),
    *_refused("images cannot be pulled from a registry yet",
              ("registry.mirrors", "registry-mirrors", "--registry-mirror"),
              ("registry.insecure", "insecure-registries", "--insecure-registry"),
              ("registry.max-concurrent-downloads", "max-concurrent-downloads", "--max-concurrent-downloads"),
              ("registry.max-concurrent-uploads", "max-concurrent-uploads", "--max-concurrent-uploads"),
              ("registry.max-download-attempts", "max-download-attempts", "--max-download-attempts"),
              ("proxy", "proxies", ""), ("proxy.http-proxy", "http-proxy", "--http-proxy"),
              ("proxy.https-proxy", "https-proxy", "--https-proxy"), ("proxy.no-proxy", "no-proxy", "--no-proxy")),
    *_refused("not supported yet",
              ("features", "features", "--feature"),
              ("metrics.addr", "metrics-addr", "--metrics-addr"),
              ("api.authorization-plugins", "authorization-plugins", "--authorization-plugin"),
              ("log.raw", "raw-logs", "--raw-logs"),
              ("security.selinux", "selinux-enabled", "--selinux-enabled"),
              ("security.userns-remap", "userns-remap", "--userns-remap"),
              ("security.rootless", "rootless", "--rootless"),
              ("cgroups.cpu-rt-period", "cpu-rt-period", "--cpu-rt-period"),
              ("cgroups.cpu-rt-runtime", "cpu-rt-runtime", "--cpu-rt-runtime"),
              ("devices.cdi-spec-dirs", "cdi-spec-dirs", "--cdi-spec-dir"),
              ("dns.resolv-conf", "resolv-conf", ""),
              ("network.default-opts", "default-network-opts", "--default-network-opt"),
              ("network.firewall.accept-fwmark", "bridge-accept-fwmark", "--bridge-accept-fwmark"),
              ("builder", "builder", "")),
)  # fmt: skip

_NEVER = (
    *_refused("tare has no swarm",
              ("", "swarm-default-advertise-addr", "--swarm-default-advertise-addr"), ("", "swarm-raft-heartbeat-tick", ""),
              ("", "swarm-raft-election-tick", ""), ("", "node-generic-resources", "--node-generic-resource"),
              ("", "network-control-plane-mtu", "--network-control-plane-mtu"),
              ("", "network-diagnostic-port", "--network-diagnostic-port"), ("", "cluster-store", "--cluster-store"),
              ("", "cluster-store-opts", "--cluster-store-opt"), ("", "cluster-advertise", "--cluster-advertise")),
    *_refused("tare does not use containerd",
              ("", "containerd", "--containerd"), ("", "containerd-namespace", "--containerd-namespace"),
              ("", "containerd-plugins-namespace", "--containerd-plugins-namespace"), ("", "cri-containerd", "--cri-containerd"),
              ("", "nri-opts", "--nri-opts")),
    *_refused("docker-init and docker-proxy have no counterpart in tare",
              ("", "default-init", ""), ("network.userland-proxy-path", "userland-proxy-path", "--userland-proxy-path")),
    *_refused("removed from Docker; set OOMScoreAdjust= in the service unit", ("", "oom-score-adjust", "--oom-score-adjust")),
    *_refused("removed from Docker",
              ("", "api-cors-header", "--api-cors-header"), ("", "disable-legacy-registry", ""), ("", "deprecated-key-path", "")),
)  # fmt: skip

_IGNORED = (
    Key("experimental", "bool", None, "nothing in tare is experimental", "experimental", ("--experimental",),
        ignored="nothing in tare is experimental"),
    Key("allow-nondistributable-artifacts", "strings", None, "ignored by Docker since 26", "allow-nondistributable-artifacts",
        ("--allow-nondistributable-artifacts",), ignored="Docker ignores it too"),
)  # fmt: skip

KEYS: dict[str, Key] = {
    key.path: key for key in (*_ENGINE, *_API, *_LOG, *_DRIVERS, *_CONTAINERS, *_NETWORK, *_NOT_YET, *_NEVER, *_IGNORED)
}

# Older spellings in daemon.json and on dockerd's command line.
FORMER: dict[str, str] = {"graph": "data-root", "host-gateway-ip": "network.host-gateway-ips"}
FORMER_FLAGS: dict[str, str] = {"--graph": "data-root", "-g": "data-root"}

ALIASES: dict[str, str] = {**{key.docker: key.path for key in KEYS.values() if key.docker}, **FORMER}
"""Each name of daemon.json → the path of its key."""

SECTIONS: frozenset[str] = frozenset(
    ".".join(parts[:depth]) for path in KEYS for parts in [path.split(".")] for depth in range(1, len(parts))
)
"""Every path that is a table of keys."""

# Sections in which an unknown table is that of a driver with its name.
DRIVER_SECTIONS = ("storage", "network", "runtime")
