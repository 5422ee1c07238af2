"""`sparkpod check`: every finding in one run, on seeded configuration, and against stand-ins for
the Kubernetes API and for Azure that answer as these are documented."""

from __future__ import annotations

import json
import os
import pathlib
import pty
import shutil
import subprocess
from typing import Any, Callable, Mapping, Optional

import jsonschema
import pytest

import rig
from azure_stand_in import ACCESS_TOKEN, CLIENT, TENANT, AzureStandIn
from kubernetes_stand_in import KubernetesStandIn
from stand_in import Authority

CLEAN = rig.ROOT / "tests" / "unit" / "clean"
SCHEMA = json.loads((rig.ROOT / "docs" / "check.schema.json").read_text())
SECRET = "abc8Q~the-client-secret-&-of=the test"
TOKEN = "eyJh.the-token-of-the-service-account.sig"

# In a pod's place, with a service account's folder where every pod has it.
IN_POD = """
mount -t tmpfs none /var/run && mkdir -p "$(dirname "$FOLDER")" && cp -r "$ACCOUNT" "$FOLDER" &&
exec "$@"
"""
FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"


def run_check(
    *args: str, env: Mapping[str, str], prefix: tuple[str, ...] = ()
) -> tuple[int, dict[str, Any], str]:
    """Run it as JSON, hold that against the schema, and return status, report and all output."""
    argv = [*prefix, str(rig.sparkpod_binary()), "check", "--format", "json", *args]
    run = subprocess.run(
        argv,
        env={**rig.base_env(), **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    report = json.loads(run.stdout or "null")
    assert report is not None, run.stderr
    jsonschema.validate(report, SCHEMA)
    assert report["status"] == run.returncode
    return run.returncode, report, run.stdout + run.stderr


def rules(report: Mapping[str, Any]) -> set[str]:
    """Return the rules that found something."""
    return {finding["rule"] for finding in report["findings"] if "rule" in finding}


def whats(report: Mapping[str, Any], part: str, severity: str) -> list[str]:
    """Return what was found in a part, as "KEY: WHAT"."""
    return [
        f"{finding.get('key', '')}: {finding['what']}"
        for finding in report["findings"]
        if finding["part"] == part and finding["severity"] == severity
    ]


@pytest.fixture
def pod(work: pathlib.Path) -> Callable[..., dict[str, str]]:
    """Write templates, and return the environment in which they are checked."""

    def make(**files: str) -> dict[str, str]:
        templates = work / "templates"
        templates.mkdir(exist_ok=True)
        for name, text in files.items():
            (
                templates / name.replace("_xml", ".xml").replace("_conf", ".conf").replace("_", "-")
            ).write_text(text)
        return {
            "SPARK_CONF_DIR": str(work / "conf"),
            "SPARKPOD_RENDER_SOURCE": str(templates),
            "SPARKPOD_SPARK_EXECUTOR_IMAGE": "example/spark:3.5.6",
        }

    return make


def site(**properties: str) -> str:
    """Return a Hadoop file; "__" in a name is "."."""
    lines = [
        f"<property>\n<name>{name.replace('__', '.')}</name>\n<value>{value}</value>\n</property>"
        for name, value in properties.items()
    ]
    return "\n".join(["<configuration>", *lines, "</configuration>"])


# --- rules, templates, settings ------------------------------------------------------------------


SEEDED_SITE = site(
    hive__metastore__uris="thrift://a:9083, thrift://b:9083",
    hive__server2__authentication="ldap",
    hive__server2__enable__doAs="true",
    datanucleus__autoCreateSchema="true",
    javax__jdo__option__ConnectionPassword="${DB_PASSWORD_LITERAL}",
    hive__exec__scratchdir="${system:java.io.tmpdir}/hive",
)

SEEDED_DEFAULTS = """\
spark.sql.warehouse.dir=wasb://lake@account.blob.core.windows.net/x
spark.hadoop.fs.azure.account.auth.type=OAuth
spark.hadoop.fs.azure.account.oauth2.client.id.${{ .Values.account }}=x
spark.hadoop.fs.azure.account.oauth2.client.secret=01234567-89ab-cdef-0123-456789abcdef
spark.hadoop.fs.azure.account.oauth2.client.endpoint=http://login.example.com/t/oauth2/token
spark.hadoop.fs.azure.account.oauth.provider.type=\
org.apache.hadoop.fs.azurebfs.oauth2.WorkloadIdentityTokenProvider
spark.hadoop.fs.defaultFS=abfss://lake@account.blob.core.windows.net
spark.hadoop.a=wasb://lake@$account.blob.core.windows.net
spark.sql.hive.metastore.version=4.0.1
spark.submit.callSystemExitOnMainExit=true
spark.submit.deployMode=cluster
spark.master=k8s://http://10.0.0.1:443
spark.driver.extraJavaOptions=-Xmx4g
spark.dynamicAllocation.enabled=true
spark.dynamicAllocation.shuffleTracking.enabled=false
spark.driver.host=127.0.0.1
spark.driver.port=8085
spark.kubernetes.executor.podNamePrefix=thrift
spark.kubernetes.authenticate.oauthTokenFile=/token
spark.redaction.regex=(?i)secret|password
hive.server2.thrift.port=10000
"""

SEEDED = {
    *("metastore-uris", "authentication-case", "do-as", "auto-create-schema", "published-secret"),
    *("env-colon", "wasb-with-oauth", "double-brace", "secret-is-id", "token-endpoint"),
    *("workload-identity", "abfss-on-blob", "dollar-in-authority", "metastore-client"),
    *("metastore-4", "exit-on-main", "deploy-mode", "master", "heap-option", "shuffle-tracking"),
    *("cached-executors", "driver-host", "same-port", "fixed-prefix", "oauth-token-file"),
    *("redaction", "authenticate", "not-spark", "hadoop-azure"),
}


def test_each_of_29_seeded_traps_is_found_in_one_run(
    pod: Callable[..., dict[str, str]], homes: rig.Homes
) -> None:
    env = pod(hive_site_xml=SEEDED_SITE, spark_defaults_conf=SEEDED_DEFAULTS)
    env |= {
        **homes.spark_env(),
        "DB_PASSWORD_LITERAL": "p",
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": str(rig.free_port()),
        "SPARKPOD_RENDER_SECRET_NAMES": "NONE",
    }
    status, report, _ = run_check(env=env)
    assert status == 78
    assert rules(report) == SEEDED
    assert len(SEEDED) == 29


def test_a_finding_names_the_line_of_the_template(pod: Callable[..., dict[str, str]]) -> None:
    env = pod(hive_site_xml=SEEDED_SITE, spark_defaults_conf=SEEDED_DEFAULTS)
    _, report, _ = run_check(env={**env, "DB_PASSWORD_LITERAL": "p"})
    for finding in report["findings"]:
        if "rule" in finding and "line" in finding:
            line = pathlib.Path(finding["file"]).read_text().splitlines()[finding["line"] - 1]
            assert finding["key"] in line


@pytest.mark.parametrize("role", ["thrift-server", "metastore"])
def test_a_realistic_configuration_has_no_finding(role: str, work: pathlib.Path) -> None:
    jars = work / "home" / ("jars" if role == "thrift-server" else "share/hadoop/common")
    jars.mkdir(parents=True)
    for jar in ("hadoop-client-api", "hadoop-common", "hadoop-azure"):
        (jars / f"{jar}-3.3.4.jar").touch()
    templates = work / "templates"
    templates.mkdir()
    files = {f"hive-site.{role}.xml": "hive-site.xml", "core-site.xml": "core-site.xml"}
    if role == "thrift-server":
        files["spark-defaults.conf"] = "spark-defaults.conf"
    for source, target in files.items():
        text = (CLEAN / source).read_text()
        here = f"127.0.0.1:{rig.free_port()}"  # nobody out there is asked
        (templates / target).write_text(text.replace("login.microsoftonline.com", here))
    env = {
        "SPARK_HOME" if role == "thrift-server" else "HADOOP_HOME": str(work / "home"),
        "SPARKPOD_RENDER_SOURCE": str(templates),
        "SPARKPOD_RENDER_TARGET": str(work / "conf"),
    }
    status, report, output = run_check("--role", role, env=env)
    assert status == 0
    assert whats(report, "azure", "unchecked") == [
        "lake@account.dfs.core.windows.net: token endpoint: connection refused"
    ]
    assert len(report["findings"]) == 1, output
    assert not (work / "conf").exists(), "nothing is written"


def test_faults_of_every_part_come_in_one_run(
    pod: Callable[..., dict[str, str]], work: pathlib.Path
) -> None:
    ini = work / "sparkpod.ini"
    ini.write_text("[health]\nport = many\n\n[nonsense]\na = b\n")
    env = pod(
        hive_site_xml="<configuration><property><name>a</name><value>${MISSING}</value>\n"
        "</property><property><name>b</name><value>${ALSO_MISSING}</value></property>"
        "</configuration>",
        core_site_xml="<configuration>\n<property>\n</configuration>",
        spark_defaults_conf="spark.submit.deployMode=cluster\nspark.a=b\nspark.a=c\n",
    )
    env |= {"SPARKPOD_SHUTDOWN_GRACE": "soon", "SPARKPOD_HELTH_PORT": "1"}
    status, report, _ = run_check("--config", str(ini), env=env)
    assert status == 78
    settings = whats(report, "settings", "error")
    assert len(settings) == 3
    for word in ("health.port", "[nonsense]", "SPARKPOD_SHUTDOWN_GRACE"):
        assert any(word in line for line in settings), settings
    assert "SPARKPOD_HELTH_PORT" in whats(report, "settings", "warning")[0]
    places = {
        (pathlib.Path(f["file"]).name, f["line"])
        for f in report["findings"]
        if f["part"] == "templates"
    }
    assert places == {
        ("hive-site.xml", 1),
        ("hive-site.xml", 2),
        ("core-site.xml", 3),
        ("spark-defaults.conf", 3),
    }
    assert rules(report) == {"deploy-mode"}


def test_a_file_that_no_template_makes_is_read_from_the_conf_folder(
    pod: Callable[..., dict[str, str]], work: pathlib.Path
) -> None:
    env = pod(spark_defaults_conf="spark.a=b\n")
    (work / "conf").mkdir()
    (work / "conf" / "hive-site.xml").write_text(site(hive__server2__enable__doAs="true"))
    _, report, _ = run_check(env=env)
    assert rules(report) == {"do-as"}
    assert report["findings"][0]["file"] == str(work / "conf" / "hive-site.xml")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"spark_defaults_conf": "spark.a=b\n"}, 0),
        ({"spark_defaults_conf": "x=b\n"}, 0),  # a warning
        ({"spark_defaults_conf": "spark.a=${MISSING}\n"}, 65),
        ({"spark_defaults_conf": "spark.submit.deployMode=cluster\n"}, 78),
        (
            {
                "hive_site_xml": "<a>${MISSING}</a>",
                "spark_defaults_conf": "spark.submit.deployMode=cluster\n",
            },
            78,
        ),
    ],
)
def test_the_worst_kind_of_error_is_the_status(
    files: dict[str, str], expected: int, pod: Callable[..., dict[str, str]]
) -> None:
    assert run_check(env=pod(**files))[0] == expected


