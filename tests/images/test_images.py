"""The images as they are built: what they promise, and whole stacks of them that serve."""

from __future__ import annotations

import json
import pathlib
import re
import shutil
import subprocess
import time
from typing import Iterator

import pytest
import rig
from conftest import ANY_UID, HARDENED, Container, Podman, Stack, image, running_stack

SERVERS = {
    "spark-thrift-server": ("185:185", ["thrift-server"], "/opt/spark/conf"),
    "hive-metastore": ("1000:1000", ["metastore"], "/opt/hive/conf"),
    "metastore": ("1000:1000", ["metastore"], "/opt/metastore/conf"),
}
SPARKPOD = "/usr/local/bin/sparkpod"
MB = 1_000_000

# A class path with a gap.
GAP = re.compile(r"NoSuchMethodError|NoClassDefFoundError|ClassNotFoundException|NoSuchFieldError")


@pytest.fixture(scope="module")
def folder() -> Iterator[pathlib.Path]:
    """A folder that the containers' users may enter."""
    path = rig.work_folder("sparkpod-images-")
    yield path
    shutil.rmtree(path, ignore_errors=True)


# --- what an image says of itself ----------------------------------------------------------------


@pytest.mark.parametrize("target", SERVERS)
def test_user_is_numeric_and_the_entrypoint_is_sparkpod(podman: Podman, target: str) -> None:
    inspected = podman.inspect(image(target))
    config = inspected["Config"]
    user, command, _ = SERVERS[target]
    assert config["User"] == user
    assert config["Entrypoint"] == [SPARKPOD]
    assert config["Cmd"] == command
    assert inspected["Healthcheck"]["Test"] == ["CMD", SPARKPOD, "probe", "ready"]


@pytest.mark.parametrize("target", ["binary", *SERVERS])
def test_labels_are_its_own_and_not_its_base_s(podman: Podman, target: str) -> None:
    labels = podman.inspect(image(target))["Config"]["Labels"]
    prefix = "org.opencontainers.image."
    expected = "sparkpod" if target == "binary" else f"sparkpod-{target}"
    assert labels[prefix + "title"] == expected
    assert labels[prefix + "version"] == "test"
    assert re.fullmatch("[0-9a-f]{12}", labels[prefix + "revision"])
    if target != "binary":
        assert labels[prefix + "base.name"].startswith("stand-in/")


def test_the_binary_image_runs_by_itself(podman: Podman) -> None:
    labels = podman.inspect(image("binary"))["Config"]["Labels"]
    ended = podman.run("run", "--rm", "--network=none", *HARDENED, image("binary"), "version")
    assert labels["org.opencontainers.image.revision"] in ended.stdout


@pytest.mark.parametrize("target", ["binary", *SERVERS])
def test_licences_and_the_list_of_what_is_in_it_are_in_it(
    podman: Podman, target: str, tmp_path: pathlib.Path
) -> None:
    name = podman.run("create", image(target), "help").stdout.strip()
    podman.run("cp", f"{name}:/usr/share/doc/sparkpod", str(tmp_path))
    podman.run("rm", name)
    found = {str(path.relative_to(tmp_path / "sparkpod")) for path in tmp_path.rglob("*")}
    assert {"sparkpod.cdx.json", "licenses/sparkpod/LICENSE", "licenses/libmicrohttpd"} <= found
    linked = json.loads((tmp_path / "sparkpod" / "sparkpod.cdx.json").read_text())
    assert {"libcurl", "OpenSSL", "musl"} <= {part["name"] for part in linked["components"]}
    if target != "binary":
        assert "jars.cdx.json" in found


