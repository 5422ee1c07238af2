"""What others rely on by name: Services and their ports, URLs, accounts, Secrets."""

from __future__ import annotations

import re
from typing import Any

import pytest

from chart import Objects, containers, render

# As in the notes of the chart's first user.
FIRST_USER = {
    "spark": {
        "sparkImageUrl": "registry.example/spark-thrift:3.5.0",
        "storageAccountName": "account",
        "containerName": "data",
    },
    "hive": {
        "image": {"repository": "apache/hive", "tag": "3.1.3", "pullPolicy": "IfNotPresent"},
        "metastorePort": 9083,
        "database": {"name": "hive", "user": "hive"},
    },
    "postgresql": {
        "auth": {
            "username": "hive",
            "database": "hive",
            "existingSecret": "hive-metastore-db-secret",
            "secretKeys": {
                "adminPasswordKey": "postgres-password",
                "userPasswordKey": "hive-password",
            },
        }
    },
    "acrSecret": {"secretName": "acr-secret"},
}


@pytest.fixture(name="objects", scope="module")
def fixture_objects() -> Objects:
    """The chart as its first user installs it."""
    return render(FIRST_USER, base=None, release="warehouse", namespace="spark")


def ports(objects: Objects, service: str) -> dict[str, int]:
    """Return a Service's ports by name."""
    return {port["name"]: port["port"] for port in objects.one("Service", service)["spec"]["ports"]}


def conf(objects: Objects, file: str) -> str:
    """Return a configuration file of the Thrift Server."""
    texts = [
        its["data"][file]
        for its in objects.of("ConfigMap")
        if file in its["data"]
        and its["metadata"]["labels"]["app.kubernetes.io/component"] == "thrift-server"
    ]
    assert len(texts) == 1, f"{len(texts)} ConfigMaps have {file}"
    return texts[0]


def pod(objects: Objects, component: str) -> dict[str, Any]:
    """Return the pod template's spec of a component."""
    [found] = [
        its
        for kind in ("Deployment", "StatefulSet")
        for its in objects.of(kind)
        if its["metadata"]["labels"]["app.kubernetes.io/component"] == component
    ]
    return found["spec"]["template"]["spec"]


def test_every_object_is_in_the_namespace_of_the_release(objects: Objects) -> None:
    """The chart makes no namespace and reaches into no other."""
    assert {its["metadata"]["namespace"] for its in objects.values()} == {"spark"}
    assert not [kind for kind, _ in objects if kind.startswith("Cluster")]


def test_services(objects: Objects) -> None:
    """Clients, the Thrift Server and the metastore find what they connect to."""
    assert ports(objects, "spark-thrift")["thrift"] == 10000
    assert ports(objects, "warehouse-hive-metastore")["thrift"] == 9083
    assert ports(objects, "warehouse-postgresql")["postgresql"] == 5432


def test_the_thrift_server_is_told_of_the_metastore(objects: Objects) -> None:
    """By the URL of the Service above."""
    assert "<value>thrift://warehouse-hive-metastore:9083</value>" in conf(objects, "hive-site.xml")


def test_accounts(objects: Objects) -> None:
    """The driver has its own, and no right that reaches over the namespace."""
    objects.one("ServiceAccount", "spark-thrift-sa")
    assert pod(objects, "thrift-server")["serviceAccountName"] == "spark-thrift-sa"
    [binding] = objects.of("RoleBinding")
    assert [its["name"] for its in binding["subjects"]] == ["spark-thrift-sa"]
    assert objects.one("Role", binding["roleRef"]["name"])["rules"]


def test_executors(objects: Objects) -> None:
    """4 × 4g × 2 cores, 200 partitions; their image and pull secret are the driver's."""
    lines = conf(objects, "spark-defaults.conf").splitlines()
    for line in (
        "spark.executor.instances=4",
        "spark.executor.memory=4g",
        "spark.executor.cores=2",
        "spark.sql.shuffle.partitions=200",
        "spark.sql.warehouse.dir=abfss://data@account.dfs.core.windows.net/warehouse",
    ):
        assert line in lines
    assert "wasb" not in conf(objects, "spark-defaults.conf")
    assert "${{" not in conf(objects, "spark-defaults.conf")


def test_images(objects: Objects) -> None:
    """Each component runs what its values name, and may pull it."""
    images = {
        component: {its["image"] for its in containers(pod(objects, component))}
        for component in ("thrift-server", "hive-metastore")
    }
    assert "registry.example/spark-thrift:3.5.0" in images["thrift-server"]
    assert "apache/hive:3.1.3" in images["hive-metastore"]
    for component in images:
        assert {"name": "acr-secret"} in pod(objects, component)["imagePullSecrets"]


@pytest.mark.parametrize(
    "component, has, has_not",
    [
        ("thrift-server", {"adls-sp-secret"}, {"hive-metastore-db-secret"}),
        ("hive-metastore", {"adls-sp-secret", "hive-metastore-db-secret"}, set()),
        ("postgresql", {"hive-metastore-db-secret"}, {"adls-sp-secret"}),
    ],
)
def test_secrets(objects: Objects, component: str, has: set[str], has_not: set[str]) -> None:
    """As files, for those only that need them."""
    spec = pod(objects, component)
    named = set(re.findall(r"'(?:secretName|name)': '([\w-]+)'", str(spec.get("volumes"))))
    assert has <= named
    assert not has_not & named
    assert "secretKeyRef" not in str(spec)


def test_two_releases_share_a_namespace() -> None:
    """Once what clients know by a fixed name is named anew."""
    other = {"thriftServer": {"service": {"name": "other"}, "serviceAccount": {"name": "other-sa"}}}
    first, second = render(release="first"), render(other, release="second")
    assert not set(first) & set(second)
