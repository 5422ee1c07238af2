"""The real servers, for the integration tests and for scripts: PostgreSQL, the Hive Metastore,
the Spark Thrift Server, beeline, and sparkpod itself. Standard library only.

Every process started here writes to a file in the folder that its caller names, carries a mark in
its environment, and is gone, with all that came of it, after stop(): also what left its process
group or lost its parent.
"""

from __future__ import annotations

import contextlib
import copy
import csv
import dataclasses
import functools
import http.client
import io
import json
import os
import pathlib
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
import xml.sax.saxutils
from typing import Any, Callable, Iterator, Mapping, Optional, Sequence, TypeVar

RIG = pathlib.Path(__file__).resolve().parent
ROOT = RIG.parent.parent
TEMPLATES = RIG / "templates"

# Spark and the metastore start JVMs; on a busy machine that takes its time.
START_S = 120.0

# The standalone metastore without hive-exec, on a hive-site.xml that does not name these two.
STANDALONE_OPTS = (
    "-Dmetastore.expression.proxy=org.apache.hadoop.hive.metastore.DefaultPartitionExpressionProxy"
    " -Dmetastore.task.threads.always=org.apache.hadoop.hive.metastore.events.EventCleanerTask"
)

_MARK = "SPARK_RIG_MARK"
_PLACEHOLDER = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")

T = TypeVar("T")
P = TypeVar("P", bound="Process")


class RigError(Exception):
    """A server did not do what the rig needs of it; the message carries the end of its log."""


# --- small helpers -------------------------------------------------------------------------------


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on now. It is below the range the kernel
    takes ports of outgoing connections from, so that none of those is in the way later."""
    while True:
        port = random.randrange(12000, 32000)
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port


def port_open(port: int, host: str = "127.0.0.1") -> bool:
    """Say whether a connection to the port is accepted."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def wait_for(
    predicate: Callable[[], T], timeout: float = 30.0, what: str = "", interval: float = 0.05
) -> T:
    """Call predicate until its result is true and return that; RigError after timeout seconds."""
    deadline = time.monotonic() + timeout
    while True:
        result = predicate()
        if result:
            return result
        if time.monotonic() > deadline:
            raise RigError(f"not within {timeout:g} s: {what or predicate}")
        time.sleep(interval)


def tail(path: pathlib.Path, lines: int = 40) -> str:
    """Return the last lines of a log."""
    try:
        text = path.read_text(errors="replace")
    except OSError as error:
        return f"({error})"
    return "\n".join(text.splitlines()[-lines:])