def test_text_has_a_block_for_each_finding_and_a_summary(
    pod: Callable[..., dict[str, str]], work: pathlib.Path
) -> None:
    env = pod(spark_defaults_conf="\nspark.submit.deployMode=cluster\n")
    run = rig.run_sparkpod("check", env=env)
    assert run.returncode == 78
    place = f"{work}/templates/spark-defaults.conf:2"
    assert run.stdout.splitlines() == [
        f"error: {place}: spark.submit.deployMode: cluster mode [deploy-mode]",
        '    why: spark-submit ends: it "is not applicable to Spark Thrift server"',
        "    instead: client",
        "",
        "1 error, 0 warnings, 0 unchecked; looked at: settings, templates, rules",
    ]
    assert run.stderr == ""


@pytest.mark.parametrize(("env", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_only_a_terminal_gets_colours(
    env: dict[str, str], coloured: bool, pod: Callable[..., dict[str, str]]
) -> None:
    ours, its = pty.openpty()
    argv = [str(rig.sparkpod_binary()), "check"]
    conf = pod(spark_defaults_conf="spark.submit.deployMode=cluster\n")
    subprocess.run(argv, env={**rig.base_env(), **conf, **env}, stdout=its, check=False)
    os.close(its)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert ("\033[31merror\033[0m: " in shown) is coloured
    assert ("\nerror: " in f"\n{shown}") is not coloured


def test_bytes_of_others_reach_neither_terminal_nor_json(
    pod: Callable[..., dict[str, str]], work: pathlib.Path
) -> None:
    env = pod()
    text = b"\\u001b[31mspark.a=b\n\xff\xfe=c\nd\xc3\xa9=e\n"
    (work / "templates" / "spark-defaults.conf").write_bytes(text)
    _, report, _ = run_check(env=env)
    keys = {finding.get("key") for finding in report["findings"] if "rule" in finding}
    assert keys == {"?[31mspark.a", "??", "d\u00e9"}


def test_wrong_usage_is_64() -> None:
    for args in (["--role", "run"], ["--role", "x"], ["--format", "xml"], ["stray"], ["--x"]):
        assert rig.run_sparkpod("check", *args).returncode == 64


# --- Kubernetes ----------------------------------------------------------------------------------


@pytest.fixture
def authority(work: pathlib.Path) -> Authority:
    """Who signs the stand-ins' certificates."""
    return Authority(work / "authority")


def check_in_pod(
    env: Mapping[str, str],
    authority: Authority,
    server: Optional[KubernetesStandIn],
    work: pathlib.Path,
    without: str = "",
    uid: str = "1234-5678",
) -> tuple[int, dict[str, Any], str]:
    """Run the check with a service account's folder, without one of its files."""
    account = work / "account"
    account.mkdir()
    (account / "token").write_text(TOKEN)
    (account / "namespace").write_text("spark")
    shutil.copy(authority.certificate, account / "ca.crt")
    if without:
        (account / without).unlink()
    env = {
        **env,
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": str(server.port if server else rig.free_port()),
        "HOSTNAME": "thrift-0",
        "POD_UID": uid,
        "ACCOUNT": str(account),
        "FOLDER": FOLDER,
    }
    return run_check(env=env, prefix=(*rig.namespace(), "sh", "-ec", IN_POD, "sh"))


POD = """\
spark.hadoop.hive.server2.authentication=LDAP
spark.sql.warehouse.dir=hdfs://namenode/warehouse
spark.kubernetes.container.image.pullSecrets=registry
"""
OBJECTS = ("pods/thrift-0", "secrets/registry")


def test_a_service_account_that_may_all_has_no_finding(
    pod: Callable[..., dict[str, str]], authority: Authority, work: pathlib.Path
) -> None:
    with KubernetesStandIn(authority, token=TOKEN, objects=OBJECTS) as server:
        status, report, output = check_in_pod(pod(spark_defaults_conf=POD), authority, server, work)
    assert (status, report["findings"]) == (0, []), output
    assert report["looked_at"] == ["settings", "templates", "rules", "kubernetes"]
    asked = server.reviews()
    assert {verb for resource, verb in asked if resource == "pods"} == {
        *("create", "delete", "deletecollection", "get", "list", "patch", "watch")
    }
    assert {resource for resource, _ in asked} == {
        *("pods", "configmaps", "services", "persistentvolumeclaims")
    }
    for request in server.requests:
        assert TOKEN not in request.path + request.body
    assert TOKEN not in output


def test_every_missing_right_is_told_and_needed_ones_are_77(
    pod: Callable[..., dict[str, str]], authority: Authority, work: pathlib.Path
) -> None:
    denied = {
        "pods": {"create", "deletecollection"},
        "services": {"list"},
        "persistentvolumeclaims": {"deletecollection"},
    }
    with KubernetesStandIn(authority, token=TOKEN, objects=OBJECTS, denied=denied) as server:
        status, report, _ = check_in_pod(pod(spark_defaults_conf=POD), authority, server, work)
    assert status == 77
    assert whats(report, "kubernetes", "error") == [
        "pods: the service account may not create pods in namespace spark"
    ]
    assert [line.split(":")[0] for line in whats(report, "kubernetes", "warning")] == [
        *("pods", "services", "persistentvolumeclaims")
    ]


def test_rights_that_spark_is_told_not_to_use_are_not_asked_for(
    pod: Callable[..., dict[str, str]], authority: Authority, work: pathlib.Path
) -> None:
    off = (
        "spark.kubernetes.executor.disableConfigMap=true\n"
        "spark.kubernetes.driver.service.deleteOnTermination=false\n"
        "spark.kubernetes.driver.ownPersistentVolumeClaim=false\n"
        "spark.kubernetes.driver.reusePersistentVolumeClaim=false\n"
    )
    with KubernetesStandIn(authority, token=TOKEN, objects=OBJECTS) as server:
        check_in_pod(pod(spark_defaults_conf=POD + off), authority, server, work)
    assert {resource for resource, _ in server.reviews()} == {"pods"}


def test_a_pod_that_does_not_know_its_uid_is_a_warning(
    pod: Callable[..., dict[str, str]], authority: Authority, work: pathlib.Path
) -> None:
    with KubernetesStandIn(authority, token=TOKEN, objects=OBJECTS) as server:
        env = pod(spark_defaults_conf=POD)
        status, report, _ = check_in_pod(env, authority, server, work, uid="")
    assert status == 0
    assert whats(report, "kubernetes", "warning") == ["POD_UID: not set"]


def test_a_missing_pod_and_pull_secret_are_78(
    pod: Callable[..., dict[str, str]], authority: Authority, work: pathlib.Path
) -> None:
    with KubernetesStandIn(authority, token=TOKEN) as server:
        status, report, _ = check_in_pod(pod(spark_defaults_conf=POD), authority, server, work)
    assert status == 78
    assert whats(report, "kubernetes", "error") == [
        "pods/thrift-0: it is not in namespace spark",
        "secrets/registry: it is not in namespace spark",
    ]


def test_a_secret_that_may_not_be_read_is_unchecked(
    pod: Callable[..., dict[str, str]], authority: Authority, work: pathlib.Path
) -> None:
    with KubernetesStandIn(
        authority, token=TOKEN, objects=OBJECTS, unreadable=("secrets",)
    ) as server:
        status, report, _ = check_in_pod(pod(spark_defaults_conf=POD), authority, server, work)
    assert status == 0
    assert whats(report, "kubernetes", "unchecked") == [
        "secrets/registry: the service account may not read this"
    ]


@pytest.mark.parametrize("name", ["token", "ca.crt", "namespace"])
def test_a_missing_file_of_the_service_account_is_77(
    name: str, pod: Callable[..., dict[str, str]], authority: Authority, work: pathlib.Path
) -> None:
    status, report, _ = check_in_pod(
        pod(spark_defaults_conf=POD), authority, None, work, without=name
    )
    assert status == 77
    assert f"cannot read {name} in {FOLDER}" in whats(report, "kubernetes", "error")[0]


def test_a_token_that_the_api_server_refuses_is_77(
    pod: Callable[..., dict[str, str]], authority: Authority, work: pathlib.Path
) -> None:
    with KubernetesStandIn(authority, token="another") as server:
        status, report, _ = check_in_pod(pod(spark_defaults_conf=POD), authority, server, work)
    assert status == 77
    assert "does not accept" in whats(report, "kubernetes", "error")[0]
    assert len(server.requests) == 1, "the rest would not be answered either"


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("down", "connection refused"),
        ("slow", "timed out"),
        ("wrong CA", "not trusted"),
        ("long", "more than 64 KiB"),
    ],
)
def test_an_api_server_that_cannot_be_asked_is_one_unchecked_finding(
    behaviour: str,
    reason: str,
    pod: Callable[..., dict[str, str]],
    authority: Authority,
    work: pathlib.Path,
) -> None:
    env = {**pod(spark_defaults_conf=POD), "SPARKPOD_HEALTH_TIMEOUT": "300ms"}
    other = Authority(work / "other") if behaviour == "wrong CA" else authority
    with KubernetesStandIn(
        other,
        token=TOKEN,
        delay=1.5 if behaviour == "slow" else 0,
        padding=1 << 20 if behaviour == "long" else 0,
    ) as server:
        if behaviour == "down":
            server.stop()
        status, report, _ = check_in_pod(env, authority, server, work)
        requests = list(server.requests)
    assert status == 0
    found = whats(report, "kubernetes", "unchecked")
    assert len(found) == 1 and reason in found[0], found
    if behaviour == "wrong CA":
        assert not requests, "the token is not shown to a server that is not trusted"


