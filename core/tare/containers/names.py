"""Names and ids of containers: what is valid, how a reference is resolved, what a nameless container is called."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Mapping

from tare.errors import Invalid, NotFound

LEFT = (
    "amber brisk calm clever crisp daring eager early fair fleet fresh gentle glad golden grand happy honest humble jolly "
    "keen kind lively lucid mellow merry mild modest neat nimble noble plain polite proud quick quiet rapid ready sharp "
    "silent simple sleek smart snug solid steady sunny swift tidy tiny trusty vivid warm wise witty zesty"
).split()
RIGHT = (
    "anvil badger barge barrel basket beacon beaver birch bison canoe cargo cedar crane crate cutter dinghy dolphin falcon "
    "ferry finch galley gannet hamper heron jetty kayak keel kettle lantern lark maple marten otter packet pallet pelican "
    "pier plover puffin quay raven robin sampan schooner seal skiff sloop sparrow stork swan tern trawler tugboat walrus "
    "wharf wren yawl"
).split()

FIRST = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
OTHER = FIRST | frozenset("_.-")


def new_id() -> str:
    """64 hex digits, the first twelve of which are not all decimal (they would make a useless default hostname)."""
    while True:
        id = os.urandom(32).hex()
        if not id[:12].isdigit():
            return id


def check(name: str) -> str:
    """The name without Docker's leading slash. Raises Invalid."""
    bare = name.removeprefix("/")
    if len(bare) < 2 or bare[0] not in FIRST or not OTHER.issuperset(bare):
        raise Invalid(
            f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
            subject=name,
            hint="use at least two characters and start with a letter or digit",
        )
    return bare


def invent(taken: Iterable[str]) -> str:
    """A name that nobody has yet."""
    used = taken if isinstance(taken, (set, dict)) else set(taken)
    while True:
        name = f"{random.choice(LEFT)}_{random.choice(RIGHT)}"
        if name not in used:
            return name
        name = f"{name}{random.randrange(10, 10000)}"
        if name not in used:
            return name


def resolve(ref: str, ids: Iterable[str], names: Mapping[str, str]) -> str:
    """The id that a full id, a name or an unambiguous id prefix means, in Docker's order. Raises NotFound, Invalid."""
    if ref in names:
        return names[ref]
    bare = ref.removeprefix("/")
    if bare in names:
        return names[bare]
    if ref and all(c in "0123456789abcdef" for c in ref):
        found = [id for id in ids if id.startswith(ref)]
        if len(found) == 1:
            return found[0]
        if found:
            raise Invalid(
                f"multiple IDs found with provided prefix: {ref}", subject=ref, hint="type more digits of the id"
            )
    raise NotFound(f"No such container: {ref}", subject=ref)
