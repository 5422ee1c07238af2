"""Values that contradict each other, or are not what they should be, stop Helm with one sentence that
names the value to set."""

from __future__ import annotations

from typing import Any

import pytest

from chart import Values, refused


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
    ({"spark.warehouseDir": "wasb://data@account.blob.core.windows.net/w"}, "WASB knows no OAuth"),
    ({"spark.warehouseDir": "abfss://data@account.blob.core.windows.net/w"}, "set that host"),
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
    ({"postgresql.auth.username": "other"}, "name different users or databases"),
    (
        {"postgresql.auth.username": "postgres", "hive.database.user": "postgres"},
        "the metastore must not be the superuser",
    ),
    (
        {"postgresql.enabled": False, "externalDatabase.host": "db"},
        "set externalDatabase.existingSecret",
    ),
    # Thrift Server
    ({"thriftServer.authentication.type": "LDAP"}, "set thriftServer.authentication.ldap.url"),
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
        {"thriftServer.serviceAccount": {"create": False, "name": ""}},
        "the driver needs a service account",
    ),
    (
        {"metrics.serviceMonitor.enabled": True, "metrics.podMonitor.enabled": True},
        "would scrape everything twice",
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
    # What the schema says
    ({"spark.storageAcountName": "account"}, "additional properties 'storageAcountName'"),
    ({"sparks": {}}, "additional properties 'sparks' not allowed"),
    ({"thriftServer.replicas": "two"}, "at '/thriftServer/replicas': got string, want integer"),
    ({"thriftServer.transport": "udp"}, "at '/thriftServer/transport': value must be one of"),
    ({"thriftServer.wait.timeout": "1 minute"}, "at '/thriftServer/wait/timeout'"),
]


@pytest.mark.parametrize("values, sentence", REFUSED, ids=[row[1] for row in REFUSED])
def test_refused(values: dict[str, Any], sentence: str) -> None:
    """Both Helm versions say so, and render nothing."""
    refused(merged(*(nested(path, value) for path, value in values.items())), sentence)