# --- Azure ---------------------------------------------------------------------------------------


def azure_conf(server: AzureStandIn, container: str = "lake", path: str = "oauth2/token") -> str:
    """Return a spark-defaults.conf for a container there, the secret to be filled in."""
    prefix = "spark.hadoop.fs.azure.account"
    provider = "org.apache.hadoop.fs.azurebfs.oauth2.ClientCredsTokenProvider"
    return (
        "spark.authenticate=true\n"
        f"spark.sql.warehouse.dir=abfss://{container}@{server.host}/warehouse\n"
        f"{prefix}.auth.type=OAuth\n{prefix}.oauth.provider.type={provider}\n"
        f"{prefix}.oauth2.client.endpoint=https://{server.host}/{TENANT}/{path}\n"
        f"{prefix}.oauth2.client.id={CLIENT}\n"
        f"{prefix}.oauth2.client.secret=${{CLIENT_SECRET}}\n"
    )


def check_azure(
    pod: Callable[..., dict[str, str]], authority: Authority, conf: str, **env: str
) -> tuple[int, dict[str, Any], str]:
    """Run the check of a spark-defaults.conf with the client's secret."""
    trust = {"SSL_CERT_FILE": str(authority.certificate), "CLIENT_SECRET": SECRET}
    return run_check(env={**pod(spark_defaults_conf=conf), **trust, **env})


