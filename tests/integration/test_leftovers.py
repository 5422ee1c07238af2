"""What a dead driver left in Kubernetes is deleted, and nothing else. A stand-in is the API server;
what it holds is labelled and owned as Spark's ExecutorPodsAllocator, MountVolumesFeatureStep and
KubernetesClusterSchedulerBackend do it. A script is Spark."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import signal
import time
from typing import Any, Callable, Iterator, Optional

import pytest
import rig
from kubernetes_stand_in import (
    IN_POD,
    SERVICE_ACCOUNT,
    KubernetesStandIn,
    Metadata,
    claim,
    config_map,
    executor,
    metadata,
)
from stand_in import Answer, Authority, Request

TOKEN = "eyJh.the-token-of-the-service-account.sig"
UID, OTHER_UID = "0b1c2d3e-1111-4222-8333-444455556666", "ffffffff-1111-4222-8333-444455556666"

DELETED = "deleted what a dead driver of this pod left: "
NOT_ALL = "what a dead driver of this pod left may be there still"


def full() -> dict[str, list[Metadata]]:
    """A namespace with two dead drivers' leftovers, another driver's objects, and the user's."""
    driver = metadata("driver", {"spark-role": "driver", "sparkpod-driver-uid": UID})
    not_ours = metadata("app-1", {"app": "web", "sparkpod-driver-uid": UID}, OTHER_UID)
    users = metadata("site", {"app": "web"}, UID)
    return {
        "pods": [
            *(executor("old-1", UID), executor("old-2", UID), executor("older-1", UID, "spark-0")),
            *(executor("gone-1", UID, ending=True), executor("other-1", OTHER_UID), driver),
            not_ours,
        ],
        "configmaps": [
            *(config_map("old", UID), config_map("older", UID, "spark-0")),
            *(config_map("other", OTHER_UID), users),
        ],
        "persistentvolumeclaims": [
            *(claim("old", UID), claim("other", OTHER_UID)),
            claim("executors", "the-uid-of-an-executor"),
            metadata("data", {"app": "web"}, UID),
        ],
    }


KEPT = {
    "pods": {"other-1", "driver", "app-1"},
    "configmaps": {"other", "site"},
    "persistentvolumeclaims": {"other", "executors", "data"},
}


@pytest.fixture(name="authority", scope="module")
def fixture_authority() -> Iterator[Authority]:
    folder = rig.work_folder("sparkpod-authority-")
    yield Authority(folder)
    shutil.rmtree(folder, ignore_errors=True)


Start = Callable[..., rig.Sparkpod]


@pytest.fixture(name="start")
def fixture_start(work: pathlib.Path, authority: Authority) -> Iterator[Start]:
    """Start a role in a pod whose API server is server, with lines of spark-defaults.conf."""
    started: list[rig.Sparkpod] = []

    def run(
        server: Optional[KubernetesStandIn],
        *,
        defaults: str = "",
        role: str = "thrift-server",
        spark: str = "exec sleep 1000",
        without: str = "",
        **env: str,
    ) -> rig.Sparkpod:
        folder = work / f"pod-{len(started)}"
        account, script = folder / "account", folder / "sbin" / "start-thriftserver.sh"
        for path in (account, script.parent, folder / "conf"):
            path.mkdir(parents=True)
        (account / "token").write_text(TOKEN)
        (account / "namespace").write_text("spark")
        shutil.copy(authority.certificate, account / "ca.crt")
        if without:
            (account / without).unlink()
        script.write_text(f"#!/bin/sh\n{spark}\n")
        script.chmod(0o755)
        (folder / "conf" / "spark-defaults.conf").write_text(defaults)
        values = {
            **{"SPARK_HOME": str(folder), "HOSTNAME": "driver", "POD_UID": UID},
            **{"ACCOUNT": str(account), "FOLDER": SERVICE_ACCOUNT},
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(server.port if server else rig.free_port()),
            "SPARKPOD_SPARK_EXECUTOR_IMAGE": "example/spark:3.5.6",
            "SPARKPOD_SHUTDOWN_ENDPOINT_DELAY": "0",
            **env,
        }
        prefix = [*rig.mount_namespace(), "sh", "-ec", IN_POD, "sh"]
        pod = rig.Sparkpod(
            role, folder=folder, env={k: v for k, v in values.items() if v}, prefix=prefix
        )
        started.append(pod)
        return pod

    yield run
    for pod in started:
        pod.kill()


def wait_started(pod: rig.Sparkpod) -> int:
    """Wait until the service runs, and return its pid."""
    pattern = r"thrift-server started, pid (\d+)"
    return int(pod.wait_until(lambda: re.search(pattern, pod.stderr), what="the start").group(1))


