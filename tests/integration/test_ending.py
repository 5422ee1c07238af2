"""How a service ended is told in words; its status stays what it is."""

from __future__ import annotations

import os
import pathlib
import subprocess
from typing import Callable, Mapping

import pytest
import rig

Start = Callable[..., rig.Sparkpod]

V1 = pathlib.Path("/sys/fs/cgroup/memory")
LIMIT_BYTES = 64 << 20


@pytest.mark.parametrize(
    "code,words",
    [
        (3, "OutOfMemoryError"),
        (11, "too many executors failed"),
        (101, "a class was not found"),
        (134, "the JVM crashed"),
        (255, "the last ERROR above says why"),
    ],
)
def test_a_thrift_server_ends_with_words(
    sparkpod: Start, work: pathlib.Path, code: int, words: str
) -> None:
    script = work / "sbin" / "start-thriftserver.sh"
    script.parent.mkdir()
    script.write_text(f"#!/bin/sh\nexit {code}\n")
    script.chmod(0o755)
    (work / "conf").mkdir()
    pod = sparkpod("thrift-server", env={"SPARK_HOME": str(work)})
    assert pod.wait() == code
    (line,) = [line for line in pod.stderr.splitlines() if f"ended with {code} " in line]
    assert words in line and " error " in line


def own_cgroup() -> tuple[pathlib.Path, pathlib.Path]:
    """The memory cgroup of this process, and the folder where a container sees its own."""
    lines = pathlib.Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines()
    paths = {line.split(":")[1]: line.split(":")[2] for line in lines}
    if V1.is_dir():
        return V1 / paths["memory"].lstrip("/"), V1
    return V1.parent / paths[""].lstrip("/"), V1.parent


def run_in_container(
    *command: str, env: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run sparkpod under a memory limit, with its cgroup where a container's is."""
    parent, seen_at = own_cgroup()
    group = parent / f"sparkpod-test-{os.getpid()}"
    group.mkdir()
    try:
        limit = "memory.limit_in_bytes" if seen_at == V1 else "memory.max"
        (group / limit).write_text(str(LIMIT_BYTES))
        # As a runtime does it: into the group, and the group in the place of the hierarchy.
        script = 'echo $$ >"$1/cgroup.procs"; exec unshare --mount sh -c \'mount --bind "$1" "$2"'
        script += ' && shift 2 && exec "$@"\' sh "$@"'
        return subprocess.run(
            ["sh", "-c", script, "sh", str(group), str(seen_at), str(rig.sparkpod_binary())]
            + list(command),
            env={**rig.base_env(), "SPARKPOD_HEALTH_PORT": "0", **env},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        rig.wait_for(lambda: not (group / "cgroup.procs").read_text(), what="the group is empty")
        group.rmdir()


def test_an_oom_kill_is_told_from_another_sigkill() -> None:
    hog = f"x = bytearray({4 * LIMIT_BYTES})"
    run = run_in_container("run", "--", "/usr/bin/python3", "-c", hog, env={})
    assert run.returncode == 137, run.stderr
    assert "run was ended by SIGKILL" in run.stderr
    assert "the kernel's OOM killer: heap" in run.stderr


@pytest.mark.parametrize("heap,warns", [("1g", True), ("", False)])
def test_a_heap_that_cannot_fit_the_container_is_warned_of(
    work: pathlib.Path, heap: str, warns: bool
) -> None:
    script = work / "sbin" / "start-thriftserver.sh"
    script.parent.mkdir()
    script.write_text('#!/bin/sh\necho "$@"\n')
    script.chmod(0o755)
    (work / "conf").mkdir()
    env = {"SPARK_HOME": str(work), **({"SPARK_DRIVER_MEMORY": heap} if heap else {})}
    run = run_in_container("thrift-server", env=env)
    assert ("spark.driver.memory 1g needs about 1408 MiB" in run.stderr) == warns, run.stderr
    assert ("spark.driver.memory=32m" in run.stdout) != warns, run.stdout


def test_a_sigkill_that_is_no_oom_kill_is_not_called_one(sparkpod: Start) -> None:
    pod = sparkpod("run", "--", "sh", "-c", "kill -9 $$")
    assert pod.wait() == 137
    assert "not by the kernel's OOM killer" in pod.stderr
