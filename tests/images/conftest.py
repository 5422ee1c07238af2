"""Fixtures: podman on what tests/images/build built, and whole stacks of containers."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import pathlib
import subprocess
import sys
from typing import Any, Iterator, Sequence

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "rig"))

import rig  # noqa: E402  pylint: disable=wrong-import-position

# What a cluster may ask of a container. No name is made up for its uid.
HARDENED = (
    "--read-only",
    "--read-only-tmpfs=false",
    "--tmpfs=/tmp:rw,mode=1777",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--passwd=false",
)
ANY_UID = "--user=1000650000:0"  # as OpenShift gives them


class Podman:
    """podman with the layers and settings of tests/images/build."""

    def __init__(self) -> None:
        run = subprocess.run(
            [HERE / "build", "env"], stdout=subprocess.PIPE, text=True, check=True
        )
        pairs = dict(pair.split("=", 1) for pair in run.stdout.split())
        self.environment = {**os.environ, **pairs}

    def run(
        self, *args: str, check: bool = True, timeout: float = 180.0
    ) -> subprocess.CompletedProcess[str]:
        """Run podman to its end; RigError with its output when it fails."""
        ended = subprocess.run(
            ["podman", *args],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and ended.returncode != 0:
            raise rig.RigError(f"podman {' '.join(args)}: {ended.stdout}{ended.stderr}")
        return ended

    def inspect(self, name: str) -> Any:
        """Return what podman knows of an image or a container."""
        return json.loads(self.run("inspect", name).stdout)[0]


def image(target: str) -> str:
    """Return the tag of a target of the Dockerfile."""
    return f"sparkpod/{target}:test"


class Container:
    """A container that goes on."""

    def __init__(self, podman: Podman, name: str, *args: str) -> None:
        self.podman = podman
        self.name = name
        podman.run("run", "--detach", f"--name={name}", *args)

    @property
    def state(self) -> Any:
        """State as podman tells it: Running, ExitCode, Pid."""
        return self.podman.inspect(self.name)["State"]

    def logs(self) -> str:
        """All it wrote so far."""
        ended = self.podman.run("logs", self.name)
        return ended.stdout + ended.stderr

    def exec(
        self, *args: str, check: bool = True, timeout: float = 180.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in it."""
        return self.podman.run("exec", self.name, *args, check=check, timeout=timeout)

    def healthy(self) -> bool:
        """Run its HEALTHCHECK."""
        return self.podman.run("healthcheck", "run", self.name, check=False).returncode == 0

    def wait_healthy(self) -> None:
        """Wait until its HEALTHCHECK says so; RigError with its log if it ends before."""

        def check() -> bool:
            if self.healthy():
                return True
            if not self.state["Running"]:
                raise rig.RigError(f"{self.name} ended\n{self.logs()[-6000:]}")
            return False

        try:
            rig.wait_for(check, 180, f"{self.name} is healthy", interval=1)
        except rig.RigError as error:
            raise rig.RigError(f"{error}\n{self.logs()[-6000:]}") from None

    def stop(self, grace: int) -> int:
        """SIGTERM, after the grace SIGKILL; return its status."""
        self.podman.run("stop", f"--time={grace}", self.name)
        return int(self.state["ExitCode"])

    def remove(self) -> None:
        """Kill and forget it."""
        self.podman.run("rm", "--force", "--time=0", self.name, check=False)


class Stack:
    """PostgreSQL, a metastore and a Thrift Server, a container each, on one network."""

    def __init__(self, podman: Podman, folder: pathlib.Path, name: str) -> None:
        self.podman = podman
        self.folder = folder
        self.name = name
        self.containers: list[Container] = []
        self.warehouse = folder / "warehouse"
        podman.run("network", "create", name)
        network = json.loads(podman.run("network", "inspect", name).stdout)[0]
        # Not the machine's own servers beside it, as podman has it: musl asks all at once, and one
        # that does not know the containers may be the first to say so.
        self.name_server = network["subnets"][0]["gateway"]

    def start(self, alias: str, target: str, options: Sequence[str], *args: str) -> Container:
        """Start a container that the others know as alias."""
        self.containers.append(
            Container(
                self.podman,
                f"{self.name}-{alias}",
                f"--network={self.name}",
                f"--network-alias={alias}",
                f"--dns={self.name_server}",
                *options,
                target,
                *args,
            )
        )
        return self.containers[-1]

    def templates(self, role: str) -> str:
        """Return the mount of the rig's templates for a role, with settings for ABFS that fail at
        once where there is no network."""
        folder = self.folder / "templates" / role
        folder.mkdir(parents=True)
        for template in (rig.TEMPLATES / role).iterdir():
            (folder / template.name).write_text(template.read_text())
        (folder / "core-site.xml").write_text((HERE / "core-site.xml").read_text())
        return f"--volume={folder}:/etc/sparkpod/templates:ro"

    def empty_folder(self, name: str, path: str) -> str:
        """Return the mount of an empty folder that everybody may write to, as an emptyDir is."""
        folder = self.folder / name
        folder.mkdir()
        folder.chmod(0o777)
        return f"--volume={folder}:{path}"

    def remove(self) -> None:
        """Remove all of it."""
        for container in reversed(self.containers):
            container.remove()
        self.podman.run("network", "rm", "--force", self.name, check=False)


@pytest.fixture(scope="session")
def podman() -> Podman:
    """podman, set up."""
    return Podman()


_NUMBER = itertools.count(1)


@contextlib.contextmanager
def running_stack(
    podman: Podman, folder: pathlib.Path, metastore: str, thrift: str, options: Sequence[str]
) -> Iterator[Stack]:
    """A stack whose Thrift Server is healthy; options are those of a hardened container."""
    stack = Stack(podman, folder, f"sparkpod-{os.getpid()}-{next(_NUMBER)}")
    home = "/opt/hive" if metastore == "hive-metastore" else "/opt/metastore"
    try:
        database = ["--env=POSTGRES_USER=hive", "--env=POSTGRES_PASSWORD=p&<w>"]
        stack.start("db", "stand-in/postgres:test", database)
        common = [stack.empty_folder("warehouse", "/warehouse"), "--env=WAREHOUSE=file:/warehouse"]
        common += ["--env=SPARKPOD_SHUTDOWN_ENDPOINT_DELAY=1s", *options]
        stack.start(
            "metastore",
            image(metastore),
            [
                *common,
                stack.templates("metastore"),
                stack.empty_folder("metastore-conf", f"{home}/conf"),
                *("--env=DB_HOST=db", "--env=DB_NAME=hive", "--env=DB_USER=hive"),
                "--env=DB_PASSWORD=p&<w>",
            ],
        )
        stack.start(
            "thrift",
            image(thrift),
            [
                *common,
                stack.templates("thrift-server"),
                stack.empty_folder("thrift-conf", "/opt/spark/conf"),
                *("--env=METASTORE_HOST=metastore", "--env=THRIFT_BIND_HOST=0.0.0.0"),
            ],
        )
        yield stack
    finally:
        stack.remove()