def lines(pod: rig.Sparkpod) -> list[str]:
    """Return what it said of leftovers, without time and level."""
    found = [line.partition(" leftovers: ") for line in pod.stderr.splitlines()]
    return [text for _, module, text in found if module]


def expect_kept(server: KubernetesStandIn) -> None:
    """What is not this pod's is there, and no more."""
    assert {kind: server.names(kind) for kind in KEPT} == KEPT


def test_what_an_older_start_left_is_gone_before_the_service_runs(
    start: Start, authority: Authority
) -> None:
    with KubernetesStandIn(authority, token=TOKEN, store=full()) as server:
        pod = start(server)
        wait_started(pod)
        expect_kept(server)
        assert lines(pod) == [DELETED + "3 pods, 2 ConfigMaps, 1 PersistentVolumeClaim"]
        deleted = [r for r in server.requests if r.method == "DELETE"]
        assert [r.path.partition("?")[0].partition("/spark/")[2] for r in deleted] == [
            *("pods", "configmaps/old", "configmaps/older", "persistentvolumeclaims/old")
        ]
        assert json.loads(deleted[0].body)["gracePeriodSeconds"] == 1
        for request in server.requests:
            assert TOKEN not in request.path + request.body
        assert TOKEN not in pod.stderr
        assert pod.stop() == 0


def test_a_first_start_deletes_nothing_and_says_nothing(start: Start, authority: Authority) -> None:
    store = {kind: [i for i in items if i["name"] in KEPT[kind]] for kind, items in full().items()}
    with KubernetesStandIn(authority, token=TOKEN, store=store) as server:
        pod = start(server)
        wait_started(pod)
        assert {r.method for r in server.requests} == {"GET"}
        expect_kept(server)
        assert not lines(pod)


def test_it_does_not_wait_for_what_the_service_waits_for(
    start: Start, authority: Authority
) -> None:
    nobody = f"spark.hadoop.hive.metastore.uris thrift://127.0.0.1:{rig.free_port()}\n"
    with KubernetesStandIn(authority, token=TOKEN, store=full()) as server:
        pod = start(server, defaults=nobody)
        pod.wait_until(lambda: lines(pod))
        expect_kept(server)
        assert pod.running() and "started, pid" not in pod.stderr
        assert pod.stop() == 0


@pytest.mark.parametrize(
    ("where", "change"),
    [
        ("without POD_UID", {"POD_UID": ""}),
        ("outside Kubernetes", {"KUBERNETES_SERVICE_HOST": ""}),
        ("no executor pods", {"defaults": "spark.master local[2]\n"}),
    ],
)
def test_nothing_happens(
    where: str, change: dict[str, str], start: Start, authority: Authority
) -> None:
    with KubernetesStandIn(authority, token=TOKEN, store=full()) as server:
        pod = start(server, **change)
        os.kill(wait_started(pod), signal.SIGKILL)
        assert pod.wait() == 137
        assert not server.requests and not lines(pod), where


def test_a_metastore_looks_for_none(
    start: Start, authority: Authority, work: pathlib.Path
) -> None:
    env = {"METASTORE_HOME": str(work), "SPARKPOD_METASTORE_ALLOW_DERBY": "true"}
    (work / "conf").mkdir()
    with KubernetesStandIn(authority, token=TOKEN, store=full()) as server:
        pod = start(server, role="metastore", **env)
        pod.wait()
        assert not server.requests and not lines(pod)


@pytest.mark.parametrize(
    ("key", "unasked"),
    [
        ("spark.kubernetes.executor.disableConfigMap true", "configmaps"),
        ("spark.kubernetes.driver.ownPersistentVolumeClaim false", "persistentvolumeclaims"),
    ],
)
def test_what_spark_is_told_not_to_make_is_not_looked_for(
    key: str, unasked: str, start: Start, authority: Authority
) -> None:
    with KubernetesStandIn(authority, token=TOKEN, store=full()) as server:
        wait_started(start(server, defaults=key + "\n"))
        assert server.names("pods") == KEPT["pods"]
        assert not [r.path for r in server.requests if unasked in r.path]


# --- an API server that is not as it should be ----------------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ({}, "connection refused"),
        ({"delay": 30}, "timed out after "),
        ({"failing": [500] * 100}, "the API server answered 500"),
        ({"failing": [410] * 100}, "the API server answered 410"),
        ({"padding": 5 << 20}, "the API server answered 200 with more than 4 MiB"),
    ],
    ids=["down", "slow", "500", "410", "long"],
)
def test_an_api_server_that_does_not_answer_holds_no_start_up(
    behaviour: dict[str, Any], reason: str, start: Start, authority: Authority
) -> None:
    with KubernetesStandIn(authority, token=TOKEN, store=full(), **behaviour) as server:
        if not behaviour:
            server.stop()
        pod = start(server, SPARKPOD_HEALTH_TIMEOUT="1s")
        wait_started(pod)
        (line,) = lines(pod)
        assert line.startswith(NOT_ALL) and reason in line
        assert " warn " in pod.stderr
        assert pod.stop() == 0


