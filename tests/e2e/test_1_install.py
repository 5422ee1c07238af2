"""The chart with its user's own values, everything at once, on an empty namespace."""

from __future__ import annotations

import pathlib

import pytest

from release import CHART, Client, Release

COMPONENTS = ("postgresql", "hive-metastore", "thrift-server")


def test_all_is_ready_without_a_restart(release: Release) -> None:
    assert {each: release.restarts(each) for each in COMPONENTS} == dict.fromkeys(COMPONENTS, 0)
    for each in ("hive-metastore", "thrift-server"):
        phases = release.status(release.ready(each)[0])
        assert phases["phase"] == "serving", phases


def test_a_query_from_another_pod_by_the_services_name(release: Release, client: Client) -> None:
    rows = client.query(
        "CREATE TABLE fruit (name STRING, pieces INT) USING parquet",
        "INSERT INTO fruit VALUES ('apple', 3), ('pear', 4)",
        "SELECT count(*), sum(pieces) FROM fruit",
    )
    assert rows == [["2", "7"]]


def test_executors_are_pods_of_the_driver(release: Release) -> None:
    driver = release.pod("thrift-server")
    executors = release.pods("executor")
    assert len(executors) == 2
    for executor in executors:
        metadata, spec = executor["metadata"], executor["spec"]
        assert metadata["labels"]["sparkpod-driver-uid"] == driver["metadata"]["uid"]
        assert metadata["labels"]["spark-role"] == "executor"
        owners = [owner["uid"] for owner in metadata["ownerReferences"]]
        assert owners == [driver["metadata"]["uid"]]
        assert spec["serviceAccountName"] == "spark-thrift-server-executor"
        assert spec["automountServiceAccountToken"] is False
        assert [each["name"] for each in spec["imagePullSecrets"]] == ["acr-secret"]


def test_helm_test_passes(release: Release) -> None:
    said = release.helm("test", release.name, "--timeout=120s").stdout
    assert said.count("Phase:          Succeeded") == 3, said


def examples() -> list[pathlib.Path]:
    """The chart's sets of values."""
    return sorted((CHART / "examples").glob("*.yaml"))


@pytest.mark.parametrize("values", examples(), ids=lambda path: path.stem)
def test_the_api_server_takes_every_example(release: Release, values: pathlib.Path) -> None:
    """Server-side, strict: an unknown or doubled field is refused."""
    rendered = release.helm(
        "template", "dry-run", str(CHART), f"--values={values}", "--skip-tests", "--kube-version=1.31"
    ).stdout
    # Kinds of others (ServiceMonitor, TCPRoute, Cluster) are not installed here.
    documents = [
        text
        for text in rendered.split("\n---\n")
        if "monitoring.coreos.com" not in text and "gateway.networking.k8s.io" not in text
    ]
    release.kubectl.run(
        "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-",
        given="\n---\n".join(documents),
    )
