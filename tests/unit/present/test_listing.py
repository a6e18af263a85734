"""What the golden files, made by one machine on one day, cannot show."""

from datetime import UTC, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from tare.present import clock, durations, listing, sizes
from tare.present.containers import ports
from tare.present.go_values import Time
from tare.present.tables import align

NOW = 1_700_000_000


def port(private, public=0, ip="", kind="tcp"):
    return {"PrivatePort": private, "Type": kind} | ({"IP": ip, "PublicPort": public} if ip else {})


@pytest.mark.parametrize(
    ("listed", "text"),
    [
        ([], ""),
        ([port(80)], "80/tcp"),
        ([port(80), port(81), port(82)], "80-82/tcp"),
        ([port(80), port(82)], "80/tcp, 82/tcp"),
        ([port(80, 80, "0.0.0.0"), port(80, 80, "::")], "0.0.0.0:80->80/tcp, [::]:80->80/tcp"),
        ([port(81, 81, "0.0.0.0"), port(80, 80, "0.0.0.0")], "0.0.0.0:80-81->80-81/tcp"),
        ([port(80, 8080, "127.0.0.1"), port(53, kind="udp")], "53/udp, 127.0.0.1:8080->80/tcp"),
        ([port(80, 8080, "::1")], "[::1]:8080->80/tcp"),
    ],
)
def test_ports(listed, text):
    assert ports(listed) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "Less than a second"),
        (0.4, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (119, "About a minute"),
        (120, "2 minutes"),
        (3599, "59 minutes"),
        (3600, "About an hour"),
        (3600 * 1.6, "2 hours"),
        (3600 * 47, "47 hours"),
        (3600 * 48, "2 days"),
        (3600 * 24 * 14, "2 weeks"),
        (3600 * 24 * 60, "2 months"),
        (3600 * 24 * 365 * 2, "2 years"),
    ],
)
def test_durations(seconds, text):
    assert durations.human(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0B"), (999, "999B"), (1000, "1kB"), (4_264_576, "4.26MB"), (999_900, "1e+03kB"), (1.5e12, "1.5TB"), (10**25, "10YB")],
)
def test_sizes(size, text):
    assert sizes.human(size) == text


def test_binary_sizes():
    assert sizes.binary(25_276_502_016) == "23.54GiB"


def test_clock():
    assert clock.go(0, UTC) == "1970-01-01 00:00:00 +0000 UTC"
    assert clock.go(NOW, ZoneInfo("Europe/Berlin")) == "2023-11-14 23:13:20 +0100 CET"
    assert clock.go(NOW, timezone(timedelta(hours=-3, minutes=-30))) == "2023-11-14 18:43:20 -0330 -0330"
    assert clock.rfc3339(NOW, timezone(timedelta(hours=2))) == "2023-11-15T00:13:20+02:00"
    assert Time("2026-11-20T19:05:27.680845900Z").go() == "2026-11-20 19:05:27.6808459 +0000 UTC"


def test_align_works_by_blocks():
    assert align("a\tb\tc\nlonger than ten\tb\tc\n") == "a                 b         c\nlonger than ten   b         c\n"
    # a line without tabs ends the block above it
    assert align("longer than ten\tb\nx\na\tb") == "longer than ten   b\nx\na         b"
    assert align("\t\tx\n") == " " * 20 + "x\n"
    assert align("é\tb", least=0) == "é   b"


IMAGE = {"Id": "sha256:" + "ab" * 32, "Created": NOW - 120, "Size": 5_000_000, "Containers": -1, "SharedSize": -1}


def images(**members):
    return listing.render("images", [IMAGE | members], now=NOW, tz=UTC, format="{{.Repository}}|{{.Tag}}|{{.ID}}|{{.Digest}}")


def test_images_have_a_row_for_every_name():
    digest = "sha256:" + "cd" * 32
    assert images(RepoTags=[], RepoDigests=[]) == "<none>|<none>|abababababab|<none>\n"
    assert images(RepoTags=["a:1", "localhost:5000/b:2"]) == ("a|1|abababababab|<none>\nlocalhost:5000/b|2|abababababab|<none>\n")
    assert images(RepoTags=[], RepoDigests=[f"a@{digest}"]) == "a|<none>|abababababab|<none>\n"
    text = listing.render(
        "images",
        [IMAGE | {"RepoTags": ["a:1"], "RepoDigests": [f"a@{digest}"]}],
        now=NOW,
        tz=UTC,
        digests=True,
        format="{{.Tag}} {{.Digest}}",
    )
    assert text == f"1 {digest}\n"


