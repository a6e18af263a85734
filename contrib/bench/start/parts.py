"""What is measured. Each part gives figures by name and peer; those of one name are taken in turn, not one after another."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from peers import IDLE, IMAGE, Daemon, Docker, Peer
from wire import Wire


class Figures:
    """Samples in milliseconds by (what, peer); other numbers by (what, peer) in ``values``."""

    def __init__(self) -> None:
        self.samples: dict[str, dict[str, list[float]]] = {}
        self.values: dict[str, dict[str, float]] = {}

    def add(self, what: str, peer: str, milliseconds: float) -> None:
        self.samples.setdefault(what, {}).setdefault(peer, []).append(milliseconds)

    def set(self, what: str, peer: str, value: float) -> None:
        self.values.setdefault(what, {})[peer] = value

    def median(self, what: str, peer: str) -> float | None:
        taken = self.samples.get(what, {}).get(peer)
        return statistics.median(taken) if taken else None


def spawn(argv: list[str], environment: dict[str, str]) -> float:
    """Wall time in milliseconds of a command that must succeed; its output is thrown away."""
    quiet = [(os.POSIX_SPAWN_OPEN, number, "/dev/null", os.O_RDWR, 0) for number in (0, 1)]
    started = time.perf_counter()
    child = os.posix_spawnp(argv[0], argv, environment, file_actions=quiet)
    _, status = os.waitpid(child, 0)
    elapsed = (time.perf_counter() - started) * 1000
    if status:
        raise SystemExit(f"bench: {' '.join(argv)}: exit {os.waitstatus_to_exitcode(status)}")
    return elapsed


def charged(peer: Peer, argv: list[str]) -> float:
    peer.account.enter()
    try:
        return spawn(argv, peer.environment)
    finally:
        peer.account.leave()


def run(peers: list[Peer], rounds: int, figures: Figures, networks: list[str]) -> None:
    """``run --rm IMAGE true`` by network: wall time, and CPU of client, engine and cleaning up."""
    for network in networks:
        able = [peer for peer in peers if network in peer.networks]
        what = f"run --rm true, {network}"
        for peer in able:
            charged(peer, peer.run(network, "true"))
            peer.account.settle()
        before = {peer.name: peer.account.usage() for peer in able}
        for _turn, peer in turns(able, rounds):
            figures.add(what, peer.name, charged(peer, peer.run(network, "true")))
        for peer in able:
            peer.account.settle()
            figures.set(f"{what}: CPU ms", peer.name, (peer.account.usage() - before[peer.name]) / rounds * 1000)


def api(peers: list[Peer], rounds: int, figures: Figures, network: str) -> None:
    """create, start, wait and remove through the API."""
    able = [peer for peer in peers if isinstance(peer, Daemon)]
    wires = {peer.name: Wire(peer.socket) for peer in able}
    body = {"Image": IMAGE, "Cmd": ["true"], "HostConfig": {"NetworkMode": network}}
    what = "API create+start+wait+remove"
    before = {}
    for turn, peer in turns(able, rounds, first=-1):
        if turn == 0 and not before:
            for each in able:
                each.account.settle()
            before = {each.name: each.account.usage() for each in able}
        wire = wires[peer.name]
        started = time.perf_counter()
        made = wire.ask("POST", "/containers/create", body)["Id"]
        wire.ask("POST", f"/containers/{made}/start")
        wire.ask("POST", f"/containers/{made}/wait")
        wire.ask("DELETE", f"/containers/{made}")
        if turn >= 0:
            figures.add(what, peer.name, (time.perf_counter() - started) * 1000)
    for peer in able:
        peer.account.settle()
        figures.set(f"{what}: CPU ms", peer.name, (peer.account.usage() - before[peer.name]) / rounds * 1000)
        wires[peer.name].close()


def execute(peers: list[Peer], rounds: int, figures: Figures, network: str) -> None:
    """``exec C true`` by the client and through the API."""
    able = [peer for peer in peers if hasattr(peer, "execute")]
    for peer in able:
        charged(peer, peer.background("bench-exec", network))
        charged(peer, peer.execute("bench-exec", "true"))
    for _turn, peer in turns(able, rounds):
        figures.add("exec C true", peer.name, charged(peer, peer.execute("bench-exec", "true")))
    daemons = [peer for peer in able if isinstance(peer, Daemon)]
    wires = {peer.name: Wire(peer.socket) for peer in daemons}
    for _turn, peer in turns(daemons, rounds):
        wire = wires[peer.name]
        started = time.perf_counter()
        made = wire.ask("POST", "/containers/bench-exec/exec", {"Cmd": ["true"], "AttachStdout": True, "AttachStderr": True})
        wire.stream("POST", f"/exec/{made['Id']}/start", {"Detach": False, "Tty": False})
        ended = wire.ask("GET", f"/exec/{made['Id']}/json")
        figures.add("API exec true", peer.name, (time.perf_counter() - started) * 1000)
        if ended["ExitCode"] not in (0, None):
            raise SystemExit(f"bench: {peer.name}: exec ended with {ended['ExitCode']}")
    for peer in able:
        peer.clear()


def ps(peers: list[Peer], rounds: int, figures: Figures, what: str = "ps, no containers") -> None:
    able = [peer for peer in peers if hasattr(peer, "list")]
    for _turn, peer in turns(able, rounds):
        figures.add(what, peer.name, charged(peer, peer.list()))


def many(peers: list[Peer], rounds: int, figures: Figures, network: str, count: int, fewer: int) -> None:
    """``count`` idle containers (``fewer`` of docker's): what the engine grows by, whether starts and ``ps`` slow down."""
    for peer in peers:
        if not isinstance(peer, Daemon):
            continue
        total = fewer if isinstance(peer, Docker) else count
        low = min(10, total // 2)
        memory = {}
        times = []
        for number in range(1, total + 1):
            times.append(charged(peer, peer.background(f"bench-{number}", network)))
            if number in (low, total):
                peer.account.settle()
                memory[number] = sum(private(pid) for pid in peer.account.processes())
        figures.set("engine memory a container, kB", peer.name, (memory[total] - memory[low]) / (total - low))
        figures.set("engine memory at 10, kB", peer.name, memory[low])
        if isinstance(peer, Docker):
            shims = [private(pid) for pid in peer.shims()]
            figures.set("one containerd-shim, kB", peer.name, statistics.fmean(shims))
        if total >= 2 * low + 10:
            figures.set("starts 11-20, ms", peer.name, statistics.median(times[low : low + 10]))
            figures.set("last 10 starts, ms", peer.name, statistics.median(times[-10:]))
        ps([peer], rounds, figures, f"ps, {total} containers")
        peer.clear()
        peer.account.settle()


def private(pid: int) -> int:
    """Memory in kB that a process shares with nobody (proc(5), smaps_rollup); 0 when it has gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Clean", "Private_Dirty")))


def turns(peers: list[Peer], rounds: int, first: int = 0) -> Iterator[tuple[int, Peer]]:
    """Everybody in every round, nobody always first. What an engine still does after its answer is not left to fall on the next:
    that comes when the engine is at rest."""
    for turn in range(first, rounds):
        start = turn % max(len(peers), 1)
        for peer in peers[start:] + peers[:start]:
            yield turn, peer
            peer.account.settle(quiet=0.03, window=0.05, deadline=5.0)


__all__ = ["IDLE", "Figures", "api", "execute", "many", "private", "ps", "run", "spawn"]
