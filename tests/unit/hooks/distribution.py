"""Plugins of every sort, installed into a scratch directory as pip would leave them."""

from __future__ import annotations

import textwrap
from pathlib import Path


def install(site: Path, name: str, module: str, source: str, version: str = "1.0", points: dict[str, str] | None = None) -> None:
    """A distribution with one module; its entry points in the group ``tare.plugins`` (default: one, named like it)."""
    (site / f"{module}.py").write_text(textwrap.dedent(source))
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = [f"{point} = {value}" for point, value in (points or {name: module}).items()]
    (info / "entry_points.txt").write_text("[tare.plugins]\n" + "\n".join(lines) + "\n")
    (info / "RECORD").write_text("")
