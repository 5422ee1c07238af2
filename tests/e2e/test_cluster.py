"""The cluster itself does what the other tests rest on, and what a real one does."""

from __future__ import annotations

import subprocess
import urllib.request
from typing import Any

from conftest import BINARY, DEBIAN
from kubectl import Kubectl

SERVE = ["run", "--", "/usr/local/bin/sparkpod", "wait", "--timeout", "0", "tcp://127.0.0.1:1"]
PORT = 8085  # sparkpod's own


def container(image: str, command: list[str] | None = None, **rest: Any) -> dict[str, Any]:
    """Return a container that `restricted` lets through, and that cannot write to its root."""
    made = {
        "name": "main",
        "image": image,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **rest,
    }
    return {**made, "command": command} if command else made


def pod(name: str, main: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """Return a pod of one container, which is not started anew."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "containers": [main],
            **spec,
        },
    }


def ended(kubectl: Kubectl, name: str) -> Any:
    """Return how the container of a pod has ended, once it has."""

    def state() -> Any:
        status = kubectl.get("pod", name)["status"]
        return status.get("containerStatuses", [{}])[0].get("state", {}).get("terminated")

    return kubectl.until(f"{name} has ended", state)


def served(kubectl: Kubectl) -> None:
    """Run a Deployment of two restricted pods with a Service before it, and wait for it."""
    labels = {"app": "server"}
    probe = {"httpGet": {"path": "/livez", "port": PORT}, "periodSeconds": 1}
    template = pod("server", container(BINARY, args=SERVE, readinessProbe=probe))
    for key in ("apiVersion", "kind"):
        del template[key]
    template["spec"]["restartPolicy"] = "Always"
    kubectl.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "server"},
            "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "server"},
            "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": PORT}]},
        },
    )
    kubectl.run("rollout", "status", "deployment/server", "--timeout=60s")


def test_the_servers_say_a_release(kubectl: Kubectl) -> None:
    said = kubectl.run("version", "--output=json").stdout
    assert "v0.0.0" not in said
    assert kubectl.get("node", "e2e")["status"]["nodeInfo"]["kubeletVersion"] in said


def test_a_pod_that_is_not_restricted_is_refused(restricted: Kubectl) -> None:
    main = container(BINARY)
    del main["securityContext"]["capabilities"]
    refused = restricted.run("create", "-f", "-", given=pod("loose", main), check=False)
    assert refused.returncode != 0
    assert "violates PodSecurity" in refused.stderr


def test_a_service_is_reached_by_name(restricted: Kubectl) -> None:
    served(restricted)
    url = f"http://server.{restricted.namespace}.svc.cluster.local/livez"
    restricted.apply(pod("client", container(BINARY, args=["wait", "--timeout", "20s", url])))
    assert ended(restricted, "client")["exitCode"] == 0
    assert "server" in restricted.run("logs", "client").stdout


def test_a_name_outside_does_not_exist(restricted: Kubectl) -> None:
    restricted.apply(pod("client", container(DEBIAN, ["getent", "hosts", "example.com"])))
    assert ended(restricted, "client")["exitCode"] == 2


def test_exec_and_port_forward_reach_a_pod(restricted: Kubectl) -> None:
    served(restricted)
    run = restricted.run("exec", "deployment/server", "--", "/usr/local/bin/sparkpod", "version")
    assert "sparkpod" in run.stdout
    forward = ["kubectl", f"--namespace={restricted.namespace}", "port-forward", "service/server"]
    with subprocess.Popen(
        [*forward, ":80"], env=restricted.environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            port = process.stdout.readline().split(" -> ")[0].rsplit(":", 1)[1]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=10) as answer:
                assert answer.status == 200
        finally:
            process.terminate()


def test_a_claim_is_bound_written_to_and_removed(restricted: Kubectl) -> None:
    restricted.apply(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "data"},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}},
            },
        }
    )
    mounts = [{"name": "data", "mountPath": "/data"}]
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    for name, group, status in (("stranger", {}, 1), ("owner", {"fsGroup": 65532}, 0)):
        main = container(DEBIAN, ["touch", "/data/file"], volumeMounts=mounts)
        restricted.apply(pod(name, main, volumes=volumes, securityContext=group))
        assert ended(restricted, name)["exitCode"] == status, name
        restricted.run("delete", "pod", name)  # its mount would keep the group as it is
    volume = restricted.get("pvc", "data")["spec"]["volumeName"]
    restricted.run("delete", "pvc", "data")

    def gone() -> bool:
        return restricted.run("get", "pv", volume, check=False).returncode != 0

    restricted.until("the volume is gone with its claim", gone)


def test_a_container_over_its_limit_is_killed(restricted: Kubectl) -> None:
    limit = {"limits": {"memory": "64Mi", "cpu": "500m"}}
    restricted.apply(pod("eater", container(DEBIAN, ["tail", "/dev/zero"], resources=limit)))
    state = ended(restricted, "eater")
    assert (state["reason"], state["exitCode"]) == ("OOMKilled", 137)


def test_an_account_has_a_token_and_no_rights(restricted: Kubectl) -> None:
    account = f"system:serviceaccount:{restricted.namespace}:default"
    asked = restricted.run("auth", "can-i", "list", "pods", f"--as={account}", check=False)
    assert asked.stdout.strip() == "no"
    folder = "/var/run/secrets/kubernetes.io/serviceaccount"
    shell = f"cut -d. -f2 {folder}/token; cat {folder}/namespace; ls {folder}"
    restricted.apply(pod("reader", container(DEBIAN, ["sh", "-c", shell])))
    assert ended(restricted, "reader")["exitCode"] == 0
    said = restricted.run("logs", "reader").stdout
    assert restricted.namespace in said
    assert "ca.crt" in said
