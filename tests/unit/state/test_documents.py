"""Every value of tare.model goes into a document of JSON types and comes back equal."""

from __future__ import annotations

import dataclasses
import importlib
import json
import pkgutil
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tare.model
from tare.containers.container import Connection, Container
from tare.errors import Internal
from tare.model.container import ContainerConfig, Exec, Limits
from tare.model.network import Link, PortRequest, Route
from tare.state.documents import from_document, to_document

modules = [importlib.import_module(f"tare.model.{module.name}") for module in pkgutil.iter_modules(tare.model.__path__)]
CLASSES = sorted(
    {
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and dataclasses.is_dataclass(value) and value.__module__ == module.__name__
    },
    key=lambda cls: cls.__name__,
)

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda s: st.lists(s, max_size=2), max_leaves=3
)
st.register_type_strategy(Mapping, lambda kind: st.dictionaries(st.text(max_size=5), value_of(kind), max_size=3))


def value_of(kind: Any) -> st.SearchStrategy[Any]:
    inner = getattr(kind, "__args__", (Any, Any))[1]
    return anything if inner in (Any, object) else st.from_type(inner)


@pytest.mark.parametrize("cls", [*CLASSES, Container, Connection], ids=lambda cls: cls.__name__)
def test_round_trip(cls: type) -> None:
    @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.from_type(cls))
    def check(value: Any) -> None:
        document = to_document(value)
        assert from_document(cls, json.loads(json.dumps(document))) == value

    check()


def test_there_is_something_to_check() -> None:
    assert ContainerConfig in CLASSES and len(CLASSES) > 15


def test_sequences_and_absence_keep_their_sort() -> None:
    config = ContainerConfig("i", command=("a",), entrypoint=None, ports=(PortRequest(80),), limits=Limits(memory=5))
    back = from_document(ContainerConfig, json.loads(json.dumps(to_document(config))))
    assert back == config
    assert isinstance(back.command, tuple) and back.entrypoint is None
    assert isinstance(back.ports[0], PortRequest) and isinstance(back.limits, Limits)
    link = Link("veth", "eth0", routes=(Route("default", "10.0.0.1"),), options={"a": "b"})
    assert from_document(Link, to_document(link)) == link


def test_documents_of_other_versions() -> None:
    document = {**to_document(Exec("e", "c", ("true",))), "from_the_future": 1}
    del document["tty"]
    assert from_document(Exec, document) == Exec("e", "c", ("true",))


def test_what_is_no_such_document() -> None:
    with pytest.raises(Internal, match="a stored Exec cannot be read"):
        from_document(Exec, {"id": "e"})
    with pytest.raises(Internal, match="a stored ContainerConfig cannot be read"):
        from_document(ContainerConfig, {"image": "i", "limits": 3})


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("image", 5),
        ("command", "true"),
        ("env", ["A=1", 2]),
        ("labels", ["a"]),
        ("labels", {"a": 1}),
        ("tty", "yes"),
        ("shm_size", True),
        ("stop_timeout", 1.5),
        ("console_size", [1]),
        ("limits", []),
        ("ports", [{"container_port": "80"}]),
    ],
)
def test_what_is_of_another_type_is_refused(member: str, value: object) -> None:
    document = {**to_document(ContainerConfig("i")), member: value}
    with pytest.raises(Internal, match="a stored ContainerConfig cannot be read"):
        from_document(ContainerConfig, document)


def test_a_class_with_no_way_to_store_it_is_named() -> None:
    @dataclasses.dataclass
    class Bad:
        x: complex

    with pytest.raises(TypeError, match="no way to store"):
        to_document(Bad(1j))
