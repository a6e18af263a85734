"""Storage properties: random stacks of layers show what a plain model says, on both drivers (ST-07, ST-32 to ST-57)."""

from __future__ import annotations

import io

import pytest

from .archives import layer
from .conftest import Bench
from .model import Layers, expected, found


@pytest.mark.parametrize("seed", [*range(60), 853])
def test_st57_random_layers_show_what_the_model_says(bench: Bench, seed: int) -> None:
    made = Layers(seed)
    parent = None
    for number in range(2 + seed % 4):
        items = made.layer()
        archive = layer(*items)
        bench.driver.apply(f"l{number}", parent, archive)
        said = [getattr(item[0] if isinstance(item, tuple) else item, "name", "") for item in items]
        with bench.layer(f"l{number}") as path:
            assert found(path, made.tree) == expected(made.tree), f"layer {number} of seed {seed}: {said}"
        out = io.BytesIO()
        bench.driver.diff(f"l{number}", out)
        out.seek(0)
        bench.driver.apply(f"copy{number}", parent, out)
        with bench.layer(f"copy{number}") as path:
            assert found(path, made.tree) == expected(made.tree), f"the diff of layer {number} of seed {seed}"
        parent = f"l{number}"
    bench.driver.prepare("c", parent, {})
    assert bench.driver.changes("c") == []
