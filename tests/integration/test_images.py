"""Images through both clients: removal, damage, and what happens beside each other."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.images.conftest import config, docker_archive, pack, sha, tree

from .conftest import BIN, Daemon, wait_for

NONE = ("--network", "none")
CLIENTS = pytest.mark.parametrize("client", ["tare", "docker"])


def image_id(engine: Daemon, ref: str) -> str:
    return engine.tare("image", "inspect", "-f", "{{.Id}}", ref).stdout.strip()


def layered(busybox_tar: Path, *names: str, mark: bytes = b"mine") -> tuple[bytes, list[bytes]]:
    """A docker-archive of busybox with a layer more, and its layers."""
    base, own = busybox_tar.read_bytes(), tree({"mark": mark})
    return pack(docker_archive((list(names), config(base, own, config={"Cmd": ["cat", "/mark"]}), [base, own]))), [base, own]


@pytest.fixture
def mine(engine: Daemon, busybox_tar: Path, tmp_path: Path) -> Iterator[str]:
    """The id of an image called mine:1."""
    archive = tmp_path / "mine.tar"
    archive.write_bytes(layered(busybox_tar, "mine:1")[0])
    engine.tare("load", "-i", str(archive))
    id = image_id(engine, "mine:1")
    yield id
    engine.tare("rmi", "-f", id, check=False)


@CLIENTS
def test_rmi_of_an_image_in_use(engine: Daemon, mine: str, client: str) -> None:
    call = getattr(engine, client)
    short = mine[7:19]
    container = engine.tare("create", *NONE, "mine:1").stdout.strip()
    try:
        refused = call("rmi", "mine:1", check=False)
        assert refused.returncode == 1
        told = f'conflict: unable to remove repository reference "mine:1" (must force) - container {container[:12]} is using'
        assert f"{told} its referenced image {short}" in refused.stderr
        refused = call("rmi", short, check=False)
        told = f"unable to delete {short} (must be forced) - image is being used by stopped container {container[:12]}"
        assert refused.returncode == 1 and told in refused.stderr
        engine.tare("tag", "mine:1", "mine:2")
        refused = call("rmi", short, check=False)
        assert refused.returncode == 1
        assert f"unable to delete {short} (must be forced) - image is referenced in multiple repositories" in refused.stderr
        assert call("rmi", "-f", short).stdout.splitlines() == ["Untagged: mine:1", "Untagged: mine:2", f"Deleted: {mine}"]
        assert engine.tare("start", "-a", container).stdout == "mine"
    finally:
        engine.tare("rm", "-f", container)


@CLIENTS
def test_rmi_of_an_image_that_runs(engine: Daemon, mine: str, client: str) -> None:
    call = getattr(engine, client)
    short = mine[7:19]
    container = engine.tare("run", "-d", *NONE, "mine:1", "sleep", "1000").stdout.strip()
    try:
        for words in (("rmi", short), ("rmi", "-f", short)):
            refused = call(*words, check=False)
            told = f"unable to delete {short} (cannot be forced) - image is being used by running container {container[:12]}"
            assert refused.returncode == 1 and told in refused.stderr
        assert call("rmi", "-f", "mine:1").stdout == "Untagged: mine:1\n"
        assert image_id(engine, short) == mine
    finally:
        engine.tare("rm", "-f", container)


def test_layers_of_a_forced_removal_go_with_the_last_container(engine: Daemon, mine: str) -> None:
    def layers() -> set[str]:
        return {path.name for path in engine.data_root.glob("storage/overlay2/layers/*")}

    engine.tare("run", "--rm", *NONE, "busybox", "true")
    before = layers()
    container = engine.tare("create", *NONE, "mine:1").stdout.strip()
    own = layers() - before
    assert len(own) == 1
    engine.tare("rmi", "-f", mine)
    assert own <= layers()
    engine.tare("rm", container)
    wait_for(lambda: not own & layers(), "the end of the layer")


def test_a_name_that_looks_like_a_part_of_an_id_is_a_name(engine: Daemon, mine: str) -> None:
    name = mine[20:24]
    engine.tare("tag", "mine:1", name)
    assert engine.tare("rmi", name).stdout == f"Untagged: {name}:latest\n"
    assert image_id(engine, "mine:1") == mine


@CLIENTS
@pytest.mark.parametrize("what", ["configuration", "layer"])
def test_a_damaged_image(engine: Daemon, mine: str, busybox_tar: Path, tmp_path: Path, client: str, what: str) -> None:
    call = getattr(engine, client)
    archive, layers = layered(busybox_tar, "mine:1")
    (tmp_path / "again.tar").write_bytes(archive)
    digest = {"configuration": mine, "layer": sha(layers[1])}[what]
    blob = engine.data_root / "content" / "blobs" / "sha256" / digest[7:]
    blob.write_bytes(blob.read_bytes().replace(b"m", b"n"))
    if what == "configuration":  # the daemon still knows it from before
        engine.kill()
        engine.start()
    run = call("run", "--rm", *NONE, "mine:1", check=False)
    assert run.returncode == 125
    assert f"the content store holds a damaged {digest}" in run.stderr and "load the image again" in run.stderr
    listed = call("images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}").stdout.splitlines()
    assert f"mine:1 {mine}" in listed and any(line.startswith("busybox:latest ") for line in listed)
    call("load", "-q", "-i", str(tmp_path / "again.tar"))
    assert call("run", "--rm", *NONE, "mine:1").stdout == "mine"
    blob.write_bytes(b"")
    engine.kill()
    engine.start()
    assert call("rmi", "mine:1").stdout.splitlines() == ["Untagged: mine:1", f"Deleted: {mine}"]
    assert mine not in call("images", "-aq", "--no-trunc").stdout


@CLIENTS
def test_prune_counts_what_no_other_image_has(engine: Daemon, mine: str, busybox_tar: Path, tmp_path: Path, client: str) -> None:
    """An image without a name, created at a time with an offset, that shares its base."""
    base, own = busybox_tar.read_bytes(), tree({"own": b"o" * 1000})
    document = config(base, own, created="2001-05-02T03:04:05.5+02:00", config={"Labels": {"test": "prune"}})
    (tmp_path / "nameless.tar").write_bytes(pack(docker_archive(([], document, [base, own]))))
    engine.tare("load", "-i", str(tmp_path / "nameless.tar"))
    call = getattr(engine, client)
    only = ("--filter", "label=test=prune")
    for words in (("until=2001-05-02T01:04:05Z",), ("until=988765445",)):
        assert call("image", "prune", "-f", *only, "--filter", *words).stdout == "Total reclaimed space: 0B\n"
    pruned = call("image", "prune", "-f", *only, "--filter", "until=2001-05-02T01:04:06Z").stdout.splitlines()
    assert pruned == ["Deleted Images:", f"deleted: {sha(document)}", "", "Total reclaimed space: 1kB"]


def needed(daemon: Daemon) -> set[str]:
    """The blobs that the images of index.json are made of, with those that it lists."""
    content = daemon.data_root / "content"
    found = set()
    for entry in json.loads((content / "index.json").read_bytes())["manifests"]:
        manifest = json.loads((content / "blobs/sha256" / entry["digest"][7:]).read_bytes())
        found |= {part["digest"][7:] for part in (entry, manifest["config"], *manifest["layers"])}
    return found


def settled(daemon: Daemon) -> None:
    """Every blob is needed and whole, nothing half-made is left."""
    blobs = daemon.data_root / "content" / "blobs" / "sha256"
    assert set(os.listdir(blobs)) == needed(daemon)
    assert all(sha(path.read_bytes())[7:] == path.name for path in blobs.iterdir())
    wait_for(lambda: not os.listdir(daemon.data_root / "content" / "ingest"), "the end of the sessions")


def test_load_save_and_rmi_beside_each_other(daemon: Daemon, busybox_tar: Path, tmp_path: Path) -> None:
    """Three threads on images that share a layer: what was loaded is whole, what was saved too."""
    base, shared = busybox_tar.read_bytes(), tree({"shared": os.urandom(300_000)})
    archives = {}
    for number, names in enumerate((["mine:1"], ["own:1"])):
        own = tree({"own": b"%d" % number})
        archives[names[0]] = tmp_path / f"{number}.tar"
        files = docker_archive((names, config(base, shared, own), [base, shared, own]))
        archives[names[0]].write_bytes(pack(files))
    over = threading.Event()
    failures: list[BaseException] = []

    def again(what: Callable[[], None]) -> threading.Thread:
        def work() -> None:
            while not over.is_set() and not failures:
                try:
                    what()
                except BaseException as error:
                    failures.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        return thread

    def come_and_go() -> None:
        daemon.tare("load", "-q", "-i", str(archives["mine:1"]))
        daemon.tare("rmi", "mine:1")

    def save() -> None:
        command = [str(BIN / "tare"), "save", "mine:1"]
        done = subprocess.run(command, env=daemon.environment(), capture_output=True, check=False)
        if done.returncode:
            assert b"No such image" in done.stderr, done.stderr
            return
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
            for member in archive:
                if member.isfile() and member.name.startswith("blobs/"):
                    content = archive.extractfile(member)
                    assert content is not None and sha(content.read())[7:] == os.path.basename(member.name)

    threads = [again(come_and_go), again(save)]
    try:
        for _ in range(25):
            daemon.tare("load", "-q", "-i", str(archives["own:1"]))
            assert daemon.tare("run", "--rm", *NONE, "own:1", "stat", "-c", "%s", "/shared").stdout == "300000\n"
            daemon.tare("rmi", "own:1")
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert not failures, failures
    settled(daemon)


def test_the_daemon_is_killed_while_images_come_and_go(daemon: Daemon, busybox_tar: Path, tmp_path: Path) -> None:
    """At any moment of load, import, save and rmi: afterwards images are whole or not there, and the same works."""
    archive, tree_ = tmp_path / "mine.tar", tmp_path / "tree.tar"
    archive.write_bytes(layered(busybox_tar, "mine:1")[0])
    tree_.write_bytes(tree({f"f{number}": os.urandom(100_000) for number in range(20)}))
    ingest = daemon.data_root / "content" / "ingest"
    blobs = daemon.data_root / "content" / "blobs" / "sha256"
    verbs = (
        ["load", "-q", "-i", str(archive)],
        ["import", str(tree_), "mine:1"],
        ["save", "-o", str(tmp_path / "out.tar"), "mine:1"],
        ["rmi", "-f", "mine:1"],
    )
    for round_ in range(4):
        for words in verbs:
            daemon.tare("load", "-q", "-i", str(archive))
            before = os.listdir(blobs)
            client = subprocess.Popen([str(BIN / "tare"), *words], env=daemon.environment(), stderr=subprocess.DEVNULL)
            moments: list[Callable[[], bool]] = [
                lambda: bool(os.listdir(ingest)),
                lambda before=before: os.listdir(blobs) != before,
                lambda: any(tmp_path.glob("out.tar*")),
                lambda: any(os.listdir(ingest / session) for session in _listed(ingest)),
            ]
            wait_for(lambda now=moments[round_], client=client: client.poll() is not None or now(), "the moment")
            daemon.kill()
            client.wait()
            daemon.start()
            settled(daemon)
            listed = daemon.tare("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
            for ref in listed:
                if ref != "<none>:<none>":
                    daemon.tare("save", "-o", str(tmp_path / "check.tar"), ref)
            (tmp_path / "out.tar").unlink(missing_ok=True)
    daemon.tare("load", "-q", "-i", str(archive))
    assert daemon.tare("run", "--rm", *NONE, "mine:1").stdout == "mine"


def _listed(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)
    except FileNotFoundError:
        return []
