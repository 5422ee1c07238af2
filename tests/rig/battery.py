"""What an init has to do, as cases that know nothing of an init but how to start it.

A case runs commands of battery.c under the init, as PID 1 of a PID namespace or not, and tallies
checks. Nothing depends on how quick something is; what should happen has DEADLINE_S to do so.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import os
import pathlib
import shutil
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, Iterator, Mapping, Optional, Sequence

import rig

DEADLINE_S = 60.0
MISSING_S = 3.0  # a signal that has not arrived by then is lost
AT_ONCE = 4
ORPHANS = 10_000
MOMENTS = 200
MOMENTS_AT_ONCE = 16
START_MS = 1000

# Not to be caught; SIGCHLD is the init's own; 32 and 33 are libc's.
NOT_SENT = {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, 32, 33}
SENT = [n for n in range(1, 65) if n not in NOT_SENT]
# Those whose default action is another one than to end the process.
HARMLESS = {
    *(signal.SIGCHLD, signal.SIGCONT, signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN),
    *(signal.SIGTTOU, signal.SIGURG, signal.SIGWINCH),
}
FATAL = [n for n in range(1, 65) if n not in HARMLESS]


@dataclasses.dataclass(frozen=True)
class Init:
    """How to start an init, and what it says of itself."""

    name: str
    argv: Sequence[str]
    is_pid1: bool = False
    env: Mapping[str, str] = dataclasses.field(default_factory=dict)
    stop_status: Optional[int] = None  # after a TERM that it passed on; None: the command's own
    turns: Mapping[int, int] = dataclasses.field(default_factory=dict)  # what INT arrives as
    idle_s: float = 5.0
    adopts: bool = True  # orphans; else they are the machine's, which may be slow to reap them

    def __str__(self) -> str:
        return f"{self.name}{', PID 1' if self.is_pid1 else ''}"

    def stopped(self, own: int) -> int:
        """Return the status after a TERM, the command having ended with own."""
        return own if self.stop_status is None else self.stop_status


# Without delays and without probes.
FAST = {
    "SPARKPOD_HEALTH_PORT": "0",
    "SPARKPOD_SHUTDOWN_ENDPOINT_DELAY": "0",
    "SPARKPOD_SHUTDOWN_DRAIN": "0",
}


def sparkpod(binary: pathlib.Path, is_pid1: bool) -> Init:
    """Describe sparkpod: a stop that was passed on is 0, and SIGINT is a stop."""
    return Init(
        "sparkpod",
        [str(binary), "run", "--"],
        is_pid1,
        FAST,
        stop_status=0,
        turns={signal.SIGINT: signal.SIGTERM},
    )


_BUILDING = threading.Lock()


def helper() -> str:
    """Build battery.c, once per version of it, however many threads ask."""
    source = rig.RIG / "battery.c"
    target = rig.ROOT / "build" / "rig" / "battery"
    with _BUILDING:
        if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
            target.parent.mkdir(parents=True, exist_ok=True)
            staged = target.with_suffix(f".{os.getpid()}")
            flags = ["-static", "-Os", "-s", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra"]
            subprocess.run(["musl-gcc", *flags, "-o", staged, source], check=True)
            staged.rename(target)
    return str(target)


def state(pid: int) -> str:
    """Return a process's state letter; "" when it is gone."""
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2][1]
    return ""


def children(pid: int) -> list[int]:
    """Return the children of a process, zombies too."""
    with contextlib.suppress(OSError):
        text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [int(word) for word in text.split()]
    return []


def status_fields(text: str) -> dict[str, str]:
    """Return the lines of a /proc/PID/status."""
    lines = (line.partition(":") for line in text.splitlines())
    return {name: value.strip() for name, _, value in lines}


def live_status(pid: int) -> dict[str, str]:
    """Return /proc/PID/status; empty when it is gone."""
    with contextlib.suppress(OSError):
        return status_fields(pathlib.Path(f"/proc/{pid}/status").read_text())
    return {}


def heeds(pid: int, number: int) -> bool:
    """Say whether a process blocks or catches a signal, and so does not lose it as PID 1."""
    fields = live_status(pid)
    sets = int(fields.get("SigBlk", "0"), 16) | int(fields.get("SigCgt", "0"), 16)
    return bool(sets >> (number - 1) & 1)


def bits(numbers: Sequence[int]) -> int:
    """Return a kernel's set of signals."""
    return sum(1 << (number - 1) for number in numbers)


