"""What --cap-add, --cap-drop and --privileged leave a container with."""

import pytest

from tare.errors import Invalid
from tare.oci import capabilities

EVERYTHING = frozenset(capabilities.NUMBERS)


def resolve(add=(), drop=(), privileged=False, bounding=EVERYTHING):
    return capabilities.resolve(add, drop, privileged, bounding)


def test_numbers_are_the_kernels():
    with open("/proc/sys/kernel/cap_last_cap") as file:
        last = int(file.read())
    assert capabilities.NUMBERS["CAP_CHOWN"] == 0
    assert capabilities.NUMBERS["CAP_SYS_ADMIN"] == 21
    assert max(capabilities.NUMBERS.values()) == last


def test_default_set():
    assert set(resolve()[0]) == set(capabilities.DEFAULT)
    assert resolve()[1] == []


@pytest.mark.parametrize("spelled", ["NET_ADMIN", "CAP_NET_ADMIN", "net_admin", "cap_net_admin"])
def test_spellings(spelled):
    assert set(resolve(add=[spelled])[0]) == {*capabilities.DEFAULT, "CAP_NET_ADMIN"}


def test_all_and_the_rest():
    assert set(resolve(add=["ALL"])[0]) == EVERYTHING
    assert set(resolve(add=["all"], drop=["NET_RAW"])[0]) == EVERYTHING - {"CAP_NET_RAW"}
    assert resolve(drop=["ALL"])[0] == ()
    assert resolve(drop=["ALL"], add=["KILL"])[0] == ("CAP_KILL",)
    assert "CAP_CHOWN" not in resolve(drop=["chown"])[0]
    assert set(resolve(privileged=True, drop=["CHOWN"])[0]) == EVERYTHING


@pytest.mark.parametrize("members", [{"add": ["FLY"]}, {"drop": ["CAP_FLY"]}])
def test_unknown_name_is_refused(members):
    with pytest.raises(Invalid, match="CAP_FLY"):
        resolve(**members)


def test_what_the_host_lacks():
    poor = EVERYTHING - {"CAP_MKNOD", "CAP_SYS_RESOURCE"}
    held, warnings = resolve(bounding=poor)
    assert "CAP_MKNOD" not in held
    assert any("CAP_MKNOD" in warning for warning in warnings)
    assert set(resolve(privileged=True, bounding=poor)[0]) == poor
    with pytest.raises(Invalid, match="CAP_SYS_RESOURCE"):
        resolve(add=["SYS_RESOURCE"], bounding=poor)


def test_bounding_set_is_this_process():
    mask = sum(1 << capabilities.NUMBERS[name] for name in capabilities.bounding())
    with open("/proc/self/status") as status:
        assert f"CapBnd:\t{mask:016x}\n" in status.readlines()
