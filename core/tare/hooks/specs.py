"""Every hook of tare.

A plugin is an entry point of the group ``tare.plugins`` whose value is a module (or any object) with functions marked
``@tare.hooks.hookimpl``. There are three sorts:

* ``tare_register_*`` return a list of tare.drivers.registration.Driver. They are called once, when the daemon starts.
  A raise marks the plugin as failed, with the reason in ``tare plugin ls``; nothing else stops.
* ``tare_before_*`` run before something happens, one after the other in the order of the plugins' names. They may return
  None, or a dict that is merged into the values named under "may change" (the core remembers who changed what), or raise
  ``tare.errors.Denied`` (any TareError) to veto: the user sees the text and the plugin's name. Any other raise is an
  Internal error that names the plugin, and what was asked does not happen. Deadline: 5 s, then as a raise.
* ``tare_after_*`` are told that something has happened. What they return is ignored; one that raises or does not come
  back within 5 s is logged with its plugin's name, and the rest still run. They never delay what they are told of.

Arguments are frozen values or plain data; a plugin cannot change the core's objects by changing them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pluggy

from tare.drivers.registration import Driver
from tare.model.container import ContainerConfig, ContainerState
from tare.model.event import Event
from tare.model.image import Image
from tare.model.network import Attachment, Endpoint, Network

PROJECT = "tare"
GROUP = "tare.plugins"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Registration:
    """Which drivers there are."""

    @hookspec
    def tare_register_storage_drivers(self) -> list[Driver]:
        """Fires once when the daemon starts. Returns storage drivers (tare.drivers.storage). A raise: plugin failed."""
        raise NotImplementedError

    @hookspec
    def tare_register_network_drivers(self) -> list[Driver]:
        """Fires once when the daemon starts. Returns network drivers (tare.drivers.network). A raise: plugin failed."""
        raise NotImplementedError

    @hookspec
    def tare_register_runtime_drivers(self) -> list[Driver]:
        """Fires once when the daemon starts. Returns runtime drivers (tare.drivers.runtime). A raise: plugin failed."""
        raise NotImplementedError


class Daemon:
    """The life of the daemon."""

    @hookspec
    def tare_before_daemon_start(self, settings: Mapping[str, Any]) -> None:
        """Fires when settings are read and nothing is open yet. May change nothing. A raise: the daemon does not start."""

    @hookspec
    def tare_after_daemon_start(self, hosts: list[str]) -> None:
        """Fires when every socket listens. A raise is logged."""

    @hookspec
    def tare_after_daemon_stop(self) -> None:
        """Fires when no request is accepted any more; containers live on. A raise is logged."""


class Images:
    """The life of an image."""

    @hookspec
    def tare_before_image_remove(self, image: Image, reference: str) -> None:
        """Fires before a reference or the image goes. May change nothing. A raise vetoes."""

    @hookspec
    def tare_after_image_add(self, image: Image, source: str) -> None:
        """Fires when an image is complete and named. ``source`` is load, import, pull, build or commit. A raise is logged."""

    @hookspec
    def tare_after_image_remove(self, id: str, references: list[str]) -> None:
        """Fires when it is gone. A raise is logged."""


class Containers:
    """The life of a container."""

    @hookspec
    def tare_before_container_create(self, name: str, config: ContainerConfig) -> dict[str, Any] | None:
        """Fires when the request is valid, before an id is given. May change: any field of ContainerConfig, by name.
        A raise vetoes."""

    @hookspec
    def tare_after_container_create(self, id: str, name: str, config: ContainerConfig) -> None:
        """Fires when the container is recorded. A raise is logged."""

    @hookspec
    def tare_before_container_start(self, id: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any] | None:
        """Fires with the finished OCI runtime spec, before the runtime plans. May change: top-level members of the spec,
        which replace what was there; process and linux are plain data, and later execs are made from them as well. A raise
        vetoes; the container stays as it was."""

    @hookspec
    def tare_after_container_start(self, id: str, name: str, pid: int) -> None:
        """Fires when the process runs. A raise is logged."""

    @hookspec
    def tare_after_container_exit(self, id: str, name: str, state: ContainerState) -> None:
        """Fires when the process has ended, also when it ended while the daemon was away. A raise is logged."""

    @hookspec
    def tare_before_container_remove(self, id: str, name: str, force: bool) -> None:
        """Fires before anything is taken away. May change nothing. A raise vetoes (not for ``--rm`` after an exit)."""

    @hookspec
    def tare_after_container_remove(self, id: str, name: str) -> None:
        """Fires when id and name are free. A raise is logged."""


class Networks:
    """The life of a network and its endpoints."""

    @hookspec
    def tare_before_network_attach(self, network: Network, endpoint: Endpoint) -> dict[str, Any] | None:
        """Fires before an endpoint is reserved. May change: address, address6, mac, options of the endpoint. A raise vetoes."""

    @hookspec
    def tare_after_network_attach(self, network: Network, attachment: Attachment) -> None:
        """Fires when the endpoint is reserved. A raise is logged."""

    @hookspec
    def tare_after_network_detach(self, network: Network, endpoint: str) -> None:
        """Fires when the endpoint is released. A raise is logged."""


class Events:
    """Everything that ``tare events`` shows."""

    @hookspec
    def tare_after_event(self, event: Event) -> None:
        """Fires for each event, in order. A raise is logged."""


SPECS = (Registration, Daemon, Images, Containers, Networks, Events)
