"""Seccomp profiles, in the JSON form that Docker's users write, compiled to the program that seccomp(2) loads.

The effect is that of runc with libseccomp: names that an architecture does not know are passed over, an unconditional
rule beats conditional ones, and calls newer than everything the profile knows fail with ENOSYS instead of EPERM, so
that programs fall back to older calls.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from tare.errors import Invalid, Unsupported
from tare.oci import seccomp_default, seccomp_program
from tare.oci.seccomp_program import Condition, Decision, Ranges, Rule
from tare.oci.seccomp_syscalls import X32_BIT, X86_MULTIPLEXED, numbers

_ALLOW, _LOG, _ERRNO, _TRACE = 0x7FFF0000, 0x7FFC0000, 0x00050000, 0x7FF00000
_KILL_THREAD = 0

# SECCOMP_RET_* of linux/seccomp.h
_ACTIONS = {
    "SCMP_ACT_KILL": _KILL_THREAD,
    "SCMP_ACT_KILL_THREAD": _KILL_THREAD,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": _ERRNO,
    "SCMP_ACT_TRACE": _TRACE,
    "SCMP_ACT_LOG": _LOG,
    "SCMP_ACT_ALLOW": _ALLOW,
}
_PERMISSIVE = (_ALLOW, _LOG, _TRACE)

_OPERATORS = {
    "SCMP_CMP_NE": "ne",
    "SCMP_CMP_LT": "lt",
    "SCMP_CMP_LE": "le",
    "SCMP_CMP_EQ": "eq",
    "SCMP_CMP_GE": "ge",
    "SCMP_CMP_GT": "gt",
    "SCMP_CMP_MASKED_EQ": "masked",
}

# libseccomp's name -> (its table of numbers, AUDIT_ARCH of linux/audit.h, whether arguments are 64 bits wide)
_MACHINES = {
    "SCMP_ARCH_X86_64": ("x86_64", 0xC000003E, True),
    "SCMP_ARCH_X32": ("x32", 0xC000003E, False),
    "SCMP_ARCH_X86": ("x86", 0x40000003, False),
    "SCMP_ARCH_AARCH64": ("aarch64", 0xC00000B7, True),
    "SCMP_ARCH_ARM": ("arm", 0x40000028, False),
}
_NATIVE = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}
_GO = {"x86_64": "amd64", "aarch64": "arm64"}

_EPERM, _ENOSYS = 1, 38


@lru_cache(maxsize=64)
def default_filter(capabilities: frozenset[str], arch: str) -> bytes:
    """The default profile for a container with these capabilities (``CAP_…``) on this machine (``os.uname().machine``).

    An array of ``struct sock_filter``. Unsupported on machines other than x86_64 and aarch64.
    """
    return compile_profile(seccomp_default.profile(), capabilities, arch)


@lru_cache(maxsize=16)
def file_filter(text: str, capabilities: frozenset[str], arch: str) -> bytes:
    """As ``compile_profile``, from the text of a JSON file. Raises Invalid too where the text is not JSON."""
    try:
        profile = json.loads(text)
    except ValueError as error:
        raise Invalid(f"decoding seccomp profile failed: {error}") from error
    return compile_profile(profile, capabilities, arch)


def compile_profile(profile: Mapping[str, Any], capabilities: Iterable[str], arch: str) -> bytes:
    """A profile (the members of Docker's seccomp JSON) as an array of ``struct sock_filter``.

    Raises Invalid for what the profile gets wrong, Unsupported for what needs more than a filter (SCMP_ACT_NOTIFY,
    flags) and for machines other than x86_64 and aarch64.
    """
    if arch not in _NATIVE:
        raise Unsupported(f"seccomp is not supported on {arch}", subject=arch, hint="use --security-opt seccomp=unconfined")
    _object(profile, "the file")
    for member in ("flags", "listenerPath", "listenerMetadata"):
        if profile.get(member):
            raise Unsupported(f"seccomp profile: {member} is not supported yet", subject=member)
    default = _action(profile.get("defaultAction"), profile.get("defaultErrnoRet"))
    held = frozenset(capabilities)
    rules = [rule for rule in _objects(profile, "syscalls") if _applies(rule, held, arch)]
    architectures = _architectures(profile, arch)
    machines: dict[int, list[tuple[bool, Ranges]]] = {}
    for name in architectures:
        machine, audit, wide = _MACHINES[name]
        machines.setdefault(audit, []).append((wide, _ranges(machine, rules, default)))
    if "SCMP_ARCH_X86_64" in architectures and "SCMP_ARCH_X32" not in architectures:
        # else a native program could make x32's calls, whose numbers the profile never judged
        machines[_MACHINES["SCMP_ARCH_X32"][1]].append((False, [(X32_BIT, ((), _KILL_THREAD))]))
    program = seccomp_program.assemble(machines, _KILL_THREAD)
    if len(program) > seccomp_program.LIMIT * 8:
        raise Invalid(f"seccomp profile makes {len(program) // 8} instructions, the kernel takes {seccomp_program.LIMIT}")
    return program


def _object(value: Any, member: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise Invalid(f"seccomp profile: {member} holds {value!r}", subject=member, hint="an object is needed there")
    return value


def _objects(parent: Mapping[str, Any], member: str) -> list[Mapping[str, Any]]:
    return [_object(value, member) for value in _list(parent, member)]


def _names(parent: Mapping[str, Any], member: str) -> list[str]:
    for value in (names := _list(parent, member)):
        if not isinstance(value, str):
            raise Invalid(f"seccomp profile: {member} holds {value!r}", subject=member, hint="a name is needed there")
    return names


def _list(parent: Mapping[str, Any], member: str) -> list[Any]:
    value = parent.get(member)
    if value is not None and not isinstance(value, list):
        raise Invalid(f"seccomp profile: {member} is {value!r}", subject=member, hint="a list is needed there")
    return value or []


def _action(name: Any, errno: Any) -> int:
    if name == "SCMP_ACT_NOTIFY":
        raise Unsupported("seccomp profile: SCMP_ACT_NOTIFY is not supported yet", subject=name)
    if not isinstance(name, str) or name not in _ACTIONS:
        raise Invalid(f'seccomp profile: unknown action "{name}"', subject=str(name), hint=f"one of {', '.join(_ACTIONS)}")
    action = _ACTIONS[name]
    if action not in (_ERRNO, _TRACE):
        return action
    if errno is None:
        errno = _EPERM
    if not isinstance(errno, int) or not 0 <= errno <= 0xFFFF:
        raise Invalid(f"seccomp profile: bad errno {errno!r}", hint="a number from 0 to 65535")
    return action | errno


def _architectures(profile: Mapping[str, Any], arch: str) -> list[str]:
    listed, mapped = _names(profile, "architectures"), _objects(profile, "archMap")
    if listed and mapped:
        raise Invalid("seccomp profile: both architectures and archMap are given", hint="use one of them")
    native = _NATIVE[arch]
    names = list(listed)
    for entry in mapped:
        if entry.get("architecture") == native:
            names = [native, *_names(entry, "subArchitectures")]
    for name in names:
        if not name.startswith("SCMP_ARCH_"):
            raise Invalid(f'seccomp profile: unknown architecture "{name}"', subject=name)
    # the machine's own is always there; those of other machines cannot occur here
    return list(dict.fromkeys([native, *(name for name in names if name in _MACHINES)]))


def _applies(rule: Mapping[str, Any], held: frozenset[str], arch: str) -> bool:
    if rule.get("name") and rule.get("names"):
        raise Invalid("seccomp profile: both name and names are given in one rule", subject=str(rule["name"]))
    wanted, unwanted = (_object(rule.get(member) or {}, member) for member in ("includes", "excludes"))
    return (
        (not wanted.get("arches") or _GO[arch] in _names(wanted, "arches"))
        and held.issuperset(_names(wanted, "caps"))
        and (not wanted.get("minKernel") or _kernel_is(wanted["minKernel"]))
        and _GO[arch] not in _names(unwanted, "arches")
        and held.isdisjoint(_names(unwanted, "caps"))
        and not (unwanted.get("minKernel") and _kernel_is(unwanted["minKernel"]))
    )


def _kernel_is(minimum: str) -> bool:
    try:
        needed = [int(part) for part in minimum.split(".")]
    except (AttributeError, ValueError):
        raise Invalid(f"seccomp profile: bad minKernel {minimum!r}", hint='written as "5.10"') from None
    release = os.uname().release.split("-")[0].split(".")
    return [int(part) for part in release[:2] if part.isdecimal()] >= needed[:2]


def _ranges(machine: str, rules: Iterable[Mapping[str, Any]], default: int) -> Ranges:
    """What this machine's calls lead to, from its lowest number to the highest possible."""
    table = numbers(machine)
    found: dict[int, list[Rule]] = {}
    last = 0
    for rule in rules:
        action = _action(rule.get("action"), rule.get("errnoRet"))
        alternatives = _alternatives(_objects(rule, "args"))
        for name in _names(rule, "names") or [str(rule.get("name"))]:
            if name in table:
                last = max(last, table[name])
                if action != default:
                    found.setdefault(table[name], []).extend((conditions, action) for conditions in alternatives)
            if machine == "x86" and name in X86_MULTIPLEXED and action != default:
                # the call's number takes the place of the first argument; the real arguments lie behind a pointer
                through, call = X86_MULTIPLEXED[name]
                last = max(last, table[through])
                found.setdefault(table[through], []).extend(
                    (((0, "eq", call, 0), *(condition for condition in conditions if condition[0])), action)
                    for conditions in alternatives
                )
    decisions = {number: _settle(alternatives, default) for number, alternatives in found.items()}
    start = X32_BIT if machine == "x32" else 0
    joined = seccomp_program.ranges(decisions, ((), default), start)
    newer = default if default & 0xFFFF0000 in _PERMISSIVE or default == _ERRNO | _ENOSYS else _ERRNO | _ENOSYS
    return [(first, decision) for first, decision in joined if first <= last] + [(last + 1, ((), newer))]


def _settle(alternatives: list[Rule], default: int) -> Decision:
    for conditions, action in alternatives:
        if not conditions:
            return ((), action)
    return (tuple(dict.fromkeys(alternatives)), default)


def _alternatives(arguments: Iterable[Mapping[str, Any]]) -> list[tuple[Condition, ...]]:
    """Conditions on different arguments must all hold; two on the same argument are alternatives, as runc reads them."""
    conditions = [_condition(argument) for argument in arguments]
    if len({condition[0] for condition in conditions}) < len(conditions):
        return [(condition,) for condition in conditions]
    return [tuple(conditions)]


def _condition(argument: Mapping[str, Any]) -> Condition:
    index, operator = argument.get("index", 0), argument.get("op")
    value, second = argument.get("value", 0), argument.get("valueTwo", 0)
    if not isinstance(operator, str) or operator not in _OPERATORS:
        raise Invalid(f'seccomp profile: unknown operator "{operator}"', subject=str(operator))
    if not isinstance(index, int) or not 0 <= index <= 5:
        raise Invalid(f"seccomp profile: bad argument index {index!r}", hint="a system call has arguments 0 to 5")
    for number in (value, second):
        if not isinstance(number, int) or not 0 <= number < 1 << 64:
            raise Invalid(f"seccomp profile: bad argument value {number!r}", hint="an unsigned number of 64 bits")
    return (index, _OPERATORS[operator], value, second & value if operator == "SCMP_CMP_MASKED_EQ" else second)
