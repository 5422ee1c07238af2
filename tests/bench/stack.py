"""PostgreSQL and a metastore, and how each contestant starts a server on them: the same conf files,
heap and master for all."""

from __future__ import annotations

import contextlib
import hashlib
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence

import results
from results import rig

# By the word that chooses it on the command line.
STOCK, PLAIN, ARCHIVE = "stock", "sparkpod", "archive"
TITLES = {STOCK: "stock script", PLAIN: "sparkpod, no archive", ARCHIVE: "sparkpod, archive"}

# What stands in an image without an init: the script leaves the server behind with nohup, and its
# log is what the container writes.
WRAPPER = '"$SPARK_HOME"/sbin/start-thriftserver.sh && exec tail -n +1 -f "$SPARK_LOG_DIR"/*.out'
CONFS = "spark.master={master}\nspark.driver.memory=1g\n"
HEAP = {"HADOOP_HEAPSIZE": "512"}  # of the metastore


def archive(home: pathlib.Path, env: dict[str, str]) -> pathlib.Path:
    """Return the class-data archive of a Spark or a metastore, made by images/archive. It is kept
    as long as that script, the binary, of which it has a copy, and Java are the same."""
    script, binary = results.ROOT / "images" / "archive", rig.sparkpod_binary()
    if not script.exists():
        sys.exit(f"{script} is not there: leave {ARCHIVE} out with --contestants")
    made_of = [results.java().encode(), script.read_bytes(), binary.read_bytes()]
    digest = hashlib.sha256(b"\0".join(made_of)).hexdigest()[:12]
    name = f"archive-{home.name}"
    folder = results.CSV.parent / f"{name}-{digest}"
    if folder.exists():
        return folder
    for old in results.CSV.parent.glob(f"{name}-*"):
        shutil.rmtree(old)
    ports = {name: str(rig.free_port()) for name in ("THRIFT_PORT", "METASTORE_PORT")}
    try:
        env = {**rig.base_env(), **env, **ports, "SPARKPOD": str(binary)}
        subprocess.run([script, folder], env=env, check=True)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


class Stack:
    """What the servers are started from, and with; all of it in a folder."""

    def __init__(self, folder: pathlib.Path, contestants: Sequence[str], master: str) -> None:
        self.folder = folder
        self.homes = rig.Homes(rig.fetch("spark"), rig.fetch("metastore"))
        self.archives = {"thrift-server": "off", "metastore": "off"}
        if ARCHIVE in contestants:
            spark, metastore = self.homes.spark_env(), self.homes.metastore_env()
            self.archives["thrift-server"] = str(archive(self.homes.spark, spark))
            self.archives["metastore"] = str(archive(self.homes.metastore, metastore))
        self.templates = folder / "templates"
        shutil.copytree(rig.TEMPLATES / "thrift-server", self.templates)
        with (self.templates / "spark-defaults.conf").open("a") as file:
            file.write(CONFS.format(master=master))

    def versions(self) -> dict[str, str]:
        """Return what the results say of the versions."""
        return {
            "Spark": rig.version_of(self.homes.spark),
            "metastore": rig.version_of(self.homes.metastore),
            "PostgreSQL": results.postgres(),
            "Java": results.java(),
        }

    @contextlib.contextmanager
    def database(self) -> Iterator[rig.Database]:
        """Run PostgreSQL, with the metastore's tables in it."""
        with rig.Postgres(self.folder / "postgres") as server:
            server.create_role("hive", "the user's")
            server.create_database("hive", owner="hive")
            database = rig.Database(server, "hive", "hive", "the user's")
            database.init_schema(self.homes)
            yield database

    def metastore(
        self, contestant: str, database: rig.Database, folder: pathlib.Path
    ) -> tuple[rig.Process, int]:
        """Start a metastore; return it and its port."""
        port = rig.free_port()
        if contestant == STOCK:
            return rig.Metastore(self.homes, database, folder, port, wait=False), port
        values = {**database.env(), "METASTORE_PORT": str(port)}
        return self._sparkpod(contestant, "metastore", folder, {**HEAP, **values}), port

    def thrift_server(
        self, contestant: str, metastore_port: int, folder: pathlib.Path
    ) -> tuple[rig.Process, dict[str, str]]:
        """Start a Thrift Server; return it and what its conf files name, THRIFT_PORT included."""
        values = {
            "METASTORE_PORT": str(metastore_port),
            "THRIFT_PORT": str(rig.free_port()),
            "SPARK_UI_PORT": str(rig.free_port()),
            "WAREHOUSE": f"file:{folder}/warehouse",
        }
        if contestant != STOCK:
            return self._sparkpod(contestant, "thrift-server", folder, values), values
        rig.fill_folder(self.templates, folder / "conf", values)
        env = {
            **rig.base_env(),
            **rig.role_env(self.homes, "thrift-server", folder, values),
            "SPARK_CONF_DIR": str(folder / "conf"),
            "SPARK_PID_DIR": str(folder),
        }
        return rig.Process("stock", ["bash", "-c", WRAPPER], env, folder), values

    def check(self, contestant: str, role: str, process: rig.Process) -> None:
        """RigError unless the JVM uses the archive where it is to, as it starts without it too."""
        maps = pathlib.Path(f"/proc/{process.java()}/maps").read_text()
        uses = f"{self.archives[role]}/classes.jsa" in maps
        if uses != (contestant == ARCHIVE):
            raise rig.RigError(f"{TITLES[contestant]}, {role}: archive {uses=}\n{process.tails()}")

    def _sparkpod(
        self, contestant: str, role: str, folder: pathlib.Path, values: dict[str, str]
    ) -> rig.Sparkpod:
        env = rig.role_env(self.homes, role, folder, values)
        env["SPARKPOD_JAVA_ARCHIVE"] = self.archives[role] if contestant == ARCHIVE else "off"
        if role == "thrift-server":
            env["SPARKPOD_RENDER_SOURCE"] = str(self.templates)
        return rig.Sparkpod(role, folder=folder, env=env)
