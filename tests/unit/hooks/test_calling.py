"""before adjusts or vetoes, after watches; a plugin that raises or hangs harms nobody but itself."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tare.errors import Denied, Internal
from tare.hooks import hookimpl
from tare.hooks.discovery import Found, _implementations
from tare.hooks.plugins import Plugins
from tare.hooks.status import PluginStatus
from tare.model.container import ContainerConfig
from tare.model.network import Endpoint, Network

CREATE = "tare_before_container_create"
START = "tare_before_container_start"
CONFIG = ContainerConfig("busybox", env=("A=1",), labels={"a": "b"})


@contextmanager
def plugins(*, deadline: float = 10.0, **named: dict[str, Callable[..., Any]]) -> Iterator[Plugins]:
    """Plugins by name, each with its functions by hook, as discovery leaves them."""
    found = []
    for name, functions in sorted(named.items()):
        plugin = type("Plugin", (), {hook: staticmethod(hookimpl(function)) for hook, function in functions.items()})
        found.append(Found(PluginStatus(name, name, "1", name, "ok"), hooks=_implementations(name, plugin)))
    made = Plugins(found, deadline)
    yield made
    made.close(0.0)


def ask(made: Plugins, hook: str, **values: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    return asyncio.run(asyncio.wait_for(made.before(hook, **values), 30))


def test_nobody_listens() -> None:
    with plugins() as made:
        assert ask(made, CREATE, name="n", config=CONFIG) == ({}, ())
        made.after("tare_after_daemon_stop")


def test_each_sees_what_those_before_it_changed_and_is_remembered() -> None:
    def second(config: ContainerConfig) -> dict[str, Any]:
        return {"env": (*config.env, "B=2"), "hostname": f"{config.user}-host"}

    with plugins(b={CREATE: second}, a={CREATE: lambda: {"user": "joe", "env": ["A=2"]}}, c={CREATE: lambda: None}) as made:
        changes, who = ask(made, CREATE, name="n", config=CONFIG)
    assert changes == {"user": "joe", "env": ("A=2", "B=2"), "hostname": "joe-host"}
    assert who == ("a: env, user", "b: env, hostname")


def test_members_of_the_spec_are_replaced() -> None:
    spec = {"process": {"args": ["true"]}, "hostname": "h"}
    with plugins(a={START: lambda spec: {"hostname": "x", "annotations": {"seen": spec["hostname"]}}}) as made:
        changes, _ = ask(made, START, id="i", name="n", spec=spec)
    assert changes == {"hostname": "x", "annotations": {"seen": "h"}}


def test_a_plugin_cannot_change_what_it_is_shown() -> None:
    spec = {"process": {"args": ["true"]}}

    def meddle(spec: dict[str, Any]) -> None:
        spec["process"]["args"].append("gotcha")

    def relabel(config: ContainerConfig) -> None:
        config.labels["gotcha"] = "1"  # type: ignore[index]

    with plugins(a={START: meddle, CREATE: relabel}) as made:
        ask(made, START, id="i", name="n", spec=spec)
        ask(made, CREATE, name="n", config=CONFIG)
    assert spec == {"process": {"args": ["true"]}}
    assert CONFIG.labels == {"a": "b"}


def test_a_veto_keeps_its_kind_and_names_the_plugin() -> None:
    asked = []

    def veto() -> None:
        raise Denied("not on a sunday", subject="n", hint="wait a day")

    with plugins(keeper={CREATE: veto}, later={CREATE: lambda: asked.append(1)}) as made, pytest.raises(Denied) as caught:
        ask(made, CREATE, name="n", config=CONFIG)
    assert str(caught.value) == "plugin keeper: not on a sunday (wait a day)"
    assert asked == []


def boom() -> None:
    raise RuntimeError("boom")


def leave() -> None:
    raise SystemExit(3)


def stop() -> None:
    raise StopIteration


def cancel() -> None:
    raise asyncio.CancelledError


class Mute(Exception):
    def __str__(self) -> str:
        raise ValueError


def say_nothing() -> None:
    raise Mute


class Empty(dict[str, Any]):
    def __iter__(self) -> Iterator[str]:
        raise OSError("nothing here")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (say_nothing, "tare_before_container_create: Mute"),
        (Empty, "tare_before_container_create: OSError: nothing here"),
        (boom, "tare_before_container_create: RuntimeError: boom"),
        (leave, "tare_before_container_create: SystemExit: 3"),
        (stop, "tare_before_container_create: StopIteration: "),
        (cancel, "tare_before_container_create: CancelledError: "),
        (lambda: 3, "tare_before_container_create must return None or a dict, not int"),
        (lambda: {"colour": "red", "image": "x"}, "tare_before_container_create may not change colour of config"),
        (lambda: {"tty": "yes"}, "tare_before_container_create must return tty as bool, not str"),
        (lambda: {"shm_size": True}, "tare_before_container_create must return shm_size as int, not bool"),
    ],
)
def test_anything_else_is_a_defect_of_the_plugin(answer: Callable[..., Any], expected: str) -> None:
    with plugins(bad={CREATE: answer}) as made, pytest.raises(Internal) as caught:
        ask(made, CREATE, name="n", config=CONFIG)
    assert str(caught.value) == f"plugin bad: {expected}"


def test_a_hook_that_may_change_nothing() -> None:
    with plugins(bad={"tare_before_container_remove": lambda: {"force": True}}) as made, pytest.raises(Internal) as caught:
        ask(made, "tare_before_container_remove", id="i", name="n", force=False)
    assert "may change nothing and must return None" in str(caught.value)


def test_only_some_of_an_endpoint_may_change() -> None:
    endpoint = Endpoint("e", "c", "n", Network("id", "bridge", "bridge", ""))
    values = {"network": endpoint.network, "endpoint": endpoint}
    with plugins(a={"tare_before_network_attach": lambda: {"address": "10.0.0.9", "options": {"x": "y"}}}) as made:
        assert ask(made, "tare_before_network_attach", **values)[0] == {"address": "10.0.0.9", "options": {"x": "y"}}
    with (
        plugins(a={"tare_before_network_attach": lambda: {"container": "z"}}) as made,
        pytest.raises(Internal, match="container"),
    ):
        ask(made, "tare_before_network_attach", **values)


def test_one_that_hangs_is_given_up_and_heard_again_when_it_comes_back() -> None:
    release, asked = threading.Event(), []

    def hang() -> None:
        asked.append(1)
        release.wait()

    with plugins(deadline=0.2, slow={CREATE: hang}) as made:
        with pytest.raises(Internal, match=r"plugin slow: tare_before_container_create did not come back within 0\.2 s"):
            ask(made, CREATE, name="n", config=CONFIG)
        with pytest.raises(Internal, match="an earlier call has not come back"):
            ask(made, CREATE, name="n", config=CONFIG)
        assert asked == [1]
        release.set()
        made._asking["slow"].ask(lambda: None).result(10)
        assert ask(made, CREATE, name="n", config=CONFIG) == ({}, ())


def test_the_loop_goes_on_while_a_plugin_thinks() -> None:
    begun, release = threading.Event(), threading.Event()

    def think() -> None:
        begun.set()
        release.wait()

    async def scene() -> None:
        asking = asyncio.create_task(made.before(CREATE, name="n", config=CONFIG))
        while not begun.is_set():
            await asyncio.sleep(0)
        release.set()
        assert await asking == ({}, ())

    with plugins(a={CREATE: think}) as made:
        asyncio.run(asyncio.wait_for(scene(), 30))


def test_after_is_told_in_order_and_nobody_waits() -> None:
    release, told = threading.Event(), []

    def slow(id: str) -> None:
        release.wait()
        told.append(id)

    with plugins(a={"tare_after_container_start": slow}) as made:
        for id in "abc":
            made.after("tare_after_container_start", id=id, name="n", pid=1)
        assert told == []
        release.set()
        made.close()
        assert told == ["a", "b", "c"]


def test_one_that_raises_or_hangs_is_logged_and_the_rest_still_hear(caplog: pytest.LogCaptureFixture) -> None:
    release, told, late = threading.Event(), [], threading.Event()

    class Watch(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "did not come back" in record.getMessage():
                late.set()

    watch = Watch()
    logging.getLogger("tare.hooks.lane").addHandler(watch)
    hook = "tare_after_container_start"
    with plugins(
        deadline=0.2, a={hook: boom}, b={hook: leave}, c={hook: lambda: release.wait()}, d={hook: lambda id: told.append(id)}
    ) as made:
        made.after(hook, id="x", name="n", pid=1)
        made.after(hook, id="y", name="n", pid=1)
        assert late.wait(10)
        assert made._telling["d"].settle(10)
        assert told == ["x", "y"]
        release.set()
        made.close()
    logging.getLogger("tare.hooks.lane").removeHandler(watch)
    assert "plugin a: tare_after_container_start: RuntimeError: boom" in caplog.text
    assert "plugin b: tare_after_container_start: SystemExit: 3" in caplog.text
    assert caplog.text.count("plugin c: tare_after_container_start did not come back within 0.2 s") == 1


def test_one_that_does_not_keep_up_loses_news_and_memory_stays_bounded(caplog: pytest.LogCaptureFixture) -> None:
    begun, release, told = threading.Event(), threading.Event(), []

    def slow(id: str) -> None:
        begun.set()
        release.wait()
        told.append(id)

    with plugins(a={"tare_after_container_start": slow}) as made:
        made.after("tare_after_container_start", id="first", name="n", pid=1)
        assert begun.wait(10)
        for number in range(1500):
            made.after("tare_after_container_start", id=str(number), name="n", pid=1)
        release.set()
        made.close()
    assert told == ["first", *map(str, range(1000))]
    assert "plugin a does not keep up" in caplog.text
    assert "plugin a was not told 500 times" in caplog.text
