"""The API server takes every set of values that the chart shows."""

from __future__ import annotations

import pathlib
from typing import Iterator

import pytest
import yaml

from conftest import restrict
from kubectl import Kubectl
from release import CHART, NOTE, Release

# Kinds of others (ServiceMonitor, TCPRoute, Cluster, …) are not installed here.
OURS = ("v1", "apps/v1", "batch/v1", "autoscaling/v2", "policy/v1", "networking.k8s.io/v1")
OURS += ("rbac.authorization.k8s.io/v1",)


def test_there_are_examples() -> None:
    """The list below is not empty by accident."""
    assert len(list(CHART.glob("examples/*.yaml"))) >= 10


@pytest.fixture(name="empty", scope="module")
def _empty(kubectl: Kubectl, helm: str) -> Iterator[Release]:
    """A release that is not installed, in a namespace of its own."""
    release = Release(restrict(kubectl, "examples"), helm, "dry-run")
    yield release
    kubectl.run("delete", "namespace", release.kubectl.namespace, "--wait=false")


@pytest.mark.parametrize(
    "values", [NOTE, *sorted(CHART.glob("examples/*.yaml"))], ids=lambda path: path.stem
)
def test_the_api_server_takes_every_object_of(empty: Release, values: pathlib.Path) -> None:
    """A server-side dry run, strict: no unknown or doubled field, and nothing to warn of."""
    text = empty.helm(
        *("template", empty.name, str(CHART), f"--values={values}", "--kube-version=1.31")
    ).stdout
    ours, others = [], []
    # As text: a parser would drop what is doubled.
    for document in text.split("\n---\n"):
        if parsed := yaml.safe_load(document):
            (ours if parsed["apiVersion"] in OURS else others).append((parsed["kind"], document))
    taken = empty.kubectl.run(
        *("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-"),
        given="\n---\n".join(document for _, document in ours),
    )
    assert "Warning" not in taken.stderr, taken.stderr
    kinds = ", ".join(sorted({kind for kind, _ in others}))
    print(f"{len(ours)} objects taken" + (f"; not asked about: {kinds}" if kinds else ""))
    assert ours
