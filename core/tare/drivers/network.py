"""The contract of a network driver.

A *network* is a place that containers share; an *endpoint* is one container on one network. The life of one endpoint:
``reserve`` chooses addresses and names and returns an ``Attachment``, pure data: links to create in the host, addresses
and routes to set inside. Nobody has a namespace yet. The supervisor creates the links as soon as the container's process
exists and the container's child configures them. When the container has ended the kernel destroys its links with its
namespace; ``release`` frees the addresses, and must not give an address out again while a link that bears it still
exists. ``reserve`` of an endpoint that is reserved already returns the same again.

Publishing is separate (``SupportsPublish``): ``publish`` reserves the host's ports and makes the firewall changes of one
container in one transaction, before the process starts; so a busy port is an error before anything runs (NW-15).

Nothing a driver does at ``reserve``, ``publish``, ``release`` may start another program or touch a rule, device or
address that is not its own (NW-19). Property ids NW-… are listed in the driver documentation.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from tare.model.network import Attachment, Endpoint, Network, PortBinding
from tare.model.probe import Probe


@dataclass(frozen=True, slots=True)
class Published:
    """What ``publish`` did. ``sockets`` are bound descriptors which keep the ports from others; the engine gives them to
    the supervisor, which holds them until the endpoint is released (the driver forgets them: they are the caller's to
    close). ``forwards`` are (listening descriptor, protocol, address, port): connections that no packet rule can carry
    (``::1``), which the shared forwarder takes to address:port."""

    bindings: tuple[PortBinding, ...]
    sockets: tuple[int, ...] = ()
    forwards: tuple[tuple[int, str, str, int], ...] = ()


class NetworkDriver(Protocol):
    """Plain, synchronous methods, called from one thread."""

    def probe(self) -> Probe:
        """Can it work on this host? No side effect (NW-01)."""

    def status(self) -> Sequence[tuple[str, str]]:
        """Pairs for ``info``."""

    def create(self, network: Network) -> Network:
        """Validate, fill in what was left open (subnet, gateway) and make it real. Idempotent: called for every known
        network when the daemon starts, also after a reboot (NW-02, NW-10)."""

    def delete(self, network: Network) -> None:
        """Undo ``create``. InUse while endpoints are reserved (NW-03)."""

    def reserve(self, endpoint: Endpoint) -> Attachment:
        """See above. Exhausted when the pool is empty (NW-23), Conflict when a wished address is taken."""

    def release(self, endpoint: str) -> None:
        """Free what ``reserve`` and ``publish`` took. Missing: success (NW-06)."""

    def check(self, endpoint: str) -> str:
        """``""`` when reality matches, else what is missing (NW-08)."""

    def reconcile(
        self, networks: Iterable[Network], endpoints: Iterable[tuple[Endpoint, Attachment, tuple[PortBinding, ...]]]
    ) -> Sequence[str]:
        """The daemon has (re)started and these exist and are live: take them as reserved and published, put back rules
        that are missing, remove everything else that is this driver's; return a line for each repair (NW-09). An attachment
        without links is all that is known of a container whose record is damaged: its addresses stay taken, what is
        published at them stays, and no link is removed that could be its."""

    def close(self) -> None:
        """Let go of descriptors; networks and endpoints stay. Safe twice."""


@runtime_checkable
class SupportsPublish(Protocol):
    """Ports can be published on this driver's networks."""

    def publish(self, endpoint: Endpoint, attachment: Attachment, wanted: tuple[PortBinding, ...] = ()) -> Published:
        """Publish ``endpoint.ports``. ``wanted`` are bindings of an earlier start to prefer for random ports. InUse with
        the port as typed when another program has it (NW-15)."""

    def unpublish(self, endpoint: str) -> None:
        """Take the rules of an endpoint away; missing: success."""


@runtime_checkable
class SupportsWarnings(Protocol):
    """It knows of things on the host that its containers' packets meet (NW-19)."""

    def warnings(self) -> Sequence[str]:
        """What stands in the way of every container, each with its cure, as last seen. Asked when a container is created:
        looks at nothing and never waits."""


@runtime_checkable
class SupportsExplain(Protocol):
    """It can say why a port is reachable (NW-45)."""

    def describe(self) -> str:
        """The full rule set, as text."""
