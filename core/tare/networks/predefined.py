"""The networks that always exist, and what a container's network mode means."""

from __future__ import annotations

import hashlib

from tare.model.network import Network

PREDEFINED = ("bridge", "host", "none")


def predefined(name: str, created: str, instance: str) -> Network:
    """The record of a predefined network. Its id is the same after a restart and differs between instances."""
    id = hashlib.sha256(f"tare/{instance}/{name}".encode()).hexdigest()
    return Network(id=id, name=name, driver=name, created=created)


def driver_shown(driver: str) -> str:
    """A driver's name in Docker's words, which call that of the network none ``null``."""
    return "null" if driver == "none" else driver


def name_of(mode: str) -> str:
    """The network that a mode names: ``default`` is the bridge; ``container:X`` is a kind of its own."""
    if mode in ("", "default"):
        return "bridge"
    return "container" if mode.startswith("container:") else mode
