"""Values that contradict each other, or are not what they should be, stop Helm with one sentence that
names the value to set."""

from __future__ import annotations

import functools
import re
from typing import Any

import pytest

from chart import CHART, Values, names_value, template


def nested(path: str, value: Any) -> Values:
    """Return {"a": {"b": value}} for a.b."""
    for key in reversed(path.split(".")):
        value = {key: value}
    return value


def merged(*parts: Values) -> dict[str, Any]:
    """Return all of them in one."""
    whole: dict[str, Any] = {}
    for part in parts:
        for key, value in part.items():
            both = isinstance(value, dict) and isinstance(whole.get(key), dict)
            whole[key] = merged(whole[key], value) if both else value
    return whole


# What is set, over helm/ci/minimal.yaml, and a part of the sentence.
REFUSED: list[tuple[dict[str, Any], str]] = [
    # Storage
    ({"spark.storageAccountName": "<our-storage-account-name>"}, "is still a placeholder"),
    ({"spark.storageAccountName": ""}, "there is no storage for tables"),
    ({"spark.containerName": ""}, "set spark.containerName"),
    ({"spark.storageAccountName": "acc.dfs.core.windows.net"}, "set the name alone"),
    (
        {"spark.warehouseDir": "wasb://data@account.blob.core.windows.net/w"},
        "spark.warehouseDir is on WASB",
    ),
    (
        {"spark.warehouseDir": "abfss://data@account.blob.core.windows.net/w"},
        "spark.warehouseDir has the host of WASB",
    ),
    (
        {"spark.eventLog.dir": "wasbs://data@account.blob.core.windows.net/e"},
        "eventLog.dir is on WASB",
    ),
    ({"azure.endpointSuffix": "blob.core.windows.net"}, "azure.endpointSuffix is that of WASB"),
    (
        {
            "spark.storageAccountName": "",
            "spark.warehouseDir": "s3a://bucket/w",
            "spark.eventLog.enabled": True,
        },
        "set spark.eventLog.dir",
    ),
    # Executors
    (
        {"spark.dynamicAllocation.enabled": True, "spark.dynamicAllocation.minExecutors": 9},
        "spark.dynamicAllocation.minExecutors is more than maxExecutors",
    ),
    (
        {"spark.dynamicAllocation.enabled": True, "spark.dynamicAllocation.initialExecutors": 9},
        "is not between minExecutors and maxExecutors",
    ),
    (
        {
            "spark.executor.localDirs.type": "persistentVolumeClaim",
            "spark.executor.localDirs.size": "",
        },
        "set spark.executor.localDirs.size",
    ),
    ({"spark.conf": {"spark.master": "local[2]"}}, "spark.conf has spark.master"),
    ({"spark.conf": {"spark.hadoop.a.password": "x"}}, "spark.conf holds the secret"),
    ({"spark.conf": {"spark.executor.extraJavaOptions": "-Xmx9g"}}, "sets a heap size"),
    (
        {"spark.executorRolling.enabled": True},
        "set spark.decommission.enabled to true",
    ),
    ({"spark.conf": {"a.number": 1e30}}, "spark.conf.a.number is a number too large"),
    ({"hive.hiveSite": {"a.number": -9007199254740993}}, "hive.hiveSite.a.number is a number too"),
    # Azure
    (
        {"azure.servicePrincipal.existingSecret": ""},
        "set azure.servicePrincipal.existingSecret",
    ),
    ({"azure.auth": "workloadIdentity"}, "set azure.workloadIdentity.clientId"),
    (
        {
            "azure.auth": "workloadIdentity",
            "azure.workloadIdentity": {"clientId": "a", "tenantId": "b"},
        },
        "workload identity needs Hadoop 3.4.1 and spark.hadoopVersion is 3.3.4",
    ),
    (
        {
            "azure.auth": "workloadIdentity",
            "azure.workloadIdentity": {"clientId": "a", "tenantId": "b"},
            "spark.hadoopVersion": "3.4.1",
        },
        "workload identity needs Hadoop 3.4.1 and hive.hadoopVersion is 3.3.6",
    ),
    # Metastore
    ({"externalMetastore.uris": "http://metastore"}, "is not thrift://HOST:PORT"),
    (
        {
            "externalMetastore.uris": "thrift://metastore:9083",
            "metastore.autoscaling.enabled": True,
        },
        "metastore.autoscaling is on and externalMetastore.uris is set",
    ),
    (
        {"metastore.autoscaling": {"enabled": True, "minReplicas": 9}},
        "metastore.autoscaling.minReplicas is more than maxReplicas",
    ),
    (
        {"metastore.autoscaling.enabled": True, "metastore.resources": {"requests": {"cpu": None}}},
        "set metastore.resources.requests.cpu",
    ),
    (
        {
            "metastore.replicas": 2,
            "hive.hiveSite": {"javax.jdo.option.ConnectionURL": "jdbc:derby:;databaseName=a"},
        },
        "several metastores cannot share an embedded database",
    ),
    (
        {"hive.hiveSite": {"javax.jdo.option.ConnectionPassword": "x"}},
        "hive.hiveSite holds the secret javax.jdo.option.ConnectionPassword in clear",
    ),
    # Database
    ({"postgresql.enabled": False}, "there is no database for the metastore"),
    ({"externalDatabase.host": "db"}, "there are two databases"),
    ({"postgresql.auth.existingSecret": ""}, "set postgresql.auth.existingSecret"),
    (
        {"postgresql.auth.password": "x"},
        "postgresql.auth.password would stand in the release's record in clear",
    ),
    ({"postgresql.auth.username": "other"}, "name different users or databases"),
    (
        {"postgresql.auth.username": "postgres", "hive.database.user": "postgres"},
        "the metastore must not be the superuser",
    ),
    (
        {"postgresql.enabled": False, "externalDatabase.host": "db"},
        "set externalDatabase.existingSecret",
    ),
    (
        {
            "postgresql.enabled": False,
            "externalDatabase": {
                "host": "db",
                "existingSecret": "login",
                "sslRootCert": {"configMap": "a", "secret": "b"},
            },
        },
        "externalDatabase.sslRootCert names a ConfigMap and a Secret",
    ),
    # Thrift Server
    ({"thriftServer.authentication.type": "LDAP"}, "set thriftServer.authentication.ldap.url"),
    (
        {"thriftServer.authentication": {"ldap": {"extra": {"groupFilter": "a"}}}},
        "thriftServer.authentication.ldap.extra.groupFilter is read by Hive and not by Spark",
    ),
    ({"thriftServer.authentication.type": "CUSTOM"}, "thriftServer.authentication.customClass"),
    ({"thriftServer.authentication.probeUser.name": "probe"}, "set both or none"),
    ({"thriftServer.tls.enabled": True}, "set thriftServer.tls.existingSecret"),
    ({"thriftServer.hiveSite": {"a.password": "x"}}, "Spark publishes that file in a ConfigMap"),
    ({"thriftServer.port": 4040}, "thriftServer.port 4040 is taken"),
    ({"thriftServer.ingress.enabled": True}, "set thriftServer.transport to http"),
    ({"thriftServer.gateway.enabled": True}, "set thriftServer.gateway.parentRefs"),
    (
        {"thriftServer.ui.ingress.enabled": True, "spark.ui.enabled": False},
        "leads to a UI that spark.ui.enabled turns off",
    ),
    ({"thriftServer.service.nodePort": 30000}, "set thriftServer.service.type to NodePort"),
    (
        {"thriftServer.service.loadBalancerSourceRanges": ["10.0.0.0/8"]},
        "guards a LoadBalancer only",
    ),
    (
        {"thriftServer.service.name": "release-hive-metastore"},
        "thriftServer.service.name is that of another Service",
    ),
    (
        {"spark.executor.serviceAccount.name": "spark-thrift-sa"},
        "set spark.executor.serviceAccount.name to another name",
    ),
    (
        {"thriftServer.serviceAccount": {"create": False, "name": ""}},
        "the driver needs a service account",
    ),
    (
        {"metrics.serviceMonitor.enabled": True, "metrics.podMonitor.enabled": True},
        "would scrape everything twice",
    ),
    (
        {"metrics.prometheusRule.enabled": True, "metrics.prometheusRule.disabled": ["Nothing"]},
        "there is no alert Nothing",
    ),
    # Pods
    ({"thriftServer.shutdown.drain": "5m"}, "thriftServer.shutdown: endpointDelay, drain, grace"),
    (
        {"thriftServer.terminationGracePeriodSeconds": 30},
        "thriftServer.terminationGracePeriodSeconds is shorter than thriftServer.shutdown.budget",
    ),
    (
        {"metastore.terminationGracePeriodSeconds": 30},
        "metastore.terminationGracePeriodSeconds is shorter",
    ),
    (
        {"thriftServer.startupProbe.enabled": True},
        "thriftServer.startupProbe would restart a pod that waits for ever",
    ),
    (
        {
            "thriftServer.startupProbe": {"enabled": True, "failureThreshold": 3},
            "thriftServer.wait.timeout": "1m",
        },
        "thriftServer.startupProbe gives 15s",
    ),
    ({"metastore.pdb.enabled": True}, "metastore.pdb would keep every node from being drained"),
    (
        {"thriftServer.extraEnv": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]},
        "thriftServer.extraEnv has A, which is set already",
    ),
    ({"thriftServer.files": {"a/b": "text"}}, "thriftServer.files.a/b names a folder"),
    # What the schema says: unknown keys at several depths, wrong types, words and durations
    ({"sparks": {}}, "at '': additional properties 'sparks' not allowed"),
    (
        {"spark.storageAcountName": "account"},
        "at '/spark': additional properties 'storageAcountName'",
    ),
    ({"spark.executor.localDirs.sizes": "1Gi"}, "at '/spark/executor/localDirs': additional prop"),
    ({"hive.image.tags": "3"}, "at '/hive/image': additional properties 'tags' not allowed"),
    (
        {"metastore.readinessProbe.path": "/"},
        "at '/metastore/readinessProbe': additional properties",
    ),
    ({"postgresql.auth.secretKeys.key": "a"}, "at '/postgresql/auth/secretKeys': additional prop"),
    ({"thriftServer.replicas": "two"}, "at '/thriftServer/replicas': got string, want integer"),
    (
        {"thriftServer.tls.enabled": "yes"},
        "at '/thriftServer/tls/enabled': got string, want boolean",
    ),
    ({"thriftServer.extraEnv": {"A": "1"}}, "at '/thriftServer/extraEnv': got object, want array"),
    ({"thriftServer.podLabels": ["a"]}, "at '/thriftServer/podLabels': got array, want object"),
    ({"spark.conf": {"a": {"b": 1}}}, "at '/spark/conf/a': got object"),
    ({"spark.storageAccountName": 7}, "at '/spark/storageAccountName': got number, want string"),
    ({"thriftServer.transport": "udp"}, "at '/thriftServer/transport': value must be one of"),
    (
        {"thriftServer.service.type": "External"},
        "at '/thriftServer/service/type': value must be one",
    ),
    ({"azure.auth": "key"}, "at '/azure/auth': value must be one of"),
    ({"externalDatabase.sslmode": "on"}, "at '/externalDatabase/sslmode': value must be one of"),
    (
        {"spark.executor.localDirs.type": "hostPath"},
        "at '/spark/executor/localDirs/type': value must",
    ),
    (
        {"thriftServer.wait.timeout": "1 minute"},
        "at '/thriftServer/wait/timeout': '1 minute' does not",
    ),
    (
        {"thriftServer.shutdown.drain": "60"},
        "at '/thriftServer/shutdown/drain': '60' does not match",
    ),
    (
        {"metastore.health.startDeadline": "1d"},
        "at '/metastore/health/startDeadline': '1d' does not",
    ),
]


