"""How a service ended is told in words; its status stays what it is."""

from __future__ import annotations

import os
import pathlib
import subprocess
from typing import Callable

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


def test_an_oom_kill_is_told_from_another_sigkill(work: pathlib.Path) -> None:
    parent, seen_at = own_cgroup()
    group = parent / f"sparkpod-test-{os.getpid()}"
    group.mkdir()
    try:
        limit = "memory.limit_in_bytes" if seen_at == V1 else "memory.max"
        (group / limit).write_text(str(LIMIT_BYTES))
        # As a runtime does it: into the group, and the group in the place of the hierarchy.
        script = 'echo $$ >"$1/cgroup.procs"; exec unshare --mount sh -c \'mount --bind "$1" "$2"'
        script += ' && shift 2 && exec "$@"\' sh "$@"'
        hog = f"x = bytearray({4 * LIMIT_BYTES})"
        command = [str(rig.sparkpod_binary()), "run", "--", "/usr/bin/python3", "-c", hog]
        run = subprocess.run(
            ["sh", "-c", script, "sh", str(group), str(seen_at), *command],
            env={**rig.base_env(), "SPARKPOD_HEALTH_PORT": "0"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        rig.wait_for(lambda: not (group / "cgroup.procs").read_text(), what="the group is empty")
        group.rmdir()
    assert run.returncode == 137, run.stderr
    assert "run was ended by SIGKILL" in run.stderr
    assert "the kernel's OOM killer: heap" in run.stderr


def test_a_sigkill_that_is_no_oom_kill_is_not_called_one(sparkpod: Start) -> None:
    pod = sparkpod("run", "--", "sh", "-c", "kill -9 $$")
    assert pod.wait() == 137
    assert "not by the kernel's OOM killer" in pod.stderr