@pytest.mark.parametrize("target", SERVERS)
def test_what_is_added_belongs_to_root_but_for_the_conf_folder(
    podman: Podman, target: str
) -> None:
    user, _, conf = SERVERS[target]
    added = ["/usr/local/bin/sparkpod", "/usr/local/lib/sparkpod", "/usr/share/doc/sparkpod"]
    if target == "spark-thrift-server":
        added += ["/opt/spark/log4j2", "/opt/spark/jars/hadoop-azure-3.3.4.jar"]
    else:
        added += ["/opt/hadoop"]
    if target == "metastore":
        added += ["/opt/metastore/bin", "/opt/metastore/lib"]
    script = f"find {' '.join(added)} '(' ! -user root -o ! -type l -perm /022 ')' -print; "
    script += f"find /tmp -mindepth 1; echo end; find {conf} -mindepth 1; stat -c %u:%g:%a {conf}"
    ended = podman.run("run", "--rm", "--network=none", image(target), "sh", "-c", script)
    assert ended.stdout.split() == ["end", f"{user.split(':', maxsplit=1)[0]}:0:775"]


def test_old_drivers_and_the_old_hadoop_are_gone_from_hive(podman: Podman) -> None:
    script = "ls /opt/hive/lib /opt/hadoop/lib; find /opt -name '*3.1.0*.jar'; ls /opt"
    options = ["--rm", "--network=none", image("hive-metastore")]
    names = podman.run("run", *options, "sh", "-c", script).stdout.split()
    assert [name for name in names if name.startswith("postgresql-")] == ["postgresql-42.7.7.jar"]
    assert [name for name in names if name.startswith("hadoop-") and "3.1.0" in name] == []
    assert "hadoop-azure-3.3.6.jar" in names
    assert "tez" not in names


# --- class-data archives -------------------------------------------------------------------------

ARCHIVE = "/usr/local/lib/sparkpod/archive"
CUT = f"truncate -s 1M {ARCHIVE}/classes.jsa"


def java_of_an_executor(podman: Podman, prepare: str = "true") -> tuple[str, str]:
    """What `sparkpod executor` comes to, by the stock way: the JVM's own words, and ours."""
    options = ["--rm", "--network=none", "--user=0", "--entrypoint=sh"]
    options += ["--env=SPARK_EXECUTOR_MEMORY=128m", "--env=SPARK_JAVA_OPT_0=-Xlog:cds"]
    options += ["--env=SPARK_JAVA_OPT_1=-Xlog:class+path=info"]
    script = f"{prepare}; exec {SPARKPOD} executor"
    ended = podman.run("run", *options, image("spark-thrift-server"), "-c", script, check=False)
    return ended.stdout, ended.stderr


def test_an_executor_starts_from_the_archive_by_the_stock_entrypoint(podman: Podman) -> None:
    said, ours = java_of_an_executor(podman)
    assert f"{ARCHIVE}/classes.jsa" in said
    assert "KubernetesExecutorBackend" in said + ours
    assert "without the class-data archive" not in ours


def test_an_executor_starts_without_an_archive_that_was_cut_off(podman: Podman) -> None:
    said, ours = java_of_an_executor(podman, CUT)
    assert f"{ARCHIVE}/classes.jsa was changed or cut off" in ours
    assert f"{ARCHIVE}/classes.jsa" not in said
    assert "KubernetesExecutorBackend" in said + ours


# --- the executor contract -----------------------------------------------------------------------

RECORDER = """#!/bin/bash
printf 'argument %s\\n' "$@"
env | grep -vE '^(HOSTNAME|SPARK_DIST_CLASSPATH|SPARK_LOG_DIR|HOME)=' | sort
id
pwd
"""


@pytest.mark.parametrize("role", ["executor", "driver"])
def test_executors_and_drivers_reach_the_stock_entrypoint_untouched(
    podman: Podman, folder: pathlib.Path, role: str
) -> None:
    recorder = folder / "recorder"
    recorder.write_text(RECORDER)
    recorder.chmod(0o755)
    args = [role, "--name", "two words", "", "-h", "--config"]
    options = ["--rm", "--network=none", f"--volume={recorder}:/opt/entrypoint.sh:ro"]
    options += ["--env=SPARK_JAVA_OPT_0=-Da='b c'", "--env=_SPARK_AUTH_SECRET=s3cret$x"]
    options += ["--env=SPARKPOD_HEALTH_PORT=nonsense", "--env=SPARK_REMOTE=kept"]
    options += ["--env=SPARKPOD_JAVA_ARCHIVE=off"]
    stock = podman.run("run", *options, "stand-in/spark:test", *args).stdout
    ours = podman.run("run", *options, image("spark-thrift-server"), *args).stdout
    assert ours == stock
    assert "argument two words\nargument \nargument -h\n" in ours
    assert "_SPARK_AUTH_SECRET=s3cret$x" in ours
    assert "uid=185(spark)" in ours


