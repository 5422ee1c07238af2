"""Pods whose Spark sleeps, where what is around it counts."""

from __future__ import annotations

import contextlib
import pathlib
import shutil
import socket
from typing import Iterator, Mapping, Optional

import rig
from kubernetes_stand_in import IN_POD, SERVICE_ACCOUNT, KubernetesStandIn
from spark_stand_in import SparkPage
from stand_in import Authority


def sleeping_home(
    folder: pathlib.Path,
    defaults: Optional[Mapping[str, str]] = None,
    hive_site: Optional[Mapping[str, str]] = None,
) -> None:
    """Make folder a SPARK_HOME with these files in conf."""
    (folder / "sbin").mkdir()
    (folder / "conf").mkdir()
    script = folder / "sbin" / "start-thriftserver.sh"
    script.write_text("#!/bin/sh\nexec sleep 1000\n")
    script.chmod(0o755)
    lines = [f"{key} {value}\n" for key, value in (defaults or {}).items()]
    (folder / "conf" / "spark-defaults.conf").write_text("".join(lines))
    lines = [
        f"<property><name>{key}</name><value>{value}</value></property>\n"
        for key, value in (hive_site or {}).items()
    ]
    text = "".join(["<configuration>\n", *lines, "</configuration>\n"])
    (folder / "conf" / "hive-site.xml").write_text(text)


@contextlib.contextmanager
def pod_beside(
    page: SparkPage, folder: pathlib.Path
) -> Iterator[tuple[rig.Sparkpod, socket.socket]]:
    """Give a pod that serves, and its Thrift port: with Kerberos that need only accept."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    values = {
        "hive.server2.thrift.port": str(listener.getsockname()[1]),
        "hive.server2.thrift.bind.host": "127.0.0.1",
        "hive.server2.authentication": "KERBEROS",
    }
    sleeping_home(folder, {"spark.ui.port": str(page.port)}, values)
    env = {"SPARK_HOME": str(folder), "SPARKPOD_SHUTDOWN_ENDPOINT_DELAY": "0"}
    with rig.Sparkpod("thrift-server", folder=folder, env=env) as pod:
        pod.wait_ready()
        yield pod, listener
    page.stop()
    listener.close()


def pod_in_kubernetes(
    server: KubernetesStandIn, authority: Authority, token: str, uid: str, folder: pathlib.Path
) -> rig.Sparkpod:
    """Start a pod with that uid and a service account of the stand-in's."""
    sleeping_home(folder)
    account = folder / "account"
    account.mkdir()
    (account / "token").write_text(token)
    (account / "namespace").write_text("spark")
    shutil.copy(authority.certificate, account / "ca.crt")
    env = {
        **{"SPARK_HOME": str(folder), "HOSTNAME": "driver", "POD_UID": uid},
        **{"ACCOUNT": str(account), "FOLDER": SERVICE_ACCOUNT},
        **{"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(server.port)},
        "SPARKPOD_SPARK_EXECUTOR_IMAGE": "example/spark:3.5.9",
    }
    prefix = [*rig.mount_namespace(), "sh", "-ec", IN_POD, "sh"]
    return rig.Sparkpod("thrift-server", folder=folder, env=env, prefix=prefix)
