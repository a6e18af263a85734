"""Names of images, as Docker reads them."""

from __future__ import annotations

import pytest

from tare.errors import Invalid
from tare.images.references import parse


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("busybox", "busybox:latest"),
        ("busybox:1.36", "busybox:1.36"),
        ("library/busybox", "busybox:latest"),
        ("docker.io/library/busybox", "busybox:latest"),
        ("index.docker.io/busybox", "busybox:latest"),
        ("docker.io/user/app:v1", "user/app:v1"),
        ("user/app", "user/app:latest"),
        ("localhost/app", "localhost/app:latest"),
        ("localhost:5000/app:2", "localhost:5000/app:2"),
        ("registry.example.com/a/b/c", "registry.example.com/a/b/c:latest"),
        ("[::1]:5000/app", "[::1]:5000/app:latest"),
        ("Registry/app", "Registry/app:latest"),
        ("a__b/c-d--e.f", "a__b/c-d--e.f:latest"),
        ("x:" + "t" * 128, "x:" + "t" * 128),
        ("app@sha256:" + "a" * 64, "app:latest"),
    ],
)
def test_names_that_mean_the_same_are_one(text: str, name: str) -> None:
    assert parse(text).name == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "a:",
        ":tag",
        "a//b",
        "/a",
        "a/",
        "-a",
        "a-",
        "a..b",
        "a___b",
        "a b",
        "a:b:c",
        "a@b",
        "a@sha256:12",
        "x:" + "t" * 129,
        "x:.t",
        "a\n",
        "ü",
    ],
)
def test_what_is_no_name_is_refused_in_docker_s_words(text: str) -> None:
    with pytest.raises(Invalid, match=r"^invalid reference format: '"):
        parse(text)


def test_capitals_and_ids_have_reasons_of_their_own() -> None:
    with pytest.raises(Invalid, match=r"repository name \(library/App\) must be lowercase"):
        parse("App")
    with pytest.raises(Invalid, match="cannot specify 64-byte hexadecimal strings"):
        parse("a" * 64)
    with pytest.raises(Invalid, match="more than 255 characters"):
        parse("a" * 256)


def test_a_digest_is_kept() -> None:
    reference = parse("host:1/app:tag@sha256:" + "0" * 64)
    assert (reference.domain, reference.path, reference.tag, reference.digest) == ("host:1", "app", "tag", "sha256:" + "0" * 64)
