"""Fixtures: a Kubernetes, namespaces on it, a release of the chart. Hooks: the report."""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import subprocess
from typing import Any, Iterator

import pytest

from faults import Alone
from journal import Journal
from kubectl import Kubectl, Proxy
from release import Client, Release
from report import Report

HERE = pathlib.Path(__file__).resolve().parent
BINARY = "localhost/sparkpod/binary:test"
DEBIAN = "localhost/stand-in/debian:test"
IMAGES = (
    *(BINARY, "localhost/sparkpod/spark-thrift-server:test", "localhost/sparkpod/metastore:test"),
    *("localhost/stand-in/postgres:test", DEBIAN),
)
# All namespaces of a run begin with this.
PREFIX = os.environ.get("SPARKPOD_E2E_PREFIX") or "sparkpod-e2e"
# Set: the release stays, and the next run takes it as it is. For who writes a test.
KEEP = bool(os.environ.get("SPARKPOD_E2E_KEEP"))

REPORT = Report(PREFIX, HERE.parent.parent / "build" / "e2e")


# --- the report -----------------------------------------------------------------------------------


def scenario(item: Any) -> int:
    """The number in a module's name: test_3_rolling_update is scenario 3."""
    found = re.match(r"test_(\d+)_", item.path.name)
    return int(found.group(1)) if found else 0


def pytest_configure(config: pytest.Config) -> None:
    """Name the markers of this folder."""
    config.addinivalue_line("markers", "before(n): is run just before scenario n, not with its own")


def place(item: Any) -> float:
    """Where in the order an item is run."""
    before = item.get_closest_marker("before")
    return float(before.args[0]) - 0.5 if before else scenario(item)


def pytest_collection_modifyitems(items: list[Any]) -> None:
    """Run the scenarios in the order of their numbers."""
    items.sort(key=place)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: Any, call: Any) -> Iterator[None]:
    """Tell the report of each setup, call and teardown."""
    result = yield
    REPORT.add(scenario(item), item, call, result.get_result())  # type: ignore[attr-defined]


def pytest_sessionfinish() -> None:
    """Write the report."""
    REPORT.write()


# --- fixtures -------------------------------------------------------------------------------------


def cluster(*args: str) -> str:
    """Run tests/e2e/cluster."""
    program = [str(HERE / "cluster"), *args]
    return subprocess.run(program, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def is_own() -> bool:
    """Whether the cluster is that of tests/e2e/cluster, on this machine."""
    return os.environ.get("KUBECONFIG", "") in ("", cluster("kubeconfig"))


@contextlib.contextmanager
def connected() -> Iterator[Kubectl]:
    """kubectl on a cluster that runs and has the images."""
    environment = dict(os.environ)
    if is_own():
        cluster("up")
        cluster("load-image", *IMAGES)
        shell = f'eval "$({HERE}/cluster env)" && env -0'
        lines = subprocess.run(["bash", "-c", shell], stdout=subprocess.PIPE, text=True, check=True)
        environment = dict(line.split("=", 1) for line in lines.stdout.split("\0") if line)
    proxy = Proxy(environment)
    try:
        yield Kubectl(environment, proxy)
    finally:
        proxy.close()


@pytest.fixture(scope="session", name="kubectl")
def _kubectl() -> Iterator[Kubectl]:
    """The same, with the report watching."""
    with connected() as kubectl:
        REPORT.watch(kubectl.proxy)
        yield kubectl
        REPORT.stop()  # before the proxy


def restrict(kubectl: Kubectl, name: str) -> Kubectl:
    """Make a namespace anew, whose pods have to pass Pod Security `restricted`."""
    name = f"{PREFIX}-{name}"[:50].rstrip("-")
    labels = {f"pod-security.kubernetes.io/{each}": "restricted" for each in ("enforce", "warn")}
    metadata = {"name": name, "labels": labels}
    kubectl.run("delete", "namespace", name, "--ignore-not-found", timeout=180)
    kubectl.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    return kubectl.of(name)


@contextlib.contextmanager
def own(kubectl: Kubectl, name: str) -> Iterator[Kubectl]:
    """Such a namespace, removed in the end."""
    there = kubectl.run("get", "namespace", f"{PREFIX}-{name}", check=False).returncode == 0
    yield kubectl.of(f"{PREFIX}-{name}") if KEEP and there else restrict(kubectl, name)
    if not KEEP:
        kubectl.run("delete", "namespace", f"{PREFIX}-{name}", "--wait=false")


@pytest.fixture(name="restricted")
def _restricted(kubectl: Kubectl, request: pytest.FixtureRequest) -> Iterator[Kubectl]:
    """kubectl in a namespace of the test's own."""
    namespaced = restrict(kubectl, request.node.name.replace("_", "-"))
    yield namespaced
    kubectl.run("delete", "namespace", namespaced.namespace, "--wait=false")


def helm_path() -> str:
    """The path of helm."""
    tool = [str(HERE.parent.parent / "deps" / "tool"), "helm"]
    return subprocess.run(tool, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


@pytest.fixture(scope="session", name="helm")
def _helm() -> str:
    """The same."""
    return helm_path()


@pytest.fixture(scope="session", name="release")
def _release(kubectl: Kubectl, helm: str) -> Iterator[Release]:
    """The chart with its user's own values, everything at once. Who breaks it puts it back."""
    with own(kubectl, "release") as namespaced:
        release = Release(namespaced, helm)
        release.prepare()
        release.upgrade()
        seconds = release.wait_ready("postgresql", "hive-metastore", "thrift-server", seconds=300)
        print(f"installed on an empty namespace: ready {seconds:.1f} s after helm")
        yield release


@pytest.fixture(scope="session", name="client")
def _client(release: Release) -> Client:
    """A pod beside the release that asks as its users do."""
    return Client(release.kubectl)


@pytest.fixture(scope="session", name="journal", autouse=True)
def _journal(kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journal]:
    """All logs of the run, and how each container ended."""
    journal = Journal(kubectl.proxy, PREFIX, tmp_path_factory.mktemp("journal"))
    yield journal
    journal.close()


@pytest.fixture(scope="session", name="quiet")
def _quiet(kubectl: Kubectl, helm: str) -> Iterator[Release]:
    """A second release, which nobody uses."""
    with own(kubectl, "quiet") as namespaced:
        quiet = Release(namespaced, helm, "quiet")
        quiet.prepare()
        quiet.upgrade(values=["spark.executor.instances=1"])
        yield quiet


@pytest.fixture(scope="session", name="alone")
def _alone(kubectl: Kubectl, helm: str, release: Release) -> Iterator[Alone]:
    """A Thrift Server on the release's metastore, not yet installed."""
    with own(kubectl, "alone") as namespaced:
        yield Alone(namespaced, helm, release)
