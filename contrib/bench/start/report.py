"""The figures as a table, and the bars they are held against."""

from __future__ import annotations

from parts import Figures

# (what, whose figure tare's is compared with, the greatest ratio that passes); CPU counts for a run as it comes, on the bridge
BARS = (
    ("run --rm true, bridge", "docker", 0.15),
    ("run --rm true, none", "docker", 0.20),
    ("run --rm true, host", "docker", 0.20),
    ("API create+start+wait+remove", "docker", 0.07),
    ("run --rm true, bridge: CPU ms", "docker", 0.10),
    ("exec C true", "docker", 0.5),
    ("API exec true", "docker", 0.12),
    ("ps, no containers", "docker", 1.3),
)
SHIM, STARTS, LISTS = 0.02, 1.3, 2.0


def table(figures: Figures, peers: list[str]) -> str:
    """One row for each figure: medians in milliseconds (or what its name says) and, for tare, the ratio to docker's."""
    rows = [("", *peers, "tare : docker", "n")]
    for what, taken in figures.samples.items():
        medians = {peer: figures.median(what, peer) for peer in peers}
        count = max(len(samples) for samples in taken.values())
        rows.append((what, *(_number(medians[peer]) for peer in peers), _ratio(medians), str(count)))
    for what, values in figures.values.items():
        rows.append((what, *(_number(values.get(peer)) for peer in peers), _ratio(values), ""))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = (
        [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))]
        for first, *cells in rows
    )
    return "".join("  ".join(line).rstrip() + "\n" for line in lines)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def _ratio(values) -> str:
    own, other = values.get("tare"), values.get("docker")
    return f"{own / other:.3f}" if own is not None and other else ""


def verdicts(figures: Figures, containers: int) -> list[tuple[str, float, float]]:
    """(bar, ratio, greatest allowed) for every bar whose figures were taken."""
    found = []
    for what, other, most in BARS:
        values = figures.values.get(what) or {peer: figures.median(what, peer) for peer in ("tare", other)}
        if values.get("tare") is not None and values.get(other):
            found.append((f"{what}, of {other}'s", values["tare"] / values[other], most))
    memory = figures.values.get("engine memory a container, kB", {}).get("tare")
    shim = figures.values.get("one containerd-shim, kB", {}).get("docker")
    if memory is not None and shim:
        found.append(("engine memory a container, of one containerd-shim's", memory / shim, SHIM))
    first = figures.values.get("starts 11-20, ms", {}).get("tare")
    last = figures.values.get("last 10 starts, ms", {}).get("tare")
    if first and last:
        found.append((f"last 10 of {containers} starts, of starts 11-20", last / first, STARTS))
    empty, full = figures.median("ps, no containers", "tare"), figures.median(f"ps, {containers} containers", "tare")
    if empty and full:
        found.append((f"ps with {containers} containers, of ps with none", full / empty, LISTS))
    return found
