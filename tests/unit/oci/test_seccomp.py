"""Filters as the kernel obeys them, and as libseccomp would have made them."""

import ctypes
import ctypes.util
import json
import os
import random
import struct
import tempfile

import pytest

from tare.errors import Invalid, TareError, Unsupported
from tare.oci import capabilities, seccomp, seccomp_default
from tare.oci.seccomp_syscalls import X32_BIT, numbers

ALLOW, EPERM, ENOSYS, KILL = 0x7FFF0000, 0x50001, 0x50026, 0
X86_64, X86 = 0xC000003E, 0x40000003
DEFAULT = frozenset(capabilities.DEFAULT)
POWERFUL = DEFAULT | {"CAP_SYS_ADMIN", "CAP_SYS_NICE", "CAP_SYS_TIME"}
ABIS = (("x86_64", X86_64, 64), ("x86", X86, 32), ("x32", X86_64, 32))
VALUES = (0, 1, 2, 8, 38, 40, 41, 46, 0x11, 0x20000, 0x20008, 0x7E020000, 0x10000000, 0xFFFFFFFF, 1 << 32, (1 << 64) - 1)


def run(filter, number, machine, arguments=()):
    """Interpret classic BPF over one struct seccomp_data."""
    program = list(struct.iter_unpack("<HBBI", filter))
    data = struct.pack("<IIQ6Q", number, machine, 0, *[*arguments, 0, 0, 0, 0, 0, 0][:6])
    accumulator = place = 0
    while True:
        code, yes, no, operand = program[place]
        place += 1
        match code:
            case 0x20:
                accumulator = struct.unpack_from("<I", data, operand)[0]
            case 0x54:
                accumulator &= operand
            case 0x06:
                return operand
            case 0x05:
                place += operand
            case 0x15:
                place += yes if accumulator == operand else no
            case 0x25:
                place += yes if accumulator > operand else no
            case 0x35:
                place += yes if accumulator >= operand else no
            case _:
                raise AssertionError(f"instruction {code:#x}")


# the kernel ------------------------------------------------------------------------------------------------------


