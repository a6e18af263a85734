"""A stage for one runtime: the driver plans, a real supervisor starts, and what comes out is collected."""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tare.drivers.registration import DriverContext
from tare.drivers.runtime import Bundle
from tare.engine.start import fields, link_fields
from tare.errors import Conflict, TareError, from_fields
from tare.linux import cgroups
from tare.model.mount import Mount
from tare.model.process import Launch, ProcessRef
from tare.oci.spec import SpecRequest, build, exec_process
from tare.supervisor import messages
from tare.supervisor.spawn import connect_or_spawn
from tare_runtime.ns.driver import NsRuntime

DEADLINE = 30.0


@dataclass
class Outcome:
    """What a process said and how it ended; ``warnings`` of its start."""

    code: int
    out: str
    err: str
    warnings: list[str] = field(default_factory=list)


@dataclass
class Started:
    """A running process and the stream that is attached to it."""

    ref: ProcessRef
    bundle: Bundle
    exec: str
    stream: socket.socket
    framed: bool
    warnings: list[str]


class Stage:
    def __init__(self, directory: Path, rootfs: Path) -> None:
        self.rootfs = rootfs
        self.log: list[str] = []
        self.run = directory / "run"
        self.run.mkdir()
        context = DriverContext(directory, self.run, f"suite{os.getpid()}", {}, self.log.append)
        self.driver = NsRuntime(context)
        self.sock = connect_or_spawn(str(directory / "exec"))
        self.exits: dict[tuple[str, str], dict[str, Any]] = {}
        self.serial = 0
        self.ask("hello", {"versions": [1, 1], "pid": os.getpid()})
        for entry in self.driver.entries():
            self.ask("template", {"runtime": "ns", "entry": entry, "path": [path for path in sys.path if path]})

    def ask(self, kind: str, body: dict[str, Any], fds: list[int] | None = None) -> dict[str, Any]:
        self.serial += 1
        messages.send(self.sock, kind, self.serial, body, fds or [])
        while True:
            word, serial, answer = self._receive()
            if serial == self.serial:
                if word == "error":
                    raise from_fields(**answer)
                return answer

    def _receive(self) -> tuple[str, int, dict[str, Any]]:
        assert select.select([self.sock], [], [], DEADLINE)[0], "the supervisor does not answer"
        message = messages.receive(self.sock)
        assert message is not None, "the supervisor is gone"
        word, serial, body, _ = message
        if word == "exit":
            self.exits[body["container"], body["exec"]] = body
        return word, serial, body

    def bundle(
        self,
        *args: str,
        files: Mapping[str, str] | None = None,
        joins: Mapping[str, ProcessRef] | None = None,
        rootfs: tuple[Mount, ...] = (),
        size: tuple[int, int] = (0, 0),
        **wish: Any,
    ) -> Bundle:
        id = uuid.uuid4().hex
        wish.setdefault("network", "new")
        spec = build(SpecRequest(id=id, args=args, **wish))
        root = rootfs or (Mount("bind", str(self.rootfs), "/", ("rbind",)),)
        return Bundle(id, spec, root, (), joins or {}, files or {}, *size)

    def start(self, *args: str, stdin: bool = False, **wish: Any) -> Started:
        bundle = self.bundle(*args, **wish)
        return self._launch(bundle, "", self.driver.plan(bundle), bool(wish.get("tty")), stdin)

    def exec(self, running: Started, *args: str, stdin: bool = False, tty: bool = False, **wish: Any) -> Started:
        process = exec_process(running.bundle.spec, args, tty=tty, **wish)
        launch = self.driver.plan_exec(process, running.bundle, running.ref)
        return self._launch(running.bundle, uuid.uuid4().hex, launch, tty, stdin)

    def _launch(self, bundle: Bundle, exec: str, launch: Launch, tty: bool, stdin: bool) -> Started:
        key = {"container": bundle.id, "exec": exec}
        ours, theirs = socket.socketpair()
        try:
            attach = {
                **key,
                "id": "a",
                "stdin": stdin,
                "stdout": True,
                "stderr": True,
                "framed": not tty,
                "detach_keys": b"",
                "initial": b"",
            }
            self.ask("attach", attach, [theirs.fileno()])
        finally:
            theirs.close()
        links = [link_fields(link) for attachment in bundle.attachments for link in attachment.links]
        try:
            answer = self.ask("start", {
                **key, "runtime": "ns", "launch": fields(launch), "links": links, "tty": tty, "stdin": stdin, "stdin_once": True,
                "log": None, "exit_record": "", "size": [bundle.rows, bundle.columns], "mount_fds": [],
            })  # fmt: skip
        except TareError:
            self.ask("discard", key)
            ours.close()
            raise
        ref = ProcessRef(bundle.id, answer["pid"], answer["start_time"], exec)
        return Started(ref, bundle, exec, ours, not tty, list(answer["warnings"]))

    def finish(self, started: Started) -> Outcome:
        """Read to the end, wait for the exit."""
        raw = b""
        while True:
            assert select.select([started.stream], [], [], DEADLINE)[0], f"no output: {raw!r}"
            try:
                piece = started.stream.recv(65536)
            except ConnectionResetError:
                piece = b""
            if not piece:
                break
            raw += piece
        started.stream.close()
        streams = {1: b"", 2: b""}
        if started.framed:
            while raw:
                kind, size = struct.unpack(">BxxxI", raw[:8])
                streams[kind] += raw[8 : 8 + size]
                raw = raw[8 + size :]
        else:
            streams[1] = raw
        code = self.ended(started)
        return Outcome(code, streams[1].decode(), streams[2].decode(), started.warnings)

    def ended(self, started: Started) -> int:
        key = (started.ref.container, started.exec)
        while key not in self.exits:
            self._receive()
        self.ask("acknowledge", {"container": key[0], "exec": key[1]})
        code: int = self.exits.pop(key)["code"]
        return code

    def kill(self, started: Started) -> int:
        self.ask("signal", {"container": started.ref.container, "exec": started.exec, "signal": 9})
        return self.finish(started).code

    def do(self, *args: str, **wish: Any) -> Outcome:
        """Run to the end."""
        return self.finish(self.start(*args, **wish))

    def sh(self, script: str, **wish: Any) -> Outcome:
        return self.do("sh", "-c", script, **wish)

    def close(self) -> None:
        """End what a failed test left behind, then the supervisor; the cgroups go with the driver."""
        bases = [Path(tree.path + self.driver._parent) for tree in self.driver._host.trees]
        for pid in {pid for base in bases for pid in cgroups.processes(str(base))}:
            os.kill(pid, signal.SIGKILL)
        while True:
            try:
                self.ask("stop", {})
                break
            except Conflict:
                self._receive()
        while self.sock.recv(65536):
            pass  # its end of the socket closes with the supervisor itself
        self.sock.close()
        for base in bases:
            for place, _, _ in os.walk(base, topdown=False):
                if place != str(base):
                    os.rmdir(place)
        self.driver.close()
        assert not [base for base in bases if base.exists()]


@pytest.fixture(scope="session")
def stage(suite_directory: Path, busybox_tar: Path) -> Iterator[Stage]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    rootfs = suite_directory / "runtime-root"
    rootfs.mkdir()
    subprocess.run(["tar", "-xf", busybox_tar, "-C", rootfs], check=True)
    directory = suite_directory / "runtime"
    directory.mkdir()
    stage = Stage(directory, rootfs)
    yield stage
    stage.close()
    shutil.rmtree(rootfs)
