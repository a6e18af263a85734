"""The walls between the rooms (docs/design.md): which imports must not exist, and what importing must not do."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "tare": "core",
    "tare_storage": "plugins/storage",
    "tare_network": "plugins/network",
    "tare_runtime": "plugins/runtime",
}
FOR_PLUGINS = {"drivers", "hooks", "model", "errors", "linux"}

# A room of the core → the only other rooms that it uses.
ONLY = {
    "errors": set(),
    "linux": set(),
    "model": {"errors"},
    "drivers": {"errors", "model"},
    "present": {"errors", "model"},
    "client": {"errors", "model"},
    "cli": {"client", "config", "present", "model", "errors", "daemon"},
    "supervisor": {"linux", "model", "errors", "drivers"},
}
# A room of the core → rooms that it never uses.
NEVER = {
    "engine": {"api", "cli", "client", "daemon"},
    "api": {"cli", "client", "daemon"},
    "state": {"api", "cli", "engine", "daemon"},
}
# A module → the only room that imports it.
OWNERS = {"ctypes": "linux", "sqlite3": "state", "click": "cli", "pluggy": "hooks"}
TOO_MUCH_FOR_THE_SUPERVISOR = {"click", "pluggy", "sqlite3", "asyncio", "http", "pyroute2"}
TOO_SLOW_FOR_A_CHILD = {"dataclasses", "typing", "re", "json"}

# What a template has loaded when it clones: the loop that clones, and the entries of the built-in runtime.
CHILD_MODULES = ("tare.supervisor.template", "tare_runtime.ns.init", "tare_runtime.ns.join", "tare.linux.links")


def sources() -> Iterator[tuple[str, Path]]:
    """(dotted name, file) of every module that is shipped."""
    for package, folder in PACKAGES.items():
        for path in sorted((ROOT / folder / package).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports(module: str, path: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything that a file imports, also inside functions and relatively."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = module.split(".")
                above = above[: len(above) - node.level + (path.name == "__init__.py")]
                base = ".".join([*above, *filter(None, [node.module])])
            yield from ((node.lineno, f"{base}.{alias.name}" if base in PACKAGES else base) for alias in node.names)


def wall(module: str, name: str) -> str:
    """The wall that stands between a module and what it imports, or ``""``."""
    package, _, rest = module.partition(".")
    room = rest.partition(".")[0]
    top, _, target = name.partition(".")
    target = target.partition(".")[0]
    if top in OWNERS and (package, room) != ("tare", OWNERS[top]):
        return f"only tare.{OWNERS[top]} imports {top}"
    if package != "tare":
        if top in PACKAGES and top not in (package, "tare"):
            return "plugins of two kinds never meet"
        return "a plugin uses only " + ", ".join(sorted(FOR_PLUGINS)) if top == "tare" and target not in FOR_PLUGINS else ""
    if top in PACKAGES and top != "tare":
        return "the core knows a driver by its name only"
    if room == "supervisor" and top in TOO_MUCH_FOR_THE_SUPERVISOR:
        return "the supervisor stays small"
    if room == "linux" and top not in (*sys.stdlib_module_names, "tare"):
        return "mechanism uses the standard library only"
    if top != "tare" or not target or target == room:
        return ""
    if room in ONLY and target not in ONLY[room]:
        return f"{room} uses only {', '.join(sorted(ONLY[room])) or 'the standard library'}"
    if target in NEVER.get(room, ()):
        return f"{room} never looks up at {target}"
    if target == "daemon" and room != "__main__" and module != "tare.cli.daemon":
        return "only the entry points know the daemon"
    return "nothing that is shipped uses the examination" if target == "testing" else ""


def test_no_wall_has_a_hole() -> None:
    holes = [
        f"{path.relative_to(ROOT)}:{line} imports {name}: {why}"
        for module, path in sources()
        for line, name in imports(module, path)
        if (why := wall(module, name))
    ]
    assert not holes, "\n" + "\n".join(holes)


@pytest.mark.parametrize(
    ("module", "name", "why"),
    [
        ("tare.engine.start", "tare_runtime.ns", "the core knows a driver by its name only"),
        ("tare.engine.start", "tare.api.server", "engine never looks up at api"),
        ("tare.linux.mounts", "tare.errors", "linux uses only the standard library"),
        ("tare.images.store", "sqlite3", "only tare.state imports sqlite3"),
        ("tare_runtime.ns.init", "ctypes", "only tare.linux imports ctypes"),
        ("tare_runtime.ns.init", "tare_network.bridge", "plugins of two kinds never meet"),
        ("tare_storage.vfs", "tare.state.database", "a plugin uses only drivers, errors, hooks, linux, model"),
        ("tare.supervisor.main", "asyncio", "the supervisor stays small"),
        ("tare.supervisor.main", "tare.config.load", "supervisor uses only drivers, errors, linux, model"),
        ("tare.api.server", "tare.daemon.main", "api never looks up at daemon"),
        ("tare.model.mount", "tare.drivers.storage", "model uses only errors"),
        ("tare.engine.start", "tare.supervisor.spawn", ""),
        ("tare.cli.daemon", "tare.daemon.main", ""),
        ("tare.state.database", "sqlite3", ""),
    ],
)
def test_a_hole_would_be_seen(module: str, name: str, why: str) -> None:
    assert wall(module, name) == why


def test_every_file_fits_one_noun() -> None:
    long = [f"{path.relative_to(ROOT)}: {lines} lines" for _, path in sources() if (lines := path.read_text().count("\n")) > 500]
    assert not long, "which second noun is in it?\n" + "\n".join(long)


def test_the_package_itself_imports_nothing() -> None:
    assert (ROOT / "core/tare/__init__.py").read_text().strip() == ""


def fresh(script: str, *flags: str) -> dict[str, object]:
    """What a script prints as JSON, run in an interpreter that has loaded nothing."""
    paths = [str(ROOT / folder) for folder in PACKAGES.values()]
    command = [sys.executable, *flags, "-c", f"import sys; sys.path[:0] = {paths!r}\n{script}"]
    found: dict[str, object] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return found


LOADED = """
import importlib
before = set(sys.modules)
for name in {names!r}:
    importlib.import_module(name)