def under(filter, calls):
    """errno (0 for success) of each (number, arguments…), called in a child that has loaded the filter."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.argtypes = [ctypes.c_long] * 7
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        buffer = ctypes.create_string_buffer(filter, len(filter))
        header = struct.pack("@HxxxxxxQ", len(filter) // 8, ctypes.addressof(buffer))
        libc.prctl(38, 1, 0, 0, 0)
        outcome = []
        if libc.prctl(22, 2, ctypes.create_string_buffer(header, len(header)), 0, 0) != 0:
            outcome.append("refused")
        else:
            for number, *arguments in calls:
                ctypes.set_errno(0)
                failed = libc.syscall(number, *[*arguments, 0, 0, 0, 0, 0, 0][:6]) == -1
                outcome.append(ctypes.get_errno() if failed else 0)
        os.write(writing, json.dumps(outcome).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    assert status == 0
    return json.loads(text)


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers here are x86_64's")
def test_the_kernel_obeys_the_default_filter():
    call = numbers("x86_64")
    filter = seccomp.default_filter(DEFAULT, "x86_64")
    assert under(
        filter,
        [
            (call["getpid"],),
            (call["socket"], 1, 1, 0),
            (call["socket"], 40, 1, 0),
            (call["socket"], 38, 5, 0),
            (call["personality"], 0xFFFFFFFF),
            (call["personality"], 0x40000),
            (call["unshare"], 0x20000),
            (call["clone3"], 0, 0),
            (call["clone"], 0x10000000 | 17),
            (call["bpf"], 0, 0, 0),
            (call["io_uring_setup"], 1, 0),
            (call["mount"], 0, 0, 0, 0, 0),
            (999,),
        ],
    ) == [0, 0, 1, 1, 0, 1, 1, 38, 1, 1, 1, 1, 38]


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers here are x86_64's")
def test_capabilities_open_their_calls():
    call = numbers("x86_64")
    calls = [(call["clone3"], 0, 0), (call["unshare"], 0), (call["bpf"], 99, 0, 0)]
    assert under(seccomp.default_filter(POWERFUL, "x86_64"), calls) == [22, 0, 22]
    assert under(seccomp.default_filter(DEFAULT | {"CAP_BPF"}, "x86_64"), calls) == [38, 1, 22]


def test_the_kernel_takes_every_kind_of_action():
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [
            {"names": ["getppid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 99},
            {"names": ["setpgid"], "action": "SCMP_ACT_LOG"},
            {"names": ["getuid"], "action": "SCMP_ACT_TRAP"},
            {"names": ["getgid"], "action": "SCMP_ACT_KILL_PROCESS"},
            {"names": ["geteuid"], "action": "SCMP_ACT_KILL_THREAD"},
        ],
    }
    arch = os.uname().machine
    call = numbers(arch)
    filter = seccomp.compile_profile(profile, (), arch)
    assert under(filter, [(call["getppid"],), (call["setpgid"], 0, 0), (call["getpid"],)]) == [99, 0, 0]


# libseccomp ------------------------------------------------------------------------------------------------------


class Argument(ctypes.Structure):
    _fields_ = [("index", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


def libseccomp():
    name = ctypes.util.find_library("seccomp")
    if name is None:
        pytest.skip("libseccomp is not installed")
    library = ctypes.CDLL(name)
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_arch_add.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    library.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.POINTER(Argument),
    ]
    library.seccomp_export_bpf.argtypes = [ctypes.c_void_p, ctypes.c_int]
    library.seccomp_release.argtypes = [ctypes.c_void_p]
    return library


OPERATORS = ["", "NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"]
RETURNS = {"SCMP_ACT_ALLOW": ALLOW, "SCMP_ACT_ERRNO": EPERM}


def theirs(rules, default=EPERM, tokens=(0x40000003, 0x4000003E)):
    """The program libseccomp makes of rules whose conditions on capabilities are already settled."""
    library = libseccomp()
    context = library.seccomp_init(default)
    for token in tokens:
        assert library.seccomp_arch_add(context, token) == 0
    for rule in rules:
        action = RETURNS[rule["action"]] | rule.get("errnoRet", 0)
        arguments = [
            Argument(a["index"], OPERATORS.index(a["op"].removeprefix("SCMP_CMP_")), a["value"], a.get("valueTwo", 0))
            for a in rule.get("args", ())
        ]
        for name in rule["names"]:
            number = library.seccomp_syscall_resolve_name(name.encode())
            if number != -1 and action != default:
                array = (Argument * len(arguments))(*arguments)
                assert library.seccomp_rule_add_array(context, action, number, len(arguments), array) == 0
    with tempfile.TemporaryFile() as file:
        assert library.seccomp_export_bpf(context, file.fileno()) == 0
        library.seccomp_release(context)
        file.seek(0)
        return file.read()


@pytest.mark.parametrize("held", [DEFAULT, POWERFUL, frozenset()], ids=["default", "powerful", "none"])
def test_default_filter_decides_as_libseccomps(held):
    known = libseccomp().seccomp_syscall_resolve_name
    rules = []
    for rule in seccomp_default.profile()["syscalls"]:
        includes, excludes = rule.get("includes", {}), rule.get("excludes", {})
        if (
            held.issuperset(includes.get("caps", ()))
            and held.isdisjoint(excludes.get("caps", ()))
            and "amd64" in includes.get("arches", ["amd64"])
        ):
            rules.append(rule)
    for rule in rules:
        if "errnoRet" in rule:
            rule["errnoRet"] &= ~1  # libseccomp's own form of ERRNO(38), see RETURNS
    peer, own = theirs(rules), seccomp.default_filter(held, "x86_64")
    conditional = {"socket", "personality", "clone", "clone3"}
    differing = []
    for abi, machine, width in ABIS:
        for name, number in numbers(abi).items():
            if known(name.encode()) == -1 or name == "clone3":
                continue
            for value in VALUES if name in conditional else (0,):
                value &= (1 << width) - 1 if machine == X86 else (1 << 64) - 1
                if run(own, number, machine, (value,)) != run(peer, number, machine, (value,)):
                    newer = run(own, number, machine, (value,)) == ENOSYS and run(peer, number, machine, (value,)) == EPERM
                    if not newer:
                        differing.append((abi, name, hex(value)))
    assert differing == []


@pytest.mark.parametrize("seed", range(25))
def test_user_profiles_decide_as_libseccomps(seed):
    """One rule a call: with several rules on different arguments libseccomp 2.5 itself loses some."""
    chance = random.Random(seed)
    names = ["socket", "connect", "read", "write", "clone", "personality", "ioctl", "mmap2", "shmat", "no_such_call"]
    chance.shuffle(names)
    rules = []
    for name in names:
        indexes = chance.sample([0, 1], chance.choice([0, 1, 1, 2]))
        arguments = [
            {
                "index": index,
                "op": f"SCMP_CMP_{chance.choice(OPERATORS[1:])}",
                "value": chance.choice(VALUES),
                "valueTwo": chance.choice(VALUES),
            }
            for index in sorted(indexes)
        ]
        rules.append({"names": [name], "action": "SCMP_ACT_ALLOW", "args": arguments})
    profile = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": rules,
    }
    own, peer = seccomp.compile_profile(profile, (), "x86_64"), theirs(rules)
    for abi, machine, _ in ABIS:
        for name in [*names, "socketcall", "ipc"]:
            number = numbers(abi).get(name)
            if number is None:
                continue
            for first in VALUES:
                for second in VALUES:
                    mask = (1 << 32) - 1 if machine == X86 else (1 << 64) - 1
                    pair = (first & mask, second & mask)
                    assert run(own, number, machine, pair) == run(peer, number, machine, pair), (abi, name, pair)


# rules of the form -----------------------------------------------------------------------------------------------


def compiled(*rules, default="SCMP_ACT_ERRNO", held=(), **members):
    return seccomp.compile_profile({"defaultAction": default, "syscalls": list(rules), **members}, held, "x86_64")


def test_foreign_architectures_and_x32_are_shut():
    program = compiled({"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"})
    assert run(program, 0, X86_64) == ALLOW
    assert run(program, 0, X86) == KILL
    assert run(program, X32_BIT, X86_64) == KILL


def test_calls_newer_than_the_profile_do_not_exist():
    program = compiled({"names": ["read", "openat2"], "action": "SCMP_ACT_ALLOW"})
    assert run(program, numbers("x86_64")["openat2"] - 1, X86_64) == EPERM
    assert run(program, numbers("x86_64")["openat2"] + 1, X86_64) == ENOSYS
    open_to_all = compiled({"names": ["read"], "action": "SCMP_ACT_ERRNO"}, default="SCMP_ACT_ALLOW")
    assert run(open_to_all, 999, X86_64) == ALLOW


def test_two_conditions_on_one_argument_are_alternatives():
    arguments = [{"index": 0, "op": "SCMP_CMP_EQ", "value": value} for value in (3, 5)]
    program = compiled({"names": ["close"], "action": "SCMP_ACT_ALLOW", "args": arguments})
    assert [run(program, 3, X86_64, (value,)) for value in (3, 4, 5)] == [ALLOW, EPERM, ALLOW]


def test_includes_and_excludes():
    rule = {"names": ["read"], "action": "SCMP_ACT_ALLOW"}
    assert run(compiled({**rule, "includes": {"caps": ["CAP_KILL"]}}), 0, X86_64) == EPERM
    assert run(compiled({**rule, "includes": {"caps": ["CAP_KILL"]}}, held=["CAP_KILL"]), 0, X86_64) == ALLOW
    assert run(compiled({**rule, "excludes": {"caps": ["CAP_KILL"]}}, held=["CAP_KILL"]), 0, X86_64) == EPERM
    assert run(compiled({**rule, "includes": {"arches": ["arm64"]}}), 0, X86_64) == EPERM
    assert run(compiled({**rule, "includes": {"minKernel": "4.8"}}), 0, X86_64) == ALLOW
    assert run(compiled({**rule, "includes": {"minKernel": "99.0"}}), 0, X86_64) == EPERM
    assert run(compiled({**rule, "excludes": {"minKernel": "4.8"}}), 0, X86_64) == EPERM


def test_long_programs_jump_far():
    rules = [
        {
            "names": [name],
            "action": "SCMP_ACT_ALLOW",
            "args": [{"index": 0, "op": "SCMP_CMP_EQ", "value": number}, {"index": 1, "op": "SCMP_CMP_EQ", "value": 7}],
        }
        for name, number in list(numbers("x86_64").items())[:350]
    ]
    program = compiled(*rules)
    assert len(program) // 8 > 1000
    for name, number in list(numbers("x86_64").items())[:350]:
        assert run(program, number, X86_64, (number, 7)) == ALLOW, name
        assert run(program, number, X86_64, (number + 1, 7)) == EPERM, name


def test_aarch64():
    program = seccomp.default_filter(DEFAULT, "aarch64")
    assert run(program, numbers("aarch64")["openat"], 0xC00000B7) == ALLOW
    assert run(program, numbers("aarch64")["mount"], 0xC00000B7) == EPERM
    assert run(program, numbers("arm")["set_tls"], 0x40000028) == ALLOW
    assert run(program, 0, X86_64) == KILL


@pytest.mark.parametrize(
    ("profile", "kind", "words"),
    [
        ({}, Invalid, "unknown action"),
        ({"defaultAction": "SCMP_ACT_WAVE"}, Invalid, "SCMP_ACT_WAVE"),
        ({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "x"}]}, Invalid, '"x"'),
        (
            {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_NOTIFY"}]},
            Unsupported,
            "NOTIFY",
        ),
        ({"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_LOG"]}, Unsupported, "flags"),
        ({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"], "archMap": [{}]}, Invalid, "both"),
        ({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["amd64"]}, Invalid, "amd64"),
        ({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": "read"}, Invalid, "list"),
        ({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [7]}, Invalid, "object"),
    ],
)
def test_bad_profiles(profile, kind, words):
    with pytest.raises(kind) as caught:
        seccomp.compile_profile(profile, (), "x86_64")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "argument",
    [
        {"index": 6, "op": "SCMP_CMP_EQ", "value": 0},
        {"index": 0, "op": "SCMP_CMP_XX", "value": 0},
        {"index": 0, "op": "SCMP_CMP_EQ", "value": -1},
        {"index": 0, "op": "SCMP_CMP_EQ", "value": "3"},
    ],
)
def test_bad_arguments(argument):
    with pytest.raises(Invalid):
        compiled({"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [argument]})


def test_files():
    text = json.dumps(seccomp_default.profile())
    assert seccomp.file_filter(text, DEFAULT, "x86_64") == seccomp.default_filter(DEFAULT, "x86_64")
    for bad in ("{", "[]", "null", '"x"', '{"defaultAction": 3}', '{"defaultAction": []}'):
        with pytest.raises(TareError):
            seccomp.file_filter(bad, DEFAULT, "x86_64")
    with pytest.raises(Unsupported, match="riscv64"):
        seccomp.default_filter(DEFAULT, "riscv64")
