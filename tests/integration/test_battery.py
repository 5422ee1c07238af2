"""PID 1 that loses nothing: the cases of tests/rig/battery.py, which every init can be put to, and
what only sparkpod has: a fork, an allocation, a disk or a helper that fails it; a health worker
that is killed and killed again; no allocation once it serves; no clock that can be set."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import os
import pathlib
import re
import signal
import struct
import subprocess
import time
from typing import Callable, Iterator, Mapping, Optional, Sequence

import battery
import pytest
import rig

Trials = Callable[[battery.Case, battery.Init], battery.Trial]

BINARY = rig.sparkpod_binary()
CONTENT = BINARY.read_bytes()
IS_SANITIZED = b"__asan_init" in CONTENT
IS_STATIC = b"/ld-linux" not in CONTENT
IDLE_S = 60.0 if IS_STATIC else 5.0

WORKER_KILLS = 10
WORKER_BACKOFF_S = [min(0.1 * 2**n, 10.0) for n in range(WORKER_KILLS)]


def workers(process: rig.Process) -> list[int]:
    """Return the forks of sparkpod's own program."""
    argv = rig.cmdline(process.pid)
    return [pid for pid in battery.children(process.pid) if rig.cmdline(pid) == argv]


def a_health_worker_killed_again_and_again_comes_back(trial: battery.Trial) -> None:
    """The others know of no such thing."""
    env = {name: value for name, value in battery.FAST.items() if "PORT" not in name}
    argv = trial.init.argv[1:]
    with rig.Sparkpod(*argv, "sleep", "300", folder=trial.folder / "pod", env=env) as process:
        process.wait_ready()
        before = [pid for pid in process.tree() if rig.cmdline(pid)[:1] == ["sleep"]]
        for backoff_s in WORKER_BACKOFF_S:
            (worker,) = rig.wait_for(lambda: workers(process))
            killed = time.monotonic()
            os.kill(worker, signal.SIGKILL)
            # The socket is PID 1's: who asks meanwhile is answered by the next worker.
            patience_s = backoff_s + battery.MISSING_S
            process.wait_until(lambda s=patience_s: process.get("/readyz", s)[0] == 200, patience_s)
            took_s = time.monotonic() - killed
            trial.check(
                process.get("/livez")[0] == 200 and took_s > backoff_s * 0.9,
                f"back after {took_s:.1f} s, to be {backoff_s:g} s",
            )
        after = [pid for pid in process.tree() if rig.cmdline(pid)[:1] == ["sleep"]]
        touched = before != after or process.stderr.count("run started") != 1
        trial.check(not touched, "the service was touched")
        starts = f"sparkpod_health_worker_starts_total {WORKER_KILLS + 1}"
        trial.check(starts in process.get("/metrics")[1], "the metrics count them wrong")


INITS = [
    dataclasses.replace(battery.sparkpod(BINARY, is_pid1), idle_s=IDLE_S)
    for is_pid1 in (False, True)
]
CASES = [(case, init) for init in INITS for case in battery.cases_for(init)]
CASES.append(
    (
        battery.Case(
            "health worker",
            WORKER_KILLS + 2,
            a_health_worker_killed_again_and_again_comes_back,
            lambda init: init.name == "sparkpod",
            waits=True,
        ),
        INITS[0],
    )
)


@pytest.fixture(scope="session", name="trials")
def fixture_trials(request: pytest.FixtureRequest) -> Iterator[Trials]:
    """Try a case on an init. Those that mostly wait are begun at once, side by side."""
    selected = [getattr(item, "callspec", None) for item in request.session.items]
    pairs = [
        (spec.params["case"], spec.params["init"])
        for spec in selected
        if spec and {"case", "init"} <= set(spec.params)
    ]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        begun = {
            (case.name, str(init)): pool.submit(case.try_on, init)
            for case, init in pairs
            if case.waits
        }

        def get(case: battery.Case, init: battery.Init) -> battery.Trial:
            waiting = begun.get((case.name, str(init)))
            return waiting.result() if waiting else case.try_on(init)

        yield get


@pytest.mark.parametrize(
    ("case", "init"), CASES, ids=[f"{case.name}-{init}" for case, init in CASES]
)
def test_case(case: battery.Case, init: battery.Init, trials: Trials) -> None:
    trial = trials(case, init)
    assert not trial.failures
    assert trial.passed == case.checks