def own_lines(stderr: str) -> list[str]:
    """Return what a container wrote, without times, its own name and podman's complaint that
    there is no systemd to run the HEALTHCHECK now and then."""
    lines = [line for line in stderr.splitlines() if not line.startswith("time=")]
    return [re.sub(r"\d\d:\d\d:\d\d|\b[0-9a-f]{12}\b", "", line) for line in lines]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["bash", "-c", 'echo "$1" $$', "x", "two  words"], "two  words 1\n"),
        (["/opt/spark/bin/spark-submit", "--version"], "version 3.5."),
        (["/opt/spark/bin/beeline", "--help"], "-u <database url>"),
    ],
)
def test_other_commands_run_as_in_the_stock_image(
    podman: Podman, command: list[str], said: str
) -> None:
    outputs = []
    for tag in ("stand-in/spark:test", image("spark-thrift-server")):
        ended = podman.run("run", "--rm", "--network=none", tag, *command)
        outputs.append((ended.stdout, own_lines(ended.stderr)))
    assert outputs[0] == outputs[1]
    assert said in "\n".join([outputs[1][0], *outputs[1][1]])


# --- stacks that serve ---------------------------------------------------------------------------


@pytest.fixture(
    scope="module",
    params=["metastore, any uid", "hive-metastore, own uid"],
)
def stack(
    podman: Podman, folder: pathlib.Path, request: pytest.FixtureRequest
) -> Iterator[Stack]:
    """A stack for each metastore: as any uid of group 0, and as the images' own users."""
    target, user = request.param.split(", ")
    options = [*HARDENED, *([ANY_UID] if user == "any uid" else [])]
    path = folder / target
    path.mkdir()
    with running_stack(podman, path, target, "spark-thrift-server", options) as running:
        yield running


def beeline(stack: Stack, *statements: str, check: bool = True) -> str:
    argv = ["/opt/spark/bin/beeline", "-u", "jdbc:hive2://thrift:10000/", "-n", "test"]
    argv += ["--silent=true", "--outputformat=tsv2"]
    for statement in statements:
        argv += ["-e", statement]
    ended = stack.containers[2].exec(*argv, check=check)
    return ended.stdout + ended.stderr


def servers(stack: Stack) -> list[Container]:
    return stack.containers[1:]


def test_healthcheck_is_first_unhealthy_then_healthy(stack: Stack) -> None:
    assert not stack.containers[2].healthy()
    for container in servers(stack):
        container.wait_healthy()


def test_a_query_is_answered_from_a_table_in_the_warehouse(stack: Stack) -> None:
    answer = beeline(
        stack,
        "CREATE TABLE fruit (name STRING, pieces INT)",
        "INSERT INTO fruit VALUES ('apple', 3), ('pear', 39)",
        "SELECT sum(pieces) FROM fruit",
    )
    assert "\n42\n" in answer
    assert list((stack.warehouse / "fruit").glob("part-*"))


def test_a_client_that_goes_away_leaves_no_trace_in_the_log(stack: Stack) -> None:
    assert "Thrift error occurred" not in stack.containers[2].logs()


def test_pid_1_is_sparkpod_without_rights(stack: Stack) -> None:
    for container in servers(stack):
        status = pathlib.Path(f"/proc/{container.state['Pid']}/status").read_text()
        exe = pathlib.Path(f"/proc/{container.state['Pid']}/exe").readlink()
        assert str(exe) == SPARKPOD
        assert "NSpid:" in status and status.split("NSpid:")[1].split("\n")[0].split()[-1] == "1"
        assert "CapEff:\t0000000000000000" in status
        assert "CapBnd:\t0000000000000000" in status
        assert "NoNewPrivs:\t1" in status
        assert "\nUid:\t0" not in status


