"""What is killed leaves nothing: a JVM, a container, a pod."""

from __future__ import annotations

import os
import pathlib
import re
import signal
import time
from typing import Any, Callable

import pytest

from conftest import is_own
from release import Client, Release

SOON = 10.0  # seconds from the restart until the dead driver's executors are gone
KILL_JAVA = """
for folder in /proc/[0-9]*; do
    case $(readlink "$folder/exe") in */java) kill -9 "${folder#/proc/}" ;; esac
done
"""


def container(release: Release) -> dict[str, Any]:
    """Return the status of the Thrift Server's container."""
    status: dict[str, Any] = release.pod("thrift-server")["status"]["containerStatuses"][0]
    return status


def process_1(identity: str) -> int:
    """Return this machine's number of a container's process 1."""
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "status").read_text()
            inside = next(line for line in status.splitlines() if line.startswith("NSpid:"))
            if inside.split()[-1] == "1" and identity in (folder / "cgroup").read_text():
                return int(folder.name)
        except (OSError, StopIteration):
            continue
    raise AssertionError(f"no process 1 of {identity} on this machine")


def killed(release: Release, client: Client, kill: Callable[[dict[str, Any]], None]) -> None:
    """Kill the driver; its executors go, others come, and the next query works."""
    client.query("SELECT count(*) FROM range(1000)")  # the executors are there
    driver = release.pod("thrift-server")["metadata"]
    old = {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in release.pods("executor")}
    assert len(old) == 2
    before = container(release)
    kill(before)

    def started() -> bool:
        now = container(release)
        return now["restartCount"] == before["restartCount"] + 1 and "running" in now["state"]

    release.kubectl.until("the container is started again", started, 60)
    restarted = time.monotonic()

    def gone() -> bool:
        left = {pod["metadata"]["uid"] for pod in release.select("pods", "spark-role=executor")}
        return not left & set(old.values())

    release.kubectl.until("the executors of the dead driver are gone", gone, SOON)
    took = time.monotonic() - restarted
    print(f"killed: {', '.join(old)}: gone {took:.1f} s after the container was started again")
    release.wait_ready("thrift-server")
    for options in (["--previous"], []):
        log = ("logs", driver["name"], "--container=thrift-server", *options)
        lines = release.kubectl.run(*log).stdout.splitlines()
        said = [line for line in lines if re.search(r" (leftovers: |pid1: .* ended )", line)]
        print("\n".join(said))
    assert client.query("SELECT count(*) FROM range(1000)") == [["1000"]]
    new = [pod["metadata"]["name"] for pod in release.pods("executor")]
    print(f"serving again with {', '.join(new)}")
    assert len(new) == 2
    assert not set(new) & set(old)
    assert release.pod("thrift-server")["metadata"]["uid"] == driver["uid"]


def test_the_jvm_is_killed(release: Release, client: Client) -> None:
    """kill -9 of java in the container: sparkpod tells why it ends, and deletes the executors."""

    def kill(_: dict[str, Any]) -> None:
        name = release.pod("thrift-server")["metadata"]["name"]
        release.kubectl.run("exec", name, "--", "bash", "-c", KILL_JAVA, check=False)

    killed(release, client, kill)


def test_process_1_is_killed(release: Release, client: Client) -> None:
    """kill -9 of sparkpod from the host: what it could not do, the next one does at its start."""
    if not is_own():
        pytest.skip("process 1 can only be killed from the node, which is another machine's")

    def kill(before: dict[str, Any]) -> None:
        os.kill(process_1(before["containerID"].split("//")[1]), signal.SIGKILL)

    killed(release, client, kill)


def test_the_pod_is_deleted_at_once(release: Release, client: Client) -> None:
    """--grace-period=0 --force: the cluster collects what the pod owned, within 60 s."""
    client.query("SELECT count(*) FROM range(1000)")
    old = release.pod("thrift-server")["metadata"]
    before = release.left_of(old["uid"])
    assert len(before) >= 4, before
    release.kubectl.run("delete", "pod", old["name"], "--grace-period=0", "--force")
    begin = time.monotonic()

    def gone() -> bool:
        return not release.left_of(old["uid"])

    release.kubectl.until("nothing of the driver is left", gone, 60)
    print(f"{', '.join(before)}: gone {time.monotonic() - begin:.1f} s after the pod was deleted")
    release.wait_ready("thrift-server")
    assert client.query("SELECT count(*) FROM range(1000)") == [["1000"]]
