"""A thousand secrets are planted where secrets come from, and looked for everywhere else."""

from __future__ import annotations

import os
import pathlib
import random
import re
import resource
import signal
import subprocess
from typing import Callable, Iterable, Mapping

import rig

Start = Callable[..., rig.Sparkpod]

COUNT = 1000
OUR_LINE = re.compile(rb"^\d{4}-\d\d-\d\dT[0-9:.]+Z (?:error|warn |info |debug) .*$", re.MULTILINE)


class Plants:
    """Secrets from the environment, from files that NAME_FILE names, and from a secrets folder.

    Each has characters that are escaped somewhere around a core that is escaped nowhere, so that
    the core is found in whatever form the secret was written.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        dice = random.Random(20261122)
        folder.mkdir()
        self.folder = folder / "mounted"
        self.folder.mkdir()
        self.cores: dict[str, str] = {}
        self.values: dict[str, str] = {}
        self.env = {"SPARKPOD_RENDER_SECRETS": str(self.folder)}
        for number in range(COUNT):
            name = f"PLANT_{number}_PASSWORD"
            core = f"{dice.getrandbits(80):020x}"
            value = f"{dice.choice('&<$')}{core}{dice.choice(chr(34) + chr(39) + chr(92) + '>ä')}z"
            self.cores[name], self.values[name] = core, value
            if number % 3 == 0:
                self.env[name] = value
            elif number % 3 == 1:
                self.env[f"{name}_FILE"] = self._put(folder / name, value)
            else:
                self._put(self.folder / name, value)

    @staticmethod
    def _put(path: pathlib.Path, value: str) -> str:
        path.write_text(value + "\n", encoding="utf-8")
        path.chmod(0o600)
        return str(path)

    def found_in(self, data: bytes) -> list[str]:
        """The names of the secrets in it."""
        runs = b"\n".join(set(re.findall(rb"[0-9a-f]{20,}", data)))
        return [name for name, core in self.cores.items() if core.encode() in runs]


def properties(plants: Plants, prefix: str) -> str:
    return "".join(f"{prefix}{number} ${{{name}}}\n" for number, name in enumerate(plants.values))


def xml(plants: Plants) -> str:
    return "".join(
        f"<property><name>planted.{number}.password</name><value>${{{name}}}</value></property>\n"
        for number, name in enumerate(plants.values)
    )


def processes() -> Iterable[tuple[int, bytes]]:
    """Every process with its command line."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            yield int(pid), pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue


def memory_of(pid: int) -> bytes:
    """What a core dump of the process would hold."""
    chunks = []
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb") as mem:
        for line in maps:
            start, end = (int(part, 16) for part in line.split()[0].split("-"))
            if " rw" in line:
                mem.seek(start)
                try:
                    chunks.append(mem.read(end - start))
                except OSError:
                    continue
    return b"".join(chunks)


def soft_core_limit(pid: int) -> str:
    limits = pathlib.Path(f"/proc/{pid}/limits").read_text(encoding="ascii")
    match = re.search(r"Max core file size +(\S+)", limits)
    assert match
    return match.group(1)


def worker_of(pod: rig.Sparkpod) -> int:
    """The health worker: sparkpod's own child by the same name."""
    name = rig.cmdline(pod.pid)[0]
    (worker,) = [pid for pid in pod.tree() if pid != pod.pid and rig.cmdline(pid)[:1] == [name]]
    return worker


def allow_cores() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def cores_in(folder: pathlib.Path) -> list[pathlib.Path]:
    return [path for path in folder.iterdir() if re.fullmatch(r"core(\.\d+)?", path.name)]


def assert_clean(
    pod: rig.Sparkpod, plants: Plants, holders: Iterable[pathlib.Path], work: pathlib.Path
) -> None:
    """No secret where none belongs, now."""
    for pid, cmdline in processes():
        assert plants.found_in(cmdline) == [], f"argv of {pid}"
    tree = [pod.pid, *pod.tree()]
    assert len(tree) >= 2, "PID 1 and the health worker at least"
    for pid in tree:
        environ = pathlib.Path(f"/proc/{pid}/environ").read_bytes()
        assert plants.found_in(environ) == [], f"environ of {pid}: {rig.cmdline(pid)}"
    assert plants.found_in(memory_of(pod.pid)) == [], "memory of PID 1"
    for path in ("/status", "/metrics", "/readyz?verbose", "/"):
        assert plants.found_in(pod.get(path)[1].encode()) == [], path
    for log in pod.logs():
        lines = OUR_LINE.findall(log.read_bytes())
        assert log.name != "stderr" or len(lines) > 3
        assert plants.found_in(b"\n".join(lines)) == [], log
    for path in work.rglob("*"):
        if path.is_file() and path not in holders:
            assert plants.found_in(path.read_bytes()) == [], path


