"""Which images there are and what they are called, at one moment."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tare.errors import Invalid, NotFound
from tare.images.references import parse
from tare.model.image import Image

_PREFIX = re.compile(r"(?:sha256:)?([0-9a-f]{1,64})")


class Catalog:
    """Never changed once made, but for ``found``, which remembers what was asked for.

    ``manifests``: id → digest of the manifest. ``names``: name with tag → id, of which there is a manifest. ``tags``: id → its
    names, sorted.
    """

    def __init__(self, manifests: Mapping[str, str], names: Mapping[str, str]) -> None:
        self.manifests = dict(manifests)
        self.names = {name: id for name, id in names.items() if id in self.manifests}
        self.tags: dict[str, list[str]] = {}
        for name in sorted(self.names):
            self.tags.setdefault(self.names[name], []).append(name)
        self.found: dict[str, Image] = {}

    def find(self, ref: str) -> str:
        """The id that ``ref`` means: an id, a name, ``name@digest``, or the beginning of an id. NotFound; Invalid."""
        if ref in self.manifests:
            return ref
        id = f"sha256:{ref}"
        if id in self.manifests:
            return id
        name = self.name_of(ref)
        if name:
            return self.names[name]
        match = _PREFIX.fullmatch(ref)
        if match:
            fitting = [id for id in self.manifests if id.startswith(f"sha256:{match[1]}")]
            if len(fitting) > 1:
                raise Invalid(f"ambiguous image id {ref}", subject=ref, hint="give more digits")
            if fitting:
                return fitting[0]
        elif "@" in ref:
            found = self._by_digest(ref)
            if found:
                return found
        else:
            parse(ref)
        raise NotFound(f"No such image: {ref}", subject=ref)

    def name_of(self, ref: str) -> str:
        """The name in ``names`` that ``ref`` spells, or ``""`` when it spells none."""
        if ref in self.manifests:
            return ""
        try:
            reference = parse(ref)
        except Invalid:
            return ""
        return reference.name if not reference.digest and reference.name in self.names else ""

    def select(self, ref: str) -> list[tuple[str, str]]:
        """(id, name) of all that ``save REF`` means; the name is empty for an id. NotFound."""
        try:
            reference = parse(ref)
        except Invalid:
            return [(self.find(ref), "")]
        if not reference.tag and not reference.digest:
            prefix = f"{reference.repository}:"
            every = [(id, name) for name, id in sorted(self.names.items()) if name.startswith(prefix)]
            every = [(id, name) for id, name in every if "/" not in name[len(prefix) :]]
            if every:
                return every
        id = self.find(ref)
        return [(id, self.name_of(ref))]

    def _by_digest(self, ref: str) -> str:
        reference = parse(ref)
        for id, manifest in self.manifests.items():
            repositories = {parse(tag).repository for tag in self.tags.get(id, ())}
            if reference.digest in (manifest, id) and reference.repository in repositories:
                return id
        return ""