# --- what fails it -------------------------------------------------------------------------------


def run(
    argv: Sequence[str], work: pathlib.Path, env: Optional[Mapping[str, str]] = None
) -> rig.Process:
    """Run something to its end: its status and its lines."""
    environment = {**rig.base_env(), **battery.FAST, **(env or {})}
    if argv[0] == "strace":  # under which the leak sanitizer cannot work
        options = environment.get("ASAN_OPTIONS", "")
        environment["ASAN_OPTIONS"] = f"{options}:detect_leaks=0"
    return rig.Process("sparkpod", argv, environment, work)


@pytest.mark.parametrize(
    ("number", "status", "line"),
    [
        (1, 7, "cannot fork the health worker: Resource temporarily unavailable"),
        (2, 70, "cannot fork a helper for rendering: Resource temporarily unavailable"),
        (3, 70, "cannot fork a helper for waiting: Resource temporarily unavailable"),
        (4, 70, "cannot fork the service: Resource temporarily unavailable"),
    ],
)
def test_a_fork_that_is_refused_is_said(
    work: pathlib.Path, number: int, status: int, line: str
) -> None:
    calls = "fork,vfork,clone,clone3"
    inject = f"inject={calls}:error=EAGAIN:when={number}"
    strace = ["strace", "-D", "-o", str(work / "trace"), "-e", f"trace={calls}", "-e", inject]
    process = run([*strace, str(BINARY), "run", "--", "sh", "-c", "exit 7"], work)
    assert process.wait() == status
    assert line in process.stderr


@pytest.fixture(name="templates")
def fixture_templates(work: pathlib.Path) -> dict[str, str]:
    """The environment of a Thrift Server that a script stands in for, on large templates."""
    source = work / "templates"
    source.mkdir()
    setting = "<property><name>key.{}</name><value>${{VALUE}} and more of it</value></property>\n"
    settings = "".join(map(setting.format, range(40_000)))
    (source / "hive-site.xml").write_text(f"<configuration>\n{settings}</configuration>\n")
    server = work / "home" / "sbin" / "start-thriftserver.sh"
    server.parent.mkdir(parents=True)
    server.write_text("#!/bin/sh\nexit 9\n")
    server.chmod(0o755)
    return {
        "SPARK_HOME": str(work / "home"),
        "SPARKPOD_RENDER_SOURCE": str(source),
        "SPARKPOD_RENDER_TARGET": str(work / "conf"),
        "VALUE": "a value",
    }


def test_a_full_conf_folder_ends_the_start(work: pathlib.Path, templates: dict[str, str]) -> None:
    conf = work / "conf"
    conf.mkdir()
    script = f'mount -t tmpfs -o size=64k none {conf} && "$@"; s=$?; ls -A {conf} >&2; exit $s'
    argv = [*rig.namespace(), "sh", "-c", script, "sh", str(BINARY), "thrift-server"]
    process = run(argv, work, templates)
    assert process.wait() == 70
    assert "No space left on device" in process.stderr
    assert "started" not in process.stderr
    assert "hive-site.xml" not in process.stderr.splitlines()[-1]


if not IS_SANITIZED:  # which reserves terabytes, and takes SIGSEGV for itself

    def test_memory_that_is_refused_fails_the_step_and_not_pid_1(
        work: pathlib.Path, templates: dict[str, str]
    ) -> None:
        said = 0
        for megabytes in (16, 24, 32, 48, 64, 96, 128, 192, 256, 1024):
            prlimit = ["prlimit", f"--as={megabytes << 20}"]
            process = run([*prlimit, str(BINARY), "thrift-server"], work, templates)
            status = process.wait()
            stderr = process.stderr
            process.stderr_path.unlink()
            if status == 127:  # the dynamic linker's: not even the libraries fit
                assert "error while loading shared libraries" in stderr
            elif status != 9:
                assert status in (65, 70), stderr  # 65: a fault of the template, or of memory
                assert "memory" in stderr
                said += 1
        assert status == 9  # the stand-in's own: enough memory at last
        assert said

    def test_a_step_that_crashes_is_said_and_ends_the_start(
        work: pathlib.Path, templates: dict[str, str]
    ) -> None:
        calls = "rename,renameat,renameat2"
        strace = ["strace", "-D", "-f", "-o", str(work / "trace"), "-e", f"trace={calls}"]
        inject = ["-e", f"inject={calls}:signal=SEGV"]
        process = run([*strace, *inject, str(BINARY), "thrift-server"], work, templates)
        assert process.wait() == 70
        assert "the helper for rendering was ended by SIGSEGV" in process.stderr
        assert "started" not in process.stderr


