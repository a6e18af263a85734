"""The store: names, removal, save, import, unpacking, and what a crash leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import pytest

from tare.errors import Conflict, Internal, Invalid, NotFound
from tare.images.store import ImageStore
from tare.images.unpacking import DriverSpec, layer_id

from .conftest import DataRoot, config, docker_archive, pack, sha, tree

ONE, TWO = tree({"a": b"1" * 1000}), tree({"b": b"2" * 2000})
CONFIG, SECOND = config(ONE, TWO), config(ONE)


@pytest.fixture
def loaded(data: DataRoot) -> DataRoot:
    data.load(pack(docker_archive((["app:1"], CONFIG, [ONE, TWO]), (["base"], SECOND, [ONE]))))
    return data


def test_every_way_to_say_an_image(loaded: DataRoot) -> None:
    id = sha(CONFIG)
    for ref in ("app:1", "docker.io/library/app:1", "library/app:1", id, id[7:], id[7:19], id[:20]):
        assert loaded.store.image(ref).id == id
    assert loaded.store.image("base").id == loaded.store.image("base:latest").id == sha(SECOND)
    for ref in ("app", "app:2", "nothing", "sha256:" + "0" * 64, "0" * 64, "app@sha256:" + "0" * 64):
        with pytest.raises(NotFound, match=f"^No such image: {ref}$"):
            loaded.store.image(ref)
    for ref in ("", "Big", "a b"):
        with pytest.raises(Invalid, match="invalid reference format"):
            loaded.store.image(ref)


def test_tags_and_what_rmi_says(loaded: DataRoot) -> None:
    store = loaded.store
    store.tag("app:1", "app:2")
    store.tag("app:1", "host:5000/team/app")
    assert store.image("app:2").tags == ("app:1", "app:2", "host:5000/team/app:latest")
    assert store.remove("app:2") == [("untagged", "app:2")]
    with pytest.raises(Conflict, match="referenced in multiple repositories"):
        store.remove(sha(CONFIG)[7:19])
    removed = store.remove(sha(CONFIG)[7:19], force=True)
    assert removed == [("untagged", "app:1"), ("untagged", "host:5000/team/app:latest"), ("deleted", sha(CONFIG))]
    with pytest.raises(NotFound):
        store.remove("app:1")
    with pytest.raises(Invalid):
        store.tag("base", "Bad Name")
    with pytest.raises(NotFound):
        store.tag("nothing", "x")
    with pytest.raises(Invalid, match="digest reference"):
        store.tag("base", "x@sha256:" + "0" * 64)


def test_shared_blobs_stay_until_nobody_needs_them(loaded: DataRoot) -> None:
    loaded.store.remove("app:1")
    assert sha(ONE)[7:] in loaded.blobs() and sha(TWO)[7:] not in loaded.blobs()
    assert loaded.store.remove("base") == [("untagged", "base:latest"), ("deleted", sha(SECOND))]
    assert loaded.blobs() == set()


def test_an_image_that_is_kept_loses_its_name_alone(loaded: DataRoot) -> None:
    assert loaded.store.remove("app:1", keep=True) == [("untagged", "app:1")]
    assert loaded.store.image(sha(CONFIG)).tags == ()
    assert loaded.store.remove(sha(CONFIG)) == [("deleted", sha(CONFIG))]


def test_a_restart_changes_nothing(loaded: DataRoot) -> None:
    before = loaded.store.images()
    blobs = loaded.blobs()
    assert loaded.reopened().images() == before
    assert loaded.blobs() == blobs


def test_the_content_is_an_oci_layout_for_others(loaded: DataRoot, tmp_path: Path) -> None:
    listed = subprocess.run(["umoci", "ls", "--layout", loaded.content], capture_output=True, text=True, check=True).stdout
    assert sorted(listed.split()) == ["app:1", "base:latest"]
    subprocess.run(
        f"skopeo --insecure-policy copy -q oci:{loaded.content}:app:1 dir:{tmp_path}/out".split(), check=True, capture_output=True
    )
    assert (tmp_path / "out" / sha(TWO)[7:]).read_bytes() == TWO


def test_save_is_byte_stable_and_both_formats(loaded: DataRoot, tmp_path: Path) -> None:
    loaded.store.tag("app:1", "app:2")
    files = [tmp_path / "first.tar", tmp_path / "second.tar"]
    for file in files:
        with open(file, "wb") as out:
            loaded.store.save(["app", "base:latest"], out)
    assert files[0].read_bytes() == files[1].read_bytes()
    with tarfile.open(files[0]) as archive:
        names = archive.getnames()
        listed = json.load(archive.extractfile("manifest.json"))  # type: ignore[arg-type]
        for name in names:
            if name.startswith("blobs/sha256/") and len(name) > 20:
                content = archive.extractfile(name).read()  # type: ignore[union-attr]
                assert sha(content)[7:] == os.path.basename(name)
    assert len(names) == len(set(names))
    assert [image["RepoTags"] for image in listed] == [["app:1", "app:2"], ["base:latest"]]
    for source in ("docker-archive", "oci-archive"):
        subprocess.run(
            f"skopeo --insecure-policy copy -q {source}:{files[0]}:app:2 dir:{tmp_path}/{source}".split(),
            check=True,
            capture_output=True,
        )
    before = {image.id: (image.tags, image.manifest) for image in loaded.store.images()}
    for ref in ("app:1", "app:2", "base"):
        loaded.store.remove(ref)
    loaded.load(files[0])
    assert {image.id: (image.tags, image.manifest) for image in loaded.store.images()} == before


def test_save_by_id_has_no_name_and_an_unknown_one_writes_nothing(loaded: DataRoot, tmp_path: Path) -> None:
    with open(tmp_path / "out", "wb") as out:
        loaded.store.save([sha(CONFIG)[7:19]], out)
        with pytest.raises(NotFound):
            loaded.store.save(["nothing"], out)
    with tarfile.open(tmp_path / "out") as archive:
        listed = json.load(archive.extractfile("manifest.json"))  # type: ignore[arg-type]
    assert listed[0]["RepoTags"] is None


@pytest.mark.parametrize("program", ["cat", "gzip -c", "zstd -qc", "xz -c", "bzip2 -c"])
def test_import(data: DataRoot, tmp_path: Path, program: str) -> None:
    archive = tmp_path / "tree"
    archive.write_bytes(subprocess.run(program.split(), input=ONE, capture_output=True, check=True).stdout)
    with open(archive, "rb") as source:
        image = data.store.import_(source, reference="imp/orted", message="why", changes=["CMD run"], platform="linux/arm64/v8")
    assert image.tags == ("imp/orted:latest",)
    assert image.config.command == ("/bin/sh", "-c", "run")
    assert (image.architecture, image.variant, image.comment, image.history[0].comment) == ("arm64", "v8", "why", "why")
    assert [layer.diff_id for layer in image.layers] == [sha(ONE)]
    with open(archive, "rb") as source:
        nameless = data.store.import_(source)
    assert (nameless.tags, nameless.comment) == ((), "Imported from -")


def test_import_refuses(data: DataRoot, tmp_path: Path) -> None:
    (tmp_path / "junk").write_bytes(b"no tar" * 1000)
    (tmp_path / "good").write_bytes(ONE)
    for name, members in (
        ("junk", {}),
        ("good", {"reference": "Bad"}),
        ("good", {"changes": ["RUN x"]}),
        ("good", {"platform": "windows"}),
    ):
        with open(tmp_path / name, "rb") as source, pytest.raises(Invalid):
            data.store.import_(source, **members)  # type: ignore[arg-type]
    assert (data.store.images(), data.blobs(), data.leftovers()) == ([], set(), [])


@pytest.mark.parametrize("factory", ["tare_storage.overlay2.driver:Overlay2", "tare_storage.vfs.driver:Vfs"])
def test_unpack_makes_what_is_missing(loaded: DataRoot, tmp_path: Path, factory: str) -> None:
    spec = DriverSpec(factory, str(tmp_path), str(tmp_path))
    image = loaded.store.image("app:1")
    assert loaded.store.unpack(image, spec, lambda id: False) == 2
    driver = spec.build()
    ids = [layer_id(layer.chain_id) for layer in image.layers]
    assert sorted(driver.list()) == sorted(ids)
    assert loaded.store.unpack(image, spec, set(ids).__contains__) == 0
    (found,) = (tmp_path / "layers" / ids[1]).glob("*/b")
    assert found.read_bytes() == b"2" * 2000


def test_unpack_of_damaged_content_leaves_no_layer(loaded: DataRoot, tmp_path: Path) -> None:
    blob = loaded.content / "blobs" / "sha256" / sha(TWO)[7:]
    blob.write_bytes(TWO.replace(b"2", b"3"))
    spec = DriverSpec("tare_storage.overlay2.driver:Overlay2", str(tmp_path), str(tmp_path))
    image = loaded.store.image("app:1")
    with pytest.raises(Internal, match=f"damaged {sha(TWO)}"):
        loaded.store.unpack(image, spec, lambda id: False)
    assert list(spec.build().list()) == [layer_id(image.layers[0].chain_id)]
    blob.unlink()
    with pytest.raises(Internal, match="lost"):
        loaded.store.unpack(image, spec, lambda id: False)


def test_a_driver_that_cannot_be_built_is_an_error_with_its_name(loaded: DataRoot, tmp_path: Path) -> None:
    spec = DriverSpec("nowhere.driver:Nothing", str(tmp_path), str(tmp_path))
    with pytest.raises(Internal, match=r"nowhere\.driver:Nothing"):
        loaded.store.unpack(loaded.store.image("app:1"), spec, lambda id: False)


KILLED = """
import os, sys
from pathlib import Path
from tare.images.store import ImageStore
from tare.state.database import State
state = State(Path(sys.argv[1]))
store = ImageStore(Path(sys.argv[1]) / "content", state.images)
print("ready", flush=True)
with open(sys.argv[2], "rb") as archive:
    store.load(archive, lambda line: None)