@pytest.mark.parametrize(
    ("resource", "verb"),
    [
        *(("pods", "list"), ("pods", "deletecollection"), ("configmaps", "delete")),
        *(("configmaps", "list"), ("persistentvolumeclaims", "list")),
    ],
)
def test_a_verb_that_the_role_lacks_is_named_and_the_rest_goes_on(
    resource: str, verb: str, start: Start, authority: Authority
) -> None:
    denied = {resource: {verb}}
    with KubernetesStandIn(authority, token=TOKEN, store=full(), denied=denied) as server:
        pod = start(server)
        wait_started(pod)
        (line,) = lines(pod)
        assert line.startswith(NOT_ALL)
        assert line.endswith(f": the service account may not {verb} {resource} in namespace spark")
        for kind in KEPT:
            assert (server.names(kind) == KEPT[kind]) == (kind != resource)


@pytest.mark.parametrize("name", ["..", "../pods/driver", "a?b", "a%2fb", "A", ".a", "a\r\nb"])
def test_a_name_that_would_be_another_request_is_refused(
    name: str, start: Start, authority: Authority
) -> None:
    store = {**full(), "configmaps": [config_map(name, UID)]}
    with KubernetesStandIn(authority, token=TOKEN, store=store) as server:
        pod = start(server)
        wait_started(pod)
        (line,) = lines(pod)
        assert "is no name that Kubernetes takes" in line
        deleted = [r.path.partition("?")[0] for r in server.requests if r.method == "DELETE"]
        assert [path.rpartition("/")[2] for path in deleted] == ["pods", "old"]


def test_an_object_that_was_made_anew_meanwhile_is_kept(
    start: Start, authority: Authority
) -> None:
    class Changing(KubernetesStandIn):
        """Has another ConfigMap of that name by the time it is to be deleted."""

        def answer(self, request: Request) -> Answer:
            if request.method == "DELETE" and "/configmaps/" in request.path:
                self.put("configmaps", {**config_map("old", OTHER_UID), "uid": "another"})
            return super().answer(request)

    with Changing(authority, token=TOKEN, store=full()) as server:
        pod = start(server)
        wait_started(pod)
        assert "old" in server.names("configmaps")
        assert lines(pod) == [DELETED + "3 pods, 1 ConfigMap, 1 PersistentVolumeClaim"]


def test_a_token_that_is_refused_is_told_once(start: Start, authority: Authority) -> None:
    with KubernetesStandIn(authority, token="another", store=full()) as server:
        pod = start(server)
        wait_started(pod)
        (line,) = lines(pod)
        assert line.count("does not accept the service account's token") == 1


def test_without_a_service_account_the_start_goes_on(start: Start) -> None:
    pod = start(None, without="token")
    wait_started(pod)
    (line,) = lines(pod)
    assert f"cannot read token in {SERVICE_ACCOUNT}" in line


def test_what_fails_for_a_moment_is_tried_again(start: Start, authority: Authority) -> None:
    with KubernetesStandIn(authority, token=TOKEN, store=full(), failing=[500, 429, 503]) as server:
        pod = start(server)
        wait_started(pod)
        expect_kept(server)
        assert lines(pod) == [DELETED + "3 pods, 2 ConfigMaps, 1 PersistentVolumeClaim"]


def test_a_list_that_expires_between_two_pages_is_begun_anew(
    start: Start, authority: Authority
) -> None:
    store = {"pods": [executor(f"old-{n}", UID) for n in range(600)]}
    store["configmaps"] = [config_map(f"old-{n}", UID) for n in range(300)]
    with KubernetesStandIn(authority, token=TOKEN, store=store, expired=2) as server:
        pod = start(server, SPARKPOD_HEALTH_TIMEOUT="60s")
        wait_started(pod)
        assert not server.names("pods") and not server.names("configmaps")
        assert lines(pod) == [
            DELETED + "at least 250 pods, 300 ConfigMaps, 0 PersistentVolumeClaims"
        ]


