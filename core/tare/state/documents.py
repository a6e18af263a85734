"""Dataclasses as documents of JSON types and back.

The way for each class is worked out once from its annotations and kept as a chain of plain functions, because a container
is written on the start path. Understood are None, bool, int, float, str, Any, ``X | None``, tuples, lists, mappings with
text keys, and dataclasses of these. A document may lack members (they take their defaults) and have unknown ones (they
are dropped): both happen between versions.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from tare.errors import Internal

T = TypeVar("T")

Way = Callable[[Any], Any] | None
"""How a value is converted; None leaves it as it is."""

_PLAIN = (type(None), bool, int, float, str, Any, object)


def to_document(value: Any) -> dict[str, Any]:
    """A dataclass instance as a dict of JSON types."""
    cls: Any = type(value)
    return _writer(cls)(value)


def from_document(cls: type[T], document: Mapping[str, Any]) -> T:
    """The instance of a dataclass that a document describes. Raises Internal when it does not describe one."""
    kind: Any = cls
    try:
        made: T = _reader(kind)(document)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise Internal(f"a stored {cls.__name__} cannot be read: {error}", subject=cls.__name__) from error
    return made


@cache
def _writer(cls: type) -> Callable[[Any], dict[str, Any]]:
    ways = [(name, _write(hint)) for name, hint in _hints(cls).items()]
    plain = tuple(name for name, way in ways if way is None)
    converted = tuple((name, way) for name, way in ways if way is not None)

    def write(value: Any) -> dict[str, Any]:
        document = {name: getattr(value, name) for name in plain}
        for name, way in converted:
            document[name] = way(getattr(value, name))
        return document

    return write


@cache
def _reader(cls: type) -> Callable[[Mapping[str, Any]], Any]:
    ways = {name: _read(hint) for name, hint in _hints(cls).items()}

    def read(document: Mapping[str, Any]) -> Any:
        return cls(
            **{name: way(document[name]) if way is not None else document[name] for name, way in ways.items() if name in document}
        )

    return read


def _hints(cls: type) -> dict[str, Any]:
    if not dataclasses.is_dataclass(cls):
        raise TypeError(f"{cls.__name__} is no dataclass")
    hints = get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def _write(hint: Any) -> Way:
    return _way(hint, _writer, list, str)


def _read(hint: Any) -> Way:
    return _way(hint, _reader, tuple, Path)


def _way(hint: Any, inner: Callable[[type], Any], sequence: Callable[[Any], Any], path: Callable[[Any], Any]) -> Way:
    if hint in _PLAIN:
        return None
    if hint is Path:
        return path
    if dataclasses.is_dataclass(hint):
        assert isinstance(hint, type)
        return lambda value: inner(hint)(value)
    origin, arguments = get_origin(hint) or hint, get_args(hint)
    if origin in (Union, types.UnionType):
        return _optional(hint, arguments, inner, sequence, path)
    if origin is tuple or origin is list:
        made = list if origin is list else sequence
        return _sequence(arguments, made, lambda one: _way(one, inner, sequence, path))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        way = _way(arguments[1], inner, sequence, path) if arguments else None
        return dict if way is None else lambda value: {name: way(item) for name, item in value.items()}
    raise TypeError(f"no way to store {hint}")


def _optional(hint: Any, arguments: Any, inner: Any, sequence: Any, path: Any) -> Way:
    present = [argument for argument in arguments if argument is not type(None)]
    if all(argument in _PLAIN for argument in present):
        return None
    if len(present) != 1:
        raise TypeError(f"no way to store {hint}")
    way = _way(present[0], inner, sequence, path)
    return None if way is None else lambda value: None if value is None else way(value)


def _sequence(arguments: Any, made: Callable[[Any], Any], way_of: Callable[[Any], Way]) -> Way:
    if len(arguments) == 2 and arguments[1] is ...:
        arguments = arguments[:1]
    elif len(arguments) > 1:
        ways = [way_of(argument) for argument in arguments]
        return lambda value: made([w(v) if w else v for w, v in zip(ways, value, strict=True)])
    way = way_of(arguments[0]) if arguments else None
    return made if way is None else lambda value: made([way(item) for item in value])