class Run(rig.Process):
    """A command of battery.c, or any other, under an init."""

    def __init__(
        self,
        init: Init,
        folder: pathlib.Path,
        command: Sequence[str],
        arrange: Sequence[str] = (),
        is_ours: bool = True,
    ) -> None:
        self.init = init
        self.folder = folder
        if is_ours:
            command = [helper(), str(folder), *command]
        argv = [helper(), str(folder), "as", *arrange, *init.argv, *command]
        namespace = rig.namespace() if init.is_pid1 else ()
        super().__init__("init", [*namespace, *argv], {**rig.base_env(), **init.env}, folder)

    @functools.cached_property
    def init_pid(self) -> int:
        """The init's, as we see it."""
        if not self.init.is_pid1:
            return self.pid
        return rig.wait_for(lambda: children(self.pid), DEADLINE_S, "PID 1", 0.002)[0]

    def has(self, name: str) -> bool:
        """Say whether the command has noted something."""
        return (self.folder / name).exists()

    def read(self, name: str) -> str:
        """Return what it has noted."""
        return (self.folder / name).read_text("latin-1") if self.has(name) else ""

    def wait_up(self) -> None:
        """Wait until the command is where TERM finds it ready."""
        self.wait_until(lambda: self.has("up"), DEADLINE_S, "the command is up")

    def send(self, number: int) -> None:
        """Send a signal to the init."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.init_pid, number)

    def heeds_term(self) -> bool:
        """Say whether it is the init already, and has begun to heed TERM: at the latest when it
        has forked, as what sigtimedwait() waits for is not shown as blocked."""
        if rig.cmdline(self.init_pid)[:1] != [self.init.argv[0]]:
            return False
        return heeds(self.init_pid, signal.SIGTERM) or bool(children(self.init_pid))

    def ended(self) -> Optional[int]:
        """Return the init's status, None if it is still there after DEADLINE_S."""
        try:
            return self.wait(DEADLINE_S)
        except rig.RigError:
            return None


class Trial:
    """One case on one init: what it started, and the checks that held and that did not."""

    def __init__(self, init: Init, folder: pathlib.Path) -> None:
        self.init = init
        self.folder = folder
        self.passed = 0
        self.failures: list[str] = []
        self.runs: list[Run] = []
        self.numbers = itertools.count(1)

    def run(self, *command: str, arrange: Sequence[str] = (), is_ours: bool = True) -> Run:
        """Start a command under the init."""
        folder = self.folder / f"run-{next(self.numbers)}"
        folder.mkdir()
        self.runs.append(Run(self.init, folder, command, arrange, is_ours))
        return self.runs[-1]

    def check(self, holds: bool, what: str) -> None:
        """Tally one check; what is said of it when it does not hold."""
        if holds:
            self.passed += 1
        else:
            self.failures.append(what)

    def check_ended(self, run: Run, status: int, what: str) -> None:
        """The init ends, with that status and with nothing left: one check."""
        got = run.ended()
        left = run.tree()
        self.check(
            got == status and not left,
            f"{what}: {'it does not end' if got is None else f'status {got}'}, not {status}"
            + (f"; {len(left)} processes left" if left else ""),
        )

    def close(self) -> None:
        """End what still runs; the forkers, which nobody can catch, through what they share."""
        for run in self.runs:
            if run.has("forks"):
                with (run.folder / "forks").open("r+b") as shared:
                    shared.seek(8)
                    shared.write(b"\1")
            run.kill()


@dataclasses.dataclass(frozen=True)
class Case:
    """One thing that an init has to do."""

    group: str
    checks: int
    body: Callable[[Trial], None]
    applies: Callable[[Init], bool]
    waits: bool  # most of its time, so that others may run beside it

    @property
    def name(self) -> str:
        """A sentence."""
        return self.body.__name__

    def try_on(self, init: Init) -> Trial:
        """Run it. A check that it did not come to is one that failed."""
        helper()  # before there are threads
        rig.namespace()
        folder = rig.work_folder("battery-")
        trial = Trial(init, folder)
        try:
            self.body(trial)
        except rig.RigError as error:
            trial.failures.append(str(error))
        finally:
            trial.close()
            shutil.rmtree(folder, ignore_errors=True)
        missing = self.checks - trial.passed - len(trial.failures)
        if missing > 0:
            trial.failures.append(f"{missing} checks were not reached")
        return trial


CASES: list[Case] = []


