"""What a container inherits from its image and from the daemon."""

from __future__ import annotations

from dataclasses import replace

from tare.errors import Invalid
from tare.model.container import ContainerConfig
from tare.model.image import ImageConfig


def arguments(config: ContainerConfig, image: ImageConfig) -> tuple[str, ...]:
    """The command line: an entrypoint given by the user drops the image's command. Raises Invalid when there is none."""
    if config.entrypoint is not None:
        entrypoint = config.entrypoint if config.entrypoint != ("",) else ()
        command = config.command or ()
    else:
        entrypoint = image.entrypoint or ()
        command = config.command if config.command else image.command or ()
    merged = (*entrypoint, *command)
    if not merged:
        raise Invalid("no command specified", subject=config.image, hint="name a command after the image")
    return merged


def environment(config: ContainerConfig, image: ImageConfig) -> tuple[str, ...]:
    """The image's variables with the user's on top, in the image's order. A name without ``=`` unsets the variable."""
    merged: dict[str, str] = {}
    for entry in (*image.env, *config.env):
        name, equals, value = entry.partition("=")
        if not name or "\0" in entry:
            raise Invalid(f"invalid environment variable: {entry}", subject=entry, hint="write NAME=value")
        if equals:
            merged[name] = value
        else:
            merged.pop(name, None)
    return tuple(f"{name}={value}" for name, value in merged.items())


def labels(config: ContainerConfig, image: ImageConfig) -> dict[str, str]:
    return dict(sorted({**image.labels, **config.labels}.items()))


def with_exposed(config: ContainerConfig, image: ImageConfig) -> ContainerConfig:
    """The wish with the image's exposed ports added."""
    every = dict.fromkeys((*config.exposed_ports, *image.exposed_ports))
    for port in config.ports:
        every.setdefault(f"{port.container_port}/{port.protocol}")
    return replace(config, exposed_ports=tuple(every))