print("done", flush=True)
"""


def test_a_daemon_killed_while_it_loads_leaves_the_old_images(loaded: DataRoot, tmp_path: Path) -> None:
    before, blobs = loaded.store.images(), loaded.blobs()
    loaded.close()
    layers = [tree({f"f{number}": os.urandom(200_000)}) for number in range(20)]
    archive = tmp_path / "many.tar"
    archive.write_bytes(pack(docker_archive((["new:1"], config(*layers), layers))))
    ingest = loaded.content / "ingest"
    for wanted in (1, 3, 8):
        process = subprocess.Popen([sys.executable, "-c", KILLED, loaded.root, archive], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        pause = threading.Event()
        while process.poll() is None and sum(len(files) for _, _, files in os.walk(ingest)) < wanted:
            pause.wait(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        loaded.open()
        while loaded.leftovers():
            pause.wait(0.01)
            loaded.reopened()
        images = loaded.store.images()
        if len(images) > len(before):
            loaded.store.remove("new:1")
            images = loaded.store.images()
        assert (images, loaded.blobs()) == (before, blobs)
        loaded.close()
    loaded.open()


def test_loads_at_the_same_time(data: DataRoot, tmp_path: Path) -> None:
    failures: list[BaseException] = []

    def one(number: int) -> None:
        layer = tree({f"own{number}": b"x" * number})
        path = tmp_path / f"{number}.tar"
        path.write_bytes(pack(docker_archive(([f"app:{number}"], config(ONE, layer), [ONE, layer]))))
        try:
            with open(path, "rb") as archive:
                data.store.load(archive, lambda line: None)
            if number % 2:
                data.store.remove(f"app:{number}")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sorted(image.tags for image in data.store.images()) == [("app:2",), ("app:4",), ("app:6",), ("app:8",)]
    assert ImageStore(data.content, data.state.images).images() == data.store.images()


def test_a_killed_worker_is_an_error_that_says_so(data: DataRoot, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    failures: list[BaseException] = []

    def load() -> None:
        try:
            with os.fdopen(reading, "rb") as source:
                data.store.load(source, lambda line: None)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=load)
    thread.start()
    while not data.leftovers():
        threading.Event().wait(0.001)
    data.store.close()
    thread.join()
    os.close(writing)
    assert len(failures) == 1 and isinstance(failures[0], Internal) and "died" in str(failures[0])
    assert data.leftovers() == []