def case(
    group: str,
    checks: int,
    applies: Callable[[Init], bool] = lambda init: True,
    waits: bool = False,
) -> Callable[[Callable[[Trial], None]], Callable[[Trial], None]]:
    """Add a function to the cases."""

    def add(body: Callable[[Trial], None]) -> Callable[[Trial], None]:
        CASES.append(Case(group, checks, body, applies, waits))
        return body

    return add


def cases_for(init: Init) -> list[Case]:
    """Return the cases that mean anything for an init."""
    return [each for each in CASES if each.applies(init)]


# --- exit statuses -------------------------------------------------------------------------------


def statuses(trial: Trial, commands: Mapping[Sequence[str], int]) -> None:
    """Run commands, several at once, and check the status of each."""

    def one(command: Sequence[str]) -> Optional[int]:
        return trial.run(*command).ended()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for command, got in zip(commands, pool.map(one, commands)):
            want = commands[command]
            trial.check(got == want, f"{' '.join(command)} gives {got}, not {want}")


@case("exit status", 256)
def every_exit_status_of_the_command_is_the_inits(trial: Trial) -> None:
    statuses(trial, {("exit", str(n)): n for n in range(256)})


@case("exit status", len(FATAL))
def every_fatal_signal_of_the_command_gives_128_and_its_number(trial: Trial) -> None:
    statuses(trial, {("die", str(n)): 128 + n for n in FATAL})


@case("exit status", 2)
def a_command_that_is_not_there_gives_127_one_that_cannot_run_126(trial: Trial) -> None:
    plain = trial.folder / "plain"
    plain.write_text("text")
    for path, want in ((str(trial.folder / "missing"), 127), (str(plain), 126)):
        got = trial.run(path, is_ours=False).ended()
        trial.check(got == want, f"{path} gives {got}, not {want}")


# --- signals -------------------------------------------------------------------------------------


def one_signal(trial: Trial, run: Run, number: int) -> Run:
    """Send one, wait for it; return the run, or another one if this one is over or lost it."""
    wanted = trial.init.turns.get(number, number)
    run.send(number)
    with contextlib.suppress(rig.RigError):
        rig.wait_for(
            lambda: not run.running() or str(wanted) in run.read("signals").split(),
            MISSING_S,
            interval=0.002,
        )
    got = run.read("signals").split()
    arrived = got.count(str(wanted))
    trial.check(arrived == 1, f"signal {number} arrives {arrived} times; {got[-3:]} did")
    if arrived and run.running() and wanted != signal.SIGTERM:
        return run
    run.kill()
    return recorder(trial)


def recorder(trial: Trial) -> Run:
    """Start a command that notes every signal."""
    run = trial.run("record")
    run.wait_up()
    return run


@case("signals", len(SENT))
def every_signal_to_the_init_arrives_at_the_command_once(trial: Trial) -> None:
    run = recorder(trial)
    for number in sorted(SENT, key=lambda n: n == signal.SIGTERM):
        run = one_signal(trial, run, number)
    run.kill()


@case("signals", 5)
def mask_and_dispositions_are_inherited_as_they_were(trial: Trial) -> None:
    mask, ignored = bits([signal.SIGUSR1, signal.SIGWINCH, 40]), [signal.SIGINT, signal.SIGHUP]
    arrange = ["--mask", f"{mask:x}"]
    for number in ignored:
        arrange += ["--ignore", str(int(number))]
    bare = trial.folder / "bare"
    bare.mkdir()
    subprocess.run([helper(), str(bare), "look"], check=False)
    plain = status_fields((bare / "status").read_text())
    wanted = {
        (): {"SigBlk": int(plain["SigBlk"], 16), "SigIgn": int(plain["SigIgn"], 16)},
        tuple(arrange): {"SigBlk": mask, "SigIgn": int(plain["SigIgn"], 16) | bits(ignored)},
    }
    for arrangement, sets in wanted.items():
        run = trial.run("look", arrange=arrangement)
        run.ended()
        fields = status_fields(run.read("status"))
        for name, want in sets.items():
            got = int(fields.get(name, "-1"), 16)
            trial.check(got == want, f"{name} is {got:x}, not {want:x}")
    run = trial.run("look", arrange=["--ignore", str(int(signal.SIGCHLD))])
    trial.check_ended(run, 7, "with SIGCHLD ignored at entry")


