"""A bridge driver in the suite's network namespace, namespaces that play containers, and a neighbour outside."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tare.drivers.network import Published
from tare.drivers.registration import DriverContext
from tare.linux import devices, links
from tare.model.network import Attachment, Endpoint, Network, PortBinding, PortRequest
from tare_network.bridge.driver import Bridge
from tests.conftest import CLONE_NEWNET
from tests.integration.conftest import wait_for

INSTANCE = "0de57ed0"
NETWORK = Network(id="ab" * 32, name="bridge", driver="bridge", created="")
CONFIGURE = "import json, sys; from tare.linux.links import configure; configure(json.loads(sys.argv[1]))"


@dataclass
class Namespace:
    """A process that does nothing, alone in a network namespace."""

    process: subprocess.Popen[bytes]
    address: str = ""
    endpoint: str = ""

    def run(self, *command: str, check: bool = True, timeout: float = 20) -> str:
        into = ["nsenter", f"--net=/proc/{self.process.pid}/ns/net", *command]
        done = subprocess.run(into, capture_output=True, text=True, timeout=timeout, check=False)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout

    def python(self, code: str, *arguments: str, check: bool = True) -> str:
        return self.run(sys.executable, "-c", code, *arguments, check=check)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


def new_namespace() -> Namespace:
    process = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo; exec sleep 1000"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"\n"
    return Namespace(process)


@dataclass
class Host:
    """A driver with everything that was made with it."""

    context: DriverContext
    driver: Bridge
    network: Network = NETWORK
    log: list[str] = field(default_factory=list)
    namespaces: list[Namespace] = field(default_factory=list)
    servers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    published: dict[str, Published] = field(default_factory=dict)
    serial: int = 0

    def endpoint(self, *ports: PortRequest, **fields: object) -> Endpoint:
        self.serial += 1
        id = os.urandom(32).hex()
        return dataclasses.replace(
            Endpoint(id=id, container=id, name=f"c{self.serial}", network=self.network, ports=ports),
            **fields,  # type: ignore[arg-type]
        )

    def publish(self, endpoint: Endpoint, attachment: Attachment, wanted: tuple[PortBinding, ...] = ()) -> Published:
        self.published[endpoint.id] = self.driver.publish(endpoint, attachment, wanted)
        return self.published[endpoint.id]

    def release(self, id: str) -> None:
        """What the engine does: the driver lets go, then the supervisor closes the sockets."""
        self.driver.release(id)
        self.let_go(id)

    def let_go(self, id: str) -> None:
        published = self.published.pop(id, None)
        if published is not None:
            for fd in (*published.sockets, *(forward[0] for forward in published.forwards)):
                os.close(fd)

    def container(self, *ports: PortRequest, **fields: object) -> Namespace:
        endpoint = self.endpoint(*ports, **fields)
        attachment = self.driver.reserve(endpoint)
        if ports:
            self.publish(endpoint, attachment)
        return self.attach(endpoint, attachment)

    def attach(self, endpoint: Endpoint, attachment: Attachment) -> Namespace:
        made = new_namespace()
        self.namespaces.append(made)
        described = [dataclasses.asdict(link) for link in attachment.links]
        for link in described:
            links.create(link, made.process.pid)
        made.python(CONFIGURE, json.dumps(described))
        made.address, made.endpoint = attachment.address, endpoint.id
        return made

    def serve(self, where: Namespace, port: int, protocol: str = "tcp") -> None:
        """Answer every connection or datagram with the address that it seems to come from."""
        room = str(Path(__file__).parent)
        code = f"import sys; sys.path.insert(0, {room!r}); from server import serve; serve({port}, {protocol!r})"
        into = ["nsenter", f"--net=/proc/{where.process.pid}/ns/net", sys.executable, "-c", code]
        process = subprocess.Popen(into, stdout=subprocess.PIPE)
        self.servers.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"

    def restart(self) -> Bridge:
        """The daemon is killed and comes back; what runs goes on."""
        self.driver.close()
        self.driver = Bridge(self.context)
        return self.driver

    def close(self) -> None:
        for server in self.servers:
            server.send_signal(signal.SIGKILL)
            server.wait()
        for made in self.namespaces:
            made.end()
        for id in [*self.published]:
            self.let_go(id)
        for place in list(self.driver._places.values()):
            for id in list(place.endpoints):
                self.driver.release(id)
            self.driver.delete(place.segment.network)
        self.driver.close()
        mine = f"tv{self.context.instance}"
        wait_for(lambda: not any(name.startswith(mine) for name in devices.devices()), "the kernel to take the links away")


def ask(address: str, port: int, protocol: str = "tcp", source: Namespace | None = None) -> str:
    """What the server says, or the name of what went wrong. From the host, or from a namespace."""
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); from server import ask; "
        f"print(ask({address!r}, {port}, {protocol!r}))"
    )
    if source is not None:
        return source.python(code).strip()
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def rules() -> str:
    """Everybody's rules, without the counts of packets."""
    return subprocess.run(["nft", "-s", "list", "ruleset"], capture_output=True, text=True, check=True).stdout


@contextlib.contextmanager
def another_network() -> Iterator[None]:
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/self/ns/net") as left:
        assert libc.unshare(CLONE_NEWNET) == 0
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        yield
        assert libc.setns(left.fileno(), CLONE_NEWNET) == 0


@pytest.fixture(scope="package", autouse=True)
def room_network(own_network: None) -> Iterator[None]:
    """A network namespace for this room: in the suite's own, other rooms' daemons have the first subnet."""
    if os.geteuid() != 0:
        yield
        return
    with another_network():
        yield


@pytest.fixture(scope="package", autouse=True)
def open_files() -> Iterator[None]:
    """The limit that tared gives itself: here its driver runs in this process, and a shell's limit is for 1024 files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def separate_network(room_network: None) -> Iterator[None]:
    """A network namespace for one test, for what cannot be taken back: tables of iptables-legacy, a dockerd's rules."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with another_network():
        yield


@pytest.fixture
def new_host(tmp_path: Path, own_network: None) -> Iterator[Callable[..., Host]]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    made: list[Host] = []

    def make(options: dict[str, object] | None = None, instance: str = INSTANCE, network: Network = NETWORK) -> Host:
        log: list[str] = []
        context = DriverContext(tmp_path / "root", tmp_path / "run", instance, options or {}, log.append)
        host = Host(context, Bridge(context), network, log)
        made.append(host)
        host.network = host.driver.create(network)
        return host

    yield make
    for host in made:
        host.close()


@pytest.fixture
def host(new_host: Callable[..., Host]) -> Host:
    return new_host()


@pytest.fixture
def outside(own_network: None) -> Iterator[Namespace]:
    """Another machine, 198.51.100.2, on the wire where we are 198.51.100.1 (and 2001:db8:51::2 and ::1)."""
    made = new_namespace()
    pid = str(made.process.pid)
    for command in (
        f"ip link add wire0 type veth peer name wire netns {pid}",
        "ip addr add 198.51.100.1/24 dev wire0",
        "ip addr add 2001:db8:51::1/64 dev wire0 nodad",
        "ip link set wire0 up",
    ):
        subprocess.run(command.split(), check=True)
    for command in (
        "addr add 198.51.100.2/24 dev wire",
        "addr add 2001:db8:51::2/64 dev wire nodad",
        "link set lo up",
        "link set wire up",
    ):
        made.run("ip", *command.split())
    yield made
    made.end()
    subprocess.run(["ip", "link", "delete", "wire0"], check=False, capture_output=True)
