"""PID 1 with small services in place of the real ones: signals, exit statuses, orphans, the stop
ladder, the probes. `sparkpod run` is the same PID 1 as the roles'."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import signal
import subprocess
import time
from typing import Callable

import pytest
import rig

Start = Callable[..., rig.Sparkpod]

# A stop that waits for nobody.
FAST = {"SPARKPOD_SHUTDOWN_ENDPOINT_DELAY": "0", "SPARKPOD_SHUTDOWN_DRAIN": "0"}


def shell(script: str) -> list[str]:
    return ["run", "--", "bash", "-c", script]


@pytest.mark.parametrize("status", [0, 1, 2, 42, 69, 77, 126, 127, 137, 143, 255])
def test_the_exit_status_of_the_command_is_ours(sparkpod: Start, status: int) -> None:
    assert sparkpod(*shell(f"exit {status}")).wait() == status


@pytest.mark.parametrize("name", ["TERM", "KILL", "SEGV", "ABRT", "HUP"])
def test_a_command_ended_by_a_signal_gives_128_and_its_number(sparkpod: Start, name: str) -> None:
    process = sparkpod(*shell(f"kill -{name} $$"))
    assert process.wait() == 128 + getattr(signal, f"SIG{name}")
    assert f"run was ended by SIG{name}" in process.stderr


def test_a_command_that_is_not_there_gives_127_and_one_that_cannot_run_126(
    sparkpod: Start, work: pathlib.Path
) -> None:
    missing = sparkpod("run", "--", "no-such-command")
    assert missing.wait() == 127
    assert "cannot execute no-such-command: No such file or directory" in missing.stderr
    plain = work / "plain"
    plain.write_text("text")
    assert sparkpod("run", "--", str(plain)).wait() == 126


def test_sigterm_reaches_the_command_and_the_stop_is_0(sparkpod: Start, work: pathlib.Path) -> None:
    script = f"trap 'echo got it > {work}/term; exit 9' TERM; touch {work}/up; while :; do sleep 0.05; done"
    process = sparkpod(*shell(script), env=FAST)
    rig.wait_for((work / "up").exists)
    process.wait_ready()
    process.term()
    assert process.wait() == 0
    assert (work / "term").read_text() == "got it\n"
    assert process.tree() == []


def test_what_ignores_term_is_killed_after_its_grace_and_the_status_says_so(
    sparkpod: Start,
) -> None:
    process = sparkpod(
        *shell("trap '' TERM; while :; do sleep 0.05; done"),
        env={**FAST, "SPARKPOD_SHUTDOWN_GRACE": "500ms"},
    )
    process.wait_ready()
    process.term()
    assert process.wait() == 137
    assert process.tree() == []
    assert "shutdown.grace is over" in process.stderr


def test_a_grandchild_that_needs_time_to_clean_up_gets_it(
    sparkpod: Start, work: pathlib.Path
) -> None:
    grandchild = f"trap 'sleep 1; echo clean > {work}/clean; exit' TERM; touch {work}/up; while :; do sleep 0.05; done"
    process = sparkpod(*shell(f"bash -c \"{grandchild}\" & exec sleep 60"), env=FAST)
    rig.wait_for((work / "up").exists)
    process.wait_ready()
    process.term()
    assert process.wait() == 0
    assert (work / "clean").read_text() == "clean\n"


def test_a_descendant_that_left_the_group_is_ended_too(sparkpod: Start, work: pathlib.Path) -> None:
    script = f"setsid bash -c 'echo $$ > {work}/pid; exec sleep 300' & sleep 0.2; exit 3"
    process = sparkpod(*shell(script))
    assert process.wait() == 3
    pid = int((work / "pid").read_text())
    assert rig.cmdline(pid) == []  # gone, or a zombie that init has yet to reap
    assert "SIGTERM to 1 process that did not end with the service" in process.stderr


def test_orphans_are_reaped_as_they_end(sparkpod: Start, work: pathlib.Path) -> None:
    script = (
        "for i in {1..500}; do (setsid sh -c 'exec sleep 0.1' &) ; done;"
        f" touch {work}/done; exec sleep 60"
    )
    process = sparkpod(*shell(script), env=FAST)
    rig.wait_for((work / "done").exists)

    def zombies() -> int:
        run = subprocess.run(
            ["ps", "-o", "stat=", "--ppid", str(process.pid)], capture_output=True, text=True
        )
        return sum(line.startswith("Z") for line in run.stdout.splitlines())

    rig.wait_for(lambda: len(process.tree()) <= 3, what="the orphans have ended")
    assert zombies() == 0


def test_other_signals_go_to_the_command(sparkpod: Start, work: pathlib.Path) -> None:
    script = (
        f"for s in HUP USR1 USR2 QUIT WINCH CONT; do trap \"echo $s >> {work}/got\" $s; done;"
        f" touch {work}/up; while :; do sleep 0.05; done"
    )
    process = sparkpod(*shell(script), env=FAST)
    rig.wait_for((work / "up").exists)
    for number, name in enumerate(["HUP", "USR1", "USR2", "QUIT", "WINCH", "CONT"], 1):
        process.signal(getattr(signal, f"SIG{name}"))
        rig.wait_for(
            lambda n=number: (work / "got").exists()
            and len((work / "got").read_text().split()) == n
        )
    assert (work / "got").read_text().split() == ["HUP", "USR1", "USR2", "QUIT", "WINCH", "CONT"]
    process.term()
    assert process.wait() == 0


def test_the_command_finds_mask_and_dispositions_as_they_were(sparkpod: Start) -> None:
    def masks(text: str) -> dict[str, str]:
        return dict(line.split(":\t") for line in text.splitlines() if line.startswith("Sig"))

    plain = subprocess.run(
        ["grep", "^Sig", "/proc/self/status"], capture_output=True, text=True, check=True
    )
    process = sparkpod("run", "--", "grep", "^Sig", "/proc/self/status")
    assert process.wait() == 0
    ours = masks(process.stdout)
    for name in ("SigBlk", "SigIgn"):
        assert ours[name] == masks(plain.stdout)[name]


def test_sigchld_ignored_at_entry_does_no_harm(work: pathlib.Path) -> None:
    def ignore() -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)

    run = subprocess.run(
        [str(rig.sparkpod_binary()), "run", "--", "bash", "-c", "exit 7"],
        env={**rig.base_env(), "SPARKPOD_HEALTH_PORT": "0"},
        preexec_fn=ignore,
        timeout=30,
        check=False,
    )
    assert run.returncode == 7


def test_as_pid_1_of_a_namespace_everything_is_ended(work: pathlib.Path) -> None:
    script = f"trap '' TERM; setsid sh -c 'trap \"\" TERM; echo up > {work}/up; sleep 300' & sleep 300 & wait"
    process = rig.Process(
        "namespace",
        [*rig.namespace(), str(rig.sparkpod_binary()), *shell(script)],
        {**rig.base_env(), **FAST, "SPARKPOD_HEALTH_PORT": "0", "SPARKPOD_SHUTDOWN_GRACE": "200ms"},
        work,
    )
    rig.wait_for((work / "up").exists)
    inner = rig.descendants(process.pid)[0]
    os.kill(inner, signal.SIGTERM)
    assert process.wait() == 137
    assert process.tree() == []


def test_a_stop_before_the_command_runs_is_0_and_quick(sparkpod: Start) -> None:
    process = sparkpod("run", "--wait", f"tcp://127.0.0.1:{rig.free_port()}", "--", "sleep", "60")
    process.wait_until(lambda: process.get("/livez")[0] == 200)
    started = time.monotonic()
    process.term()
    assert process.wait() == 0
    assert time.monotonic() - started < 5  # not the default endpoint delay and drain
    assert "run started" not in process.stderr


def test_live_while_waiting_ready_when_it_runs_not_ready_at_once_on_sigterm(
    sparkpod: Start, work: pathlib.Path
) -> None:
    port = rig.free_port()
    process = sparkpod(
        *["run", "--wait", f"tcp://127.0.0.1:{port}", "--", "sleep", "60"],
        env={"SPARKPOD_SHUTDOWN_ENDPOINT_DELAY": "1s"},
    )
    process.wait_until(lambda: process.get("/livez")[0] == 200)
    for _ in range(20):
        assert process.get("/livez")[0] == 200
        status, reason = process.get("/readyz")
        assert status == 503
        assert process.get("/startupz")[0] == 503
        time.sleep(0.05)
    assert f"waiting for tcp://127.0.0.1:{port}" in reason
    listener = rig.Process(
        "listener",
        ["/usr/bin/python3", "-m", "http.server", "--bind", "127.0.0.1", str(port)],
        rig.base_env(),
        work,
    )
    process.wait_ready()
    assert process.get("/startupz")[0] == 200
    process.term()
    rig.wait_for(lambda: process.get("/readyz")[0] == 503, timeout=0.9)
    assert process.get("/livez")[0] == 200
    assert process.wait() == 0
    listener.kill()


def test_a_probe_url_decides_ready_and_live(sparkpod: Start, work: pathlib.Path) -> None:
    port = rig.free_port()
    server = f"{shutil.which('python3')} -m http.server --bind 127.0.0.1 {port}"
    process = sparkpod(
        *["run", "--probe", f"http://127.0.0.1:{port}/", "--", "bash", "-c"],
        f"sleep 1; {server} & echo $! > {work}/pid; sleep 300",
        env={**FAST, "SPARKPOD_HEALTH_INTERVAL": "100ms"},
    )
    process.wait_until(lambda: process.get("/livez")[0] == 200)
    assert process.get("/readyz")[0] == 503
    process.wait_ready()
    os.kill(int((work / "pid").read_text()), signal.SIGKILL)
    rig.wait_for(lambda: process.get("/readyz")[0] == 503)
    rig.wait_for(lambda: process.get("/livez")[0] == 503)
    assert "connection refused" in process.get("/readyz")[1]


def test_a_health_worker_that_is_killed_comes_back_and_the_command_is_not_touched(
    sparkpod: Start,
) -> None:
    process = sparkpod("run", "--", "sleep", "300", env=FAST)
    process.wait_ready()
    sleeper = next(p for p in process.tree() if rig.cmdline(p)[:1] == ["sleep"])
    for _ in range(3):
        workers = [
            p
            for p in rig.descendants(process.pid)
            if rig.cmdline(p)[1:3] == ["run", "--"] and p != process.pid
        ]
        assert len(workers) == 1
        os.kill(workers[0], signal.SIGKILL)
        rig.wait_for(
            lambda old=workers[0]: process.get("/readyz")[0] == 200
            and old not in rig.descendants(process.pid)
        )
    assert sleeper in process.tree()
    assert "sparkpod_health_worker_starts_total 4" in process.get("/metrics")[1]


def test_a_service_that_is_never_usable_ends_with_69(sparkpod: Start) -> None:
    process = sparkpod(
        *["run", "--probe", f"tcp://127.0.0.1:{rig.free_port()}", "--", "sleep", "300"],
        env={**FAST, "SPARKPOD_HEALTH_START_DEADLINE": "1s"},
    )
    assert process.wait() == 69
    assert re.search(
        r"run not usable .* \(health\.start_deadline\): .*connection refused", process.stderr
    )
    assert process.tree() == []


def test_a_busy_health_port_is_an_error_at_start(sparkpod: Start) -> None:
    first = sparkpod("run", "--", "sleep", "300", env=FAST)
    first.wait_ready()
    second = sparkpod("run", "--", "sleep", "300", env=FAST, port=first.port)
    assert second.wait() == 78
    assert f"{first.port}" in second.stderr


def test_probe_asks_the_running_pid_1(sparkpod: Start) -> None:
    process = sparkpod("run", "--", "sleep", "300", env=FAST)
    process.wait_ready()
    env = {"SPARKPOD_HEALTH_PORT": str(process.port)}
    for probe in ("live", "ready", "startup"):
        assert rig.run_sparkpod("probe", probe, env=env).returncode == 0
    process.term()
    process.wait()
    gone = rig.run_sparkpod("probe", "ready", env=env)
    assert gone.returncode == 69
    assert "connection refused" in gone.stderr


def test_a_full_stderr_pipe_does_not_block_the_stop(work: pathlib.Path) -> None:
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    try:
        while True:
            os.write(write_end, b"x" * 65536)
    except BlockingIOError:
        pass
    os.set_blocking(write_end, True)
    process = subprocess.Popen(
        [str(rig.sparkpod_binary()), "run", "--", "sleep", "300"],
        env={**rig.base_env(), **FAST, "SPARKPOD_HEALTH_PORT": "0"},
        stderr=write_end,
    )
    rig.wait_for(lambda: any(rig.cmdline(p)[:1] == ["sleep"] for p in rig.descendants(process.pid)))
    process.terminate()
    assert process.wait(timeout=20) == 0
    os.close(read_end)
    os.close(write_end)


def test_a_sigterm_before_the_settings_are_read_is_not_lost_by_pid_1(work: pathlib.Path) -> None:
    settings = work / "settings.fifo"
    os.mkfifo(settings)
    argv = [str(rig.sparkpod_binary()), "run", "--config", str(settings), "--", "sleep", "60"]
    process = rig.Process(
        "early", [*rig.namespace(), *argv], {**rig.base_env(), "SPARKPOD_HEALTH_PORT": "0"}, work
    )
    inner = rig.wait_for(
        lambda: [p for p in rig.descendants(process.pid) if rig.cmdline(p) == argv], what="PID 1"
    )[0]
    time.sleep(0.3)  # it waits for somebody to write to the fifo
    os.kill(inner, signal.SIGTERM)
    settings.write_text("")
    assert process.wait(20) == 0
    assert "SIGTERM: stopping" in process.stderr
    assert "run started" not in process.stderr


def test_a_leftover_that_needs_kill_does_not_taint_a_clean_stop(
    sparkpod: Start, work: pathlib.Path
) -> None:
    stubborn = f"trap '' TERM; touch {work}/up; while :; do sleep 0.05; done"
    process = sparkpod(*shell(f'setsid bash -c "{stubborn}" & exec sleep 300'), env=FAST)
    rig.wait_for((work / "up").exists)
    process.wait_ready()
    process.term()
    # The service obeyed; what it left behind did not.
    assert process.wait() == 0
    assert process.tree() == []
    assert "SIGKILL to" in process.stderr


def test_a_log_that_nobody_reads_does_not_end_a_step(work: pathlib.Path) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    run = subprocess.run(
        [str(rig.sparkpod_binary()), *shell("exit 7")],
        env={**rig.base_env(), "SPARKPOD_HEALTH_PORT": "0", "SPARKPOD_LOG_LEVEL": "debug"},
        stderr=write_end,
        timeout=30,
        check=False,
    )
    os.close(write_end)
    assert run.returncode == 7


@pytest.mark.parametrize("number", [34, 35, 64])
def test_a_real_time_signal_goes_to_the_command_and_does_not_end_us(
    sparkpod: Start, work: pathlib.Path, number: int
) -> None:
    script = f"trap 'touch {work}/got' {number}; touch {work}/up; while :; do sleep 0.05; done"
    process = sparkpod(*shell(script), env=FAST)
    rig.wait_for((work / "up").exists)
    os.kill(process.pid, number)
    rig.wait_for((work / "got").exists)
    process.term()
    assert process.wait() == 0


def test_our_lines_and_the_services_share_a_log_file(work: pathlib.Path) -> None:
    log = work / "log"
    with log.open("w") as file:
        run = subprocess.run(
            [str(rig.sparkpod_binary()), *shell("echo one >&2; sleep 0.2; echo two >&2")],
            env={**rig.base_env(), "SPARKPOD_HEALTH_PORT": "0"},
            stderr=file,
            timeout=30,
            check=False,
        )
    assert run.returncode == 0
    lines = log.read_text().splitlines()
    assert {"one", "two"} <= set(lines)
    assert all(line in ("one", "two") or line.startswith("20") for line in lines), lines