def start(
    sparkpod: Start, role: str, templates: Mapping[str, str], work: pathlib.Path, env: Mapping[str, str]
) -> rig.Sparkpod:
    source = work / "templates"
    source.mkdir()
    for name, text in templates.items():
        (source / name).write_text(text, encoding="utf-8")
    allow_cores()
    return sparkpod(
        role, env={**env, "SPARKPOD_RENDER_SOURCE": str(source), "SPARKPOD_LOG_LEVEL": "debug"}
    )


def test_a_thousand_secrets_of_a_thrift_server_are_found_in_spark_defaults_only(
    work: pathlib.Path, homes: rig.Homes, sparkpod: Start, tmp_path: pathlib.Path
) -> None:
    plants = Plants(tmp_path / "secrets")
    demo = rig.TEMPLATES / "demo"
    templates = {path.name: path.read_text(encoding="utf-8") for path in demo.iterdir()}
    templates["spark-defaults.conf"] += properties(plants, "spark.hadoop.planted.password.")
    values = {"DEMO_FOLDER": str(work), "THRIFT_PORT": str(rig.free_port())}
    values["SPARK_UI_PORT"] = str(rig.free_port())
    env = rig.role_env(homes, "thrift-server", work, {**values, **plants.env})
    pod = start(sparkpod, "thrift-server", templates, work, env)
    pod.wait_ready()
    rendered = work / "conf" / "spark-defaults.conf"
    assert len(plants.found_in(rendered.read_bytes())) == COUNT
    assert rendered.stat().st_mode & 0o777 == 0o600
    assert_clean(pod, plants, [rendered], work)
    java = pod.java()
    assert java
    assert soft_core_limit(java) == "unlimited"
    assert {soft_core_limit(pid) for pid in (pod.pid, worker_of(pod))} == {"0"}
    assert pod.stop() == 0


def test_a_thousand_secrets_of_a_metastore_are_found_in_hive_site_only(
    work: pathlib.Path, homes: rig.Homes, sparkpod: Start, tmp_path: pathlib.Path
) -> None:
    plants = Plants(tmp_path / "secrets")
    password = plants.values["PLANT_0_PASSWORD"]
    template = (rig.TEMPLATES / "metastore" / "hive-site.xml").read_text(encoding="utf-8")
    template = template.replace("${DB_PASSWORD}", "${PLANT_0_PASSWORD}")
    assert "PLANT_0_PASSWORD" in template
    template = template.replace("</configuration>", xml(plants) + "</configuration>")
    postgres = rig.Postgres(work / "postgres")
    values = {
        **{"DB_HOST": "127.0.0.1", "DB_PORT": str(postgres.port), "DB_NAME": "hive"},
        **{"DB_USER": "hive", "METASTORE_PORT": str(rig.free_port())},
    }
    folder = work / "metastore"
    env = rig.role_env(homes, "metastore", folder, {**values, **plants.env})
    pod = start(sparkpod, "metastore", {"hive-site.xml": template}, work, env)
    rendered = folder / "conf" / "hive-site.xml"
    # While PostgreSQL is not there yet: the helper that waits has read the password.
    pod.wait_until(lambda: "refused" in pod.stderr)
    assert len(plants.found_in(rendered.read_bytes())) == COUNT
    assert_clean(pod, plants, [rendered], work)
    with postgres.start():
        # First it refuses the password, which is said without it.
        postgres.create_role("hive", "another")
        postgres.create_database("hive", owner="hive")
        pod.wait_until(lambda: "28P01" in pod.stderr)
        postgres.psql("ALTER ROLE hive PASSWORD '" + password.replace("'", "''") + "'")
        pod.wait_ready()
        holders = [rendered, *(work / "postgres").rglob("*")]
        assert_clean(pod, plants, holders, work)
        cwd = pathlib.Path(os.readlink(f"/proc/{pod.pid}/cwd"))
        os.kill(worker_of(pod), signal.SIGSEGV)
        pod.wait_until(lambda: "SIGSEGV" in pod.stderr)
        pod.wait_ready()
        assert pod.stop() == 0
        assert cores_in(cwd) == []


def test_what_is_no_sparkpod_leaves_a_core_here(work: pathlib.Path) -> None:
    """Or finding none above would say nothing."""
    sleeper = subprocess.Popen(["sleep", "60"], cwd=work, preexec_fn=allow_cores)
    sleeper.send_signal(signal.SIGSEGV)
    assert sleeper.wait() == -signal.SIGSEGV
    pattern = pathlib.Path("/proc/sys/kernel/core_pattern").read_text(encoding="ascii")
    assert "/" in pattern or cores_in(work)