@pytest.mark.parametrize("path", ["oauth2/token", "oauth2/v2.0/token"])
def test_a_container_that_can_be_reached_has_no_finding(
    path: str, pod: Callable[..., dict[str, str]], authority: Authority
) -> None:
    with AzureStandIn(authority, secret=SECRET) as server:
        status, report, output = check_azure(pod, authority, azure_conf(server, path=path))
    assert (status, report["findings"]) == (0, []), output
    assert "azure" in report["looked_at"]
    assert [(r.method, r.path) for r in server.requests] == [
        ("POST", f"/{TENANT}/{path}"),
        ("HEAD", "/lake?resource=filesystem"),
    ]
    assert server.requests[1].headers["x-ms-version"] == "2019-12-12"
    for request in server.requests:
        assert SECRET not in request.path + str(request.headers)


def test_workload_identity_sends_the_token_file_as_an_assertion(
    pod: Callable[..., dict[str, str]], authority: Authority, work: pathlib.Path
) -> None:
    (work / "federated").write_text(TOKEN)
    prefix = "spark.hadoop.fs.azure.account"
    with AzureStandIn(authority, assertion=TOKEN) as server:
        conf = (
            f"spark.sql.warehouse.dir=abfss://lake@{server.host}/warehouse\n"
            f"{prefix}.auth.type=OAuth\n{prefix}.oauth.provider.type="
            "org.apache.hadoop.fs.azurebfs.oauth2.WorkloadIdentityTokenProvider\n"
            f"{prefix}.oauth2.msi.authority=https://{server.host}/\n"
            f"{prefix}.oauth2.msi.tenant={TENANT}\n{prefix}.oauth2.client.id={CLIENT}\n"
            f"{prefix}.oauth2.token.file={work}/federated\n"
        )
        status, report, output = check_azure(pod, authority, conf)
        (work / "federated").write_text("another")
        refused, other, _ = check_azure(pod, authority, conf)
        (work / "federated").unlink()
        missing, _, _ = check_azure(pod, authority, conf)
    assert (status, report["findings"]) == (0, []), output
    assert server.requests[0].path == f"/{TENANT}/oauth2/v2.0/token"
    assert TOKEN not in output + server.requests[0].path
    assert refused == 77 and "AADSTS700213" in whats(other, "azure", "error")[0]
    assert missing == 77


