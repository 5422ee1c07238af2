"""The linux/arm64 release binary under QEMU beside the native one: they say and write the same."""

from __future__ import annotations

import json
import os
import pathlib
import re
import signal
import subprocess
from typing import Any, Iterator

import pytest
import rig

ARM64 = rig.ROOT / "build" / "release-arm64"
RUNNER = rig.RIG / "sparkpod-arm64"


@pytest.fixture(scope="module", autouse=True)
def built() -> None:
    """Build both; what a release promises is checked there."""
    for arch in ("", "ARCH=arm64"):
        subprocess.run(["make", "-s", "static", *arch.split()], cwd=rig.ROOT, check=True)


@pytest.fixture(params=["native", "arm64"])
def program(request: pytest.FixtureRequest) -> pathlib.Path:
    """Each of the two."""
    return RUNNER if request.param == "arm64" else rig.ROOT / "build" / "release" / "sparkpod"


def run(
    program: pathlib.Path, *args: str | pathlib.Path, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run a command of one of the two."""
    return subprocess.run(
        [program, *args],
        env={**rig.base_env(), **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_it_is_an_arm64_program() -> None:
    header = subprocess.run(
        ["readelf", "-h", ARM64 / "sparkpod"], capture_output=True, text=True, check=True
    ).stdout
    assert re.search(r"Machine: +AArch64", header)


def test_both_are_linked_with_the_same_versions() -> None:
    native, arm64 = (run(path, "version") for path in (ARM64.parent / "release/sparkpod", RUNNER))
    assert native.returncode == arm64.returncode == 0, arm64.stderr
    assert "OpenSSL/3" in arm64.stdout and arm64.stdout == native.stdout


def test_both_sboms_name_the_same_but_for_the_architecture() -> None:
    def read(folder: str) -> Any:
        text = (ARM64.parent / folder / "sparkpod.cdx.json").read_text()
        return [
            (part["name"], part["licenses"], part["name"] == "libgcc" or part["version"])
            for part in json.loads(text)["components"]
        ]

    assert read("release-arm64") == read("release")
    assert "musl-dev@1.2.3-1?arch=arm64" in (ARM64 / "sparkpod.cdx.json").read_text()


@pytest.mark.parametrize("role", ["thrift-server", "metastore", "demo"])
def test_both_render_the_same_bytes(work: pathlib.Path, role: str) -> None:
    source = rig.TEMPLATES / role
    names = re.findall(r"\$\{(\w+)[:}]", "".join(p.read_text() for p in source.iterdir()))
    env = {name: f"<{name.lower()}> & ü\\" for name in names if "PORT" not in name}
    env |= {name: "4711" for name in names if "PORT" in name}
    for name, binary in (("native", ARM64.parent / "release" / "sparkpod"), ("arm64", RUNNER)):
        (work / name).mkdir()
        done = run(binary, "render", source, work / name, **env)
        assert done.returncode == 0, done.stderr
    written = {path.name: path.read_bytes() for path in (work / "arm64").iterdir()}
    assert len(written) > 0
    assert written == {path.name: path.read_bytes() for path in (work / "native").iterdir()}


def test_it_waits_for_a_login_to_postgresql(
    program: pathlib.Path, postgres: rig.Postgres
) -> None:
    url = f"postgres://postgres@127.0.0.1:{postgres.port}/postgres"
    done = run(program, "wait", "--timeout", "20s", url, PGPASSWORD=postgres.PASSWORD)
    assert done.returncode == 0, done.stderr
    env = {"PGPASSWORD": "wrong", "SPARKPOD_WAIT_FATAL_GRACE": "0"}
    assert run(program, "wait", url, **env).returncode == 77


def test_it_gives_up_after_its_timeout(program: pathlib.Path) -> None:
    done = run(program, "wait", "--timeout", "300ms", f"tcp://127.0.0.1:{rig.free_port()}")
    assert done.returncode == 69
    assert "connection refused" in done.stderr


@pytest.fixture
def https(work: pathlib.Path) -> Iterator[tuple[str, pathlib.Path]]:
    """An HTTPS server with a certificate of its own: its URL and that certificate."""
    port, key, certificate = rig.free_port(), work / "key", work / "certificate"
    subprocess.run(
        [*"openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost".split()]
        + ["-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    server = subprocess.Popen(
        ["openssl", "s_server", "-quiet", "-www", "-accept", f"127.0.0.1:{port}"]
        + ["-key", key, "-cert", certificate],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    rig.wait_for(lambda: rig.port_open(port), 20, "openssl s_server listens")
    yield f"https://localhost:{port}", certificate
    server.kill()
    server.wait()


def test_it_checks_certificates(
    program: pathlib.Path, https: tuple[str, pathlib.Path]
) -> None:
    url, certificate = https
    done = run(program, "probe", "--ca-file", certificate, url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert run(program, "probe", url).returncode != 0


def test_it_runs_a_command_and_stops_it(program: pathlib.Path) -> None:
    assert run(program, "run", "--", "sh", "-c", "exit 7", SPARKPOD_HEALTH_PORT="0").returncode == 7
    env = {
        **rig.base_env(),
        "SPARKPOD_HEALTH_PORT": str(rig.free_port()),
        "SPARKPOD_SHUTDOWN_ENDPOINT_DELAY": "0",
    }
    process = subprocess.Popen(
        [program, "run", "--", "sleep", "60"], env=env, stderr=subprocess.PIPE, text=True
    )
    ready = ["probe", "ready"]
    port = {"SPARKPOD_HEALTH_PORT": env["SPARKPOD_HEALTH_PORT"]}
    rig.wait_for(lambda: run(program, *ready, **port).returncode == 0, 30, "it is ready")
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 0, said


def test_it_installs_itself(work: pathlib.Path) -> None:
    for _ in range(2):
        done = run(RUNNER, "install", work)
        assert done.returncode == 0, done.stderr
        assert (work / "sparkpod").read_bytes() == (ARM64 / "sparkpod").read_bytes()
    assert "is there already" in done.stderr
    assert os.access(work / "sparkpod", os.X_OK)