# --- clocks and memory ---------------------------------------------------------------------------


def test_no_clock_that_can_be_set_wakes_pid_1(work: pathlib.Path) -> None:
    trace = work / "trace"
    argv = [str(BINARY), "run", "--", "sh", "-c", "(sleep 300 &) ; exec sleep 300"]
    env = {"SPARKPOD_SHUTDOWN_ENDPOINT_DELAY": "300ms", "SPARKPOD_SHUTDOWN_DRAIN": "300ms"}
    process = run(["strace", "-D", "-o", str(trace), *argv], work, env)
    process.wait_until(lambda: "serving" in process.stderr)
    (worker,) = workers(process)
    os.kill(worker, signal.SIGKILL)
    rig.wait_for(lambda: workers(process) not in ([], [worker]), what="another worker")
    process.term()
    assert process.wait() == 0
    lines = trace.read_text().splitlines()
    timers = [line for line in lines if line.startswith("timerfd_create(")]
    assert timers
    assert all(line.startswith("timerfd_create(CLOCK_MONOTONIC,") for line in timers)
    assert any("timerfd_settime" in line and "TFD_TIMER_ABSTIME" in line for line in lines)
    sleeping = r"(clock_)?nanosleep|setitimer|alarm|timer_(create|settime)|futex|p?select6?|epoll_"
    assert [line for line in lines if re.match(sleeping, line)] == []
    # A poll with a time-out is the log's, for a pipe that is full; no clock is set there either.
    waits = [line for line in lines if re.match("p?poll", line) and "POLLIN" in line]
    assert waits
    assert all(re.search(r"\], 3, (-1|NULL)", line) for line in waits)


if not IS_STATIC and not IS_SANITIZED:  # LD_PRELOAD does nothing there, or is in the way

    @pytest.fixture(name="counter", scope="session")
    def fixture_counter() -> pathlib.Path:
        """Build the library that counts allocations."""
        target = rig.ROOT / "build" / "rig" / "malloc_counter.so"
        target.parent.mkdir(parents=True, exist_ok=True)
        source = rig.RIG / "malloc_counter.c"
        flags = ["-shared", "-fPIC", "-O1", "-D_GNU_SOURCE", "-Wall", "-Wextra"]
        subprocess.run(["gcc", *flags, "-o", target, source], check=True)
        return target

    @pytest.mark.parametrize("init", INITS, ids=str)
    def test_pid_1_allocates_nothing_once_it_serves(
        init: battery.Init, work: pathlib.Path, counter: pathlib.Path
    ) -> None:
        record = work / "count"
        record.write_bytes(bytes(8))
        env = {**init.env, "LD_PRELOAD": str(counter), "MALLOC_COUNTER": str(record)}
        # What the command does goes uncounted: it is static.
        argv = ["env", *(f"{name}={value}" for name, value in env.items()), *init.argv]
        loaded = dataclasses.replace(init, argv=argv)
        process = battery.Run(loaded, work, ["orphans", "100"])
        with contextlib.ExitStack() as stack:
            stack.callback(process.kill)
            process.wait_until(lambda: "serving" in process.stderr)

            def calls() -> int:
                owner, count = struct.unpack("II", record.read_bytes())
                assert owner == (1 if init.is_pid1 else process.init_pid)
                return int(count)

            before = calls()
            assert before  # it counts
            (worker,) = [
                pid
                for pid in battery.children(process.init_pid)
                if rig.cmdline(pid)[:2] == list(init.argv[:2])
            ]
            os.kill(worker, signal.SIGKILL)
            process.wait_until(lambda: "starting another" in process.stderr)
            time.sleep(0.3)
            for number in (signal.SIGURG, signal.SIGWINCH, signal.SIGCONT):
                process.send(number)
            process.wait_until(lambda: process.has("done"))
            assert calls() == before
            process.send(signal.SIGTERM)
            assert process.wait() == 0
            assert calls() == before
