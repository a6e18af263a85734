"""Platforms as clients name them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tare.api.shapes import platforms
from tare.api.shapes.host import architecture
from tare.errors import Invalid, NotFound
from tare.model.image import Image, ImageConfig

IMAGE = Image("sha256:1", "sha256:2", "", "arm64", "linux", ImageConfig(), ())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("linux", ("linux", "", "")),
        ("linux/amd64", ("linux", "amd64", "")),
        ("LINUX/x86_64/V2", ("linux", "amd64", "v2")),
        ("amd64", ("linux", "amd64", "")),
        ("aarch64", ("linux", "arm64", "")),
        ("windows", ("windows", "", "")),
        ('{"os":"linux","architecture":"arm","variant":"v7"}', ("linux", "arm", "v7")),
        ('{"architecture":"arm64"}', ("linux", "arm64", "")),
    ],
)
def test_parse(text: str, found: tuple[str, str, str]) -> None:
    assert platforms.parse(text) == found


@pytest.mark.parametrize("text", ["/", "linux/", " linux", "a/b/c/d", "{", '{"os":1}', "{}x", "linux/a\0", "[" * 50, "{" * 9999])
def test_no_platform(text: str) -> None:
    with pytest.raises(Invalid):
        platforms.parse(text)


def test_an_image_is_for_what_it_says() -> None:
    for fits in ("linux", "arm64", "linux/arm64", "linux/arm64/v8"):
        platforms.check_image(IMAGE, [fits], "x")
    platforms.check_image(IMAGE, [], "x")
    platforms.check_image(IMAGE, ["linux/amd64", "linux/arm64"], "x")
    platforms.check_image(replace(IMAGE, architecture="amd64"), ["linux/amd64/v3"], "x")
    for other in ("windows", "linux/amd64", "linux/arm64/v9"):
        with pytest.raises(NotFound, match="x was found but does not provide the specified platform"):
            platforms.check_image(IMAGE, [other], "x")


def test_this_host() -> None:
    other = "s390x" if architecture() != "s390x" else "amd64"
    platforms.check_host(architecture())
    assert platforms.to_load("linux") == ("linux", architecture(), "")
    assert platforms.to_load("linux/arm/v7") == ("linux", "arm", "v7")
    with pytest.raises(Invalid, match="this host is linux"):
        platforms.check_host(other)
