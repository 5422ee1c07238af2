"""Rendering is all or nothing: whatever kills it, refuses it or fills the disk, each target is the
old file or the new one, and the next run makes everything good."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import os
import pathlib
import pwd
import re
import shutil
import signal
import stat
import subprocess
from typing import Iterator, Mapping, Optional, Sequence

import pytest
import rig

SECRET = {"DB_PASSWORD": "p&<>'\"\\ $1 the secret", "DB_HOST": "db.example"}

# Nothing else may be filled in, and the long one takes more than one read.
TEMPLATES = {
    "core-site.xml": "<configuration>\n"
    "<property><name>fs.defaultFS</name><value>${DB_HOST}</value></property>\n"
    "</configuration>\n",
    "hive-site.xml": "<configuration>\n"
    "<property><name>a</name><value>${DB_PASSWORD}</value></property>\n"
    "</configuration>\n",
    "long.txt": "copied, ${NOT_FILLED}\n" * 2500,
    "metrics.properties": "# ${NOT_FILLED}\npassword=${DB_PASSWORD}\n",
    "spark-defaults.conf": "spark.x ${DB_PASSWORD}\nspark.y ${DB_HOST}\n",
}

# The mode of each file as it was before; None: it was not there.
OLD_MODES: dict[str, Optional[int]] = {
    "core-site.xml": 0o644,
    "hive-site.xml": 0o600,
    "long.txt": 0o664,
    "metrics.properties": None,
    "spark-defaults.conf": 0o400,
}

ERRORS = ("ENOSPC", "EDQUOT", "EIO", "EROFS")
OPENS = {"open", "openat", "openat2", "creat"}
RENAMES = {"rename", "renameat", "renameat2"}
WRITES = {"write", "writev", "pwrite64", "pwritev", "pwritev2"}
MODES = {"chmod", "fchmod", "fchmodat"}
SIZES = {"ftruncate", "truncate", "fallocate"}
SYNCS = {"fsync", "fdatasync"}
ADVICE = "(give it more space, or mount an emptyDir there)"


# --- files ---------------------------------------------------------------------------------------


def old_content(name: str) -> str:
    """Return what stood in a target before: longer than some new ones and shorter than others."""
    return f"old {name}\n" * 100


def put_templates(folder: pathlib.Path) -> pathlib.Path:
    """Make the folder of templates."""
    folder.mkdir()
    for name, content in TEMPLATES.items():
        (folder / name).write_text(content)
    return folder


def put_old(folder: pathlib.Path) -> pathlib.Path:
    """Make a folder of targets as an earlier run of something else left it."""
    folder.mkdir()
    for name, mode in OLD_MODES.items():
        if mode is not None:
            (folder / name).write_text(old_content(name))
            (folder / name).chmod(mode)
    return folder


def read_folder(folder: pathlib.Path) -> dict[str, str]:
    """Return the content of every file in a folder, hidden ones included."""
    return {path.name: path.read_text() for path in folder.iterdir()}


def mode_of(path: pathlib.Path) -> int:
    """Return the permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


def render_new(templates: pathlib.Path, folder: pathlib.Path) -> dict[str, str]:
    """Render undisturbed into a new folder, look that it is what is meant, and return it."""
    folder.mkdir()
    run = rig.run_sparkpod("render", str(templates), str(folder), env=SECRET)
    assert run.returncode == 0, run.stderr
    new = read_folder(folder)
    assert new.keys() == TEMPLATES.keys()
    assert "p&amp;&lt;&gt;'\"\\ $1 the secret" in new["hive-site.xml"]
    assert "password=p&<>'\"\\\\ $1 the secret" in new["metrics.properties"]
    assert new["long.txt"] == TEMPLATES["long.txt"]
    return new


def count_new(folder: pathlib.Path, new: Mapping[str, str]) -> int:
    """Assert that each target is whole, the old or the new one, and return how many are new."""
    count = 0
    for name, mode in OLD_MODES.items():
        path = folder / name
        if not path.exists():
            assert mode is None, f"{name} is gone"
            continue
        content = path.read_text()
        if content == new[name]:
            count += 1
            assert mode_of(path) == (0o600 if mode is None else mode & 0o600), name
        else:
            assert mode is not None and content == old_content(name), f"{name} is not whole"
            assert mode_of(path) == mode, name
    return count