loaded = sorted(name for name in set(sys.modules) - before if name.partition(".")[0] in {unwanted!r})
import json
print(json.dumps({{"loaded": loaded}}))
"""


def test_the_supervisor_loads_nothing_big() -> None:
    names = [module for module, _ in sources() if module.startswith("tare.supervisor")]
    assert len(names) > 10
    script = LOADED.format(names=names, unwanted=TOO_MUCH_FOR_THE_SUPERVISOR)
    assert fresh(script, "-I", "-S") == {"loaded": []}


@pytest.mark.parametrize("name", CHILD_MODULES)
def test_a_container_is_born_without_slow_modules(name: str) -> None:
    script = LOADED.format(names=[name], unwanted=TOO_MUCH_FOR_THE_SUPERVISOR | TOO_SLOW_FOR_A_CHILD)
    assert fresh(script, "-I", "-S") == {"loaded": []}


NOTHING = """
import importlib, json, logging, os, pathlib, signal, threading
def world():
    return {
        "threads": threading.active_count(),
        "descriptors": sorted(os.listdir("/proc/self/fd")),
        "children": pathlib.Path(f"/proc/self/task/{os.getpid()}/children").read_text().split(),
        "directory": os.getcwd(),
        "environment": dict(os.environ),
        "handlers": len(logging.getLogger().handlers),
        "signals": [str(signal.getsignal(number)) for number in signal.valid_signals()],
    }
before = world()
for name in NAMES:
    importlib.import_module(name)
after = world()
print(json.dumps({key: [before[key], after[key]] for key in before if before[key] != after[key]}))
"""


def test_importing_any_module_does_nothing() -> None:
    names = [module for module, _ in sources() if not module.endswith("__main__")]
    assert len(names) > 100
    assert fresh(f"NAMES = {names!r}\n{NOTHING}") == {}
