"""Class-data archives: what they are used for, and that nothing about one can break a start.

Most of it is tried with a program of one class, under real JVMs; at the end the services."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import shutil
import subprocess
import zipfile
from typing import Callable, Iterator, Mapping, Optional, Sequence

import pytest
import rig

NOBODY = 65534
JDK = pathlib.Path(shutil.which("javac") or "/usr/bin/javac").resolve().parent.parent
SCRIPT = rig.ROOT / "images" / "archive"


@dataclasses.dataclass
class Program:
    """A folder like an image's: jars, a conf folder, an archive of the classes in the jars."""

    root: pathlib.Path
    java_home: pathlib.Path

    @property
    def archive(self) -> pathlib.Path:
        """The folder that images/archive made."""
        return self.root / "archive"

    @property
    def class_path(self) -> str:
        """The conf folder first, as Spark and Hadoop have it."""
        return f"{self.root}/conf/:{self.root}/jars/*:{self.root}/last"

    def env(self) -> dict[str, str]:
        """What sparkpod gives to the scripts that it starts."""
        return {
            **rig.base_env(),
            "JAVA_HOME": str(self.archive / "java"),
            "SPARKPOD_JAVA_HOME": str(self.java_home),
            "SPARKPOD_JAVA_ARCHIVE": str(self.archive),
        }

    def make_archive(self, env: Optional[Mapping[str, str]] = None) -> None:
        """Run images/archive, with one start of the program for training."""
        command = f'exec "$JAVA_HOME/bin/java" -cp "{self.class_path}" Shared'
        env = {
            **rig.base_env(),
            **(env or {}),
            "SPARKPOD": str(rig.sparkpod_binary()),
            "JAVA_HOME": str(self.java_home),
        }
        argv = [str(SCRIPT), str(self.archive), "--", "bash", "-c", command]
        subprocess.run(argv, env=env, check=True, capture_output=True, text=True, timeout=120)

    def start(
        self,
        *options: str,
        env: Optional[Mapping[str, str]] = None,
        class_path: Optional[str] = None,
        user: Optional[int] = None,
        archive: Optional[pathlib.Path] = None,
    ) -> "Started":
        """Start the program the way the scripts start a JVM."""
        argv = ["bin/java", *options, "-cp", class_path or self.class_path, "Shared", "-cp", "a b"]
        ended = subprocess.run(
            [str((archive or self.archive) / "java" / argv[0]), *argv[1:]],
            env={**self.env(), **(env or {})},
            cwd=self.root,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        facts = dict(line.split(" ", 1) for line in ended.stdout.splitlines() if " " in line)
        assert facts["arguments"] == "[-cp, a b]"
        assert facts["java.home"] == facts["JAVA_HOME"] == str(self.java_home)
        assert facts["ours"] == "0"
        assert facts["conf"] == f"file:{self.root}/conf/hive-site.xml"
        return Started(facts["mapped"] == "true", ended.stderr, facts)


@dataclasses.dataclass
class Started:
    """What became of it."""

    mapped: bool
    stderr: str
    facts: dict[str, str]

    def refusal(self) -> str:
        """Its one line of ours."""
        assert not self.mapped
        lines = [line for line in self.stderr.splitlines() if " java: " in line]
        assert len(lines) == 1, self.stderr
        return lines[0].partition("without the class-data archive: ")[2]


def make_program(root: pathlib.Path, java_home: pathlib.Path) -> Program:
    """Compile, pack, and archive."""
    for name in ("classes", "jars", "conf", "last"):
        (root / name).mkdir(parents=True)
    source = rig.RIG / "Shared.java"
    subprocess.run(
        [JDK / "bin/javac", "--release", "11", "-d", root / "classes", source], check=True
    )
    (root / "classes" / "both.properties").write_text("jar")
    jar = [JDK / "bin/jar", "--create", "--file"]
    subprocess.run([*jar, root / "jars/shared.jar", "-C", root / "classes", "."], check=True)
    for name in ("a", "z"):
        subprocess.run([*jar, root / f"jars/{name}.jar", str(source)], check=True)
    (root / "conf" / "hive-site.xml").write_text("<configuration/>")
    program = Program(root, java_home)
    program.make_archive()
    return program


@pytest.fixture(name="model", scope="module")
def model_fixture(session_folder: pathlib.Path) -> Program:
    """One that no test changes."""
    return make_program(session_folder / "archive-model", JDK)


@pytest.fixture(name="program")
def program_fixture(model: Program) -> Iterator[Program]:
    """One to be broken: the model's files, put back afterwards as they were, times included."""
    kept = model.root.with_name("archive-kept")
    subprocess.run(["cp", "-a", model.root, kept], check=True)
    yield model
    shutil.rmtree(model.root)
    kept.rename(model.root)


# --- where it fits -------------------------------------------------------------------------------


def test_a_fitting_archive_is_used_and_the_class_path_keeps_all_its_entries(model: Program) -> None:
    started = model.start()
    assert started.mapped
    assert started.stderr == ""
    jars = [f"{model.root}/jars/{name}.jar" for name in ("a", "shared", "z")]
    assert started.facts["path"].split(":") == [*jars, f"{model.root}/conf/", f"{model.root}/last"]


ELSEWHERE = "-XX:+UnlockDiagnosticVMOptions -XX:ArchiveRelocationMode=1"


def test_it_is_mapped_where_it_was_laid_out_unless_an_option_says_otherwise(model: Program) -> None:
    assert model.start().facts["in_place"] == "true"
    started = [model.start(*ELSEWHERE.split())]
    for variable in ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"):
        started.append(model.start(env={variable: ELSEWHERE}))
    for each in started:
        assert each.mapped
        assert each.facts["in_place"] == "false"


@pytest.mark.parametrize(
    "options",
    [
        ["-XX:+UseSerialGC", "-Xmx128m"],
        ["-XX:+UseParallelGC", "-Xss2m"],
        ["-XX:TieredStopAtLevel=1", "-ea"],
        ["--add-opens=java.base/java.lang=ALL-UNNAMED", "--add-modules", "java.base"],
        ["-agentlib:jdwp=transport=dt_socket,server=y,suspend=n,address=127.0.0.1:0"],
        ["-XX:+ExitOnOutOfMemoryError", "-Xlog:gc:stderr"],
    ],
    ids=lambda options: options[0],
)
def test_it_is_used_with_other_options(model: Program, options: Sequence[str]) -> None:
    assert model.start(*options).mapped


@pytest.mark.parametrize(
    "option",
    ["-Xmx40g", "-Xint", "-XX:+UseShenandoahGC", "--upgrade-module-path=/nowhere"],
)
def test_a_jvm_that_may_not_use_it_starts_all_the_same(model: Program, option: str) -> None:
    model.start(option)


def test_it_is_used_by_any_uid_and_from_a_folder_that_cannot_be_written(program: Program) -> None:
    for path in [program.root, *program.root.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o555)
    assert program.start(user=NOBODY).mapped


def test_it_is_used_from_the_folder_that_it_was_moved_to(program: Program) -> None:
    moved = program.root / "moved" / "archive"
    moved.parent.mkdir()
    program.archive.rename(moved)
    env = {"JAVA_HOME": str(moved / "java"), "SPARKPOD_JAVA_ARCHIVE": str(moved)}
    assert program.start(env=env, archive=moved).mapped


def test_it_is_used_where_a_jar_was_added_and_hides_nothing_in_a_folder_before_it(
    program: Program,
) -> None:
    added = program.root / "jars/b.jar"
    subprocess.run([JDK / "bin/jar", "--create", "--file", added, "-C", program.root / "conf", "."],
                   check=True)  # fmt: skip
    started = program.start()
    assert started.mapped
    assert f"/jars/z.jar:{program.root}/conf/:{added}:" in started.facts["path"]


# --- where it does not ---------------------------------------------------------------------------


def cut(program: Program) -> None:
    path = program.archive / "classes.jsa"
    os.truncate(path, path.stat().st_size // 2)


def flip(program: Program) -> None:
    with (program.archive / "classes.jsa").open("r+b") as file:
        file.seek(1_000_000)
        byte = file.read(1)[0]
        file.seek(1_000_000)
        file.write(bytes([byte ^ 1]))


def touch(program: Program) -> None:
    os.utime(program.root / "jars/a.jar", (1, 1))


def change(program: Program) -> None:
    with (program.root / "jars/z.jar").open("ab") as file:
        file.write(b"\0")


def hide(program: Program) -> None:
    (program.root / "conf" / "both.properties").write_text("conf")


def make_pipe(path: pathlib.Path) -> None:
    path.unlink()
    os.mkfifo(path)


BROKEN: dict[str, tuple[Callable[[Program], object], str]] = {
    "cut": (cut, "classes.jsa was changed or cut off"),
    "empty": (lambda p: os.truncate(p.archive / "classes.jsa", 0), "classes.jsa was changed"),
    "flipped": (flip, "classes.jsa was changed or cut off"),
    "missing": (lambda p: (p.archive / "classes.jsa").unlink(), "classes.jsa: No such file"),
    "a folder": (lambda p: ((p.archive / "classes.jsa").unlink(),
                            (p.archive / "classes.jsa").mkdir()), "classes.jsa: Is a directory"),
    "no manifest": (lambda p: (p.archive / "manifest").unlink(), "manifest: No such file"),
    "empty manifest": (lambda p: os.truncate(p.archive / "manifest", 0), "manifest is empty"),
    "cut manifest": (lambda p: os.truncate(p.archive / "manifest", 60), "manifest"),
    "manifest without its end": (lambda p: os.truncate(p.archive / "manifest", (
        p.archive / "manifest").stat().st_size - len("end\n")), "manifest is not whole"),
    "pipe": (lambda p: make_pipe(p.archive / "classes.jsa"), "classes.jsa was changed"),
    "pipe as manifest": (lambda p: make_pipe(p.archive / "manifest"), "manifest is empty"),
    "other manifest": (lambda p: (p.archive / "manifest").write_text("sparkpod archive 1\n"),
                       "of another version"),
    "touched jar": (touch, "a.jar is not the file that the archive was made from"),
    "changed jar": (change, "z.jar is not the file that the archive was made from"),
    "jar taken away": (lambda p: (p.root / "jars/a.jar").unlink(), "the archive has"),
    "hidden resource": (hide, "conf//both.properties comes before a jar that has one as well"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_what_does_not_fit_is_not_used_and_is_told_in_one_line(program: Program, name: str) -> None:
    damage, reason = BROKEN[name]
    damage(program)
    started = program.start()
    assert reason in started.refusal()
    where = f"{program.root}/conf/" if name == "hidden resource" else "shared.jar"
    assert where in started.facts["both"]
    # As if there were no archive: the class path is as it was given.
    assert started.facts["path"].startswith(f"{program.root}/conf/:")


@pytest.mark.parametrize(
    "option",
    ["-Xshare:on", "-Xshare:off", "-XX:SharedArchiveFile=/nowhere", "-XX:+UseZGC",
     "-XX:-UseCompressedOops", "-XX:ObjectAlignmentInBytes=16", "-Xbootclasspath/a:/nowhere"],
)  # fmt: skip
def test_it_is_not_used_beside_options_that_it_does_not_go_with(
    model: Program, option: str
) -> None:
    # With -Xshare:on and such a heap, ours would keep the JVM from starting.
    reason = model.start(option, "-Xmx40g").refusal()
    assert reason == f"{option} does not go with one"
    started = model.start("-Xmx40g", env={"JAVA_TOOL_OPTIONS": f"-Dx {option}"})
    assert started.refusal() == "JAVA_TOOL_OPTIONS does not go with one"


def test_options_of_other_jvms_are_none_of_its_own(model: Program) -> None:
    started = model.start("-Dexecutor.options=-Xshare:off")
    assert started.mapped


@pytest.mark.parametrize("name", ["classes.jsa", "manifest"])
def test_what_cannot_be_read_is_not_used(program: Program, name: str) -> None:
    (program.archive / name).chmod(0)
    assert f"{name}: Permission denied" in program.start(user=NOBODY).refusal()


def test_a_folder_that_cannot_be_listed_keeps_its_place(program: Program) -> None:
    (program.root / "conf").chmod(0o711)
    reason = program.start(user=NOBODY).refusal()
    assert reason == f"{program.root}/conf/ comes before the archive's jars: Permission denied"


@pytest.mark.parametrize("name", ["jars/z.jar", "own.jar"])
def test_a_jar_that_is_named_before_the_others_stays_before_them(
    program: Program, name: str
) -> None:
    first = program.root / name
    if not first.exists():
        shutil.copy2(program.root / "jars/a.jar", first)
    started = program.start(class_path=f"{first}:{program.class_path}")
    assert str(first) in started.refusal()
    assert started.facts["path"].startswith(str(first))


def test_another_jvm_does_not_get_it(model: Program) -> None:
    other = Program(model.root, rig.fetch("java", "21.0.8.2"))
    assert f"it was made with {JDK}/bin/java, this is" in other.start().refusal()


def test_a_jvm_that_was_replaced_does_not_get_it(program: Program) -> None:
    manifest = program.archive / "manifest"
    lines = manifest.read_text().splitlines(keepends=True)
    manifest.write_text(
        "".join("digest " + "0" * 32 + line[39:] if "libjvm" in line else line for line in lines)
    )
    assert "libjvm.so was changed" in program.start().refusal()


# --- the way through -----------------------------------------------------------------------------

ECHO = """#!/bin/bash
printf '%s\\0' "$0" "$@"
printf '\\0'
env -0 | sort -z
"""


def through(program: Program, *args: str, env: Optional[Mapping[str, str]] = None) -> list[str]:
    """What the real java is handed: its own path and arguments, then, behind an empty one, its
    environment."""
    home = program.root / "echo"
    (home / "bin").mkdir(parents=True, exist_ok=True)
    (home / "bin" / "java").write_text(ECHO)
    (home / "bin" / "java").chmod(0o755)
    env = {**program.env(), "SPARKPOD_JAVA_HOME": str(home), "A": "b c", **(env or {})}
    argv = [str(program.archive / "java/bin/java"), *args]
    ended = subprocess.run(argv, env=env, capture_output=True, text=True, check=True)
    return ended.stdout.split("\0")[:-1]


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["-version"],
        ["-jar", "program.jar", "-cp", "x"],
        ["-cp"],
        ["Main", "-cp", "x"],
        ["-Xmx1g", "-cp", "conf::/opt/spark/jars/*:", "Main", "", "two words", "-h"],
    ],
)
def test_arguments_and_environment_reach_java_untouched(
    program: Program, args: Sequence[str]
) -> None:
    argv, environment = through(program, *args), {}
    split = argv.index("", len(args))
    environment = dict(entry.split("=", 1) for entry in argv[split + 1 :])
    home = program.root / "echo"
    assert argv[:split] == [f"{home}/bin/java", *args]
    assert environment["JAVA_HOME"] == str(home)
    assert environment["A"] == "b c"
    assert not [name for name in environment if name.startswith("SPARKPOD_")]


def test_the_launcher_of_spark_finds_the_java_home_that_it_was_given(program: Program) -> None:
    launcher = ["-cp", program.class_path, "org.apache.spark.launcher.Main", "Shared"]
    words = through(program, *launcher)
    assert words[1 : len(launcher) + 1] == launcher
    assert f"JAVA_HOME={program.archive}/java" in words


def test_the_launcher_of_spark_has_its_jar_first(program: Program) -> None:
    shutil.copy2(program.root / "jars/a.jar", program.root / "jars/spark-launcher_2.12-3.5.9.jar")
    options = ["-Xmx128m", "-cp", f"{program.root}/jars/*", "org.apache.spark.launcher.Main", "-cp"]
    words = through(program, *options)
    jars = words[3].split(":")
    assert jars[0] == f"{program.root}/jars/spark-launcher_2.12-3.5.9.jar"
    assert sorted(jars) == sorted(map(str, program.root.glob("jars/*.jar")))
    assert words[1:6] == [*options[:2], words[3], *options[3:]]
    before = [*options[:2], f"{program.root}/conf:{program.root}/jars/*", *options[3:]]
    assert through(program, *before)[1:6] == before


def test_an_empty_java_home_is_none(program: Program) -> None:
    home = program.root / "echo"
    path = f"/nowhere:{home}/bin:{os.environ['PATH']}"
    words = through(program, "-version", env={"SPARKPOD_JAVA_HOME": "", "PATH": path})
    assert words[0] == f"{home}/bin/java"
    assert "JAVA_HOME=" in words


@pytest.mark.parametrize("options", [["--enable-preview"], ["--add-modules", "java.base"]])
def test_what_stands_behind_the_class_is_its_own(model: Program, options: Sequence[str]) -> None:
    env = {**model.env(), "CLASSPATH": f"{model.root}/jars/*"}
    argv = [model.archive / "java/bin/java", *options, "Shared", "-cp", model.class_path]
    ended = subprocess.run(argv, env=env, capture_output=True, text=True, check=True)
    assert f"arguments [-cp, {model.class_path}]" in ended.stdout.splitlines()


def test_without_a_java_it_says_so(model: Program) -> None:
    env = {**model.env(), "SPARKPOD_JAVA_HOME": "/nowhere"}
    argv = [str(model.archive / "java/bin/java"), "-version"]
    ended = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    assert ended.returncode == 127
    assert "there is no java in JAVA_HOME /nowhere" in ended.stderr


# --- making one ----------------------------------------------------------------------------------


def test_the_manifest_has_the_names_of_jars_of_every_kind(program: Program) -> None:
    with zipfile.ZipFile(program.root / "jars" / "large.jar", "w") as jar:
        for number in range(0x10000):
            jar.writestr(f"large/{number}", b"")
        jar.writestr("last.txt", b"")
    packed = (program.root / "jars" / "shared.jar").read_bytes().replace(b"both", b"also")
    (program.root / "jars" / "script.jar").write_bytes(b"#!/bin/sh\nexit 1\n" + packed)
    program.make_archive()
    lines = (program.archive / "manifest").read_text().splitlines()
    names = {line.partition(" ")[2] for line in lines if line.startswith("name ")}
    assert names > {"large", "last.txt", "also.properties", "both.properties", "META-INF"}


def test_one_made_on_a_large_machine_is_for_small_heaps_too(program: Program) -> None:
    program.make_archive({"JDK_JAVA_OPTIONS": "-XX:MaxRAM=256g"})
    assert program.start("-Xmx256m").mapped


def test_making_one_anew_leaves_other_files_of_its_folder_alone(program: Program) -> None:
    (program.archive / "notes").write_text("ours")
    (program.archive / "classes.jsa").write_text("old")
    program.make_archive()
    assert program.start().mapped
    assert (program.archive / "notes").read_text() == "ours"


# --- every JVM -----------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["11.0.13.1", "21.0.8.2", "25.0.2.1"])
def test_each_jvm_has_its_archive(work: pathlib.Path, version: str) -> None:
    program = make_program(work / "program", rig.fetch("java", version))
    assert program.start().facts["in_place"] == "true"
    asked = "option -XX:ArchiveRelocationMode=0" in (program.archive / "manifest").read_text()
    assert asked == (version >= "17")
    if int(version.partition(".")[0]) >= 24:
        option = "-XX:AOTMode=off"
        assert program.start(option).refusal() == f"{option} does not go with one"
    cut(program)
    assert "classes.jsa was changed or cut off" in program.start().refusal()


def test_java_8_has_none_and_that_is_no_fault(work: pathlib.Path) -> None:
    java = work / "jre" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text("#!/bin/sh\necho 'openjdk version \"1.8.0_342\"' >&2\n")
    java.chmod(0o755)
    ended = subprocess.run(
        [SCRIPT, work / "archive"],
        env={**rig.base_env(), "JAVA_HOME": str(work / "jre"), "SPARKPOD": rig.sparkpod_binary()},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "none: Java 8 cannot use one" in ended.stderr
    assert not (work / "archive").exists()


# --- the services --------------------------------------------------------------------------------


@pytest.fixture(name="archives", scope="module")
def archives_fixture(homes: rig.Homes, session_folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """What images/archive makes of the real Spark and of the real metastore, by role."""
    made = {}
    # fmt: off
    for role, env in (
        ("thrift-server", {**homes.spark_env(), "THRIFT_PORT": str(rig.free_port()),
                           "SPARK_UI_PORT": str(rig.free_port()),
                           "METASTORE_PORT": str(rig.free_port())}),
        ("metastore", {**homes.metastore_env(), "METASTORE_PORT": str(rig.free_port())}),
    ):
        # fmt: on
        made[role] = session_folder / f"archive-{role}"
        subprocess.run(
            [SCRIPT, made[role]],
            env={**rig.base_env(), **env, "SPARKPOD": str(rig.sparkpod_binary())},
            check=True,
            timeout=900,
        )
    return made


def maps_archive(process: rig.Sparkpod, archive: pathlib.Path) -> bool:
    """Whether the JVM of the service has the archive in its memory."""
    maps = pathlib.Path(f"/proc/{process.java()}/maps").read_text()
    return str(archive / "classes.jsa") in maps


def test_the_services_start_from_their_archives_and_serve(
    homes: rig.Homes,
    hive_database: rig.Database,
    archives: dict[str, pathlib.Path],
    work: pathlib.Path,
    sparkpod: Callable[..., rig.Sparkpod],
) -> None:
    ports = {name: str(rig.free_port()) for name in ("METASTORE_PORT", "THRIFT_PORT")}
    values = {**hive_database.env(), **ports, "SPARK_UI_PORT": str(rig.free_port())}
    values["WAREHOUSE"] = f"file:{work}/warehouse"
    for role in ("metastore", "thrift-server"):
        env = rig.role_env(homes, role, work / role, values)
        process = sparkpod(role, env={**env, "SPARKPOD_JAVA_ARCHIVE": str(archives[role])})
        process.wait_ready()
        assert "without the class-data archive" not in process.stderr
        assert maps_archive(process, archives[role])
    beeline = rig.Beeline(homes, int(ports["THRIFT_PORT"]))
    rows = beeline.query("CREATE TABLE t AS SELECT 40 + 2 AS n", "SELECT n FROM t")
    assert rows[-1] == ["42"]
