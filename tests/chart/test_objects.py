"""What must be true of whatever set of values is rendered: each file in helm/ci and helm/examples."""

from __future__ import annotations

import base64
import copy
import fnmatch
import functools
import json
import pathlib
import re
import subprocess
from typing import Any, Iterator

import pytest
import yaml

from chart import CHART, MINIMAL, NEWEST, SETS, Object, Objects
from chart import containers, pod_specs, render_set, template, tool

# Critical findings of kube-score that we live with: what it says, of which object, and why.
EXCEPTIONS = [
    ("CPU limit is not set", "*", "it would slow a JVM down while cores are free"),
    ("ImagePullPolicy is not set to Always", "*", "a tag is a version; registries have outages"),
    ("The container is running with a low user ID", "*", "the user that the image has"),
    ("The container running with a low group ID", "*", "the group that the image has"),
    ("Ephemeral Storage limit is not set", "*", "the root is read-only"),
    ("Ephemeral Storage request is not set", "*", "the same"),
    (
        "The NetworkPolicys selector doesn't match any pods",
        "NetworkPolicy/*-executor",
        "the driver makes those pods",
    ),
    (
        "The pod does not have a matching NetworkPolicy",
        "Pod/*-test-*",
        "it serves nothing, and ends",
    ),
    (
        "Container has the same readiness and liveness probe",
        "StatefulSet/*-postgresql",
        "pg_isready is what there is; liveness waits for two minutes of silence",
    ),
    (
        "StatefulSet does not have a valid serviceName",
        "StatefulSet/*-postgresql",
        "nobody asks for its one pod by the pod's name",
    ),
]

every_set = pytest.mark.parametrize(
    "path", SETS, ids=[str(path.relative_to(CHART).with_suffix("")) for path in SETS]
)


def executor_pods(objects: Objects) -> Iterator[tuple[str, Object]]:
    """Give the pods that Spark is told to make."""
    for its in objects.of("ConfigMap"):
        if "executor-pod.yaml" in its.get("data", {}):
            template_of = yaml.safe_load(its["data"]["executor-pod.yaml"])
            yield f"executor of {its['metadata']['name']}", template_of["spec"]


# What a pod may set at the level "restricted" of the Pod Security Standards, as of Kubernetes 1.34.
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim",
           "projected", "secret"}  # fmt: skip
SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
}
SELINUX = {None, "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}
APPARMOR = {None, "RuntimeDefault", "Localhost"}


def contradictions(spec: Object) -> Iterator[str]:
    """Say what of a pod is not allowed at the Pod Security level "restricted"."""
    pod = spec.get("securityContext", {})
    for volume in spec.get("volumes", []):
        if set(volume) - {"name"} - VOLUMES:
            yield f"volume {volume}"
    for host in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(host):
            yield host
    for sysctl in pod.get("sysctls", []):
        if sysctl["name"] not in SYSCTLS:
            yield f"sysctl {sysctl['name']}"
    if pod.get("runAsUser") == 0 or pod.get("windowsOptions", {}).get("hostProcess"):
        yield "runAsUser"
    for container in [*containers(spec), *spec.get("ephemeralContainers", [])]:
        for found in of_container(pod, container):
            yield f"{container['name']}: {found}"


def of_container(pod: Object, container: Object) -> Iterator[str]:
    """Say the same of one of its containers."""
    own = container.get("securityContext", {})
    both = {**pod, **own}
    capabilities = own.get("capabilities", {})
    if own.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation"
    if "ALL" not in capabilities.get("drop", []):
        yield "capabilities are not dropped"
    if set(capabilities.get("add") or []) - {"NET_BIND_SERVICE"}:
        yield "capabilities are added"
    if own.get("privileged"):
        yield "privileged"
    if both.get("runAsNonRoot") is not True or both.get("runAsUser") == 0:
        yield "runAsNonRoot"
    if both.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
        yield "seccompProfile"
    if own.get("procMount", "Default") != "Default":
        yield "procMount"
    linux = both.get("seLinuxOptions", {})
    if linux.get("type") not in SELINUX or linux.get("user") or linux.get("role"):
        yield "seLinuxOptions"
    if both.get("appArmorProfile", {}).get("type") not in APPARMOR:
        yield "appArmorProfile"
    if any(port.get("hostPort") for port in container.get("ports", [])):
        yield "hostPort"
    hooks = container.get("lifecycle", {}).values()
    probes = [its for kind, its in container.items() if kind.endswith("Probe")]
    for asked in [*probes, *hooks]:
        if any(its.get("host") for its in asked.values() if isinstance(its, dict)):
            yield "host of a probe or hook"


RESTRICTED = {
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [
        {
            "name": "a",
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            },
        }
    ],
}


