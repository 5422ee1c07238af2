"""What a container may be like: a uid without a name, a read-only root without capabilities."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess

import pytest
import rig

UID = 1000650000  # as OpenShift gives them
HADOOP = ("hadoop-client-api", "hadoop-client-runtime", "commons-logging", "slf4j-api", "log4j")


@pytest.fixture
def spark_home(work: pathlib.Path, homes: rig.Homes) -> pathlib.Path:
    """A Spark whose Thrift Server is Hadoop's own login: what every JVM of the stack does first."""
    jars = work / "jars"
    jars.mkdir()
    for jar in (homes.spark / "jars").iterdir():
        if jar.name.startswith(HADOOP):
            shutil.copy(jar, jars)
    script = work / "sbin" / "start-thriftserver.sh"
    script.parent.mkdir()
    script.write_text(
        "#!/bin/sh\nid -un\n"
        f"exec java -cp '{jars}/*' org.apache.hadoop.security.UserGroupInformation\n"
    )
    script.chmod(0o755)
    (work / "conf").mkdir()
    shutil.copy(rig.sparkpod_binary(), work / "sparkpod")
    return work


def run(home: pathlib.Path, uid: int, **env: str) -> subprocess.CompletedProcess[str]:
    # As a script without a JDK of one's own finds java.
    java = {"JAVA_HOME": os.environ["JAVA_HOME"]} if "JAVA_HOME" in os.environ else {}
    return subprocess.run(
        ["setpriv", f"--reuid={uid}", "--regid=0", "--clear-groups", home / "sparkpod"]
        + ["thrift-server"],
        env={
            **rig.base_env(),
            **java,
            "SPARK_HOME": str(home),
            "HOME": "/tmp",
            "SPARKPOD_HEALTH_PORT": "0",
            **env,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_uid_without_an_entry_gets_a_name_that_hadoop_logs_in_with(
    spark_home: pathlib.Path,
) -> None:
    ended = run(spark_home, UID)
    assert ended.stdout.startswith("spark\n"), ended.stdout + ended.stderr
    assert f"uid {UID} has no entry in /etc/passwd: called spark by libnss_wrapper" in ended.stderr
    assert "User: spark" in ended.stdout


def test_a_uid_with_an_entry_keeps_its_name(spark_home: pathlib.Path) -> None:
    ended = run(spark_home, 65534)
    assert ended.stdout.startswith("nobody\n"), ended.stdout + ended.stderr
    assert "libnss_wrapper" not in ended.stderr
    assert "User: nobody" in ended.stdout


def test_a_read_only_root_and_no_capability_are_enough(work: pathlib.Path) -> None:
    home = work / "home"
    templates = work / "templates"
    for folder in (home / "sbin", templates):
        folder.mkdir(parents=True)
    script = home / "sbin" / "start-thriftserver.sh"
    script.write_text(
        "#!/bin/sh\ngrep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/self/status\n"
        "touch /opt/x 2>&1\ncat $SPARK_CONF_DIR/spark-defaults.conf\nexit 7\n"
    )
    script.chmod(0o755)
    (templates / "spark-defaults.conf").write_text("a=${A_PASSWORD}\n")
    shutil.copy(rig.sparkpod_binary(), home / "sparkpod")
    inner = (
        f"mount -t tmpfs -o mode=1777 tmpfs /mnt && mount -o remount,bind,ro / && cd {work} &&"
        " exec setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all"
        f" --inh-caps=-all --no-new-privs {home}/sparkpod thrift-server"
    )
    ended = subprocess.run(
        ["unshare", "--mount", "sh", "-c", inner],
        env={
            **rig.base_env(),
            "SPARK_HOME": str(home),
            "A_PASSWORD": "secret words",
            "SPARKPOD_RENDER_SOURCE": str(templates),
            "SPARKPOD_RENDER_TARGET": "/mnt/conf",
            "SPARKPOD_HEALTH_PORT": str(rig.free_port()),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 7, ended.stderr
    lines = ended.stdout.splitlines()
    assert lines[:3] == ["CapEff:\t" + "0" * 16, "CapBnd:\t" + "0" * 16, "NoNewPrivs:\t1"]
    assert "Read-only file system" in lines[3], lines
    assert lines[4] == "a=secret words"