def work_folder(prefix: str = "sparkpod-") -> pathlib.Path:
    """Make a temp folder that other users may enter, as an unprivileged PostgreSQL has to."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix=prefix))
    folder.chmod(0o755)
    return folder


def base_env() -> dict[str, str]:
    """Return what a process needs of our environment, and nothing a test could trip over."""
    keep = ("PATH", "HOME", "LANG", "LC_ALL", "JAVA_HOME", "TMPDIR", "USER")
    return {
        name: value
        for name, value in os.environ.items()
        if name in keep or name.endswith("SAN_OPTIONS")
    }


def java_tmp(folder: pathlib.Path) -> str:
    """Make a temp folder for a JVM, as servers leave things in /tmp, and return the option."""
    tmp = folder / "tmp"
    tmp.mkdir(parents=True, exist_ok=True)
    return f"-Djava.io.tmpdir={tmp}"


def fill(template: pathlib.Path, target: pathlib.Path, values: Mapping[str, str]) -> None:
    """Put values into a template, for servers that start without sparkpod."""
    escape = xml.sax.saxutils.escape if template.suffix == ".xml" else str

    def value(match: re.Match[str]) -> str:
        name, default = match.group(1), match.group(2)
        if name in values:
            return escape(values[name])
        if default is None:
            raise RigError(f"{template}: {name} has no value")
        return default

    target.write_text(_PLACEHOLDER.sub(value, template.read_text()))


def fill_folder(templates: pathlib.Path, target: pathlib.Path, values: Mapping[str, str]) -> None:
    """Put values into every template of a folder."""
    target.mkdir(parents=True, exist_ok=True)
    for template in sorted(templates.iterdir()):
        fill(template, target / template.name, values)


# --- homes ---------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Homes:
    """Where the servers are. hive_client holds what Spark talks to this metastore with where its
    built-in client is not fit for it."""

    spark: pathlib.Path
    metastore: pathlib.Path
    hive_client: Optional[pathlib.Path] = None

    @property
    def schema(self) -> pathlib.Path:
        """The script that makes the metastore's tables in PostgreSQL; a release of the metastore
        uses that of its minor version."""
        folder = self.metastore / "scripts" / "metastore" / "upgrade" / "postgres"
        minor = version_of(self.metastore).rpartition(".")[0]
        return folder / f"hive-schema-{minor}.0.postgres.sql"

    @property
    def spark_options(self) -> list[str]:
        """What start-thriftserver.sh is told to make Spark take the Hive client."""
        if not self.hive_client:
            return []
        confs = {
            "version": version_of(self.hive_client),
            "jars": "path",
            "jars.path": f"file://{self.hive_client}/jars/*.jar",
        }
        pairs = [f"spark.sql.hive.metastore.{key}={value}" for key, value in confs.items()]
        return [argument for pair in pairs for argument in ("--conf", pair)]

    def spark_env(self) -> dict[str, str]:
        """Return what the Thrift Server needs in its environment."""
        return {"SPARK_HOME": str(self.spark)}

    def metastore_env(self) -> dict[str, str]:
        """Return what the metastore needs in its environment, PATH included."""
        bins = (self.metastore / "bin", self.metastore / "hadoop" / "bin")
        return {
            "METASTORE_HOME": str(self.metastore),
            "HADOOP_HOME": str(self.metastore / "hadoop"),
            "HADOOP_OPTS": STANDALONE_OPTS,
            "PATH": os.pathsep.join([*map(str, bins), os.environ["PATH"]]),
        }


def version_of(home: pathlib.Path) -> str:
    """Return the version of what fetch() got."""
    return home.name.rpartition("-")[2]


def fetch(*what: str) -> pathlib.Path:
    """Get what tests/rig/fetch has, such as "spark" or "spark", "4.3.0", if need be; its home."""
    run = subprocess.run([RIG / "fetch", *what], stdout=subprocess.PIPE, text=True, check=True)
    return pathlib.Path(run.stdout.splitlines()[-1])


# --- processes -----------------------------------------------------------------------------------


def _stat(pid: int) -> tuple[str, int]:
    """Return state and parent of a process; ("", 0) when it is gone."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2]
    except OSError:
        return "", 0
    state, parent = fields.split()[:2]
    return state, int(parent)


def _pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def descendants(pid: int) -> list[int]:
    """Return the processes below pid, parents first."""
    children: dict[int, list[int]] = {}
    for other in _pids():
        children.setdefault(_stat(other)[1], []).append(other)
    found: list[int] = []
    queue = [pid]
    while queue:
        below = children.get(queue.pop(0), [])
        found += below
        queue += below
    return found


def cmdline(pid: int) -> list[str]:
    """Return a process's argv; empty when it is gone or a zombie."""
    try:
        data = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return [part.decode(errors="replace") for part in data.split(b"\0")[:-1]]


def mount_namespace() -> tuple[str, ...]:
    """Return what runs a command that may mount: by root's right, else in a user namespace."""
    rights = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ("unshare", *rights, "--mount")


@functools.lru_cache
def namespace() -> tuple[str, ...]:
    """Return what runs a command as PID 1: by root's right, else in a user namespace."""
    for rights in ([], ["--user", "--map-root-user"]):
        argv = ("unshare", *rights, "--pid", "--fork", "--mount-proc")
        run = subprocess.run([*argv, "true"], capture_output=True, text=True, check=False)
        if run.returncode == 0:
            return argv
    raise RigError(f"no PID namespace; a container has to be privileged: {run.stderr}")


def _as_user(user: Optional[str]) -> dict[str, Any]:
    """Return what makes subprocess run something as another user."""
    if not user:
        return {}
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


