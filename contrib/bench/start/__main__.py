"""How fast containers start, side by side: ``python3 contrib/bench/start --help``."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import parts
import report
from ground import Ground, enter_private_mounts, hierarchies
from peers import Bubblewrap, Docker, Peer, Podman, Tare, archive

PEERS = ("tare", "docker", "podman", "bwrap")
PARTS = ("run", "api", "exec", "ps", "many")
NETWORKS = ("bridge", "none", "host")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench/start",
        description="Start containers with tare, docker, podman and bubblewrap in turn, each in a network namespace of its own "
        "and on one ext4 file system made for it, and print medians and ratios. Needs root; leaves nothing behind.",
    )
    parser.add_argument("--peers", default=",".join(PEERS), help="who takes part (%(default)s)")
    parser.add_argument("--parts", default=",".join(PARTS), help="what is measured (%(default)s)")
    parser.add_argument("--networks", default=",".join(NETWORKS), help="of `run`; the first serves the others (%(default)s)")
    parser.add_argument("--rounds", type=int, default=30, help="samples of each (%(default)s)")
    parser.add_argument("--containers", type=int, default=200, help="idle containers in `many` (%(default)s)")
    parser.add_argument("--docker-containers", type=int, default=30, help="the same for docker, which is slower (%(default)s)")
    parser.add_argument(
        "--work", type=Path, default=Path("/var/tmp/tare-bench"), help="a folder to make and remove (%(default)s)"
    )
    parser.add_argument("--disk", default="8G", help="size of the file system, which is sparse (%(default)s)")
    parser.add_argument("--tare", help="tare's client (a launcher, as contrib/try writes one, for this interpreter's package)")
    parser.add_argument("--tared", default=_beside("tared"), help="tare's daemon (%(default)s)")
    parser.add_argument("--json", type=Path, help="write every sample there")
    parser.add_argument("--check", action="store_true", help="exit 1 when a bar is missed")
    return parser.parse_args()


def _beside(name: str) -> str | None:
    here = Path(sys.executable).parent / name
    return str(here) if here.exists() else shutil.which(name)


def _launcher(path: Path) -> str | None:
    written = subprocess.run([sys.executable, "-m", "tare.cli.launcher", str(path)], capture_output=True)
    return None if written.returncode else str(path)


def chosen(text: str, known: tuple[str, ...]) -> list[str]:
    names = [name for name in text.split(",") if name]
    for name in names:
        if name not in known:
            raise SystemExit(f"bench: {name}: one of {', '.join(known)}")
    return names


def make(name: str, ground: Ground, options: argparse.Namespace) -> Peer:
    if name == "tare":
        client = options.tare or _launcher(ground.path / "tare-launcher") or _beside("tare")
        if not client or not options.tared:
            raise SystemExit("bench: tare is not installed; say where with --tare and --tared")
        return Tare(ground, client, options.tared)
    return {"docker": Docker, "podman": Podman, "bwrap": Bubblewrap}[name](ground)


def measure(peers: list[Peer], wanted: list[str], options: argparse.Namespace) -> parts.Figures:
    figures = parts.Figures()
    networks = chosen(options.networks, NETWORKS)
    for part in wanted:
        print(f"bench: {part} …", file=sys.stderr, flush=True)
        if part == "run":
            parts.run(peers, options.rounds, figures, networks)
        elif part == "ps":
            parts.ps(peers, options.rounds, figures)
        elif part == "many":
            parts.many(peers, options.rounds, figures, networks[0], options.containers, options.docker_containers)
        else:
            {"api": parts.api, "exec": parts.execute}[part](peers, options.rounds, figures, networks[0])
    return figures


def main() -> int:
    options = arguments()
    names, wanted = chosen(options.peers, PEERS), chosen(options.parts, PARTS)
    if os.geteuid() != 0:
        raise SystemExit("bench: needs root")
    enter_private_mounts()
    with Ground(options.work, options.disk) as ground:
        image = archive(ground.path)
        peers = [make(name, ground, options) for name in names]
        try:
            kind = "v1" if "cpuacct" in hierarchies() else "v2"
            print(f"linux {os.uname().release}, {os.cpu_count()} CPUs, cgroup {kind}, python {sys.version.split()[0]}")
            for peer in peers:
                print(*peer.versions(), sep="\n", flush=True)
            for peer in peers:
                peer.start(image)
            figures = measure(peers, wanted, options)
        finally:
            for peer in peers:
                peer.stop()
    print("\nmedians in ms\n" + report.table(figures, names))
    verdicts = report.verdicts(figures, options.containers)
    for bar, ratio, most in verdicts:
        print(f"{'ok  ' if ratio <= most else 'MISS'} {ratio:7.3f} (at most {most}) {bar}")
    if options.json:
        options.json.write_text(json.dumps({"samples": figures.samples, "values": figures.values}, indent=1))
    return int(options.check and any(ratio > most for _, ratio, most in verdicts))


if __name__ == "__main__":
    sys.exit(main())
