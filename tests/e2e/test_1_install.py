"""The chart with its user's own values, everything at once, on an empty namespace."""

from __future__ import annotations

from release import Client, Release

COMPONENTS = ("postgresql", "hive-metastore", "thrift-server")


def test_all_is_ready_without_a_restart(release: Release) -> None:
    """Nobody crashes because what it depends on is not there yet: no container is started twice."""
    restarts = {each: release.restarts(each) for each in COMPONENTS}
    print(f"restarts: {restarts}")
    assert restarts == dict.fromkeys(COMPONENTS, 0)
    for each in COMPONENTS[1:]:
        status = release.status(release.ready(each)[0])
        took = ", ".join(f"{name} {its['seconds']:.1f} s" for name, its in status["phases"].items())
        print(f"{each}: {took}")
        assert status["phase"] == "serving", status


def test_a_query_from_another_pod_by_the_services_name(release: Release, client: Client) -> None:
    """A table is made, filled and read through spark-thrift.NAMESPACE.svc.cluster.local."""
    rows = client.query(
        "DROP TABLE IF EXISTS fruit",
        "CREATE TABLE fruit (name STRING, pieces INT) USING parquet",
        "INSERT INTO fruit VALUES ('apple', 3), ('pear', 4)",
        "SELECT count(*), sum(pieces) FROM fruit",
    )
    print(f"SELECT count(*), sum(pieces): {rows}")
    assert rows == [["2", "7"]]


def test_executors_are_pods_of_the_driver(release: Release) -> None:
    """Labels, owner, service account, no token, pull secret: as the chart says."""
    driver = release.pod("thrift-server")["metadata"]
    executors = release.pods("executor")
    assert len(executors) == 2
    for executor in executors:
        metadata, spec = executor["metadata"], executor["spec"]
        owners = [(owner["kind"], owner["uid"]) for owner in metadata["ownerReferences"]]
        print(f"{metadata['name']}: account {spec['serviceAccountName']}, owner {owners}")
        assert metadata["labels"]["sparkpod-driver-uid"] == driver["uid"]
        assert metadata["labels"]["spark-role"] == "executor"
        assert metadata["labels"]["app.kubernetes.io/instance"] == release.name
        assert owners == [("Pod", driver["uid"])]
        assert spec["serviceAccountName"] == "spark-thrift-server-executor"
        assert spec["automountServiceAccountToken"] is False
        assert [each["name"] for each in spec["imagePullSecrets"]] == ["acr-secret"]


def test_helm_test_passes(release: Release) -> None:
    """The three pods of `helm test`: the metastore, SELECT 1, and what has to be refused."""
    said = release.helm("test", release.name, "--timeout=120s").stdout
    print("\n".join(line for line in said.splitlines() if line.startswith(("TEST SUITE", "Phase"))))
    assert said.count("Phase:          Succeeded") == 3, said


def test_every_jvm_starts_from_its_archive(release: Release) -> None:
    """Driver, executors and metastore have the class-data archive of their image in memory."""
    for component in ("hive-metastore", "thrift-server", "executor"):
        for pod in release.pods(component):
            name = pod["metadata"]["name"]
            find = "grep -ls /usr/local/lib/sparkpod/archive/classes.jsa /proc/[0-9]*/maps"
            found = release.kubectl.run("exec", name, "--", "sh", "-c", find).stdout
            print(f"{component}: {found.strip()}")
            assert found, name
