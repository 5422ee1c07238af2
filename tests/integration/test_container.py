"""What a container may be like: a uid without a name, a limit too low for the heap that was set."""

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
