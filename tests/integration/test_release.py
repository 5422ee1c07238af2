"""The release binary: static, small, alone in an empty root."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess

import pytest
import rig

RELEASE = rig.ROOT / "build" / "release" / "sparkpod"


@pytest.fixture(scope="session")
def release() -> pathlib.Path:
    """`make static`'s result; checked there for INTERP, NEEDED, RELRO, stack and size."""
    subprocess.run(["make", "-s", "static"], cwd=rig.ROOT, check=True)
    return RELEASE


@pytest.fixture
def root(work: pathlib.Path, release: pathlib.Path) -> pathlib.Path:
    """A root folder with the binary and nothing else."""
    folder = work / "root"
    folder.mkdir()
    shutil.copy(release, folder / "sparkpod")
    return folder


def inside(root: pathlib.Path, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the binary with root as its root; needs the right to chroot, which root has."""
    argv = ["chroot", str(root), "/sparkpod", *args]
    if os.geteuid() != 0:
        argv = ["sudo", "-n", *argv]
    return subprocess.run(
        ["env", "-i", f"PATH={os.environ['PATH']}", *(f"{k}={v}" for k, v in env.items()), *argv],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_it_is_static_and_under_5_mb(release: pathlib.Path) -> None:
    headers = subprocess.run(
        ["readelf", "--program-headers", "--dynamic", str(release)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "INTERP" not in headers
    assert "NEEDED" not in headers
    assert release.stat().st_size < 5_000_000


def test_version_runs_in_an_empty_root(root: pathlib.Path) -> None:
    run = inside(root, "version")
    assert run.returncode == 0, run.stderr
    assert "OpenSSL/" in run.stdout


def test_render_runs_in_an_empty_root(root: pathlib.Path) -> None:
    (root / "hive-site.xml.in").write_text(
        "<configuration><property><name>a</name>\n<value> ${P} </value></property></configuration>"
    )
    run = inside(root, "render", "--format", "xml", "/hive-site.xml.in", "/hive-site.xml", P="<&>")
    assert run.returncode == 0, run.stderr
    assert "<value>&lt;&amp;&gt;</value>" in (root / "hive-site.xml").read_text()


def test_wait_runs_in_an_empty_root(root: pathlib.Path, postgres: rig.Postgres) -> None:
    url = f"tcp://127.0.0.1:{postgres.port}"
    assert inside(root, "wait", url).returncode == 0
    login = f"postgres://postgres@127.0.0.1:{postgres.port}/postgres"
    run = inside(root, "wait", "--timeout", "10s", login, PGPASSWORD=postgres.PASSWORD)
    assert run.returncode == 0, run.stderr
    late = inside(root, "wait", "--timeout", "300ms", f"tcp://127.0.0.1:{rig.free_port()}")
    assert late.returncode == 69
    assert "connection refused" in late.stderr
