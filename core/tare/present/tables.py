"""Columns by tabs: Go's text/tabwriter as Docker sets it up."""

from __future__ import annotations


def align(text: str, least: int = 10, padding: int = 3) -> str:
    """Spaces for tabs, so that cells above each other begin in one column.

    A cell is what a tab ends; the last one of a line belongs to no column. A column reaches over neighbouring lines that
    have a cell in it; it is ``least`` wide, or its widest cell and ``padding``.
    """
    lines = [line.split("\t") for line in text.split("\n")]
    widths: list[list[int]] = [[] for _ in lines]

    def measure(start: int, stop: int, column: int) -> None:
        """Settle one column for the lines from ``start`` to ``stop``, and within each block the columns to its right."""
        line = start
        while line < stop:
            end = line
            while end < stop and len(lines[end]) > column + 1:
                end += 1
            if end > line:
                width = max(least, max(len(cells[column]) for cells in lines[line:end]) + padding)
                for row in widths[line:end]:
                    row.append(width)
                measure(line, end, column + 1)
            line = end + 1

    measure(0, len(lines), 0)
    return "\n".join(
        "".join([cell.ljust(width) for cell, width in zip(cells, row, strict=False)]) + cells[-1]
        for cells, row in zip(lines, widths, strict=True)
    )
