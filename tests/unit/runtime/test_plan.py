"""What the driver plans, and what it refuses to plan."""

from __future__ import annotations

import marshal
from typing import Any

import pytest

from tare.drivers.runtime import Bundle, RuntimeDriver, SupportsPause, SupportsTemplate
from tare.errors import TareError, Unsupported
from tare.linux.cgroups import Hierarchy
from tare.model.mount import Mount
from tare.model.process import ProcessRef
from tare.oci.spec import SpecRequest, build
from tare_runtime.ns import limits
from tare_runtime.ns.plan import Host, cgroup_path, container_plan, namespaces
from tests.unit.runtime.conftest import Stage

V1 = Host(
    (Hierarchy(1, "/cg/cpu,cpuacct", ("cpu", "cpuacct")), Hierarchy(1, "/cg/systemd", ("name=systemd",))),
    "/run/root",
    40,
    "/tare",
)
V2 = Host((Hierarchy(2, "/cg", ("cpu", "cpuset", "io", "memory", "pids")),), "/run/root", 40, "/tare")


def bundle(change: dict[str, Any] | None = None, joins: dict[str, ProcessRef] | None = None, **wish: Any) -> Bundle:
    spec = build(SpecRequest(id="c" * 64, args=("true",), **wish))
    for path, value in (change or {}).items():
        *parents, name = path.split(".")
        place = spec
        for parent in parents:
            place = place[parent]
        place[name] = value
    return Bundle("c" * 64, spec, (Mount("bind", "/", "/", ("rbind",)),), joins=joins or {})


def test_the_driver_satisfies_its_contracts(stage: Stage) -> None:
    driver: RuntimeDriver = stage.driver
    assert isinstance(driver, SupportsPause) and isinstance(driver, SupportsTemplate)
    assert driver.probe().state == "ok"
    assert dict(driver.status())["Cgroup Version"] in ("1", "2")
    driver.close()
    driver.close()


@pytest.mark.parametrize("host", [V1, V2])
def test_a_plan_is_plain_data(host: Host) -> None:
    plan, _ = container_plan(bundle(), host)
    assert marshal.loads(marshal.dumps(plan, 2)) == plan


def test_version_1_shows_every_tree_and_its_names() -> None:
    steps = container_plan(bundle(), V1)[0]["steps"]
    assert ("link", "/sys/fs/cgroup/cpu", "cpu,cpuacct") in steps
    assert steps.index(("close_off", "/sys/fs/cgroup")) > steps.index(("link", "/sys/fs/cgroup/cpuacct", "cpu,cpuacct"))
    private = container_plan(bundle(cgroupns_mode="private"), V1)[0]["steps"]
    assert [step[-1] for step in private if step[0] == "mount" and step[2] == "cgroup"] == ["cpu,cpuacct", "none,name=systemd"]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"linux.intelRdt": {"closID": "x"}}, "linux.intelRdt"),
        ({"hooks": {"prestart": [{"path": "/x"}]}}, "hooks"),
        ({"process.apparmorProfile": "x"}, "process.apparmorProfile"),
        ({"linux.resources.hugepageLimits": [{}]}, "hugepageLimits"),
        ({"linux.resources.memory": {"kernel": 1}}, "linux.resources.memory.kernel"),
        ({"linux.rootfsPropagation": "rshared"}, "rshared"),
        ({"linux.cgroupsPath": "system.slice:tare:x"}, "systemd's form"),
        ({"linux.seccomp": {"defaultAction": "SCMP_ACT_ALLOW"}}, "compiled seccomp filter"),
        ({"linux.namespaces": [{"type": "user"}]}, "user namespaces"),
        ({"linux.namespaces": []}, "mount namespace"),
        (
            {"mounts": [{"destination": "/x", "type": "bind", "source": "/y", "options": ["rbind", "rshared"]}]},
            "cannot be shared",
        ),
        ({"mounts": [{"destination": "/x", "type": "bind", "source": "/y", "options": ["idmap"]}]}, "idmap"),
    ],
)
def test_what_it_cannot_honour_is_named(change: dict[str, Any], text: str) -> None:
    with pytest.raises(Unsupported) as caught:
        container_plan(bundle(change), V1)
    assert text in caught.value.message


@pytest.mark.parametrize(
    "change",
    [
        {"process.env": ["NOVALUE"]},
        {"process.args": []},
        {"process.capabilities": {"bounding": ["CAP_NOPE"]}},
        {"linux.cgroupsPath": "/.."},
        {"linux.devices": [{"type": "x", "path": "/dev/x"}]},
    ],
)
def test_what_makes_no_sense_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(TareError) as caught:
        container_plan(bundle(change), V1)
    assert caught.value.kind == "invalid"


def test_namespaces_are_joined_where_the_bundle_says() -> None:
    ref = ProcessRef("d" * 64, 42, 7)
    spaces = namespaces(bundle(joins={"network": ref, "pid": ref}, network="container"))
    assert [(path, started) for path, _, _, started in spaces.joins] == [("/proc/42/ns/net", 7)]
    assert spaces.pid == "/proc/42/ns/pid"


def test_the_cgroup_cannot_climb_out() -> None:
    assert cgroup_path(bundle({"linux.cgroupsPath": "/../../x/../y"}), V1) == "/y"
    assert cgroup_path(bundle(), V1) == "/tare/" + "c" * 64


def test_limits_of_version_2() -> None:
    resources = {
        "memory": {"limit": 100, "swap": 150, "reservation": 50},
        "cpu": {"shares": 1024, "quota": 5000, "period": 10_000, "cpus": "0"},
        "pids": {"limit": -1},
        "blockIO": {"weight": 500},
    }
    assert dict(limits.version2(V2.trees[0], resources)) == {
        "memory.max": "100",
        "memory.swap.max": "50",
        "memory.low": "50",
        "cpu.weight": "39",
        "cpu.max": "5000 10000",
        "cpuset.cpus": "0",
        "pids.max": "max",
        "io.weight": "default 4950",
    }
    with pytest.raises(Unsupported, match="no controller for memory"):
        limits.version2(Hierarchy(2, "/cg", ("pids",)), resources)
