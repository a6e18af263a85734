"""Which commands there are, under which names, and in which module of ``tare.cli.verbs`` each lives."""

from __future__ import annotations

from tare.cli.flags import Flag
from tare.cli.verb import Verb

GLOBALS = (
    Flag("host", "H", "list", "Daemon to talk to: unix:///path, tcp://host:port or host (environment: TARE_HOST)"),
    Flag("debug", "D", "bool", "Show a traceback when tare itself fails"),
    Flag("version", "v", "bool", "Print the version and leave"),
    Flag("config", "", "string", "Folder of the client's configuration", refused=True, hidden=True),
    Flag("context", "c", "string", "Name of the context to use", refused=True, hidden=True),
    Flag("log-level", "l", "string", "How much the client logs", refused=True, hidden=True),
    Flag("tls", "", "bool", "Use TLS", refused=True, hidden=True),
    Flag("tlscacert", "", "string", "Trust certificates signed by this CA", refused=True, hidden=True),
    Flag("tlscert", "", "string", "The client's certificate", refused=True, hidden=True),
    Flag("tlskey", "", "string", "The client's key", refused=True, hidden=True),
    Flag("tlsverify", "", "bool", "Use TLS and verify the daemon", refused=True, hidden=True),
)

PLAIN = {
    name: name
    for name in (
        "run", "exec", "ps", "images", "create", "start", "stop", "kill", "restart", "rm", "inspect", "logs", "attach", "wait",
        "top", "port", "rename", "pause", "unpause", "events", "tag", "rmi", "history", "load", "save", "info", "version",
    )
}  # fmt: skip
PLAIN["import"] = "import_archive"

_CONTAINER = (
    "attach", "create", "exec", "kill", "logs", "pause", "port", "rename", "restart", "rm", "run", "start", "stop", "top",
    "unpause", "wait",
)  # fmt: skip

GROUPS: dict[str, dict[str, str]] = {
    "container": {
        **{name: name for name in _CONTAINER},
        "ls": "ps", "list": "ps", "ps": "ps", "remove": "rm", "inspect": "container_inspect", "prune": "container_prune",
    },
    "image": {
        "history": "history", "import": "import_archive", "inspect": "image_inspect", "load": "load", "ls": "images",
        "list": "images", "prune": "image_prune", "rm": "rmi", "remove": "rmi", "rmi": "rmi", "save": "save", "tag": "tag",
    },
    "network": {"ls": "network_ls", "list": "network_ls", "inspect": "network_inspect", "prune": "network_prune"},
    "plugin": {"ls": "plugin_ls", "list": "plugin_ls", "inspect": "plugin_inspect"},
    "config": {"show": "config_show", "import": "config_import"},
    "system": {"info": "info", "events": "events", "df": "system_df", "prune": "system_prune"},
}  # fmt: skip

GROUP_SUMMARIES = {
    "container": "Manage containers",
    "image": "Manage images",
    "network": "Manage networks",
    "plugin": "Look at plugins and their drivers",
    "config": "Look at the daemon's configuration",
    "system": "Look at the daemon",
}

ALIASES = frozenset(("list", "remove"))
"""Second names that help does not list; so are ``container ps`` and ``image rmi``."""

LOAD = "bring an image in with `tare load -i FILE` or `tare import FILE NAME`"
NOT_YET: dict[str, str] = {
    "pull": LOAD, "push": "`tare save` writes an archive that other tools can push", "login": "", "logout": "", "search": "",
    "build": LOAD, "commit": "", "cp": "", "diff": "", "export": "", "stats": "", "update": "",
    "volume": "bind a folder with -v /host/folder:/folder", "builder": "", "buildx": "", "compose": "", "context": "",
    "manifest": "", "image build": LOAD, "image pull": LOAD,
    "image push": "`tare save` writes an archive that other tools can push",
    "container commit": "", "container cp": "", "container diff": "", "container export": "", "container stats": "",
    "container update": "", "network create": "", "network connect": "", "network disconnect": "",
    "network rm": "", "network remove": "",
    **{
        f"plugin {name}": "tare's plugins are Python packages: install one with pip, then `tare plugin ls`"
        for name in ("create", "disable", "enable", "install", "push", "rm", "remove", "set", "upgrade")
    },
}  # fmt: skip
"""Commands that Docker's client has and tare is to have; the text says what to do meanwhile."""


def locate(words: list[str]) -> tuple[str, str, list[str]] | None:
    """(module, path as typed, what follows) of the command in ``words``, or None where there is none."""
    if not words:
        return None
    name = words[0]
    if name in PLAIN:
        return PLAIN[name], name, words[1:]
    if name in GROUPS and len(words) > 1 and words[1] in GROUPS[name]:
        return GROUPS[name][words[1]], f"{name} {words[1]}", words[2:]
    return None


def load(module: str) -> Verb:
    """The command that a module holds."""
    verb: Verb = __import__(f"tare.cli.verbs.{module}", None, None, ["VERB"]).VERB
    return verb