class Process:
    """A started program with its output in files."""

    # All that was started here, for the report of a failed test.
    started: list[Process] = []

    def __init__(
        self,
        name: str,
        argv: Sequence[str | os.PathLike[str]],
        env: Mapping[str, str],
        folder: pathlib.Path,
        *,
        user: Optional[str] = None,
        cwd: Optional[pathlib.Path] = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.stdout_path = folder / f"{name}.stdout"
        self.stderr_path = folder / f"{name}.stderr"
        self.mark = uuid.uuid4().hex
        with self.stdout_path.open("ab") as out, self.stderr_path.open("ab") as err:
            self.popen = subprocess.Popen(
                [os.fspath(arg) for arg in argv],
                env={**env, _MARK: self.mark},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=cwd or folder,
                start_new_session=True,
                **_as_user(user),
            )
        self.pid = self.popen.pid
        Process.started.append(self)

    @property
    def stdout(self) -> str:
        """All it wrote to stdout so far."""
        return self.stdout_path.read_text(errors="replace")

    @property
    def stderr(self) -> str:
        """All it wrote to stderr so far."""
        return self.stderr_path.read_text(errors="replace")

    def tree(self) -> list[int]:
        """Return it and all that came of it and still runs, zombies excepted."""
        mark = f"{_MARK}={self.mark}".encode()
        pids = {self.pid, *descendants(self.pid)} if self.popen.poll() is None else set()
        for pid in _pids():
            with contextlib.suppress(OSError):
                if mark in pathlib.Path(f"/proc/{pid}/environ").read_bytes():
                    pids.add(pid)
        return sorted(pid for pid in pids if _stat(pid)[0] not in ("", "Z"))

    def java(self) -> Optional[int]:
        """Return the server's JVM, None while there is none."""
        for pid in self.tree():
            argv = cmdline(pid)
            if argv and argv[0].endswith("java") and "org.apache.spark.launcher.Main" not in argv:
                return pid
        return None

    def signal(self, number: int) -> None:
        """Send a signal to it, not to what it started."""
        self.popen.send_signal(number)

    def signal_tree(self, number: int) -> None:
        """Send a signal to it and to all that came of it."""
        for pid in self.tree():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def term(self) -> None:
        """Send SIGTERM."""
        self.signal(signal.SIGTERM)

    def pause(self) -> None:
        """Stop the whole tree: connections are accepted by the kernel, nothing answers."""
        self.signal_tree(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused tree go on."""
        self.signal_tree(signal.SIGCONT)

    def running(self) -> bool:
        """Say whether it still runs."""
        return self.popen.poll() is None

    def wait(self, timeout: float = 30.0) -> int:
        """Return its status as a shell tells it (128+N by signal N); RigError after timeout."""
        try:
            code = self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise RigError(f"{self.name} still runs after {timeout:g} s\n{self.tails()}") from None
        return code if code >= 0 else 128 - code

    def wait_until(
        self,
        predicate: Callable[[], T],
        timeout: float = START_S,
        what: str = "",
        interval: float = 0.05,
    ) -> T:
        """Call predicate until it is true; RigError at once when the process ends before."""

        def check() -> T:
            result = predicate()
            if not result and not self.running():
                raise RigError(f"{self.name} ended with {self.wait()}\n{self.tails()}")
            return result

        try:
            return wait_for(check, timeout, what, interval)
        except RigError as error:
            if self.running():
                raise RigError(f"{self.name}: {error}\n{self.tails()}") from None
            raise

    def stop(self, timeout: float = 20.0) -> int:
        """SIGTERM, after timeout SIGKILL to the whole tree; return the status."""
        self.resume()
        if self.running():
            self.term()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(timeout)
        self.kill()
        return self.wait()

    def kill(self) -> None:
        """SIGKILL to it and to all that came of it, until nothing is left."""
        deadline = time.monotonic() + 10
        while self.tree():
            self.signal_tree(signal.SIGKILL)
            self.popen.poll()
            if time.monotonic() > deadline:
                raise RigError(f"{self.name} cannot be killed: {self.tree()}")
            time.sleep(0.02)
        self.popen.wait()

    def logs(self) -> list[pathlib.Path]:
        """Return its output files that hold anything."""
        return [p for p in (self.stdout_path, self.stderr_path) if p.exists() and p.stat().st_size]

    def tails(self, lines: int = 40) -> str:
        """Return the end of its output files."""
        return "\n".join(f"--- {path.name}\n{tail(path, lines)}" for path in self.logs())

    def __enter__(self: P) -> P:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


# --- PostgreSQL ----------------------------------------------------------------------------------


def _postgres_bin(program: str) -> str:
    """Find a program of PostgreSQL; Debian keeps the server's ones off PATH."""
    folders = pathlib.Path("/usr/lib/postgresql").glob("*/bin")
    for folder in sorted(folders, key=lambda path: float(path.parent.name), reverse=True):
        if (folder / program).exists():
            return str(folder / program)
    found = shutil.which(program)
    if not found:
        raise RigError(f"no {program}: deps/install test installs PostgreSQL")
    return found


class Postgres:
    """A PostgreSQL server on 127.0.0.1 with scram-sha-256 passwords, in a folder of its own."""

    SUPERUSER = "postgres"
    PASSWORD = "the superuser's"

    def __init__(self, folder: pathlib.Path, port: Optional[int] = None) -> None:
        """Initialise the cluster; the folder must be one that an unprivileged user can enter."""
        self.folder = folder
        self.data = folder / "data"
        self.port = port or free_port()
        self.process: Optional[Process] = None
        # The server refuses to run as root.
        self.user = None
        if os.geteuid() == 0:
            names = [entry.pw_name for entry in pwd.getpwall()]
            self.user = "postgres" if "postgres" in names else "nobody"
        folder.mkdir(parents=True, exist_ok=True)
        self.data.mkdir(mode=0o700)
        password_file = folder / "superuser"
        password_file.write_text(self.PASSWORD)
        password_file.chmod(0o600)
        if self.user:
            shutil.chown(self.data, self.user)
            shutil.chown(password_file, self.user)
        argv = [_postgres_bin("initdb"), "-D", str(self.data), "-U", self.SUPERUSER, "-E", "UTF8"]
        argv += ["--locale=C.UTF-8", "--auth=scram-sha-256", f"--pwfile={password_file}"]
        argv += ["--no-sync"]
        run = subprocess.run(
            argv,
            env=base_env(),
            cwd="/",
            **_as_user(self.user),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if run.returncode != 0:
            raise RigError(f"initdb ended with {run.returncode}\n{run.stdout}")

    def start(self, *options: str, wait: bool = True) -> "Postgres":
        """Start the server, with more options (-c …); wait until it takes queries."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": "off",
        }
        argv = [_postgres_bin("postgres"), "-D", str(self.data)]
        for name, value in settings.items():
            argv += ["-c", f"{name}={value}"]
        self.process = Process(
            "postgres", [*argv, *options], base_env(), self.folder, user=self.user
        )
        if wait:
            self.process.wait_until(self.is_ready, what="PostgreSQL takes queries")
        return self

    def is_ready(self) -> bool:
        """Say whether it takes connections."""
        argv = [_postgres_bin("pg_isready"), "-q", "-t", "1"]
        argv += ["-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(argv, check=False).returncode == 0

    def stop(self, mode: str = "fast") -> None:
        """Stop the server: smart waits for clients, fast ends them, immediate crashes it."""
        if not self.process:
            return
        self.process.resume()
        number = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
        if self.process.running():
            self.process.signal(number[mode])
            with contextlib.suppress(RigError):
                self.process.wait(20)
        self.process.kill()
        self.process = None

    def pause(self) -> None:
        """Stop all its processes: it accepts connections and answers nothing."""
        assert self.process
        self.process.pause()

    def resume(self) -> None:
        """Let a paused server go on."""
        assert self.process
        self.process.resume()

    def _client(
        self, program: str, user: str, password: str, *args: str, sql: Optional[str] = None
    ) -> str:
        argv = [_postgres_bin(program), "-h", "127.0.0.1", "-p", str(self.port), "-U", user, "-w"]
        run = subprocess.run(
            [*argv, *args],
            env={**base_env(), "PGPASSWORD": password},
            input=sql or "",
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode != 0:
            raise RigError(f"{program} ended with {run.returncode}: {run.stderr}")
        return run.stdout

    def psql(
        self,
        sql: Optional[str] = None,
        *,
        file: Optional[pathlib.Path] = None,
        database: str = "postgres",
        user: str = SUPERUSER,
        password: str = PASSWORD,
    ) -> list[list[str]]:
        """Run SQL, or a file, in one transaction, and return the rows; RigError if it fails."""
        args = ["-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-d", database, "-1"]
        out = self._client("psql", user, password, *args, "-f", str(file or "-"), sql=sql)
        return [line.split("\t") for line in out.splitlines()]

    def create_role(self, name: str, password: str) -> None:
        """Create a role that may log in, or give it another password."""
        role, secret = name.replace('"', '""'), password.replace("'", "''")
        exists = self.psql(f"SELECT 1 FROM pg_roles WHERE rolname = '{name}'")
        verb = "ALTER" if exists else "CREATE"
        self.psql(f"{verb} ROLE \"{role}\" LOGIN PASSWORD '{secret}'")

    def create_database(self, name: str, owner: str) -> None:
        """Create a database that belongs to a role, schema public included."""
        self._client("createdb", self.SUPERUSER, self.PASSWORD, "-O", owner, name)

    def drop_database(self, name: str) -> None:
        """Drop a database, its connections with it."""
        self._client("dropdb", self.SUPERUSER, self.PASSWORD, "--force", "--if-exists", name)

    def put(self, name: str, text: str, mode: int = 0o600) -> pathlib.Path:
        """Write a file that the server reads into its data folder; it belongs to the server."""
        path = self.data / name
        path.write_text(text)
        path.chmod(mode)
        if self.user:
            shutil.chown(path, self.user)
        return path

    def standby(self, folder: pathlib.Path) -> "Postgres":
        """Copy the running server into the folder as a standby that follows it; not started."""
        other = copy.copy(self)
        other.folder, other.data = folder, folder / "data"
        other.port, other.process = free_port(), None
        folder.mkdir()
        other.data.mkdir(mode=0o700)
        if self.user:
            shutil.chown(other.data, self.user)
        argv = [_postgres_bin("pg_basebackup"), "-D", str(other.data), "-R", "-c", "fast"]
        argv += ["-h", "127.0.0.1", "-p", str(self.port), "-U", self.SUPERUSER, "-w", "--no-sync"]
        env = {**base_env(), "PGPASSWORD": self.PASSWORD}
        subprocess.run(argv, env=env, cwd="/", check=True, **_as_user(self.user))
        return other

    def promote(self) -> None:
        """Make a standby the primary."""
        self.psql("SELECT pg_promote()")

    def __enter__(self) -> "Postgres":
        return self if self.process else self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


@dataclasses.dataclass(frozen=True)
class Database:
    """One database on a server, its owner and the owner's password."""

    server: Postgres
    name: str
    user: str
    password: str

    def psql(self, sql: str) -> list[list[str]]:
        """Run SQL as the owner."""
        return self.server.psql(sql, database=self.name, user=self.user, password=self.password)

    def init_schema(self, homes: Homes) -> None:
        """Make the metastore's tables, in one transaction."""
        self.server.psql(
            file=homes.schema, database=self.name, user=self.user, password=self.password
        )

    def env(self) -> dict[str, str]:
        """Return it as the variables that the templates name."""
        return {
            "DB_HOST": "127.0.0.1",
            "DB_PORT": str(self.server.port),
            "DB_NAME": self.name,
            "DB_USER": self.user,
            "DB_PASSWORD": self.password,
        }

    @property
    def url(self) -> str:
        """It as a URL, without the password."""
        return f"postgres://{self.user}@127.0.0.1:{self.server.port}/{self.name}"


# --- Hive and Spark, without sparkpod ------------------------------------------------------------


class Metastore(Process):
    """A Hive Metastore as start-metastore starts it, on tables that are there already."""

    def __init__(
        self,
        homes: Homes,
        database: Database,
        folder: pathlib.Path,
        port: Optional[int] = None,
        *,
        wait: bool = True,
    ) -> None:
        self.port = port or free_port()
        conf = folder / "conf"
        values = {
            **database.env(),
            "METASTORE_PORT": str(self.port),
            "WAREHOUSE": f"file:{folder}/warehouse",
        }
        fill_folder(TEMPLATES / "metastore", conf, values)
        env = {
            **base_env(),
            **homes.metastore_env(),
            "METASTORE_CONF_DIR": str(conf),
            "HIVE_CONF_DIR": str(conf),
            "HADOOP_HEAPSIZE": "512",
            "HADOOP_CLIENT_OPTS": java_tmp(folder),
        }
        argv = [str(homes.metastore / "bin" / "start-metastore"), "-p", str(self.port)]
        super().__init__("metastore", argv, env, folder)
        if wait:
            self.wait_until(lambda: port_open(self.port), what=f"port {self.port} opens")


class ThriftServer(Process):
    """A Spark Thrift Server as start-thriftserver.sh starts it, on a metastore."""

    def __init__(
        self,
        homes: Homes,
        metastore_port: int,
        folder: pathlib.Path,
        port: Optional[int] = None,
        *,
        options: Sequence[str] = (),
        wait: bool = True,
    ) -> None:
        self.port = port or free_port()
        self.ui_port = free_port()
        conf = folder / "conf"
        values = {
            "METASTORE_PORT": str(metastore_port),
            "THRIFT_PORT": str(self.port),
            "SPARK_UI_PORT": str(self.ui_port),
            "WAREHOUSE": f"file:{folder}/warehouse",
        }
        fill_folder(TEMPLATES / "thrift-server", conf, values)
        env = {
            **base_env(),
            **homes.spark_env(),
            "SPARK_CONF_DIR": str(conf),
            "SPARK_LOG_DIR": str(folder / "logs"),
            "SPARK_LOCAL_DIRS": str(folder / "local"),
            "SPARK_NO_DAEMONIZE": "1",
            "SPARK_SUBMIT_OPTS": java_tmp(folder),
        }
        script = homes.spark / "sbin" / "start-thriftserver.sh"
        argv = [str(script), "--master", "local[2]", *homes.spark_options, *options]
        super().__init__("thrift-server", argv, env, folder)
        if wait:
            self.wait_until(lambda: port_open(self.port), what=f"port {self.port} opens")

    def stop(self, timeout: float = 30.0) -> int:
        """SIGTERM to the JVM: the bash before it would leave it behind."""
        java = self.java()
        if java:
            with contextlib.suppress(ProcessLookupError):
                os.kill(java, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(timeout)
        self.kill()
        return self.wait()


def read_back(homes: Homes, files: Sequence[tuple[str, pathlib.Path]]) -> list[dict[str, str]]:
    """Return the keys and values of each (reader, file), as ReadBack.java reads it; one JVM."""
    classpath = str(homes.spark / "jars" / "*")
    run = subprocess.run(
        [
            *("java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
            *("-cp", classpath, str(RIG / "ReadBack.java")),
            *(f"{reader}:{path}" for reader, path in files),
        ],
        env=base_env(),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if run.returncode != 0:
        raise RigError(f"ReadBack.java ended with {run.returncode}\n{run.stderr[-4000:]}")
    pairs: dict[str, dict[str, str]] = json.loads(run.stdout)
    return [pairs[f"{reader}:{path}"] for reader, path in files]


_PROMPT = re.compile(r"^(?:[0-9]+: jdbc:hive2://[^>\n]*> )+", re.MULTILINE)


class Beeline:
    """Spark's own SQL client."""

    def __init__(self, homes: Homes, port: int, user: str = "rig", options: str = "") -> None:
        """options are what follows the database in the URL, such as ;transportMode=http."""
        self.homes = homes
        self.url = f"jdbc:hive2://127.0.0.1:{port}/{options}"
        self.user = user

    def argv(self, *statements: str) -> list[str]:
        """Return the command that runs statements and writes bare rows."""
        argv = [str(self.homes.spark / "bin" / "beeline"), "-u", self.url, "-n", self.user]
        argv += ["--silent=true", "--outputformat=tsv2", "--showHeader=false"]
        for statement in statements:
            argv += ["-e", statement]
        return argv

    def env(self) -> dict[str, str]:
        """Return its environment. By default its tsv2 quotes with NUL bytes; here with quotes."""
        quoting = {"SPARK_BEELINE_OPTS": "-Ddisable.quoting.for.sv=false"}
        return {**base_env(), **self.homes.spark_env(), **quoting}

    def start(self, folder: pathlib.Path, *statements: str) -> Process:
        """Run statements in the background: a client that a stop has to wait for."""
        return Process("beeline", self.argv(*statements), self.env(), folder)

    def query(self, *statements: str, timeout: float = 120.0) -> list[list[str]]:
        """Run statements in one session and return their rows; RigError when one fails.

        NULL reads as "NULL"; beeline drops line ends in values; a row of one empty value is lost.
        """
        run = subprocess.run(
            self.argv(*statements),
            env=self.env(),
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if run.returncode != 0:
            raise RigError(f"beeline ended with {run.returncode}: {run.stdout}{run.stderr}")
        # Not on a terminal it still writes its prompt before each statement's rows.
        text = _PROMPT.sub("", run.stdout)
        return [row for row in csv.reader(io.StringIO(text), delimiter="\t") if row]


# --- sparkpod ------------------------------------------------------------------------------------


def sparkpod_binary() -> pathlib.Path:
    """Return the program under test: $SPARKPOD, else the one that `make` builds."""
    path = pathlib.Path(os.environ.get("SPARKPOD") or ROOT / "build" / "dev" / "sparkpod")
    if not os.access(path, os.X_OK):
        raise RigError(f"{path} is not there: run make, or set SPARKPOD")
    return path.resolve()


def run_sparkpod(
    *args: str,
    env: Optional[Mapping[str, str]] = None,
    input: Optional[str] = None,  # pylint: disable=redefined-builtin
    cwd: Optional[pathlib.Path] = None,
    timeout: float = 60.0,
) -> subprocess.CompletedProcess[str]:
    """Run a command of sparkpod to its end and return status and output."""
    return subprocess.run(
        [str(sparkpod_binary()), *args],
        env={**base_env(), **(env or {})},
        input=input,
        stdin=subprocess.DEVNULL if input is None else None,
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=timeout,
        check=False,
    )


def role_env(
    homes: Homes, role: str, folder: pathlib.Path, values: Mapping[str, str]
) -> dict[str, str]:
    """Return the environment for `sparkpod ROLE` on the rig's templates of that role.

    values are what the templates name (Database.env(), METASTORE_PORT, THRIFT_PORT, ...); the
    warehouse is in the folder unless it is among them. A stop does not wait for endpoints that
    are not there.
    """
    home = homes.metastore_env() if role == "metastore" else homes.spark_env()
    return {
        **home,
        "HADOOP_CLIENT_OPTS": java_tmp(folder),
        "SPARK_SUBMIT_OPTS": java_tmp(folder),
        "SPARK_LOG_DIR": str(folder / "logs"),
        "SPARK_LOCAL_DIRS": str(folder / "local"),
        "SPARKPOD_RENDER_SOURCE": str(TEMPLATES / role),
        "SPARKPOD_RENDER_TARGET": str(folder / "conf"),
        "SPARKPOD_SHUTDOWN_ENDPOINT_DELAY": "0",
        "WAREHOUSE": f"file:{folder}/warehouse",
        **values,
    }


class Sparkpod(Process):
    """A sparkpod that goes on, with its probes on a port of its own."""

    def __init__(
        self,
        *args: str,
        folder: pathlib.Path,
        env: Optional[Mapping[str, str]] = None,
        port: Optional[int] = None,
        prefix: Sequence[str] = (),
    ) -> None:
        """prefix is a command that execs sparkpod in the end."""
        env = {**base_env(), **(env or {})}
        self.port = port or int(env.get("SPARKPOD_HEALTH_PORT") or free_port())
        env["SPARKPOD_HEALTH_PORT"] = str(self.port)
        super().__init__("sparkpod", [*prefix, sparkpod_binary(), *args], env, folder)

    def get(self, path: str, timeout: float = 5.0, method: str = "GET") -> tuple[int, str]:
        """Ask its HTTP server; (0, reason) when nothing answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        except (OSError, http.client.HTTPException) as error:
            return 0, str(error) or type(error).__name__
        finally:
            connection.close()

    def metric(self, name: str) -> float:
        """Return a sample of /metrics by its name and labels; 0 where there is none yet."""
        for line in self.get("/metrics")[1].splitlines():
            if line.startswith(f"sparkpod_{name} "):
                return float(line.rpartition(" ")[2])
        return 0

    def worker(self) -> Optional[int]:
        """Return its health worker, the child that runs sparkpod's own program; or None."""
        argv = cmdline(self.pid)
        children = [pid for pid in _pids() if _stat(pid)[1] == self.pid]
        return next((pid for pid in children if cmdline(pid) == argv), None)

    def wait_ready(self, timeout: float = START_S) -> None:
        """Wait until /readyz says 200; RigError with its reason and the logs if it never does."""
        self.wait_until(lambda: self.get("/readyz")[0] == 200, timeout, "/readyz says 200")

    def stop(self, timeout: float = 60.0) -> int:
        """SIGTERM; it has a drain and a grace of its own, so give it time."""
        return super().stop(timeout)