def test_ten_thousand_pods_are_deleted_before_they_are_counted(
    start: Start, authority: Authority
) -> None:
    """The memory is that of a page; both are printed."""
    store = {"pods": [executor(f"old-{n}", UID) for n in range(10_000)]}
    store["pods"] += [executor(f"other-{n}", OTHER_UID) for n in range(1_000)]
    with KubernetesStandIn(authority, token=TOKEN, store=store) as server:
        begun, peak = time.monotonic(), 0
        pod = start(server, SPARKPOD_HEALTH_TIMEOUT="60s")
        while "started, pid" not in pod.stderr:
            peak = max([peak, *(peak_kib(pid) for pid in pod.tree())])
        print(f"10,000 pods: {time.monotonic() - begun:.1f} s, at most {peak} KiB resident")
        assert len(server.names("pods")) == 1_000
        assert lines(pod) == [
            DELETED + "at least 250 pods, 0 ConfigMaps, 0 PersistentVolumeClaims"
        ]
        assert [r.method for r in server.requests if "/pods?" in r.path] == ["GET", "DELETE"]


def test_pages_of_what_is_being_deleted_are_passed_over(
    start: Start, authority: Authority
) -> None:
    """The only leftover is behind them."""
    store = {"pods": [executor(f"gone-{n}", UID, ending=True) for n in range(600)]}
    store["pods"].append(executor("old", UID))
    with KubernetesStandIn(authority, token=TOKEN, store=store) as server:
        pod = start(server, SPARKPOD_HEALTH_TIMEOUT="60s")
        wait_started(pod)
        assert not server.names("pods")
        assert lines(pod) == [DELETED + "1 pod, 0 ConfigMaps, 0 PersistentVolumeClaims"]


def peak_kib(pid: int) -> int:
    """Return the largest resident set a process has had."""
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found.group(1)) if found else 0


# --- when the driver dies -------------------------------------------------------------------------


def make_executors(server: KubernetesStandIn) -> None:
    """What a driver makes."""
    server.put("pods", executor("new-1", UID, "spark-2"))
    server.put("configmaps", config_map("new", UID, "spark-2"))


def test_a_driver_that_is_killed_leaves_nothing(start: Start, authority: Authority) -> None:
    with KubernetesStandIn(authority, token=TOKEN, store=full()) as server:
        pod = start(server)
        service = wait_started(pod)
        make_executors(server)
        os.kill(service, signal.SIGKILL)
        assert pod.wait() == 137
        expect_kept(server)
        assert lines(pod)[1:] == [DELETED + "1 pod, 1 ConfigMap, 0 PersistentVolumeClaims"]
        assert pod.tree() == []


def test_a_driver_that_gives_up_keeps_its_status(start: Start, authority: Authority) -> None:
    with KubernetesStandIn(authority, token=TOKEN, store=full(), failing=[500] * 100) as server:
        pod = start(server, spark="exit 11", SPARKPOD_HEALTH_TIMEOUT="500ms")
        assert pod.wait() == 11
        assert [line.startswith(NOT_ALL) for line in lines(pod)] == [True, True]


def test_a_driver_that_stops_as_asked_has_cleaned_up_itself(
    start: Start, authority: Authority
) -> None:
    with KubernetesStandIn(authority, token=TOKEN, store=full()) as server:
        pod = start(server)
        wait_started(pod)
        make_executors(server)
        before = len(server.requests)
        assert pod.stop() == 0
        assert len(server.requests) == before


def test_a_driver_that_had_to_be_killed_has_not(start: Start, authority: Authority) -> None:
    stubborn = "trap '' TERM; while :; do sleep 1; done"
    with KubernetesStandIn(authority, token=TOKEN, store=full()) as server:
        pod = start(server, spark=stubborn, SPARKPOD_SHUTDOWN_GRACE="200ms")
        wait_started(pod)
        make_executors(server)
        pod.term()
        assert pod.wait() == 137
        expect_kept(server)


@pytest.mark.parametrize("when", ["at the start", "when the driver is dead"])
def test_a_stop_does_not_wait_for_it(when: str, start: Start, authority: Authority) -> None:
    with KubernetesStandIn(authority, token=TOKEN, delay=20) as server:
        if when == "at the start":
            pod = start(server, SPARKPOD_HEALTH_TIMEOUT="40s")
            status, requests = 0, 1
        else:
            pod = start(server, SPARKPOD_HEALTH_TIMEOUT="1s", SPARKPOD_HEALTH_PORT="0")
            os.kill(wait_started(pod), signal.SIGKILL)
            status, requests = 137, 2
        pod.wait_until(lambda: len(server.requests) == requests, what="a request is under way")
        stopped = time.monotonic()
        pod.term()
        assert pod.wait(10) == status
        print(f"{when}: {1000 * (time.monotonic() - stopped):.0f} ms after SIGTERM")
        assert "did not end with the service" not in pod.stderr
        assert pod.tree() == []