@pytest.mark.parametrize(
    "path, value",
    [
        ("volumes", [{"name": "a", "hostPath": {"path": "/"}}]),
        ("hostNetwork", True),
        ("hostPID", True),
        ("hostIPC", True),
        ("securityContext.sysctls", [{"name": "net.core.somaxconn", "value": "1"}]),
        ("securityContext.runAsUser", 0),
        ("securityContext.runAsNonRoot", False),
        ("securityContext.seccompProfile", {"type": "Unconfined"}),
        ("securityContext.seLinuxOptions", {"type": "spc_t"}),
        ("securityContext.appArmorProfile", {"type": "Unconfined"}),
        ("securityContext.windowsOptions", {"hostProcess": True}),
        ("containers.0.securityContext.allowPrivilegeEscalation", None),
        ("containers.0.securityContext.capabilities", {"drop": ["NET_RAW"]}),
        ("containers.0.securityContext.capabilities.add", ["SYS_ADMIN"]),
        ("containers.0.securityContext.privileged", True),
        ("containers.0.securityContext.runAsNonRoot", False),
        ("containers.0.securityContext.procMount", "Unmasked"),
        ("containers.0.ports", [{"hostPort": 1}]),
        ("containers.0.livenessProbe", {"httpGet": {"host": "example"}}),
        ("initContainers", [{"name": "b"}]),
        ("ephemeralContainers", [{"name": "b"}]),
    ],
)
def test_what_is_not_restricted_is_found(path: str, value: Any) -> None:
    """The check above knows the rules."""
    spec = copy.deepcopy(RESTRICTED)
    assert not list(contradictions(spec))
    at: Any = spec
    *above, last = path.split(".")
    for key in above:
        at = at[int(key)] if isinstance(at, list) else at[key]
    at[last] = value
    assert list(contradictions(spec))


@every_set
def test_every_pod_is_restricted(path: pathlib.Path) -> None:
    """And its files cannot be written but where a volume is."""
    objects = render_set(path)
    pods = [*pod_specs(objects), *executor_pods(objects)]
    found = {name: list(contradictions(spec)) for name, spec in pods}
    assert found and not any(found.values()), found
    for _, spec in pods:
        for container in containers(spec):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True


@every_set
def test_no_variable_is_there_twice(path: pathlib.Path) -> None:
    """Server-side apply refuses such a list."""
    objects = render_set(path)
    for name, spec in [*pod_specs(objects), *executor_pods(objects)]:
        for container in containers(spec):
            names = [its["name"] for its in container.get("env", [])]
            assert len(names) == len(set(names)), f"{name}: {names}"


def cleartext(text: str) -> Iterator[str]:
    """Give the lines of a configuration file that set a secret to something else than a placeholder
    or the path of a file."""
    secret = r"[\w.-]*(?:password|secret|account[.]key|access[.]key|token)[\w.-]*"
    pairs = re.findall(rf"({secret})[ \t]*=[ \t]*(.*)", text, re.IGNORECASE)
    pairs += re.findall(rf"<name>({secret})</name>\s*<value>(.*?)</value>", text, re.IGNORECASE)
    for key, value in pairs:
        names = key.lower().endswith("pull_secrets")
        if value and "${" not in value and not names and not re.match(r"/|(true|false)$", value):
            yield f"{key}={value}"


def test_cleartext_is_found() -> None:
    """The search above sees what it is for, and nothing else."""
    bad = "a.password=x\nb.client.secret = y\n<name>ConnectionPassword</name>\n<value>z</value>"
    good = "a.password=${A}\nspark.authenticate.secret.file=/run/x\nspark.password.used=true\n"
    assert len(list(cleartext(bad))) == 3
    assert not list(cleartext(good))


