"""nftables: whole rule sets as text through libnftables, elements of sets and maps by hand (nft(8), libnftables(3)).

Text is convenient and costs milliseconds; an element written by hand costs about 20 µs and is the same however many there are.
Either way a change is one transaction: the kernel takes all of it or nothing.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import NamedTuple

from tare.linux.netlink import CREATE, NETFILTER, Netlink, attribute, attribute_list, attributes, nested, string, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

INET = 1
IPV4 = 2

_SUBSYSTEM = 10
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_GET_TABLE, _GET_CHAIN, _GET_RULE, _NEW_ELEMENT, _GET_ELEMENT, _DELETE_ELEMENT, _NEW_GENERATION = 1, 4, 7, 12, 13, 14, 15
_GROUP = 1 << 6
_LIST_TABLE, _LIST_SET, _LIST_ELEMENTS = 1, 2, 3
_ELEMENT, _KEY, _DATA, _VALUE = 1, 1, 2, 1
_GENERATION_PID, _GENERATION_NAME = 2, 3
_TABLE_NAME, _TABLE_USERDATA = 1, 6
_CHAIN_TABLE, _CHAIN_NAME, _CHAIN_HOOK, _CHAIN_POLICY = 1, 3, 4, 5
_HOOK_NUMBER = 1
_RULE_TABLE = 1
_GENERIC = struct.Struct(">BBH")
_A_MESSAGE = 400
_OUTPUT_HANDLE = 1 << 3
_HIGHEST_SELECTED = 1000

Element = tuple[str, bytes, bytes]
"""Set, key, data; data is empty in a set that is no map. Each part of a key is padded to four bytes."""


class Nftables:
    """libnftables with a context of its own, in the network namespace of its maker. FileNotFoundError without the library.

    To be opened early and kept: the library waits for its socket by select(2), and a program with more than 1023
    descriptors is aborted for it. Such a late one is refused here (OSError, EMFILE)."""

    def __init__(self) -> None:
        probe = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        os.close(probe)
        if probe > _HIGHEST_SELECTED:
            raise OSError(errno.EMFILE, "too many files are open to speak with nftables")
        try:
            self._library = ctypes.CDLL("libnftables.so.1", use_errno=True)
        except OSError as error:
            raise FileNotFoundError(errno.ENOENT, "nftables is not installed", "libnftables.so.1") from error
        for name in ("nft_ctx_new", "nft_ctx_free", "nft_ctx_buffer_output", "nft_ctx_buffer_error"):
            getattr(self._library, name).argtypes = [ctypes.c_uint32 if name == "nft_ctx_new" else ctypes.c_void_p]
        self._library.nft_ctx_new.restype = ctypes.c_void_p
        self._library.nft_ctx_get_output_buffer.restype = ctypes.c_char_p
        self._library.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
        for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
            getattr(self._library, name).argtypes = [ctypes.c_void_p]
        self._library.nft_ctx_output_set_flags.argtypes = [ctypes.c_void_p, ctypes.c_uint]
        self._library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
        self._context = self._library.nft_ctx_new(0)
        if not self._context:
            raise OSError(errno.EOPNOTSUPP, "the kernel has no nf_tables")
        self._library.nft_ctx_buffer_output(self._context)
        self._library.nft_ctx_buffer_error(self._context)

    def __enter__(self) -> Nftables:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Safe twice."""
        if self._context:
            self._library.nft_ctx_free(self._context)
            self._context = None

    def run(self, commands: str, *, handles: bool = False) -> str:
        """Run commands as one transaction and return their output; with ``handles`` listed rules end with ``# handle N``.
        Raises OSError with the text of the first error."""
        self._library.nft_ctx_output_set_flags(self._context, _OUTPUT_HANDLE if handles else 0)
        failed = self._library.nft_run_cmd_from_buffer(self._context, commands.encode())
        output: bytes = self._library.nft_ctx_get_output_buffer(self._context)
        errors: bytes = self._library.nft_ctx_get_error_buffer(self._context)
        if failed:
            raise OSError(ctypes.get_errno(), f"nftables: {errors.decode(errors='replace').strip()}")
        return output.decode(errors="replace")


