"""The networks that need no device: host, none, container:ID."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tare.drivers.registration import DriverContext
from tare.errors import Invalid
from tare.model.network import Attachment, Endpoint, Network, PortBinding
from tare.model.probe import Probe


class Plain:
    """See tare.drivers.network.NetworkDriver. There is nothing to create, free or repair."""

    namespace = "new"

    def __init__(self, context: DriverContext) -> None:
        """Keeps nothing."""

    def probe(self) -> Probe:
        return Probe("ok", "needs nothing of the host")

    def status(self) -> Sequence[tuple[str, str]]:
        return ()

    def prompt(self, method: str, *args: object) -> bool:
        return True

    def create(self, network: Network) -> Network:
        if network.subnets:
            raise Invalid(f"a network of driver {network.driver} has no subnet", subject=network.name, hint="leave --subnet out")
        return network

    def delete(self, network: Network) -> None:
        """Nothing was made."""

    def reserve(self, endpoint: Endpoint) -> Attachment:
        if endpoint.address or endpoint.address6:
            raise Invalid(
                "user specified IP address is supported on user defined networks only",
                subject=endpoint.address or endpoint.address6,
                hint=f"leave --ip out: network {endpoint.network.name} has no addresses",
            )
        return Attachment(endpoint=endpoint.id, network=endpoint.network.name, namespace=self.namespace)

    def release(self, endpoint: str) -> None:
        """Nothing was taken."""

    def check(self, endpoint: str) -> str:
        return ""

    def reconcile(
        self, networks: Iterable[Network], endpoints: Iterable[tuple[Endpoint, Attachment, tuple[PortBinding, ...]]]
    ) -> Sequence[str]:
        return ()

    def close(self) -> None:
        """Nothing is open."""


class Host(Plain):
    """The namespace that tared runs in."""

    namespace = "host"


class NoNetwork(Plain):
    """A namespace of its own; the child brings its loopback up."""


class Shared(Plain):
    """``container:ID``: joined by path, after the other container runs."""

    def reserve(self, endpoint: Endpoint) -> Attachment:
        return Attachment(endpoint=endpoint.id, network="", namespace=f"container:{endpoint.target}")