@every_set
def test_no_secret_is_in_clear(path: pathlib.Path) -> None:
    """Neither in a ConfigMap nor in a variable; what the chart's own Secrets hold is nowhere else."""
    objects = render_set(path)
    for its in objects.of("ConfigMap"):
        for file, text in its.get("data", {}).items():
            assert not list(cleartext(text)), f"{its['metadata']['name']}: {file}"
    for name, spec in pod_specs(objects):
        for container in containers(spec):
            for its in container.get("env", []):
                assert not list(cleartext(f"{its['name']}={its.get('value', '')}")), name
    rest = json.dumps([its for (kind, _), its in objects.items() if kind != "Secret"])
    for secret in objects.of("Secret"):
        for value in secret.get("data", {}).values():
            assert value not in rest
            assert json.dumps(base64.b64decode(value).decode())[1:-1] not in rest


def references(spec: Object) -> Iterator[tuple[str, str]]:
    """Give the ConfigMaps, Secrets and accounts that a pod cannot start without."""
    if spec.get("serviceAccountName", "default") != "default":
        yield "ServiceAccount", spec["serviceAccountName"]
    volumes = spec.get("volumes") or []
    sources = list(volumes)
    for volume in volumes:
        sources += volume.get("projected", {}).get("sources") or []
    for container in containers(spec):
        sources += container.get("envFrom") or []
        sources += [its.get("valueFrom", {}) for its in container.get("env") or []]
    for its in sources:
        for key, kind in (
            ("configMap", "ConfigMap"),
            ("configMapRef", "ConfigMap"),
            ("configMapKeyRef", "ConfigMap"),
            ("secret", "Secret"),
            ("secretRef", "Secret"),
            ("secretKeyRef", "Secret"),
        ):
            if key in its and not its[key].get("optional"):
                yield kind, its[key].get("secretName") or its[key]["name"]


@every_set
def test_every_reference_leads_somewhere(path: pathlib.Path) -> None:
    """To an object that the chart makes, or to one that the values name."""
    objects = render_set(path)
    values = (CHART / "values.yaml").read_text() + path.read_text()
    for name, spec in [*pod_specs(objects), *executor_pods(objects)]:
        for kind, wanted in references(spec):
            named = re.search(rf"(?<![\w-]){re.escape(wanted)}(?![\w-])", values)
            assert (kind, wanted) in objects or named, f"{name}: {kind} {wanted}"
    for autoscaler in objects.of("HorizontalPodAutoscaler"):
        target = autoscaler["spec"]["scaleTargetRef"]
        objects.one(target["kind"], target["name"])


@every_set
def test_every_service_has_pods_with_its_ports(path: pathlib.Path) -> None:
    """Or it would answer nobody."""
    objects = render_set(path)
    pods = [
        (its["spec"]["template"]["metadata"]["labels"], its["spec"]["template"]["spec"])
        for its in objects.values()
        if "template" in its.get("spec", {})
    ]
    for service in objects.of("Service"):
        wanted = service["spec"].get("selector", {}).items()
        chosen = [spec for labels, spec in pods if wanted <= labels.items()]
        assert wanted and len(chosen) == 1, service["metadata"]["name"]
        names = {
            port["name"] for its in containers(chosen[0]) for port in its.get("ports", [])
        }
        targets = {port["targetPort"] for port in service["spec"]["ports"]}
        assert targets <= names, service["metadata"]["name"]


@every_set
def test_every_mount_has_its_volume(path: pathlib.Path) -> None:
    """And every volume is mounted; no path is there twice."""
    objects = render_set(path)
    claims = {
        f"StatefulSet {its['metadata']['name']}": its["spec"].get("volumeClaimTemplates", [])
        for its in objects.of("StatefulSet")
    }
    for name, spec in [*pod_specs(objects), *executor_pods(objects)]:
        volumes = [its["name"] for its in spec.get("volumes", [])]
        volumes += [its["metadata"]["name"] for its in claims.get(name, [])]
        assert len(volumes) == len(set(volumes)), name
        mounted = set()
        for container in containers(spec):
            mounts = container.get("volumeMounts", [])
            paths = [its["mountPath"] for its in mounts]
            assert len(paths) == len(set(paths)), f"{name}: {paths}"
            mounted |= {its["name"] for its in mounts}
        assert mounted == set(volumes), name


def labels_of_pods(objects: Objects) -> Iterator[dict[str, str]]:
    """Give the labels of every pod that these objects make: workloads, tests, executors."""
    for (kind, _), its in objects.items():
        if kind == "Pod":
            yield its["metadata"]["labels"]
        elif "template" in its.get("spec", {}):
            yield its["spec"]["template"]["metadata"]["labels"]
        elif kind == "ConfigMap" and "executor-pod.yaml" in its.get("data", {}):
            yield yaml.safe_load(its["data"]["executor-pod.yaml"])["metadata"]["labels"]


