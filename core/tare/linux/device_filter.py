"""Which device nodes a version 2 cgroup may open: a small BPF program at the cgroup (bpf(2), BPF_PROG_TYPE_CGROUP_DEVICE).

The kernel gives the program ``struct bpf_cgroup_dev_ctx {u32 access_type, major, minor}`` where access_type is
``access << 16 | type`` (linux/bpf.h) and allows when it returns 1.
"""

from __future__ import annotations

import ctypes
import os
import struct

from tare.linux import syscalls
from tare.linux.syscalls import call

BPF_PROG_LOAD = 5
BPF_PROG_ATTACH = 8
BPF_PROG_TYPE_CGROUP_DEVICE = 15
BPF_CGROUP_DEVICE = 6
BPF_F_ALLOW_MULTI = 2

TYPES = {"b": 1, "c": 2}
ACCESS = {"m": 1, "r": 2, "w": 4}

_LOAD_WORD = 0x61  # BPF_LDX | BPF_MEM | BPF_W
_MOVE_REGISTER = 0xBC  # BPF_ALU | BPF_MOV | BPF_X
_MOVE_VALUE = 0xB7  # BPF_ALU64 | BPF_MOV | BPF_K
_AND = 0x54  # BPF_ALU | BPF_AND | BPF_K
_SHIFT_RIGHT = 0x74  # BPF_ALU | BPF_RSH | BPF_K
_JUMP_NOT_EQUAL = 0x55  # BPF_JMP | BPF_JNE | BPF_K
_EXIT = 0x95


def _instruction(code: int, target: int = 0, source: int = 0, offset: int = 0, value: int = 0) -> bytes:
    return struct.pack("<BBhi", code, source << 4 | target, offset, value)


def assemble(rules: list[tuple[bool, str, int, int, str]]) -> bytes:
    """The program for rules ``(allow, "a" | "b" | "c", major, minor, access)`` in order, -1 for any number: the last
    rule that matches decides; where none does the answer is no."""
    head = (
        _instruction(_LOAD_WORD, 2, 1, 0)
        + _instruction(_MOVE_REGISTER, 3, 2)
        + _instruction(_AND, 2, value=0xFFFF)
        + _instruction(_SHIFT_RIGHT, 3, value=16)
        + _instruction(_LOAD_WORD, 4, 1, 4)
        + _instruction(_LOAD_WORD, 5, 1, 8)
    )
    body = b""
    for rule in reversed(rules):
        body += _rule(*rule)
        if rule[1:] == ("a", -1, -1, "rwm"):
            return head + body  # the verifier refuses what can never be reached
    return head + body + _answer(False)


def _answer(allow: bool) -> bytes:
    return _instruction(_MOVE_VALUE, 0, value=int(allow)) + _instruction(_EXIT)


def _rule(allow: bool, kind: str, major: int, minor: int, access: str) -> bytes:
    bits = sum(ACCESS[letter] for letter in set(access))
    tests: list[tuple[bytes, int, int]] = []
    if kind != "a":
        tests.append((b"", 2, TYPES[kind]))
    if bits != 7:
        # an allowance must cover everything that is asked for, a refusal anything of it
        narrow = _instruction(_MOVE_REGISTER, 1, 3) + _instruction(_AND, 1, value=(~bits & 7) if allow else bits)
        tests.append((narrow, 1, 0))
    if major >= 0:
        tests.append((b"", 4, major))
    if minor >= 0:
        tests.append((b"", 5, minor))
    body = _answer(allow)
    for before, register, value in reversed(tests):
        refusal_of_part = register == 1 and not allow
        code = 0x15 if refusal_of_part else _JUMP_NOT_EQUAL
        body = before + _instruction(code, register, 0, len(body) // 8, value) + body
    return body


def attach(directory: str, program: bytes) -> None:
    """Load a program and put it at a cgroup v2 directory. Raises OSError (EINVAL with the verifier's no, EPERM)."""
    code = ctypes.create_string_buffer(program, len(program))
    license = ctypes.create_string_buffer(b"Apache-2.0")
    head = struct.pack(
        "<IIQQIIQII16s", BPF_PROG_TYPE_CGROUP_DEVICE, len(program) // 8, ctypes.addressof(code), ctypes.addressof(license),
        0, 0, 0, 0, 0, b"tare_devices",
    )  # fmt: skip
    loaded = _bpf(BPF_PROG_LOAD, head)
    try:
        cgroup = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _bpf(BPF_PROG_ATTACH, struct.pack("<IIII", cgroup, loaded, BPF_CGROUP_DEVICE, BPF_F_ALLOW_MULTI))
        finally:
            os.close(cgroup)
    finally:
        os.close(loaded)


def _bpf(command: int, attributes: bytes) -> int:
    raw = ctypes.create_string_buffer(attributes, len(attributes))
    return call(syscalls.BPF, command, ctypes.addressof(raw), len(attributes))
