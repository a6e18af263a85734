"""Rows of state.db that cannot be read: nothing of theirs is lost, and they can be removed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tare.linux import devices

from .conftest import Daemon, wait_for

DAMAGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "cut": lambda document: json.dumps(document)[: len(json.dumps(document)) // 2],
    "bytes": lambda document: b"\xff\xfe\x00",
    "no state": lambda document: json.dumps({**document, "state": "running"}),
    "types": lambda document: json.dumps({**document, "args": "sleep", "labels": [1]}),
    "unknown state": lambda document: json.dumps({**document, "state": {**document["state"], "status": "levitating"}}),
    "another": lambda document: json.dumps({**document, "id": "0" * 64}),
}


def damage(daemon: Daemon, table: str, name: str, how: Callable[[dict[str, Any]], object]) -> object:
    """Damage a record while the daemon is dead; what is in its place afterwards."""
    daemon.kill(signal.SIGKILL)
    with contextlib.closing(sqlite3.connect(daemon.data_root / "state.db")) as database, database:
        ((text,),) = database.execute(f"SELECT document FROM {table} WHERE name = ?", (name,)).fetchall()
        damaged = how(json.loads(text) if text.startswith("{\"") else {})
        database.execute(f"UPDATE {table} SET document = ? WHERE name = ?", (damaged, name))
    daemon.start()
    return damaged


def recorded(daemon: Daemon, table: str, name: str) -> object:
    with contextlib.closing(sqlite3.connect(daemon.data_root / "state.db")) as database:
        return database.execute(f"SELECT document FROM {table} WHERE name = ?", (name,)).fetchall()[0][0]


def refused(daemon: Daemon, *words: str) -> str:
    done = daemon.tare(*words, check=False)
    assert done.returncode != 0
    return done.stderr


@pytest.mark.parametrize("how", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_container_keeps_what_it_has_until_it_is_removed(daemon: Daemon, how: Callable[[dict[str, Any]], object]) -> None:
    daemon.tare("run", "-d", "--name", "hurt", "-p", "127.0.0.1:0:80", "busybox", "sh", "-c", "echo mine >/f; exec sleep 1000")
    found: Any = daemon.inspect("hurt")
    id, pid, address = found["Id"], found["State"]["Pid"], found["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
    upper = daemon.data_root / "storage/overlay2/snapshots" / id
    wait_for(lambda: any(upper.rglob("f")), "the file")
    links = sorted(devices.devices())
    damaged = damage(daemon, "containers", "hurt", how)
    for _ in range(2):
        assert daemon.tare("ps", "-a", "--format", "{{.Names}} {{.State}}").stdout == "hurt dead\n"
        assert daemon.tare("ps", "-q").stdout == ""
        assert "its record cannot be read" in daemon.tare("inspect", "-f", "{{.State.Error}}", "hurt").stdout
        assert Path(f"/proc/{pid}").exists() and any(upper.rglob("f")) and (daemon.data_root / "containers" / id).exists()
        assert sorted(devices.devices()) == links
        for words in (["start"], ["stop"], ["exec", "hurt", "true"], ["rename", "hurt", "healed"], ["logs"], ["rm"], ["wait"]):
            assert "cannot be read" in refused(daemon, *(words if len(words) > 1 else [*words, "hurt"]))
        assert "already in use" in refused(daemon, "create", "--name", "hurt", "busybox", "true")
        assert "Address already in use" in refused(daemon, "run", "--rm", "--ip", address, "busybox", "true")
        daemon.tare("container", "prune", "-f")
        daemon.tare("info")
        assert "hurt" in daemon.docker("system", "df", "-v").stdout
        assert "hurt" in daemon.docker("ps", "-a", "--filter", "status=dead").stdout
        # An orderly end and another start write nothing over it either.
        daemon.kill(signal.SIGTERM)
        assert recorded(daemon, "containers", "hurt") == damaged
        daemon.start()
    assert daemon.log().count("the record of container hurt cannot be read") == 3
    assert daemon.tare("rm", "-f", "hurt").stdout == "hurt\n"
    assert not Path(f"/proc/{pid}").exists()
    assert daemon.tare("ps", "-aq").stdout == ""
    wait_for(lambda: not upper.exists() and not (daemon.data_root / "containers" / id).exists(), "its files to go")
    wait_for(lambda: set(devices.devices()) < set(links), "its link to go")
    assert daemon.tare("run", "--rm", "--name", "hurt", "--ip", address, "busybox", "echo", "next").stdout == "next\n"


def test_a_damaged_id_owns_nothing_and_can_be_removed(daemon: Daemon) -> None:
    daemon.tare("create", "--name", "hurt", "busybox", "true")
    daemon.kill(signal.SIGKILL)
    with contextlib.closing(sqlite3.connect(daemon.data_root / "state.db")) as database, database:
        database.execute("UPDATE containers SET id = '../../..'")
    daemon.start()
    assert daemon.tare("ps", "-a", "--format", "{{.Names}} {{.State}}").stdout == "hurt dead\n"
    daemon.tare("rm", "-f", "hurt")
    assert daemon.data_root.exists()
    daemon.kill(signal.SIGKILL)
    daemon.start()
    assert daemon.tare("ps", "-aq").stdout == ""


def test_an_end_while_the_record_is_damaged_is_known_when_it_is_restored(daemon: Daemon, tmp_path: Path) -> None:
    go = tmp_path / "go"
    os.mkfifo(go)
    daemon.tare("run", "-d", "--name", "hurt", "--network", "none", "-v", f"{go}:/go", "busybox", "sh", "-c", "cat /go; exit 7")
    pid: Any = daemon.inspect("hurt")["State"]
    whole: list[str] = []
    damage(daemon, "containers", "hurt", lambda document: whole.append(json.dumps(document)) or "{")
    go.write_text("")
    wait_for(lambda: not Path(f"/proc/{pid['Pid']}").exists(), "its end")
    damage(daemon, "containers", "hurt", lambda _: whole[0])
    assert daemon.tare("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "hurt").stdout == "exited 7\n"


@pytest.mark.parametrize("how", ["cut", "types"])
def test_a_network_is_used_and_its_record_kept(daemon: Daemon, how: str) -> None:
    daemon.tare("run", "-d", "--name", "lives", "busybox", "sleep", "1000")
    found: Any = daemon.inspect("lives")
    place = found["NetworkSettings"]["Networks"]["bridge"]
    damages = {"cut": DAMAGES["cut"], "types": lambda document: json.dumps({**document, "subnets": 5})}
    damaged = damage(daemon, "networks", "bridge", damages[how])
    assert daemon.log().count("the record of network bridge cannot be read") == 1
    after: Any = daemon.inspect("lives")
    assert after["NetworkSettings"]["Networks"]["bridge"] == place
    gateway = daemon.tare("run", "--rm", "busybox", "ip", "route").stdout
    assert place["Gateway"] in gateway
    assert "Address already in use" in refused(daemon, "run", "--rm", "--ip", place["IPAddress"], "busybox", "true")
    assert recorded(daemon, "networks", "bridge") == damaged


IMAGES = {
    "manifest": "UPDATE images SET manifest = 'rubbish'",
    "bytes": "UPDATE images SET manifest = CAST(x'ff' AS TEXT)",
    "number": "UPDATE images SET manifest = 5",
}


@pytest.mark.parametrize("how", [*IMAGES, "blob", "configuration"])
def test_an_image_is_kept_until_it_is_loaded_again_or_removed(daemon: Daemon, tmp_path: Path, how: str) -> None:
    archive = str(tmp_path / "busybox.tar")
    daemon.tare("save", "-o", archive, "busybox")
    daemon.tare("run", "-d", "--name", "lives", "--network", "none", "busybox", "sleep", "1000")
    id = daemon.tare("image", "inspect", "-f", "{{.Id}}", "busybox").stdout.strip()

    def hurt() -> None:
        daemon.kill(signal.SIGKILL)
        with contextlib.closing(sqlite3.connect(daemon.data_root / "state.db")) as database, database:
            ((manifest,),) = database.execute("SELECT manifest FROM images").fetchall()
            database.execute(IMAGES.get(how, "SELECT 1"))
        if how not in IMAGES:
            blob = manifest if how == "blob" else id
            (daemon.data_root / "content/blobs/sha256" / blob.removeprefix("sha256:")).write_text("{")
        daemon.start()

    before = set((daemon.data_root / "content/blobs/sha256").iterdir())
    hurt()
    assert daemon.tare("images", "-q", "--no-trunc").stdout == daemon.tare("images", "-q", "--no-trunc").stdout == f"{id}\n"
    assert daemon.log().count(f"image busybox:latest ({id}) cannot be read and is kept") == 1
    assert "using its referenced image" in refused(daemon, "rmi", "busybox")
    assert refused(daemon, "run", "--rm", "busybox", "true")
    assert daemon.tare("exec", "lives", "echo", "in").stdout == "in\n"
    daemon.tare("image", "prune", "-af")
    assert daemon.tare("restart", "-t", "0", "lives").returncode == 0
    assert set((daemon.data_root / "content/blobs/sha256").iterdir()) == before
    daemon.tare("load", "-i", archive)
    assert daemon.tare("run", "--rm", "busybox", "echo", "whole").stdout == "whole\n"

    hurt()
    daemon.tare("rm", "-f", "lives")
    assert f"Deleted: {id}" in daemon.tare("rmi", "busybox").stdout
    assert "No such image" in refused(daemon, "image", "inspect", "busybox")
    assert not list((daemon.data_root / "content/blobs/sha256").iterdir())


def test_a_name_of_no_image_means_none(daemon: Daemon) -> None:
    daemon.kill(signal.SIGKILL)
    with contextlib.closing(sqlite3.connect(daemon.data_root / "state.db")) as database, database:
        database.execute("UPDATE image_names SET image = 'sha256:nobody'")
    daemon.start()
    assert "No such image" in refused(daemon, "image", "inspect", "busybox")
    assert daemon.tare("images", "--format", "{{.Repository}}").stdout == "<none>\n"
    id = daemon.tare("images", "-q").stdout.strip()
    daemon.tare("tag", id, "busybox")
    assert daemon.tare("run", "--rm", "--network", "none", "busybox", "echo", "named").stdout == "named\n"