@case("signals", 5)
def a_stopped_init_and_a_stopped_command_go_on_when_continued(trial: Trial) -> None:
    run = trial.run("trap", "0", "9")
    run.wait_up()
    run.send(signal.SIGSTOP)
    rig.wait_for(lambda: state(run.init_pid) == "T", DEADLINE_S, "the init is stopped")
    run.send(signal.SIGTERM)
    time.sleep(0.2)
    trial.check(not run.has("term"), "TERM came through a stopped init")
    run.send(signal.SIGCONT)
    trial.check_ended(run, trial.init.stopped(9), "TERM while the init was stopped")
    trial.check(run.has("clean"), "the command did not clean up")

    run = trial.run("trap", "0", "9")
    run.wait_up()
    below = [pid for pid in run.tree() if rig.cmdline(pid)[:1] == [helper()]]
    command = next(pid for pid in below if rig.cmdline(pid)[2:3] == ["trap"])
    os.kill(command, signal.SIGSTOP)
    rig.wait_for(lambda: state(command) == "T", DEADLINE_S, "the command is stopped")
    run.send(signal.SIGTERM)
    time.sleep(0.2)
    trial.check(run.running(), "the init took a stopped command for one that ended")
    with contextlib.suppress(ProcessLookupError):
        os.kill(command, signal.SIGCONT)
    trial.check_ended(run, trial.init.stopped(9), "TERM while the command was stopped")


# --- descriptors ---------------------------------------------------------------------------------


@case("descriptors", 6)
def closed_descriptors_do_no_harm(trial: Trial) -> None:
    for closed in ([0], [0, 1, 2]):
        arrange = [word for fd in closed for word in ("--close", str(fd))]
        run = trial.run("look", arrange=arrange)
        trial.check_ended(run, 7, f"{closed} closed")
        files = dict(line.split(" ", 1) for line in run.read("files").splitlines())
        strange = {
            fd: files[str(fd)] for fd in closed if files.get(str(fd), "/dev/null") != "/dev/null"
        }
        trial.check(run.has("status") and not strange, f"the command finds {strange}")
        more = [name for fd, name in files.items() if int(fd) > 2]
        trial.check(run.has("status") and not more, f"the command inherits {more}")


@contextlib.contextmanager
def full_pipe(path: pathlib.Path) -> Iterator[str]:
    """A pipe that holds all it can, with a reader that has stopped reading."""
    os.mkfifo(path)
    fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(fd, b"x" * 4096)
    try:
        yield str(path)
    finally:
        os.close(fd)


@case("descriptors", 2)
def a_log_that_nobody_reads_blocks_neither_start_nor_stop(trial: Trial) -> None:
    with full_pipe(trial.folder / "full") as pipe:
        arrange = ["--stdout", pipe, "--stderr", pipe]
        run = trial.run("look", arrange=arrange)
        trial.check_ended(run, 7, "a command that ends")
        run = trial.run("trap", "0", "9", arrange=arrange)
        run.wait_up()
        run.send(signal.SIGTERM)
        trial.check_ended(run, trial.init.stopped(9), "a command that is stopped")


# --- families ------------------------------------------------------------------------------------


@case("zombies", 3, lambda init: init.adopts)
def ten_thousand_orphans_are_reaped(trial: Trial) -> None:
    run = trial.run("orphans", str(ORPHANS))
    run.wait_until(lambda: run.has("done"), 2 * DEADLINE_S, "they are forked")

    def zombies() -> int:
        return sum(state(pid) == "Z" for pid in children(run.init_pid))

    trial.check(run.running(), "the init is gone")
    with contextlib.suppress(rig.RigError):
        rig.wait_for(lambda: zombies() == 0, MISSING_S)
    left = len([pid for pid in children(run.init_pid) if state(pid) == "Z"])
    trial.check(left == 0, f"{left} zombies are left")
    run.send(signal.SIGTERM)
    trial.check_ended(run, trial.init.stopped(0), "afterwards")


@case("stop", 2)
def the_command_may_clean_up(trial: Trial) -> None:
    run = trial.run("trap", "1000", "9")
    run.wait_up()
    run.send(signal.SIGTERM)
    trial.check_ended(run, trial.init.stopped(9), "TERM")
    trial.check(run.has("clean"), "the command was cut off")


@case("stop", 3)
def what_left_its_session_is_ended_with_the_command(trial: Trial) -> None:
    run = trial.run("family", "session", "0", "ends")
    got = run.ended()
    trial.check(got == 3, f"status {got}, not 3")
    trial.check(run.has("clean"), "it was not asked to end")
    trial.check(not run.tree(), "it lives on")