@pytest.mark.parametrize(
    ("code", "expected", "words"),
    [
        (7000215, 77, "was the Secret ID pasted"),
        (7000222, 77, "has expired"),
        (700016, 78, "no application with this client id"),
        (90002, 78, "no such tenant"),
        (90014, 77, "see https://login.microsoftonline.com/error?code=90014"),
    ],
)
def test_codes_of_the_token_endpoint_are_put_in_words(
    code: int, expected: int, words: str, pod: Callable[..., dict[str, str]], authority: Authority
) -> None:
    with AzureStandIn(authority, secret=SECRET, token_error=code) as server:
        status, report, output = check_azure(pod, authority, azure_conf(server))
    assert status == expected
    (found,) = whats(report, "azure", "error")
    assert f"AADSTS{code}: " in found and words in found
    assert SECRET not in output


@pytest.mark.parametrize(
    ("error", "expected", "words"),
    [
        ((403, "AuthorizationPermissionMismatch"), 77, "Storage Blob Data Contributor"),
        ((403, "AuthorizationFailure"), 77, "firewall"),
        ((401, "InvalidAuthenticationInfo"), 77, "of another tenant"),
        ((409, "SomethingNew"), 77, "409 SomethingNew"),
    ],
)
def test_codes_of_the_storage_are_put_in_words(
    error: tuple[int, str],
    expected: int,
    words: str,
    pod: Callable[..., dict[str, str]],
    authority: Authority,
) -> None:
    with AzureStandIn(authority, secret=SECRET, storage_error=error) as server:
        status, report, output = check_azure(pod, authority, azure_conf(server))
    assert status == expected
    (found,) = whats(report, "azure", "error")
    assert words in found
    assert SECRET not in output and ACCESS_TOKEN not in output