# --- traces --------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Call:
    """A system call as strace -y tells it."""

    name: str
    number: int  # which one of that name, from 1
    args: str
    result: str

    @property
    def failed(self) -> bool:
        """Say whether it did not do anything."""
        return self.result.startswith("-1")

    def paths(self) -> list[str]:
        """Return what it names by path, or else the file behind its descriptor."""
        named = re.findall(r'(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"([^"]*)"', self.args)
        if named and self.name not in WRITES:
            return [os.path.normpath(os.path.join(folder, path)) for folder, path in named]
        return re.findall(r"^\d+<([^>]*)>", self.args)

    def within(self, folder: pathlib.Path) -> bool:
        """Say whether it is about the folder or something in it."""
        return any(pathlib.Path(path).is_relative_to(folder) for path in self.paths())


def sparkpod_env() -> dict[str, str]:
    """Return the environment that every run here has, traced or not."""
    return {**rig.base_env(), **SECRET}


def trace(log: pathlib.Path, argv: Sequence[str], wrapper: Sequence[str] = ()) -> list[Call]:
    """Run a command that succeeds and return its system calls, the dynamic loader's included."""
    run = subprocess.run(
        [*wrapper, "strace", "-f", "-qq", "-y", "-o", str(log), *argv],
        env=sparkpod_env(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    calls: list[Call] = []
    numbers: dict[str, int] = {}
    for line in log.read_text(errors="replace").splitlines():
        match = re.match(r"\d+ +(\w+)\((.*)\) += (.*)$", line)
        if match:
            name, args, result = match.groups()
            numbers[name] = numbers.get(name, 0) + 1
            calls.append(Call(name, numbers[name], args, result))
    return calls


def after_start(calls: Sequence[Call]) -> list[Call]:
    """Leave out what the dynamic loader does, some 450 calls: it knows nothing of any target. The
    first thing in main() is to open /dev/null, for the sake of descriptors 0 to 2."""
    start = next(i for i, call in enumerate(calls) if '"/dev/null"' in call.args)
    return list(calls[start:])


def inject(
    call: Call, what: str, argv: Sequence[str], wrapper: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """Run a command with something in the place of one of its system calls."""
    traced = ["-e", f"trace={call.name}"]
    fault = f"inject={call.name}:{what}:when={call.number}"
    return subprocess.run(
        [*wrapper, "strace", "-f", "-qq", "-o", "/dev/null", *traced, "-e", fault, *argv],
        env=sparkpod_env(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def errors_of(stderr: str) -> list[str]:
    """Return the lines of level error."""
    return [line for line in stderr.splitlines() if re.match(r"\S+ error +render: ", line)]


@dataclasses.dataclass(frozen=True)
class Bench:
    """A folder of templates, what comes of it, and the reference trace over an old folder."""

    work: pathlib.Path
    templates: pathlib.Path
    new: Mapping[str, str]
    calls: Sequence[Call]

    def argv(self, target: pathlib.Path) -> list[str]:
        """Return the command."""
        return [str(rig.sparkpod_binary()), "render", str(self.templates), str(target)]

    def target(self, number: int) -> pathlib.Path:
        """Make a folder of old targets; the length of its path is always the same."""
        return put_old(self.work / f"target-{number:05}")

    def first_rename(self) -> int:
        """Return the index of the first call that changes what a reader sees."""
        return next(i for i, call in enumerate(self.calls) if call.name in RENAMES)


REFERENCE = 99999


@pytest.fixture
def bench(work: pathlib.Path) -> Bench:
    """Everything that the loops below have in common."""
    templates = put_templates(work / "templates")
    new = render_new(templates, work / "new")
    empty = Bench(work, templates, new, [])
    target = empty.target(REFERENCE)
    calls = after_start(trace(work / "trace", empty.argv(target)))
    assert read_folder(target) == new
    return Bench(work, templates, new, calls)


# --- the order of things -------------------------------------------------------------------------


def test_each_file_is_staged_synced_renamed_and_then_its_folder_synced(bench: Bench) -> None:
    calls = bench.calls
    target = bench.work / f"target-{REFERENCE:05}"
    synced = []
    for name in TEMPLATES:
        path = str(target / name)
        rename = next(
            i for i, call in enumerate(calls) if call.name in RENAMES and call.paths()[1] == path
        )
        temp = calls[rename].paths()[0]
        assert pathlib.Path(temp).parent == target, "staged in another folder"

        def of_temp(names: set[str], staged: str = temp) -> list[int]:
            return [
                i
                for i, call in enumerate(calls)
                if call.name in names and call.paths() == [staged] and not call.failed
            ]

        (opened,) = of_temp(OPENS)
        for flag in ("O_WRONLY", "O_CREAT", "O_EXCL", "O_NOFOLLOW", "O_CLOEXEC"):
            assert flag in calls[opened].args
        assert calls[opened].args.endswith(", 0600")
        for index in of_temp(MODES):
            assert re.search(r", 0[46]00$", calls[index].args), calls[index]
        written = of_temp(WRITES)
        assert sum(int(calls[i].result) for i in written) == len(bench.new[name].encode())
        (sync,) = of_temp({"fsync"})
        synced.append(sync)
        folder_synced = [
            i
            for i, call in enumerate(calls)
            if call.name == "fsync" and call.paths() == [str(target)] and not call.failed
        ]
        assert opened < written[0] and written[-1] < sync < rename < max(folder_synced)
    assert max(synced) < bench.first_rename(), "a rename before all was staged"
    assert not [c for c in calls if "O_TRUNC" in c.args and c.within(target)]


# --- kills ---------------------------------------------------------------------------------------


def test_a_kill_at_any_system_call_leaves_whole_files_and_the_next_run_mends_all(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    def kill(number: int, call: Call) -> tuple[bool, int]:
        target = bench.target(number)
        run = inject(call, "signal=SIGKILL", bench.argv(target))
        assert run.returncode in (-signal.SIGKILL, 0), (call, run.stderr)
        count = count_new(target, bench.new)
        for path in target.iterdir():
            if path.name not in TEMPLATES:
                assert mode_of(path) & 0o077 == 0, f"{path.name} is open to others"
        again = subprocess.run(
            bench.argv(target), env=sparkpod_env(), capture_output=True, text=True, check=False
        )
        assert again.returncode == 0, (call, again.stderr)
        assert count_new(target, bench.new) == len(TEMPLATES), call
        assert read_folder(target).keys() == TEMPLATES.keys(), call
        shutil.rmtree(target)
        return run.returncode != 0, count

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        results = list(pool.map(kill, range(len(bench.calls)), bench.calls))
    kills = sum(killed for killed, _ in results)
    halfway = sum(killed and 0 < count < len(TEMPLATES) for killed, count in results)
    with capsys.disabled():
        print(f"\n{kills} kills at {len(bench.calls)} system calls, {halfway} between two renames")
    # Of what memory is asked for, a call more or less is nothing.
    assert kills >= 100 and kills >= 0.95 * len(bench.calls)
    assert halfway >= len(TEMPLATES) - 1


# --- errors --------------------------------------------------------------------------------------


def test_an_error_at_any_writing_call_is_told_and_leaves_whole_files_and_no_temp(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    reference = bench.work / f"target-{REFERENCE:05}"
    writing = OPENS | RENAMES | WRITES | MODES | SIZES | SYNCS
    cases = [
        (index, call, error)
        for index, call in enumerate(bench.calls)
        if call.name in writing and (call.within(reference) or call.within(bench.templates))
        for error in ERRORS
    ]

    def fail(number: int, case: tuple[int, Call, str]) -> list[str]:
        index, call, error = case
        target = bench.target(number)
        run = inject(call, f"error={error}", bench.argv(target))
        told = errors_of(run.stderr)
        place = target if call.within(reference) else bench.templates
        wrong = []
        # Whether an old target could be written is asked in case it is a read-only mount; another
        # answer than that one is none of an error's, and the rename comes to tell.
        asks = call.name in OPENS and "O_CREAT" not in call.args and "O_WRONLY" in call.args
        if asks and call.within(reference) and error != "EROFS" and run.returncode == 0:
            if count_new(target, bench.new) != len(TEMPLATES):
                wrong.append("status 0, and not all is new")
        elif run.returncode not in (70, 77, 78):
            wrong.append(f"status {run.returncode}")
        elif not any(str(place) in line for line in told):
            wrong.append(f"no error names {place.name}: {run.stderr}")
        try:
            if count_new(target, bench.new) and index < bench.first_rename() and run.returncode:
                wrong.append("a file was replaced before all was staged")
        except AssertionError as problem:
            wrong.append(str(problem))
        wrong += [f"{name} is left" for name in read_folder(target) if name not in TEMPLATES]
        shutil.rmtree(target)
        return [f"{error} at {call.name}({call.args}): {what}" for what in wrong]

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        results = list(pool.map(fail, range(len(cases)), cases))
    with capsys.disabled():
        print(f"\n{len(cases)} errors at {len(cases) // len(ERRORS)} system calls")
    assert len(cases) >= 100
    assert {"write", "fsync", "rename", "fchmod"} <= {call.name for _, call, _ in cases}
    problems = [problem for result in results for problem in result]
    assert not problems, "\n".join(problems)


# --- mounts --------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Mounts:
    """A mount namespace that a sleeping process keeps."""

    pid: int
    enter: Sequence[str]

    def path(self, path: pathlib.Path) -> pathlib.Path:
        """Return a path as it is in there."""
        return pathlib.Path(f"/proc/{self.pid}/root{path}")

    def render(self, *args: pathlib.Path) -> subprocess.CompletedProcess[str]:
        """Run sparkpod render in there."""
        return subprocess.run(
            [*self.enter, str(rig.sparkpod_binary()), "render", *map(str, args)],
            env=sparkpod_env(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@contextlib.contextmanager
def mounts(work: pathlib.Path, script: str) -> Iterator[Mounts]:
    """Run a script of mounts in a namespace of its own: by root's right, else as root of a user
    namespace."""
    root = os.geteuid() == 0
    rights = [] if root else ["--user", "--map-root-user"]
    process = rig.Process(
        "mounts",
        ["unshare", *rights, "--mount", "sh", "-ec", f"{script}\ntouch {work}/up\nexec sleep 300"],
        rig.base_env(),
        work,
    )
    try:
        process.wait_until((work / "up").exists, 20, "the mounts are there")
        enter = ["nsenter", *([] if root else ["--user", "--preserve-credentials"])]
        yield Mounts(process.pid, [*enter, "--mount", "--target", str(process.pid), "--"])
    finally:
        process.kill()


def test_a_full_disk_is_70_with_advice_and_keeps_the_old_files(work: pathlib.Path) -> None:
    templates = put_templates(work / "templates")
    (templates / "long.txt").write_text("x" * 100_000)
    target = work / "target"
    target.mkdir()
    with mounts(work, f"mount -t tmpfs -o size=64k none {target}") as inside:
        disk = inside.path(target)
        for name in TEMPLATES:
            (disk / name).write_text(old_content(name))
        # A set whose first files would fit, and one file.
        for args in ((templates, target), (templates / "long.txt", target / "long.txt")):
            run = inside.render(*args)
            assert run.returncode == 70
            (line,) = errors_of(run.stderr)
            assert f"cannot write in {target}: No space left on device {ADVICE}" in line
            assert read_folder(disk) == {name: old_content(name) for name in TEMPLATES}


def test_a_mounted_file_is_written_in_place_with_a_warning(work: pathlib.Path) -> None:
    templates = put_templates(work / "templates")
    new = render_new(templates, work / "new")
    target = put_old(work / "target")
    real = work / "real"
    real.write_text(old_content("hive-site.xml"))
    with mounts(work, f"mount --bind {real} {target}/hive-site.xml") as inside:
        run = inside.render(templates, target)
        assert run.returncode == 0, run.stderr
        assert re.search(
            rf"^\S+ warn +render: {target}/hive-site\.xml is a mount of its own and was written in "
            r"place, not atomically: mount its folder instead$",
            run.stderr,
            re.MULTILINE,
        )
        assert run.stderr.count(" warn ") == 1
        assert read_folder(inside.path(target)) == new
    assert real.read_text() == new["hive-site.xml"]
    assert mode_of(real) == 0o600


# A disk of 16 pages: the file that is mounted has one of them, the rest is taken.
FULL_DISK = """
mount -t tmpfs -o size=64k none {disk}
cp {old} {disk}/hive-site.xml
head -c 100000 /dev/zero > {disk}/rest 2>/dev/null || :
mount --bind {disk}/hive-site.xml {target}/hive-site.xml
"""


@pytest.mark.parametrize("alone", [True, False], ids=["alone", "in_a_set"])
def test_a_mounted_file_on_a_full_disk_keeps_its_old_content(
    work: pathlib.Path, alone: bool
) -> None:
    templates = put_templates(work / "templates")
    with (templates / "hive-site.xml").open("a") as file:
        file.write(f"<!-- {'long ' * 4000} -->\n")
    new = render_new(templates, work / "new")
    target = put_old(work / "target")
    disk = work / "disk"
    disk.mkdir()
    old = work / "old"
    old.write_text(old_content("hive-site.xml"))
    with mounts(work, FULL_DISK.format(disk=disk, old=old, target=target)) as inside:
        assert len(read_folder(inside.path(disk))["rest"]) == 60 * 1024
        if alone:
            run = inside.render(templates / "hive-site.xml", target / "hive-site.xml")
        else:
            run = inside.render(templates, target)
        assert run.returncode == 70
        (line,) = errors_of(run.stderr)
        assert f"cannot write in {target}/hive-site.xml: No space left on device {ADVICE}" in line
        files = read_folder(inside.path(target))
        assert files.keys() == {name for name, mode in OLD_MODES.items() if mode} | files.keys()
        assert files.keys() <= TEMPLATES.keys(), "a temp is left"
        for name, content in files.items():
            whole = (
                [old_content(name)] if name == "hive-site.xml" else [old_content(name), new[name]]
            )
            assert content in whole, name


def test_an_error_at_any_call_that_writes_in_place_is_told(work: pathlib.Path) -> None:
    templates = put_templates(work / "templates")
    new = render_new(templates, work / "new")
    target = put_old(work / "target")
    real = work / "real"
    path = target / "hive-site.xml"
    source = templates / "hive-site.xml"
    argv = [str(rig.sparkpod_binary()), "render", str(source), str(path)]
    problems = []
    with mounts(work, f"touch {real}\nmount --bind {real} {path}") as inside:
        real.write_text(old_content(path.name))
        calls = after_start(trace(work / "trace", argv, inside.enter))
        renamed = next(i for i, call in enumerate(calls) if call.name in RENAMES)
        assert "EBUSY" in calls[renamed].result
        writing = WRITES | MODES | SIZES | SYNCS
        cases = [
            (call, error)
            for call in calls[renamed:]
            if call.name in writing and call.paths() in ([str(path)], [str(real)])
            for error in ERRORS
        ]
        assert {"write", "fsync", "ftruncate"} <= {call.name for call, _ in cases}
        for call, error in cases:
            real.write_text(old_content(path.name))
            run = inject(call, f"error={error}", argv, inside.enter)
            at = f"{error} at {call.name}({call.args})"
            if run.returncode not in (70, 77):
                problems.append(f"{at}: status {run.returncode}")
            if not any(str(path) in line for line in errors_of(run.stderr)):
                problems.append(f"{at}: no error names the path: {run.stderr}")
            if call.name in MODES | {"fallocate"} and real.read_text() != old_content(path.name):
                problems.append(f"{at}: the old content is gone")
            if set(read_folder(inside.path(target))) - set(TEMPLATES):
                problems.append(f"{at}: a temp is left")
        real.write_text(old_content(path.name))
        assert inside.render(source, path).returncode == 0
        assert real.read_text() == new[path.name]
    assert not problems, "\n".join(problems)


# --- symbolic links ------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Linked:
    """conf/hive-site.xml is a link to data/real.xml, in one way or another."""

    template: pathlib.Path
    conf: pathlib.Path
    data: pathlib.Path

    @property
    def link(self) -> pathlib.Path:
        """The target of the rendering."""
        return self.conf / "hive-site.xml"

    @property
    def real(self) -> pathlib.Path:
        """What it points to."""
        return self.data / "real.xml"

    def make(self, way: str) -> list[pathlib.Path]:
        """Make the links and return them all."""
        if way == "absolute":
            self.link.symlink_to(self.real)
        elif way == "relative":
            self.link.symlink_to("../data/real.xml")
        elif way == "through a folder's link":
            (self.conf / "..data").symlink_to("../data")
            self.link.symlink_to("..data/real.xml")
            return [self.link, self.conf / "..data"]
        else:
            assert way == "chain"
            (self.data / "second").symlink_to("real.xml")
            self.link.symlink_to("../data/second")
            return [self.link, self.data / "second"]
        return [self.link]

    def render(self) -> subprocess.CompletedProcess[str]:
        """Render to the link."""
        return rig.run_sparkpod("render", str(self.template), str(self.link), env=SECRET)


LINKS = ["absolute", "relative", "chain", "through a folder's link"]


@pytest.fixture
def linked(work: pathlib.Path) -> Linked:
    """Two folders, and a template."""
    for name in ("conf", "data"):
        (work / name).mkdir()
    return Linked(put_templates(work / "templates") / "hive-site.xml", work / "conf", work / "data")


@pytest.mark.parametrize("way", LINKS)
def test_what_a_link_points_to_is_replaced_atomically_and_the_link_stays(
    linked: Linked, work: pathlib.Path, way: str
) -> None:
    links = {path: os.readlink(path) for path in linked.make(way)}
    linked.real.write_text(old_content("real.xml"))
    linked.real.chmod(0o640)
    with linked.real.open() as reader:
        run = linked.render()
        assert run.returncode == 0, run.stderr
        assert reader.read() == old_content("real.xml"), "written in place"
    for path, points_to in links.items():
        assert path.is_symlink() and os.readlink(path) == points_to
    new = render_new(linked.template.parent, work / "new")["hive-site.xml"]
    assert linked.real.read_text() == new
    assert not linked.real.is_symlink() and mode_of(linked.real) == 0o600
    names = {path for folder in (linked.conf, linked.data) for path in folder.iterdir()}
    assert names == {*links, linked.real}


@pytest.mark.parametrize("way", LINKS)
def test_a_dangling_link_makes_the_file_it_points_to(
    linked: Linked, work: pathlib.Path, way: str
) -> None:
    links = linked.make(way)
    run = linked.render()
    assert run.returncode == 0, run.stderr
    assert all(path.is_symlink() for path in links)
    new = render_new(linked.template.parent, work / "new")["hive-site.xml"]
    assert linked.real.read_text() == new
    assert mode_of(linked.real) == 0o600


def test_links_among_a_set_are_followed_too(linked: Linked, work: pathlib.Path) -> None:
    linked.make("relative")
    linked.real.write_text("old")
    templates = linked.template.parent
    run = rig.run_sparkpod("render", str(templates), str(linked.conf), env=SECRET)
    assert run.returncode == 0, run.stderr
    assert linked.link.is_symlink() and os.readlink(linked.link) == "../data/real.xml"
    assert read_folder(linked.conf) == render_new(templates, work / "new")
    assert [path.name for path in linked.data.iterdir()] == ["real.xml"]


def test_a_link_to_nowhere_and_a_ring_of_links_are_errors(linked: Linked) -> None:
    linked.link.symlink_to("../gone/real.xml")
    run = linked.render()
    assert run.returncode == 78
    assert "No such file or directory" in run.stderr
    assert "gone" in run.stderr, "the folder that is not there has no name"
    linked.link.unlink()
    linked.link.symlink_to("other")
    (linked.conf / "other").symlink_to("hive-site.xml")
    run = linked.render()
    assert run.returncode in (70, 77, 78)
    (line,) = errors_of(run.stderr)
    assert str(linked.link) in line
    # glibc's words, and musl's
    assert re.search("Too many levels of symbolic links|Symbolic link loop", line)
    assert {path.name for path in linked.conf.iterdir()} == {"hive-site.xml", "other"}


@pytest.mark.parametrize("way", LINKS)
def test_a_link_into_a_read_only_folder_is_an_error_that_names_the_folder(
    linked: Linked, work: pathlib.Path, way: str
) -> None:
    links = linked.make(way)
    linked.real.write_text(old_content("real.xml"))
    script = f"mount --bind {linked.data} {linked.data}\nmount -o remount,bind,ro {linked.data}"
    with mounts(work, script) as inside:
        run = inside.render(linked.template, linked.link)
    assert run.returncode in (77, 78)
    (line,) = errors_of(run.stderr)
    assert f"cannot write in {linked.data}: Read-only file system" in line
    assert "mount an emptyDir" in line
    assert all(path.is_symlink() for path in links)
    assert linked.real.read_text() == old_content("real.xml")
    assert not list(linked.conf.glob(".*.sparkpod*"))


def test_a_mounted_config_map_is_an_error_that_names_it(work: pathlib.Path) -> None:
    templates = put_templates(work / "templates")
    conf = work / "conf"
    version = conf / "..2026_01_31_12_00_00.123456789"
    version.mkdir(parents=True)
    (conf / "..data").symlink_to(version.name)
    for name in TEMPLATES:
        (version / name).write_text(old_content(name))
        (conf / name).symlink_to(f"..data/{name}")
    script = f"mount --bind {conf} {conf}\nmount -o remount,bind,ro {conf}"
    with mounts(work, script) as inside:
        for args in ((templates, conf), (templates / "hive-site.xml", conf / "hive-site.xml")):
            run = inside.render(*args)
            assert run.returncode in (77, 78)
            (line,) = errors_of(run.stderr)
            assert f"cannot write in {conf}" in line
            assert "Read-only file system (a ConfigMap and a Secret are read-only" in line
    assert read_folder(version) == {name: old_content(name) for name in TEMPLATES}
    assert os.readlink(conf / "..data") == version.name
    assert all((conf / name).is_symlink() for name in TEMPLATES)


# --- rights --------------------------------------------------------------------------------------


def render_as_nobody(
    work: pathlib.Path, source: pathlib.Path, target: pathlib.Path
) -> subprocess.CompletedProcess[str]:
    """Render without root's right to write everywhere."""
    binary = work / "sparkpod"
    if not binary.exists():  # the tree may be where no other user gets to
        shutil.copy(rig.sparkpod_binary(), binary)
        binary.chmod(0o755)
    user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    return subprocess.run(
        [str(binary), "render", str(source), str(target)],
        env=sparkpod_env(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        user=user and user.pw_uid,
        group=user and user.pw_gid,
        extra_groups=[] if user else None,
    )


def test_a_folder_that_is_not_ours_is_77_with_advice(work: pathlib.Path) -> None:
    templates = put_templates(work / "templates")
    target = put_old(work / "target")
    for path in target.iterdir():
        path.chmod(0o444)
    target.chmod(0o555)
    for args in ((templates, target), (templates / "hive-site.xml", target / "hive-site.xml")):
        run = render_as_nobody(work, *args)
        assert run.returncode == 77
        (line,) = errors_of(run.stderr)
        assert (
            f"cannot write in {target}: Permission denied (mount an emptyDir there, or set fsGroup "
            "to a group of this user)"
        ) in line
    assert count_old(target) == len([mode for mode in OLD_MODES.values() if mode])


def count_old(folder: pathlib.Path) -> int:
    """Assert that there is nothing but old files, and return how many."""
    files = read_folder(folder)
    assert files == {name: old_content(name) for name in files}
    return len(files)


def test_a_folder_of_ours_with_files_that_are_not_is_rendered_to(work: pathlib.Path) -> None:
    templates = put_templates(work / "templates")
    target = put_old(work / "target")
    for path in target.iterdir():
        path.chmod(0o444)
    target.chmod(0o777)  # as an emptyDir is
    run = render_as_nobody(work, templates, target)
    assert run.returncode == 0, run.stderr
    files = {path.name: mode_of(path) for path in target.iterdir()}
    assert files == {name: 0o400 if mode else 0o600 for name, mode in OLD_MODES.items()}
