"""What others rely on by name: Services and their ports, URLs, accounts, Secrets."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from chart import CHART, Objects, Values, containers, render

# The values that the chart's first user has, with their names filled in.
NOTE = CHART / "ci" / "note.yaml"
RELEASE = "spark-thrift-server"


@pytest.fixture(name="objects", scope="module")
def fixture_objects() -> Objects:
    """The chart as its first user installs it: helm install spark-thrift-server, in spark."""
    return render(base=NOTE, release=RELEASE, namespace="spark")


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


def test_the_note_is_filled_in_only_where_it_says() -> None:
    """Image, account and container, and nothing beside what the note has."""
    found = yaml.safe_load(NOTE.read_text())
    mine = ("sparkImageUrl", "storageAccountName", "containerName")
    assert sorted(found["spark"]) == sorted(mine)
    del found["spark"]
    assert found == {
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


def test_every_object_is_in_the_namespace_of_the_release(objects: Objects) -> None:
    """The chart makes no namespace and reaches into no other."""
    assert {its["metadata"]["namespace"] for its in objects.values()} == {"spark"}
    assert not [kind for kind, _ in objects if kind.startswith("Cluster")]


def test_services(objects: Objects) -> None:
    """Clients, the Thrift Server and the metastore find what they connect to."""
    assert ports(objects, "spark-thrift")["thrift"] == 10000
    assert ports(objects, "spark-thrift-server-hive-metastore")["thrift"] == 9083
    assert ports(objects, "spark-thrift-server-postgresql")["postgresql"] == 5432


def test_the_thrift_server_is_told_of_the_metastore(objects: Objects) -> None:
    """By the URL of the Service above."""
    url = "<value>thrift://spark-thrift-server-hive-metastore:9083</value>"
    assert url in conf(objects, "hive-site.xml")


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
        "spark.sql.warehouse.dir=abfss://tables@sparkdata.dfs.core.windows.net/warehouse",
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


@pytest.mark.parametrize("helm", ["helm", "helm4"])
def test_two_releases_share_a_namespace(helm: str) -> None:
    """Once what clients know by a fixed name is named anew."""
    other = {"thriftServer": {"service": {"name": "other"}, "serviceAccount": {"name": "other-sa"}}}
    every: dict[str, Any] = {
        "metastore": {"autoscaling": {"enabled": True}, "replicas": 2, "pdb": {"enabled": True}},
        "thriftServer": {
            "replicas": 2,
            "pdb": {"enabled": True},
            "ui": {"ingress": {"enabled": True}},
            "gateway": {"enabled": True, "parentRefs": [{"name": "gateway"}]},
        },
    }
    first = render(every, release="first", helm=helm)
    every["thriftServer"] |= other["thriftServer"]
    second = render(every, release="second", helm=helm)
    assert len(first) == len(second) >= 30
    assert not set(first) & set(second)
    # None selects the other's pods.
    for its in second.values():
        assert "first" not in str(its)


def checksums(objects: Objects, kind: str, name: str) -> dict[str, str]:
    """Return what a pod's annotations say of its configuration."""
    annotations = objects.one(kind, name)["spec"]["template"]["metadata"]["annotations"]
    return {key: text for key, text in annotations.items() if key.startswith("checksum/")}


SERVER = ("Deployment", "release-spark-thrift-server")
METASTORE = ("Deployment", "release-hive-metastore")
POSTGRESQL = ("StatefulSet", "release-postgresql")


@pytest.mark.parametrize(
    "values, changed",
    [
        ({"spark": {"conf": {"a": "b"}}}, {SERVER: "templates"}),
        ({"spark": {"executor": {"memory": "5g"}}}, {SERVER: "templates"}),
        ({"spark": {"executor": {"nodeSelector": {"a": "b"}}}}, {SERVER: "settings"}),
        ({"thriftServer": {"hiveSite": {"a": "b"}}}, {SERVER: "templates"}),
        ({"thriftServer": {"files": {"a.xml": "b"}}}, {SERVER: "templates"}),
        ({"thriftServer": {"settings": {"health": {"timeout": "9s"}}}}, {SERVER: "settings"}),
        ({"hive": {"hiveSite": {"a": "b"}}}, {METASTORE: "templates"}),
        ({"metastore": {"files": {"a.xml": "b"}}}, {METASTORE: "templates"}),
        ({"metastore": {"settings": {"health": {"timeout": "9s"}}}}, {METASTORE: "settings"}),
        ({"hive": {"schema": "verify"}}, {METASTORE: "settings"}),
        ({"hive": {"metastorePort": 9084}}, {METASTORE: "templates", SERVER: "templates"}),
        ({"sparkpod": {"log": {"level": "debug"}}}, {METASTORE: "settings", SERVER: "settings"}),
        (
            {
                "postgresql": {"auth": {"database": "other"}},
                "hive": {"database": {"name": "other"}},
            },
            {METASTORE: "templates", POSTGRESQL: "init"},
        ),
        ({"metastore": {"replicas": 3}, "thriftServer": {"service": {"type": "NodePort"}}}, {}),
    ],
)
def test_a_change_restarts_the_pods_that_read_it(
    values: Values, changed: dict[tuple[str, str], str]
) -> None:
    """And no others: the checksum of what changed is another, all others are the same."""
    before, after = render(), render(values)
    for kind, name in (SERVER, METASTORE, POSTGRESQL):
        old, new = checksums(before, kind, name), checksums(after, kind, name)
        assert old and set(old) == set(new)
        differ = [key for key in old if old[key] != new[key]]
        assert differ == [f"checksum/{its}" for its in [changed.get((kind, name))] if its]


def test_no_pod_names_the_password_of_the_database_but_its_own(objects: Objects) -> None:
    """The Thrift Server asks the metastore, and needs none: neither its pod nor its executors'."""
    assert "hive-metastore-db-secret" not in str(pod(objects, "thrift-server"))
    assert "hive-metastore-db-secret" not in conf(objects, "executor-pod.yaml")
    assert "javax.jdo" not in conf(objects, "hive-site.xml")
