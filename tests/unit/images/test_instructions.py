"""``import --change``."""

from __future__ import annotations

from typing import Any

import pytest

from tare.errors import Invalid
from tare.images.instructions import apply_changes


@pytest.mark.parametrize(
    ("changes", "config"),
    [
        (['CMD ["a", "b"]'], {"Cmd": ["a", "b"]}),
        (["cmd echo hi"], {"Cmd": ["/bin/sh", "-c", "echo hi"]}),
        (['SHELL ["/bin/ash", "-c"]', "ENTRYPOINT run"], {"Shell": ["/bin/ash", "-c"], "Entrypoint": ["/bin/ash", "-c", "run"]}),
        (["ENV A=1 B='two words'", "ENV A=3", "ENV C four five"], {"Env": ["A=3", "B=two words", "C=four five"]}),
        (
            ["EXPOSE 80 443/tcp 53/udp", "EXPOSE 90-91"],
            {"ExposedPorts": {f"{p}": {} for p in ("80/tcp", "443/tcp", "53/udp", "90/tcp", "91/tcp")}},
        ),
        (['LABEL a=b "c d"=e'], {"Labels": {"a": "b", "c d": "e"}}),
        (["USER me:us", "STOPSIGNAL SIGINT"], {"User": "me:us", "StopSignal": "SIGINT"}),
        (["WORKDIR /a", "WORKDIR b/c"], {"WorkingDir": "/a/b/c"}),
        (['VOLUME ["/a"]', "VOLUME /b /c"], {"Volumes": {"/a": {}, "/b": {}, "/c": {}}}),
        (["ONBUILD RUN x"], {"OnBuild": ["RUN x"]}),
        (["HEALTHCHECK NONE"], {"Healthcheck": {"Test": ["NONE"]}}),
        (
            ["HEALTHCHECK --interval=1m30s --retries=2 CMD curl x"],
            {"Healthcheck": {"Interval": 90_000_000_000, "Retries": 2, "Test": ["CMD-SHELL", "curl x"]}},
        ),
        (["CMD a\nUSER b"], {"Cmd": ["/bin/sh", "-c", "a"], "User": "b"}),
    ],
)
def test_instructions(changes: list[str], config: dict[str, Any]) -> None:
    assert apply_changes({}, changes) == config


@pytest.mark.parametrize(
    "change",
    [
        "RUN x",
        "FROM y",
        "ENV",
        "ENV a",
        "ENV =b",
        "EXPOSE 0",
        "EXPOSE 70000",
        "EXPOSE a",
        "EXPOSE 9-8",
        "USER a b",
        "LABEL 'a",
        "ONBUILD FROM x",
        "SHELL sh",
        "HEALTHCHECK",
        "HEALTHCHECK --nope=1 CMD x",
        "HEALTHCHECK --interval=1 CMD x",
        "NONSENSE",
    ],
)
def test_what_is_wrong_is_refused(change: str) -> None:
    with pytest.raises(Invalid):
        apply_changes({}, [change])
