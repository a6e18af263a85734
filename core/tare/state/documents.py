"""Dataclasses as documents of JSON types and back.

The way for each class is worked out once from its annotations and kept as a chain of plain functions, because a container
is written on the start path. Understood are None, bool, int, float, str, Any, ``X | None``, tuples, lists, mappings with
text keys, and dataclasses of these. A document may lack members (they take their defaults) and have unknown ones (they
are dropped): both happen between versions. What a member holds must be of its type: nothing of a damaged document gets in.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

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
        _expect(Mapping, document)
        return cls(
            **{name: way(document[name]) if way is not None else document[name] for name, way in ways.items() if name in document}
        )

    return read


def _hints(cls: type) -> dict[str, Any]:
    if not dataclasses.is_dataclass(cls):
        raise TypeError(f"{cls.__name__} is no dataclass")
    hints = get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


class _Direction(NamedTuple):
    """What differs between writing and reading: dataclasses, immutable sequences, paths, and what is to be seen to first."""

    inner: Callable[[type], Any]
    sequence: Callable[[Any], Any]
    path: Callable[[Any], Any]
    plain: Callable[[tuple[Any, ...]], Way]
    expect: Callable[[type, Any], Any]


def _write(hint: Any) -> Way:
    return _way(hint, _Direction(_writer, list, str, lambda _types: None, lambda _kind, value: value))


def _read(hint: Any) -> Way:
    return _way(hint, _Direction(_reader, tuple, Path, _checked, _expect))


def _checked(types: tuple[Any, ...]) -> Way:
    """Takes a value of one of these types alone; an integer is a float as well, and a truth value is neither."""
    if Any in types or object in types:
        return None
    exact = {*types, int} if float in types else set(types)
    names = " or ".join(kind.__name__ for kind in types)

    def check(value: Any) -> Any:
        if type(value) not in exact:
            raise TypeError(f"expected {names}, not {_shown(value)}")
        return value

    return check


def _expect(kind: type, value: Any) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"expected a {kind.__name__}, not {_shown(value)}")
    return value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _way(hint: Any, to: _Direction) -> Way:
    if hint in _PLAIN:
        return to.plain((hint,))
    if hint is Path:
        return to.path
    if dataclasses.is_dataclass(hint):
        assert isinstance(hint, type)
        return lambda value: to.inner(hint)(value)
    origin, arguments = get_origin(hint) or hint, get_args(hint)
    if origin in (Union, types.UnionType):
        return _optional(hint, arguments, to)
    if origin is tuple or origin is list:
        return _sequence(arguments, list if origin is list else to.sequence, to)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        way = _way(arguments[1], to) if arguments else None
        if way is None:
            return lambda value: dict(to.expect(Mapping, value))
        return lambda value: {name: way(item) for name, item in to.expect(Mapping, value).items()}
    raise TypeError(f"no way to store {hint}")


def _optional(hint: Any, arguments: Any, to: _Direction) -> Way:
    present = [argument for argument in arguments if argument is not type(None)]
    if all(argument in _PLAIN for argument in present):
        return to.plain(arguments)
    if len(present) != 1:
        raise TypeError(f"no way to store {hint}")
    way = _way(present[0], to)
    return None if way is None else lambda value: None if value is None else way(value)


def _sequence(arguments: Any, made: Callable[[Any], Any], to: _Direction) -> Way:
    if len(arguments) == 2 and arguments[1] is ...:
        arguments = arguments[:1]
    elif len(arguments) > 1:
        ways = [_way(argument, to) for argument in arguments]
        return lambda value: made([w(v) if w else v for w, v in zip(ways, to.expect(list, value), strict=True)])
    way = _way(arguments[0], to) if arguments else None
    if way is None:
        return lambda value: made(to.expect(list, value))
    return lambda value: made([way(item) for item in to.expect(list, value)])