class Elements:
    """The elements of one table's sets and maps."""

    def __init__(self, family: int, table: str) -> None:
        self._netlink = Netlink(NETFILTER)
        self._family = family
        self._table = text(_LIST_TABLE, table)
        self._name = table

    def close(self) -> None:
        self._netlink.close()

    def change(self, remove: Iterable[Element], add: Iterable[Element]) -> None:
        """Remove and add elements in one transaction. OSError: ENOENT when the table or what to remove is not there,
        EEXIST when a key to add maps to something else."""
        requests = [(_BATCH_BEGIN, 0, _GENERIC.pack(0, 0, _SUBSYSTEM))]
        requests += self._requests(_DELETE_ELEMENT, 0, remove)
        requests += self._requests(_NEW_ELEMENT, CREATE, add)
        if len(requests) > 1:
            self._netlink.perform(requests, trailer=(_BATCH_END, 0, _GENERIC.pack(0, 0, _SUBSYSTEM)))

    def dump(self, name: str) -> dict[bytes, bytes]:
        """All elements of a set, key to data. Raises OSError, ENOENT when there is no such set."""
        found: dict[bytes, bytes] = {}
        wish = _GENERIC.pack(self._family, 0, 0) + self._table + text(_LIST_SET, name)
        for payload in self._netlink.dump(_SUBSYSTEM << 8 | _GET_ELEMENT, wish):
            listed = attributes(payload[4:]).get(_LIST_ELEMENTS, b"")
            for _kind, element in attribute_list(listed):
                parts = attributes(element)
                found[_value(parts.get(_KEY, b""))] = _value(parts.get(_DATA, b""))
        return found

    def comment(self) -> bytes | None:
        """What the table carries as its comment (raw user data), None when there is no such table."""
        for parts in _dump(self._netlink, self._family, _GET_TABLE):
            if string(parts[_TABLE_NAME]) == self._name:
                return parts.get(_TABLE_USERDATA, b"")
        return None

    def rules(self) -> int:
        """How many rules the table holds: a flush leaves the table and takes them."""
        wish = self._table
        found = 0
        for parts in _dump(self._netlink, self._family, _GET_RULE, wish):
            found += string(parts[_RULE_TABLE]) == self._name
        return found

    def _requests(self, kind: int, flags: int, elements: Iterable[Element]) -> Iterator[tuple[int, int, bytes]]:
        by_set: dict[str, list[bytes]] = {}
        for name, key, data in elements:
            parts = [nested(_KEY, attribute(_VALUE, key))]
            if data and kind == _NEW_ELEMENT:
                parts.append(nested(_DATA, attribute(_VALUE, data)))
            by_set.setdefault(name, []).append(nested(_ELEMENT, *parts))
        head = _GENERIC.pack(self._family, 0, 0) + self._table
        for name, packed in by_set.items():
            for at in range(0, len(packed), _A_MESSAGE):
                body = head + text(_LIST_SET, name) + nested(_LIST_ELEMENTS, *packed[at : at + _A_MESSAGE])
                yield _SUBSYSTEM << 8 | kind, flags, body


class Chain(NamedTuple):
    """``hook`` is -1 for a chain that is only jumped to; ``policy`` is ``accept`` or ``drop``."""

    family: int
    table: str
    name: str
    hook: int
    policy: str


def chains() -> list[Chain]:
    """Every chain of the network namespace, whoever made it."""
    netlink = Netlink(NETFILTER)
    try:
        found = []
        for payload in netlink.dump(_SUBSYSTEM << 8 | _GET_CHAIN, _GENERIC.pack(0, 0, 0)):
            parts = attributes(payload[4:])
            hook = attributes(parts.get(_CHAIN_HOOK, b"")).get(_HOOK_NUMBER, b"\xff\xff\xff\xff")
            policy = "drop" if parts.get(_CHAIN_POLICY) == b"\0\0\0\0" else "accept"
            number = int.from_bytes(hook, "big", signed=True)
            found.append(Chain(payload[0], string(parts[_CHAIN_TABLE]), string(parts[_CHAIN_NAME]), number, policy))
        return found
    finally:
        netlink.close()


class Changes:
    """Who has changed the host's rules? Asking costs one system call."""

    def __init__(self) -> None:
        self._netlink = Netlink(NETFILTER, _GROUP)

    def close(self) -> None:
        self._netlink.close()

    def fileno(self) -> int:
        """Readable when something has changed."""
        return self._netlink.socket.fileno()

    def since_last_time(self) -> set[tuple[int, str]]:
        """Thread id and name of everybody who has committed a change since the last call; (0, "") when some were missed."""
        found = set()
        while True:
            try:
                for kind, payload in self._netlink.events():
                    if kind == _SUBSYSTEM << 8 | _NEW_GENERATION:
                        parts = attributes(payload[4:])
                        name = string(parts.get(_GENERATION_NAME, b""))
                        found.add((int.from_bytes(parts.get(_GENERATION_PID, b""), "big"), name))
                return found
            except OSError:
                found.add((0, ""))


def _dump(netlink: Netlink, family: int, kind: int, wish: bytes = b"") -> Iterator[dict[int, bytes]]:
    for payload in netlink.dump(_SUBSYSTEM << 8 | kind, _GENERIC.pack(family, 0, 0) + wish):
        yield attributes(payload[4:])


def _value(data: bytes) -> bytes:
    return attributes(data).get(_VALUE, b"")