def test_orphans_are_reaped(stack: Stack) -> None:
    for container in servers(stack):
        pid = container.state["Pid"]
        container.exec("sh", "-c", "for i in 1 2 3 4 5; do (sleep 0.2 &) ; done")
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
        rig.wait_for(
            lambda: all(
                pathlib.Path(f"/proc/{child}/comm").read_text() != "sleep\n"
                for child in children.read_text().split()
            ),
            10,
            "the orphans are gone, zombies too",
        )


def test_a_table_on_abfss_fails_at_the_network_and_nowhere_before(stack: Stack) -> None:
    where = "abfss://files@account.dfs.core.invalid"
    answer = beeline(stack, f"CREATE TABLE far (a INT) LOCATION '{where}/far'", check=False)
    assert "UnknownHostException : login.invalid" in answer
    assert not GAP.search(answer), answer
    # The metastore itself: a database's folder is made by it alone.
    answer = beeline(stack, f"CREATE DATABASE away LOCATION '{where}/away'", check=False)
    log = stack.containers[1].logs()
    assert "UnknownHostException : login.invalid" in log
    for container in servers(stack):
        found = GAP.search(container.logs())
        assert not found, container.logs()[found.start() - 3000 : found.end() + 3000]


def test_term_ends_each_in_its_grace_with_0(stack: Stack) -> None:
    for container in reversed(servers(stack)):
        began = time.monotonic()
        assert container.stop(grace=60) == 0, container.logs()[-3000:]
        assert time.monotonic() - began < 60
        assert "exit 0" in container.logs()


# --- workload identity ---------------------------------------------------------------------------


def list_abfss(podman: Podman, tag: str, class_path: str, provider: str) -> str:
    """Return what Hadoop says when it is to list an abfss:// folder with a token of provider's."""
    core_site = pathlib.Path(__file__).parent / "core-site.xml"
    oauth = "fs.azure.account.oauth2"
    settings = [
        f"fs.azure.account.oauth.provider.type=org.apache.hadoop.fs.azurebfs.oauth2.{provider}",
        f"{oauth}.msi.tenant=tenant",
        f"{oauth}.msi.authority=https://login.invalid/",
        f"{oauth}.token.file=/etc/os-release",
    ]
    ended = podman.run(
        *("run", "--rm", "--network=none", f"--volume={core_site}:/conf/core-site.xml:ro", tag),
        *("java", "-cp", f"/conf:{class_path}", "org.apache.hadoop.fs.FsShell"),
        *(word for setting in settings for word in ("-D", setting)),
        *("-ls", "abfss://files@account.dfs.core.invalid/"),
        check=False,
    )
    return ended.stdout + ended.stderr


SPARK_CLASS_PATH = "/opt/spark/jars/*"
METASTORE_CLASS_PATH = "/opt/metastore/lib/*:/opt/hadoop/lib/*"
WORKLOAD_IDENTITY = "WorkloadIdentityTokenProvider"


@pytest.mark.parametrize(
    ("tag", "class_path"),
    [
        ("sparkpod/spark-thrift-server:spark-4", SPARK_CLASS_PATH),
        ("sparkpod/metastore:hadoop-3.4", METASTORE_CLASS_PATH),
    ],
)
def test_workload_identity_asks_for_a_token(podman: Podman, tag: str, class_path: str) -> None:
    said = list_abfss(podman, tag, class_path, WORKLOAD_IDENTITY)
    assert "UnknownHostException : login.invalid" in said
    assert "/tenant/oauth2/v2.0/token" in said


@pytest.mark.parametrize(
    ("target", "class_path"),
    [("spark-thrift-server", SPARK_CLASS_PATH), ("metastore", METASTORE_CLASS_PATH)],
)
def test_workload_identity_is_not_in_hadoop_3_3(
    podman: Podman, target: str, class_path: str
) -> None:
    said = list_abfss(podman, image(target), class_path, WORKLOAD_IDENTITY)
    assert "Unable to load OAuth token provider class" in said


