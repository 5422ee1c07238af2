"""`sparkpod install DIR`: whole or not at all, from anywhere, by anyone, as often as one likes."""

from __future__ import annotations

import concurrent.futures
import os
import pathlib
import re
import shutil
import signal
import stat
import subprocess
from typing import Sequence

import pytest
import rig

BINARY = rig.sparkpod_binary()
EVERY_CALL = "/^(open|openat|write|fsync|fchmod|rename|flock|mkdir|unlink|close|read)$"


def is_whole(path: pathlib.Path) -> bool:
    """Say whether the file is the binary, for everybody to execute."""
    same = path.read_bytes() == BINARY.read_bytes()
    return same and stat.S_IMODE(path.stat().st_mode) == 0o755


def unshared(script: str, *args: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script with mounts of its own."""
    rights = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return subprocess.run(
        ["unshare", *rights, "--mount", "sh", "-ec", script, "sh", *args],
        env=rig.base_env(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def read_only(disk: pathlib.Path, folder: pathlib.Path) -> subprocess.CompletedProcess[str]:
    """Install into a folder with disk mounted read-only."""
    script = 'mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"; exec "$2" install "$3"'
    return unshared(script, str(disk), str(BINARY), str(folder))


def test_it_makes_the_folder_and_what_it_puts_there_runs(work: pathlib.Path) -> None:
    run = rig.run_sparkpod("install", str(work / "bin"))
    assert run.returncode == 0, run.stderr
    assert f"install: {work}/bin/sparkpod is in place" in run.stderr
    assert [path.name for path in (work / "bin").iterdir()] == ["sparkpod"]
    assert is_whole(work / "bin" / "sparkpod")
    version = subprocess.run([work / "bin" / "sparkpod", "version"], capture_output=True, text=True)
    assert version.stdout == rig.run_sparkpod("version").stdout


def test_the_umask_does_not_matter(work: pathlib.Path) -> None:
    run = subprocess.run(["sh", "-c", f'umask 077; "{BINARY}" install "{work}"'], check=True)
    assert run.returncode == 0
    assert is_whole(work / "sparkpod")


def test_what_is_there_already_is_left_alone_even_on_a_read_only_disk(work: pathlib.Path) -> None:
    assert rig.run_sparkpod("install", str(work)).returncode == 0
    before = (work / "sparkpod").stat()
    run = read_only(work, work)
    assert run.returncode == 0, run.stderr
    assert "is there already" in run.stderr
    assert (work / "sparkpod").stat().st_ino == before.st_ino


@pytest.mark.parametrize("old", ["content", "mode", "running"])
def test_another_file_is_replaced(work: pathlib.Path, old: str) -> None:
    path = work / "sparkpod"
    shutil.copy("/bin/sleep" if old == "running" else BINARY, path)
    if old == "content":
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    if old == "mode":
        path.chmod(0o700)
    running = subprocess.Popen([path, "60"]) if old == "running" else None
    run = rig.run_sparkpod("install", str(work))
    if running:
        running.kill()
        running.wait()
    assert run.returncode == 0, run.stderr
    assert is_whole(path)
    assert [entry.name for entry in work.iterdir()] == ["sparkpod"]


def test_any_user_installs_into_a_folder_open_to_him(work: pathlib.Path) -> None:
    work.chmod(0o777)
    rights = ["setpriv", "--reuid=12345", "--regid=0", "--clear-groups"]
    if os.geteuid() != 0:
        rights = []
    binary = work / "from" / "sparkpod"
    binary.parent.mkdir()
    shutil.copy(BINARY, binary)
    run = subprocess.run([*rights, binary, "install", work], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert is_whole(work / "sparkpod")


def test_a_full_disk_is_70_and_keeps_what_was_there(work: pathlib.Path) -> None:
    script = """
    mount -t tmpfs -o size=256k none "$1"
    [ -z "$3" ] || echo old >"$1/sparkpod"
    "$2" install "$1" || echo "status $?"
    ls -A "$1"
    cat "$1"/* 2>/dev/null || :"""
    for old, left in (("", ""), ("old", "sparkpod\nold\n")):
        run = unshared(script, str(work), str(BINARY), old)
        assert run.stdout == f"status 70\n{left}", run.stderr
        assert f"cannot write in {work}: No space left on device (give it more space" in run.stderr


def test_what_is_no_place_to_write_is_told_with_a_fitting_status(work: pathlib.Path) -> None:
    (work / "file").write_text("")
    (work / "full" / "sparkpod").mkdir(parents=True)
    for folder, status, message in (
        ("missing/bin", 78, "No such file or directory"),
        ("file", 78, "Not a directory"),
        ("file/bin", 78, "Not a directory"),
        ("full", 78, "is not a regular file"),
        ("n" * 300, 70, "File ?name too long"),
    ):
        run = rig.run_sparkpod("install", str(work / folder))
        assert run.returncode == status, run.stderr
        assert re.search(rf"error +install: .*{message}", run.stderr)
    run = read_only(work, work / "bin")
    assert run.returncode == 77
    assert f"cannot write in {work}/bin: Read-only file system (" in run.stderr
    for args in ([], [""], [str(work), "more"]):
        run = rig.run_sparkpod("install", *args)
        assert run.returncode == 64 and "sparkpod help install" in run.stderr
    assert sorted(path.name for path in work.iterdir()) == ["file", "full"]


def strace(*args: str | pathlib.Path) -> subprocess.CompletedProcess[str]:
    """Run strace without its own chatter."""
    return subprocess.run(["strace", "-qq", *args], capture_output=True, text=True, check=False)


def test_a_kill_at_any_system_call_leaves_nothing_or_the_whole_file(work: pathlib.Path) -> None:
    def run(folder: pathlib.Path, *options: str) -> int:
        log = work / f"{folder.name}.trace"
        return strace(*options, "-o", log, BINARY, "install", folder).returncode

    def kill(call: tuple[str, int]) -> str:
        folder = work / f"{call[0]}-{call[1]}"
        folder.mkdir()
        inject = f"inject={call[0]}:signal=KILL:when={call[1]}"
        killed = run(folder, "-e", f"trace={call[0]}", "-e", inject) == -signal.SIGKILL
        path = folder / "sparkpod"
        there = path.exists()
        assert not there or is_whole(path), call
        assert rig.run_sparkpod("install", str(folder)).returncode == 0
        assert is_whole(path) and [entry.name for entry in folder.iterdir()] == ["sparkpod"], call
        shutil.rmtree(folder)
        return f"killed {there}" if killed else "not killed"

    assert run(work / "reference", "-e", f"trace={EVERY_CALL}") == 0
    names = re.findall(r"^(\w+)\(", (work / "reference.trace").read_text(), re.MULTILINE)
    calls: Sequence[tuple[str, int]] = [
        (name, names[: i + 1].count(name)) for i, name in enumerate(names)
    ]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        results = list(pool.map(kill, calls))
    assert results.count("killed False") > 5, results
    assert results.count("killed True") >= 2, results
    assert results.count("not killed") == 0, results


def test_many_at_once_into_one_folder_do_not_see_half_a_file(work: pathlib.Path) -> None:
    started = [
        subprocess.Popen([BINARY, "install", work], stderr=subprocess.PIPE, text=True)
        for _ in range(20)
    ]
    said = [process.communicate()[1] for process in started]
    assert [process.returncode for process in started] == [0] * 20
    assert sum("is in place" in text for text in said) == 1
    assert is_whole(work / "sparkpod")