def test_labels_are_those_of_all_kinds_of_pods() -> None:
    """Driver, metastore, PostgreSQL, executors, tests."""
    found = {its["app.kubernetes.io/component"] for its in labels_of_pods(render_set(MINIMAL))}
    assert found == {"thrift-server", "hive-metastore", "postgresql", "executor", "test"}


@every_set
def test_every_selector_selects_pods(path: pathlib.Path) -> None:
    """That of a policy, of its peers in the release, of a budget, of a workload."""
    objects = render_set(path)
    pods = list(labels_of_pods(objects))
    for (kind, name), its in objects.items():
        selectors = []
        if kind == "NetworkPolicy":
            spec = its["spec"]
            rules = [*spec.get("ingress", []), *spec.get("egress", [])]
            peers = [its for rule in rules for its in rule.get("from", []) + rule.get("to", [])]
            selectors = [spec["podSelector"], *(peer.get("podSelector", {}) for peer in peers)]
        elif kind in ("PodDisruptionBudget", "Deployment", "StatefulSet"):
            selectors = [its["spec"]["selector"]]
        for selector in selectors:
            wanted = selector.get("matchLabels", {})
            # Others are not of this release.
            if "app.kubernetes.io/instance" in wanted or kind != "NetworkPolicy":
                assert any(wanted.items() <= labels.items() for labels in pods), f"{kind} {name}"


@every_set
def test_probes_and_ingresses_lead_to_ports(path: pathlib.Path) -> None:
    """By a name that the container, or the Service, has."""
    objects = render_set(path)
    for name, spec in pod_specs(objects):
        for container in containers(spec):
            ports = {its["name"] for its in container.get("ports", [])}
            for kind, probe in container.items():
                port = probe.get("httpGet", {}).get("port") if kind.endswith("Probe") else None
                assert port is None or port in ports, f"{name}: {kind}"
    for ingress in objects.of("Ingress"):
        for rule in ingress["spec"]["rules"]:
            for to in rule["http"]["paths"]:
                backend = to["backend"]["service"]
                service = objects.one("Service", backend["name"])
                assert backend["port"]["name"] in {its["name"] for its in service["spec"]["ports"]}


@every_set
def test_rules_are_rules(path: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """What the operator hands to Prometheus is what Prometheus reads."""
    for rule in render_set(path).of("PrometheusRule"):
        file = tmp_path / "rules.yaml"
        file.write_text(yaml.safe_dump(rule["spec"]))
        run = subprocess.run(
            [tool("promtool"), "check", "rules", file],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert run.returncode == 0, run.stdout + run.stderr


@functools.lru_cache(maxsize=None)
def critical(path: pathlib.Path) -> frozenset[tuple[str, str]]:
    """Return kube-score's critical findings: what it says, and of which object."""
    run = subprocess.run(
        [tool("kube-score"), "score", "--output-format", "json", "--output-version", "v2",
         "--kubernetes-version", f"v{NEWEST}", "-"],
        input=template(base=path).stdout,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )  # fmt: skip
    scored: list[dict[str, Any]] = json.loads(run.stdout)
    assert scored, run.stderr
    return frozenset(
        (comment["summary"], its["object_name"])
        for its in scored
        for check in its["checks"]
        if check["grade"] == 1 and not check["skipped"]
        for comment in check["comments"]
    )


def excepted(finding: tuple[str, str], row: tuple[str, str, str]) -> bool:
    """Whether that row of EXCEPTIONS is for this finding."""
    return finding[0] == row[0] and fnmatch.fnmatch(finding[1], row[1])


@every_set
def test_kube_score(path: pathlib.Path) -> None:
    """No critical finding but those above."""
    left = [its for its in critical(path) if not any(excepted(its, row) for row in EXCEPTIONS)]
    assert not left, "\n".join(map(str, sorted(left)))


def test_every_exception_is_needed() -> None:
    """One that excuses nothing any more goes."""
    found = set().union(*map(critical, SETS))
    idle = [row for row in EXCEPTIONS if not any(excepted(its, row) for its in found)]
    assert not idle