CONTAINER = {"Id": "f" * 64, "Names": ["/x"], "Image": "i", "ImageID": "", "Command": "c", "Created": NOW, "Labels": None}


def test_containers_shorten_what_is_long():
    row = CONTAINER | {
        "Image": "docker.io/library/busybox:1@sha256:" + "a" * 64,
        "Command": "sh -c 'a long \"command\" line'",
        "Names": ["/other/alias", "/x"],
        "Mounts": [{"Type": "bind", "Source": "/a/very/long/path/indeed"}, {"Type": "volume", "Name": "v", "Driver": "local"}],
        "NetworkSettings": {"Networks": {"b": {}, "a": {}}},
        "Labels": {"z": "1", "a": "2"},
    }
    layout = "{{.Image}} {{.Command}} {{.Names}} {{.Mounts}} {{.LocalVolumes}} {{.Networks}} {{.Labels}} {{.Label `z`}}"
    assert listing.render("containers", [row], now=NOW, tz=UTC, format=layout) == (
        'busybox:1 "sh -c \'a long \\"comm…" x /a/very/long/p…,v 1 a,b a=2,z=1 1\n'
    )
    whole = listing.render("containers", [row], now=NOW, tz=UTC, format="{{.Names}} {{.Mounts}}", no_trunc=True)
    assert whole == "other/alias,x /a/very/long/path/indeed,v\n"


def test_networks_are_sorted_as_people_count():
    rows = [{"Id": "a" * 64, "Name": name, "Driver": "bridge", "Scope": "local"} for name in ("net10", "net2", "bridge")]
    assert listing.render("networks", rows, now=NOW, tz=UTC, format="{{.Name}}") == "bridge\nnet2\nnet10\n"


def test_plugins():
    rows = [
        {
            "Name": "storage",
            "Distribution": "tare-engine",
            "Version": "0.1.0",
            "State": "ok",
            "Reason": "",
            "Drivers": [
                {"Kind": "storage", "Name": "overlay2", "State": "ok", "Reason": "fine", "Summary": ""},
                {"Kind": "storage", "Name": "zfs", "State": "skip", "Reason": "no zfs\nhere", "Summary": ""},
            ],
            "Hooks": ["a", "b"],
        },
        {
            "Name": "broken",
            "Distribution": "x",
            "Version": "1",
            "State": "failed",
            "Reason": "ImportError",
            "Drivers": [],
            "Hooks": [],
        },
    ]
    assert listing.render("plugins", rows, now=NOW, tz=UTC) == (
        "NAME      DISTRIBUTION   VERSION   STATE     DRIVERS                                REASON\n"
        "storage   tare-engine    0.1.0     ok        storage/overlay2, storage/zfs (skip)   zfs: no zfs here\n"
        "broken    x              1         failed                                           ImportError\n"
    )
    assert listing.render("plugins", rows, now=NOW, tz=UTC, quiet=True) == "storage\nbroken\n"


def test_port_and_diff():
    container = {
        "NetworkSettings": {
            "Ports": {
                "443/tcp": None,
                "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}],
            }
        }
    }
    assert listing.render("port", [container], now=NOW, tz=UTC) == "80/tcp -> 0.0.0.0:8080\n80/tcp -> [::]:8080\n"
    changes = [{"Path": "/a", "Kind": 0}, {"Path": "/b", "Kind": 1}, {"Path": "/c", "Kind": 2}]
    assert listing.render("diff", changes, now=NOW, tz=UTC) == "C /a\nA /b\nD /c\n"


def test_no_rows():
    assert listing.render("networks", [], now=NOW, tz=UTC) == "NETWORK ID   NAME      DRIVER    SCOPE\n"
    assert listing.render("networks", [], now=NOW, tz=UTC, quiet=True) == ""