def test_a_container_that_is_not_there_is_78(
    pod: Callable[..., dict[str, str]], authority: Authority
) -> None:
    with AzureStandIn(authority, secret=SECRET) as server:
        status, report, _ = check_azure(pod, authority, azure_conf(server, container="lak"))
    assert status == 78
    (found,) = whats(report, "azure", "error")
    assert found.startswith(f"lak@{server.host}: FilesystemNotFound: ")


def test_a_wrong_secret_is_told_and_not_shown(
    pod: Callable[..., dict[str, str]], authority: Authority
) -> None:
    with AzureStandIn(authority, secret="another") as server:
        status, report, output = check_azure(pod, authority, azure_conf(server))
    assert status == 77
    assert "AADSTS7000215" in whats(report, "azure", "error")[0]
    assert SECRET not in output


@pytest.mark.parametrize(("offset", "words"), [(1200, "behind"), (-1200, "ahead of")])
def test_a_clock_that_differs_is_a_warning(
    offset: float, words: str, pod: Callable[..., dict[str, str]], authority: Authority
) -> None:
    with AzureStandIn(authority, secret=SECRET, clock_offset=offset) as server:
        status, report, _ = check_azure(pod, authority, azure_conf(server))
    assert status == 0
    (found,) = whats(report, "azure", "warning")
    assert f"{words} Azure's" in found


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("down", "connection refused"),
        ("slow", "timed out"),
        ("wrong CA", "not trusted"),
        ("long", "no token"),
        ("busy", "503"),
    ],
)
def test_azure_that_cannot_be_asked_is_unchecked(
    behaviour: str,
    reason: str,
    pod: Callable[..., dict[str, str]],
    authority: Authority,
    work: pathlib.Path,
) -> None:
    other = Authority(work / "other") if behaviour == "wrong CA" else authority
    with AzureStandIn(
        other,
        secret=SECRET,
        delay=1.5 if behaviour == "slow" else 0,
        padding=1 << 20 if behaviour == "long" else 0,
        storage_error=(503, "ServerBusy") if behaviour == "busy" else None,
    ) as server:
        if behaviour == "down":
            server.stop()
        status, report, _ = check_azure(
            pod, authority, azure_conf(server), SPARKPOD_HEALTH_TIMEOUT="300ms"
        )
        requests = list(server.requests)
    assert status == 0
    found = whats(report, "azure", "unchecked")
    assert len(found) == 1 and reason in found[0], found
    if behaviour == "wrong CA":
        assert not requests, "the secret is not shown to a server that is not trusted"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("spark.hadoop.fs.azure.account.key=a2V5", "SharedKey is not tried; there is an account"),
        ("spark.hadoop.fs.azure.account.auth.type=SAS", "SAS is not tried"),
    ],
)
def test_what_is_not_tried_is_unchecked(
    line: str, words: str, pod: Callable[..., dict[str, str]], authority: Authority
) -> None:
    conf = f"spark.sql.warehouse.dir=abfss://lake@127.0.0.1:{rig.free_port()}/\n{line}\n"
    status, report, _ = check_azure(pod, authority, conf)
    assert status == 0
    (found,) = whats(report, "azure", "unchecked")
    assert words in found


def test_no_secret_is_in_any_argument_list(
    pod: Callable[..., dict[str, str]], authority: Authority, work: pathlib.Path
) -> None:
    with AzureStandIn(authority, secret=SECRET) as server:
        env = {**pod(spark_defaults_conf=azure_conf(server)), **rig.base_env()}
        env |= {"SSL_CERT_FILE": str(authority.certificate), "CLIENT_SECRET": SECRET}
        trace = work / "trace"
        argv = ["strace", "-f", "-e", "trace=execve", "-s", "4096", "-o", str(trace)]
        argv += [str(rig.sparkpod_binary()), "check"]
        subprocess.run(argv, env=env, capture_output=True, timeout=120, check=True)
    calls = trace.read_text()
    assert calls.count("execve(") == 1 and SECRET not in calls