@case("stop", 6, waits=True)
def grandchildren_that_need_2_s_to_clean_up_get_it(trial: Trial) -> None:
    runs = {kind: trial.run("family", kind, "2000") for kind in ("stays", "group", "session")}
    for run in runs.values():
        run.wait_up()
        run.send(signal.SIGTERM)
    for kind, run in runs.items():
        trial.check_ended(run, trial.init.stopped(0), f"grandchild: {kind}")
        trial.check(run.has("clean"), f"the grandchild ({kind}) was cut off")


@case("stop", 1)
def a_storm_of_forks_while_stopping_ends(trial: Trial) -> None:
    run = trial.run("storm")
    run.wait_up()
    run.send(signal.SIGTERM)
    trial.check_ended(run, trial.init.stopped(0), "storm")


@case("stop", 3, waits=True)
def what_forks_for_ever_is_ended_in_the_end(trial: Trial) -> None:
    runs = {kind: trial.run("forker", kind) for kind in ("broad", "chain", "sessions")}
    for run in runs.values():
        run.wait_up()
        run.send(signal.SIGTERM)
    for kind, run in runs.items():
        got = run.ended()
        before = run.read("forks")
        time.sleep(0.3)
        goes_on = run.read("forks") != before
        trial.check(got is not None and not goes_on, f"forker ({kind}) goes on; status {got}")


@case("stop", 2, lambda init: not init.is_pid1, waits=True)
def bystanders_survive_the_last_kill(trial: Trial) -> None:
    with subprocess.Popen(["sleep", "300"]) as outside:
        run = trial.run("forker", "broad", arrange=["--bystander", "yes"])
        run.wait_up()
        run.send(signal.SIGTERM)
        run.ended()
        trial.check(outside.poll() is None, "a process of the same user was killed")
        outside.kill()
    near = int(run.read("bystander"))
    trial.check(state(near) not in ("", "Z"), "a process of the init's session was killed")
    with contextlib.suppress(ProcessLookupError):
        os.kill(near, signal.SIGKILL)


@case("stop at any moment", MOMENTS)
def a_stop_at_any_moment_of_a_start_ends_everything(trial: Trial) -> None:
    def one(number: int) -> str:
        run = trial.run("start", str(START_MS))
        # Before that a TERM ends a process, and PID 1 never learns of it: the kernel drops it.
        rig.wait_for(run.heeds_term, DEADLINE_S, "it heeds TERM", 0.001)
        time.sleep(number * (1.1 * START_MS / 1000) / MOMENTS)
        run.send(signal.SIGTERM)
        got, left = run.ended(), run.tree()
        # Until the command catches TERM it dies of it.
        wanted = {trial.init.stopped(0), trial.init.stopped(128 + signal.SIGTERM)}
        run.kill()
        return "" if got in wanted and not left else f"moment {number}: status {got}, left {left}"

    with ThreadPoolExecutor(MOMENTS_AT_ONCE) as pool:
        for fault in pool.map(one, range(MOMENTS)):
            trial.check(not fault, fault)


# --- load and idleness ---------------------------------------------------------------------------

UNDER_LOAD = [
    every_fatal_signal_of_the_command_gives_128_and_its_number,
    every_signal_to_the_init_arrives_at_the_command_once,
    the_command_may_clean_up,
    grandchildren_that_need_2_s_to_clean_up_get_it,
    a_storm_of_forks_while_stopping_ends,
]


@case("under load", sum(each.checks for each in CASES if each.body in UNDER_LOAD))
def both_cores_busy_change_nothing(trial: Trial) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            busy = subprocess.Popen(["sh", "-c", "while :; do :; done"])
            stack.callback(busy.wait)
            stack.callback(busy.kill)
        for body in UNDER_LOAD:
            body(trial)


def switches(pid: int) -> int:
    """Return how often a process has given up or lost a core."""
    fields = live_status(pid)
    return int(fields["voluntary_ctxt_switches"]) + int(fields["nonvoluntary_ctxt_switches"])


@case("idle", 1, waits=True)
def an_idle_init_never_wakes_up(trial: Trial) -> None:
    run = trial.run("idle")
    run.wait_up()
    # Until a start is over.
    rig.wait_for(lambda: _is_still(run.init_pid), DEADLINE_S, "the start is over")
    before = switches(run.init_pid)
    time.sleep(trial.init.idle_s)
    count = switches(run.init_pid) - before
    trial.check(count == 0, f"{count} wake-ups in {trial.init.idle_s:g} s")


def _is_still(pid: int) -> bool:
    before = switches(pid)
    time.sleep(0.7)
    return switches(pid) == before
