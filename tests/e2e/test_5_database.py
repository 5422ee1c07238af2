"""PostgreSQL dies, and stands still: who depends on it says so, and comes back untouched. Two
metastores on one empty database."""

from __future__ import annotations

import time
from typing import Iterator

import pytest

from conftest import is_own
from faults import condition, databases, frozen, identity, kill_pod, psql
from release import Client, Release, is_ready

SERVERS = ("hive-metastore", "thrift-server")
RUNS = 20


def all_unready(release: Release) -> bool:
    """Whether neither server is ready."""
    return not any(release.ready(each) for each in SERVERS)


def watch_unready(release: Release, begin: float) -> None:
    """Wait until both are unready, and print when each was and why."""
    seen: dict[str, float] = {}

    def gone() -> bool:
        for each in SERVERS:
            if each not in seen and not release.ready(each):
                seen[each] = time.monotonic() - begin
        return len(seen) == len(SERVERS)

    release.kubectl.until("both servers are unready", gone, 30)
    for each, seconds in seen.items():
        name = release.pod(each)["metadata"]["name"]
        probes = release.status(name)["probes"]
        print(f"{each}: unready after {seconds:.1f} s: {probes['ready']['reason']}")
        assert probes["live"]["ok"], "what a restart does not mend must not cause one"


@pytest.mark.usefixtures("quiet")  # begins to be so, for scenario 10
def test_postgresql_is_killed_and_away(release: Release, client: Client) -> None:
    """Its pod goes without being asked, and comes back half a minute later: both servers are unready
    meanwhile, neither is restarted, and both serve again without being touched."""
    before = identity(release, *SERVERS)
    begin = time.monotonic()
    kill_pod(release.kubectl, f"{release.name}-postgresql-0")
    release.scale("postgresql", 0)
    try:
        watch_unready(release, begin)
        while time.monotonic() < begin + 30:
            assert all_unready(release), "ready without a database"
            time.sleep(1)
    finally:
        release.scale("postgresql", 1)
    release.wait_ready("postgresql")
    back = release.wait_ready(*SERVERS)
    print(f"both ready {back:.1f} s after PostgreSQL")
    assert identity(release, *SERVERS) == before
    assert databases(client) == ["default"]


def test_postgresql_is_killed_and_comes_back_at_once(release: Release, client: Client) -> None:
    """As when its node's kubelet restarts it: connections break, and are made anew."""
    before = identity(release, *SERVERS)
    old = release.pod("postgresql")["metadata"]["uid"]
    kill_pod(release.kubectl, f"{release.name}-postgresql-0")
    release.kubectl.until(
        "another PostgreSQL pod is ready",
        lambda: any(
            is_ready(pod) and pod["metadata"]["uid"] != old for pod in release.pods("postgresql")
        ),
    )
    release.kubectl.until(
        "a query works", lambda: databases(client) == ["default"]
    )
    release.wait_ready(*SERVERS)
    assert identity(release, *SERVERS) == before


@pytest.mark.skipif(not is_own(), reason="stops processes of the node")
def test_postgresql_stands_still(release: Release, client: Client) -> None:
    """All its processes are stopped for half a minute: connections stay open and nothing answers."""
    before = identity(release, *SERVERS, "postgresql")
    begin = time.monotonic()
    with frozen(release.pod("postgresql")) as stopped:
        assert len(stopped) > 5, stopped
        watch_unready(release, begin)
        while time.monotonic() < begin + 30:
            assert all_unready(release)
            time.sleep(1)
    back = release.wait_ready(*SERVERS)
    print(f"both ready {back:.1f} s after {len(stopped)} processes went on")
    assert identity(release, *SERVERS, "postgresql") == before
    assert databases(client) == ["default"]
    since = {each: condition(release.pod(each))["lastTransitionTime"] for each in SERVERS}
    print(f"ready since {since}")


# --- two on an empty database -----------------------------------------------------------------


@pytest.fixture(name="pair")
def _pair(release: Release, helm: str) -> Iterator[Release]:
    """Metastores alone, none yet, on a database of their own in the release's PostgreSQL."""
    pair = Release(release.kubectl, helm, "pair")
    pair.upgrade(
        values=[
            "postgresql.enabled=false",
            f"externalDatabase.host={release.name}-postgresql",
            "externalDatabase.existingSecret=hive-metastore-db-secret",
            "hive.database.name=pair",
            "metastore.replicas=0",
            "thriftServer.replicas=0",
            "thriftServer.service.name=pair",
            "thriftServer.serviceAccount.name=pair",
        ],
    )
    yield pair
    pair.helm("uninstall", pair.name)
    psql(release, "DROP DATABASE IF EXISTS pair WITH (FORCE)")


def race(release: Release, pair: Release) -> list[str]:
    """Start two metastores at once on a new database; return what each says of the schema, at its
    first attempt."""
    kubectl = pair.kubectl
    psql(release, "DROP DATABASE IF EXISTS pair WITH (FORCE)", "CREATE DATABASE pair OWNER hive")
    pair.scale("hive-metastore", 2)

    def said() -> list[str]:
        lines = kubectl.run(
            "logs",
            "--selector=app.kubernetes.io/instance=pair",
            "--container=hive-metastore",
            "--tail=-1",
            check=False,
        ).stdout.splitlines()
        return [line.split(" schema: ")[1] for line in lines if " schema: " in line]

    outcome: list[str] = kubectl.until(
        "both are past the schema", lambda: len(found := said()) == 2 and sorted(found), 120
    )
    assert pair.restarts("hive-metastore") == 0
    pair.scale("hive-metastore", 0)
    kubectl.run(
        "delete",
        "pods",
        "--selector=app.kubernetes.io/instance=pair",
        "--grace-period=0",
        "--force",
        "--wait=false",
    )
    return outcome


def test_two_metastores_make_one_schema(release: Release, pair: Release) -> None:
    """Both begin at the same moment on an empty database: one makes the schema, the other finds it."""
    outcomes = []
    for _ in range(RUNS):
        outcomes.append(race(release, pair))
        version = psql(release, 'SELECT count(*), min("SCHEMA_VERSION") FROM "VERSION"', database="pair")
        assert version.startswith("1|"), version
        created = [line for line in outcomes[-1] if line.startswith("created ")]
        there = [line for line in outcomes[-1] if line.endswith("is there")]
        assert (len(created), len(there)) == (1, 1), outcomes[-1]
    print(f"{RUNS} times: {outcomes[-1]}")
