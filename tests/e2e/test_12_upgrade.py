"""From the chart before to this one, and what stays when it is uninstalled."""

from __future__ import annotations

import pathlib
import subprocess
import tarfile
import time

import pytest

from release import CHART, HERE, SECRETS, Client, Release

# A commit whose helm/ is the chart before: the last release's, once there is one.
PREVIOUS = (HERE / "previous").read_text().split()[0]


@pytest.fixture(name="previous", scope="module")
def _previous(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The chart before, out of the history."""
    folder = tmp_path_factory.mktemp("previous")
    archive = folder / "helm.tar"
    subprocess.run(
        ["git", "-C", CHART.parent, "archive", f"--output={archive}", PREVIOUS, "helm"], check=True
    )
    with tarfile.open(archive) as packed:
        packed.extractall(folder)
    return folder / "helm"


def objects(release: Release) -> set[str]:
    """Return the names of all objects in the namespace but those that come and go by themselves."""
    kinds = release.kubectl.run(
        *("api-resources", "--verbs=list", "--namespaced", "--output=name")
    ).stdout.split()
    kinds = [each for each in kinds if not each.startswith(("events", "endpointslices", "leases"))]
    found = release.kubectl.run("get", ",".join(kinds), "--output=name", check=False).stdout.split()
    return set(found)


def test_uninstalled_it_leaves_the_database_alone(release: Release, client: Client) -> None:
    """Only PostgreSQL's claim stays, as values.yaml says (postgresql.persistence.keep)."""
    client.query("CREATE TABLE IF NOT EXISTS kept USING parquet AS SELECT 7 AS seven")
    release.uninstall()
    made = {f"secret/{name}" for name in ("acr-secret", *SECRETS)}
    made |= {"persistentvolumeclaim/warehouse", f"pod/{client.name}"}
    clusters = {"configmap/kube-root-ca.crt", "serviceaccount/default"}
    kept = {f"persistentvolumeclaim/data-{release.name}-postgresql-0"}

    def only_kept() -> bool:
        return objects(release) - made - clusters == kept

    begin = time.monotonic()
    try:
        release.kubectl.until("only what is kept is left", only_kept, 90)
    finally:
        print(f"left after {time.monotonic() - begin:.1f} s: {objects(release) - made - clusters}")


def test_upgraded_it_loses_nothing(
    release: Release, client: Client, previous: pathlib.Path
) -> None:
    """The chart before is installed on the kept claim and upgraded while a statement runs."""
    release.upgrade(chart=previous)
    release.wait_ready("postgresql", "hive-metastore", "thrift-server", seconds=300)
    assert client.query("SELECT seven FROM kept") == [["7"]]
    print("installed anew on the claim that was kept: its table is there")
    old = release.pod("thrift-server")["metadata"]["name"]
    seconds = int(release.status(old)["phases"]["starting"]["seconds"]) + 15
    sleep = f"reflect('java.lang.Thread', 'sleep', 1000L) FROM range(0, {seconds}, 1, 1)"
    statement = client.start(*client.beeline(f"SELECT id, {sleep}"))
    said = release.upgrade().splitlines()
    print("\n".join(line for line in said if line.startswith(("STATUS", "REVISION"))))
    got = statement.communicate(timeout=180)[0]
    print(f"the statement meanwhile: {got.count('null')} of {seconds} rows")
    assert (statement.returncode, got.count("null")) == (0, seconds), got
    release.wait_ready("postgresql", "hive-metastore", "thrift-server", seconds=300)
    new = release.pod("thrift-server")["metadata"]["name"]
    print("the pod template is the same" if new == old else f"replaced by {new}")
    assert client.query("SELECT seven FROM kept") == [["7"]]
