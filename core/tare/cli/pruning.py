"""Removing what nobody uses, after asking."""

from __future__ import annotations

import os

from tare.cli import render
from tare.cli.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from tare.cli.flags import Options

FILTER = Flag("filter", "", "filter", "Remove only what matches (until=TIME, label=NAME[=VALUE])")
FORCE = Flag("force", "f", "bool", "Do not ask")


def agreed(options: Options, warning: str) -> bool:
    """Whether the user wants it: by --force, or by typing y."""
    if options.flag("force"):
        return True
    render.out(f"WARNING! {warning}\nAre you sure you want to continue? [y/N] ")
    answer = b""
    while not answer.endswith(b"\n") and (piece := os.read(0, 1)):
        answer += piece
    return answer.strip().lower() in (b"y", b"yes")


def gone(title: str, lines: Sequence[str]) -> None:
    """What was removed, if anything was."""
    if lines:
        render.line("\n".join([f"Deleted {title}:", *lines, ""]))


def images_gone(pruned: list[dict[str, str]] | None) -> None:
    gone("Images", [f"{what.lower()}: {name}" for entry in pruned or () for what, name in entry.items()])


def images_filter(words: list[str], *, everything: bool) -> list[str]:
    return [*words, f"dangling={'false' if everything else 'true'}"]


def images_meant(*, everything: bool) -> str:
    return "images without at least one container associated to them" if everything else "dangling images"


def reclaimed(count: int) -> None:
    render.line(f"Total reclaimed space: {size(count)}")


def size(count: int) -> str:
    from tare.present import sizes

    return sizes.human(count)
