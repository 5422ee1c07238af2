"""What it does while what it depends on is away: it waits, says so, and comes back untouched."""

from __future__ import annotations

import time

from release import Client, Release


def scale(release: Release, component: str, replicas: int) -> None:
    """Set the replicas of a Deployment or StatefulSet of the release."""
    kind = "statefulset" if component == "postgresql" else "deployment"
    release.kubectl.run("scale", f"{kind}/{release.name}-{component}", f"--replicas={replicas}")


def test_without_a_metastore_it_is_never_ready_and_never_restarted(release: Release) -> None:
    scale(release, "hive-metastore", 0)
    release.kubectl.run("delete", "pod", release.pod("thrift-server")["metadata"]["name"])
    name = ""
    end = time.monotonic() + 45
    while time.monotonic() < end:
        pods = release.pods("thrift-server")
        assert release.ready("thrift-server") == []
        if pods:
            name = pods[-1]["metadata"]["name"]
        time.sleep(1)
    assert release.restarts("thrift-server") == 0
    status = release.status(name)
    assert status["phase"] == "waiting"
    scale(release, "hive-metastore", 1)
    release.wait_ready("hive-metastore")
    back = time.monotonic()
    release.wait_ready("thrift-server")
    # From the metastore's Ready to the server's: it starts at once; the rest is Spark's own start.
    print(f"ready {time.monotonic() - back:.1f} s after the metastore")
    assert release.restarts("thrift-server") == 0
