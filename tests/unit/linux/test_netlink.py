"""Names and numbers of network devices."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator

import pytest

from tare.linux.netlink import index_of


@pytest.fixture
def no_descriptor() -> Iterator[None]:
    """This process cannot open another file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_device_has_a_number_and_an_unknown_one_has_none() -> None:
    assert index_of("lo") == 1
    with pytest.raises(OSError, match="there is no device nothing") as caught:
        index_of("nothing")
    assert caught.value.errno == errno.ENODEV


def test_a_device_is_not_unknown_for_want_of_descriptors(no_descriptor: None) -> None:
    with pytest.raises(OSError) as caught:
        index_of("lo")
    assert caught.value.errno == errno.EMFILE