@functools.lru_cache(maxsize=None)
def stderr(row: int, helm: str) -> str:
    """Return what Helm says to the values of a row, which it must not render."""
    values = merged(*(nested(path, value) for path, value in REFUSED[row][0].items()))
    run = template(values, helm=helm)
    assert run.returncode != 0 and not run.stdout, f"{helm} renders {REFUSED[row]}"
    return run.stderr


def sentences(said: str) -> list[str]:
    """Return the sentences of templates and schema in what Helm says, and what else is there."""
    boilerplate = (
        r"Error: values don't meet the specifications of the schema.*\nspark-thrift-server:\n"
        r"|Error: execution error at \(\S+\): |Use --debug flag to render out invalid YAML\n"
        # Of Helm's own accord, where an object is given for a list.
        r"|.*warning: (?:destination for|cannot overwrite table) .*\n"
    )
    return [line for line in re.sub(boilerplate, "", said).splitlines() if line.strip()]


@pytest.mark.parametrize("row", range(len(REFUSED)), ids=[row[1] for row in REFUSED])
def test_refused(row: int) -> None:
    """Both Helm versions say this one sentence, which names a value, and render nothing."""
    for helm in ("helm", "helm4"):
        said = sentences(stderr(row, helm))
        assert len(said) == 1, said
        assert REFUSED[row][1] in said[0]
        assert names_value(said[0])


def patterns() -> dict[str, str]:
    """Return each sentence that a template may fail with, and a pattern of it."""
    verb = re.compile(r"%[sdqv]")
    found = {}
    for path in CHART.glob("templates/**/*"):
        if path.is_file():
            for line in path.read_text().splitlines():
                if re.search(r"\bfail\b.*-?}}$", line) and "{{" in line:
                    [text] = re.findall(r'fail (?:\(printf )?"((?:[^"\\]|\\.)*)"', line) or [line]
                    found[text] = ".*".join(map(re.escape, verb.split(text)))
    return found


def test_every_refusal_of_the_templates_has_a_row() -> None:
    """One that nothing fails with is not known to work."""
    said = [sentences(stderr(row, "helm4"))[0] for row in range(len(REFUSED))]
    assert len(patterns()) > 50
    missing = [
        text
        for text, pattern in patterns().items()
        if not any(re.fullmatch(pattern, its) for its in said)
    ]
    assert not missing


def test_a_sentence_names_a_value() -> None:
    """The check above fails a sentence that does not."""
    assert names_value("set spark.containerName")
    assert not names_value("something is wrong: set it")
    assert not names_value("set spark.containername")