# --- three lines for a team's own image ----------------------------------------------------------

# As docs/images.md has them, with the stand-in's names.
OWN = """FROM stand-in/spark:test
COPY --from=sparkpod/binary:test / /
ENTRYPOINT ["/usr/local/bin/sparkpod"]
"""


@pytest.fixture(scope="module")
def own_image(podman: Podman, folder: pathlib.Path) -> Iterator[str]:
    """An image of a team, built by the three lines of docs/images.md on its own Spark."""
    context = folder / "own"
    context.mkdir()
    (context / "Dockerfile").write_text(OWN)
    argv = ["buildah", "build", "--isolation=chroot", "--tag=own-spark:test", str(context)]
    subprocess.run(argv, env=podman.environment, check=True, capture_output=True)
    yield "own-spark:test"
    podman.run("rmi", "own-spark:test")


def test_three_lines_add_sparkpod_to_a_spark_image(podman: Podman, own_image: str) -> None:
    def run(*args: str) -> str:
        options = ["--rm", "--network=none", "--user=185:185"]
        return podman.run("run", *options, own_image, *args).stdout

    assert run("version").startswith("sparkpod")
    assert "executor_image" in run("config")
    assert run("bash", "-c", "stat -c %a:%U /usr /tmp /usr/local/bin") == (
        "755:root\n1777:root\n755:root\n"
    )


def test_a_stock_image_runs_it_from_an_image_volume(podman: Podman) -> None:
    mount = f"--mount=type=image,source={image('binary')},destination=/sparkpod"
    program = "/sparkpod/usr/local/bin/sparkpod"
    options = ["--rm", "--network=none", mount, f"--entrypoint={program}"]
    ended = podman.run("run", *options, "stand-in/spark:test", "sh", "-c", "id -un; echo $$")
    assert ended.stdout == "spark\n1\n"
    ended = podman.run("run", *options, "stand-in/spark:test", "version")
    assert ended.stdout.startswith("sparkpod")


def test_a_stock_image_runs_what_an_init_container_installed(
    podman: Podman, folder: pathlib.Path
) -> None:
    shared = folder / "installed"
    shared.mkdir()
    shared.chmod(0o777)
    options = ["--rm", "--network=none", f"--volume={shared}:/sparkpod", *HARDENED]
    podman.run("run", *options, image("binary"), "install", "/sparkpod")
    options.append("--entrypoint=/sparkpod/sparkpod")
    ended = podman.run("run", *options, "stand-in/spark:test", "sh", "-c", "id -un; echo $$")
    assert ended.stdout == "spark\n1\n"


def test_they_add_one_layer_under_5_mb(podman: Podman, own_image: str) -> None:
    base = podman.inspect("stand-in/spark:test")
    own = podman.inspect(own_image)
    assert len(own["RootFS"]["Layers"]) == len(base["RootFS"]["Layers"]) + 1
    assert own["Size"] - base["Size"] < 5 * MB


def test_the_slim_metastore_is_small_but_for_what_its_fast_start_costs(podman: Podman) -> None:
    stat = ["--network=none", image("metastore"), "stat", "-c", "%s", f"{ARCHIVE}/classes.jsa"]
    archive = int(podman.run("run", "--rm", *stat).stdout)
    assert archive < 75 * MB
    assert podman.inspect(image("metastore"))["Size"] - archive < 350 * MB


# --- the Dockerfile ------------------------------------------------------------------------------


def test_hadolint_finds_nothing() -> None:
    argv = [pathlib.Path(__file__).parent / "hadolint", rig.ROOT / "Dockerfile"]
    run = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout + run.stderr) == (0, "")


def test_every_default_base_is_pinned_to_a_version() -> None:
    text = (rig.ROOT / "Dockerfile").read_text()
    bases = re.findall(r"^ARG \w+_IMAGE=(\S+)$", text, re.MULTILINE)
    assert len(bases) == 4
    assert all(re.fullmatch(r"[a-z/-]+:[a-z]*-?\d[\w.-]+", base) for base in bases), bases
