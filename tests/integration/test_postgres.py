"""PostgreSQL as `sparkpod probe`, `sparkpod wait` and the metastore role see it, for real: codes,
TLS, standbys, the right to create tables, and the JDBC driver's reading of URLs beside ours."""

from __future__ import annotations

import pathlib
import re
import shutil
import subprocess
from typing import Callable, Iterator, Mapping, Optional

import pytest
import rig

Start = Callable[..., rig.Sparkpod]

PASSWORD = "the user's"


@pytest.fixture
def server(work: pathlib.Path) -> Iterator[rig.Postgres]:
    """A PostgreSQL of the test's own with the database "hive" that belongs to the superuser."""
    with rig.Postgres(work / "postgres").start() as postgres:
        postgres.create_role("hive", PASSWORD)
        postgres.create_database("hive", owner="postgres")
        yield postgres


def url_of(server: rig.Postgres, more: str = "", host: str = "127.0.0.1") -> str:
    return f"postgres://hive@{host}:{server.port}/hive{more}"


def probe(
    url: str, password: str = PASSWORD, env: Optional[Mapping[str, str]] = None
) -> tuple[int, str]:
    run = rig.run_sparkpod("probe", url, env={"PGPASSWORD": password, **(env or {})})
    assert run.stderr == ""
    return run.returncode, run.stdout


# --- codes ---------------------------------------------------------------------------------------


def test_each_refusal_has_its_code_the_servers_words_and_what_to_do(server: rig.Postgres) -> None:
    url = url_of(server)
    cases = [
        ("", url, PASSWORD, 0, "ready: PostgreSQL 15."),
        ("", url, "wrong", 77, '28P01: password authentication failed for user "hive" (give the user'),
        ("", url, "", 77, "a password is needed for user hive and none is set"),
        ("", url + "x", PASSWORD, 78, '3D000: database "hivex" does not exist (create'),
        ("", url + "?options=-cnosuch%3D1", PASSWORD, 78, "42704: unrecognized configuration"),
        ("", url + "?options=-crole%3Dx", PASSWORD, 78, '22023: role "x" does not exist (correct'),
        ("", url + "?sslmode=x", PASSWORD, 78, 'invalid sslmode value: "x"'),
        ("ALTER ROLE hive CONNECTION LIMIT 0", url, PASSWORD, 69, "53300: too many connections"),
        ("ALTER ROLE hive CONNECTION LIMIT -1; REVOKE CONNECT ON DATABASE hive FROM public", url, PASSWORD, 77, "42501: permission"),
        ("ALTER ROLE hive NOLOGIN", url, PASSWORD, 77, '28000: role "hive" is not permitted to'),
    ]
    for sql, target, password, status, words in cases:
        if sql:
            server.psql(sql)
        code, out = probe(target, password)
        assert (code, words in out) == (status, True), out


def test_neither_pgpass_nor_service_files_are_used(server: rig.Postgres, work: pathlib.Path) -> None:
    passfile = work / ".pgpass"
    passfile.write_text(f"*:*:*:*:{PASSWORD}\n")
    passfile.chmod(0o600)
    service = work / ".pg_service.conf"
    service.write_text(f"[x]\npassword={PASSWORD}\n")
    env = {"HOME": str(work), "PGPASSFILE": str(passfile)}
    more = {"PGSERVICE": "x", "PGSERVICEFILE": str(service)}
    run = rig.run_sparkpod("probe", url_of(server), env={**env, **more})
    assert (run.returncode, run.stderr) == (77, "")
    assert "none is set" in run.stdout


def test_a_read_only_server_is_none_unless_the_url_says_so(server: rig.Postgres) -> None:
    server.psql("ALTER ROLE hive SET default_transaction_read_only = on")
    assert probe(url_of(server))[0] == 69
    assert "read only (default_transaction_read_only is on)" in probe(url_of(server))[1]
    assert probe(url_of(server, "?target_session_attrs=any"))[0] == 0
    jdbc = f"jdbc:postgresql://127.0.0.1:{server.port}/hive?user=hive&targetServerType="
    assert probe(jdbc + "any")[0] == 0
    assert probe(jdbc + "secondary")[0] == 0
    assert probe(jdbc + "primary")[0] == 69


# --- the right to create tables ------------------------------------------------------------------


def metastore_env(
    server: rig.Postgres, work: pathlib.Path, password: str = PASSWORD
) -> dict[str, str]:
    """For a metastore that waits and then ends, as there is no distribution to start."""
    return {
        **rig.Database(server, "hive", "hive", password).env(),
        "METASTORE_HOME": str(work / "no-distribution"),
        "METASTORE_PORT": str(rig.free_port()),
        "WAREHOUSE": f"file:{work}/warehouse",
        "SPARKPOD_RENDER_SOURCE": str(rig.TEMPLATES / "metastore"),
        "SPARKPOD_RENDER_TARGET": str(work / "conf"),
        "SPARKPOD_WAIT_FATAL_GRACE": "0",
    }


def test_a_metastore_says_which_right_it_lacks(
    server: rig.Postgres, work: pathlib.Path, sparkpod: Start
) -> None:
    """PostgreSQL 15 gives nobody but the owner a right on schema public."""
    cases = [
        ("", 77, "GRANT CREATE ON SCHEMA public TO hive"),
        ('CREATE TABLE "VERSION" (v int)', 77, "GRANT ALL ON ALL TABLES IN SCHEMA public TO hive"),
        ('GRANT SELECT ON "VERSION" TO hive', 78, " ready after "),
        ('DROP TABLE "VERSION"; GRANT CREATE ON SCHEMA public TO hive', 78, " ready after "),
        ('REVOKE USAGE ON SCHEMA public FROM public, hive', 77, "no schema of search_path"),
        ('CREATE SCHEMA hive AUTHORIZATION hive', 78, " ready after "),
    ]
    for sql, status, words in cases:
        if sql:
            server.psql(sql, database="hive")
        pod = sparkpod("metastore", env=metastore_env(server, work))
        assert pod.wait(30) == status, pod.stderr
        assert words in pod.stderr
        if status == 77:
            assert "refused: 42501: " in pod.stderr
        assert probe(url_of(server))[0] == 0, "a plain probe does not ask for the right"
        deep = rig.run_sparkpod(
            *("probe", "--deep", url_of(server)), env={"PGPASSWORD": PASSWORD}
        )
        assert deep.returncode == (77 if status == 77 else 0), deep.stdout


# --- standbys ------------------------------------------------------------------------------------


def test_a_standby_is_waited_for_until_it_is_promoted(
    server: rig.Postgres, work: pathlib.Path
) -> None:
    with server.standby(work / "standby") as standby:
        assert probe(url_of(standby))[0] == 69
        assert "a standby (in recovery), not a primary" in probe(url_of(standby))[1]
        assert probe(url_of(standby, "?target_session_attrs=standby"))[0] == 0
        both = f"postgres://hive@127.0.0.1:{standby.port},127.0.0.1:{server.port}/hive"
        assert probe(both)[0] == 0, "the first host that qualifies"
        assert probe(f"{both}?target_session_attrs=standby")[0] == 0
        jdbc = f"jdbc:postgresql://127.0.0.1:{server.port}/hive?user=hive&targetServerType="
        assert probe(jdbc + "secondary")[0] == 69
        waiting = rig.Process(
            *("wait", [rig.sparkpod_binary(), "wait", url_of(standby)]),
            *({**rig.base_env(), "PGPASSWORD": PASSWORD}, work),
        )
        waiting.wait_until(lambda: "not yet: a standby (in recovery)" in waiting.stderr)
        server.stop("immediate")
        standby.promote()
        assert waiting.wait(20) == 0
        assert " ready after " in waiting.stderr


def test_a_standby_that_takes_no_queries_is_57p03(server: rig.Postgres, work: pathlib.Path) -> None:
    standby = server.standby(work / "standby")
    standby.start("-c", "hot_standby=off", wait=False)
    try:
        rig.wait_for(lambda: "57P03: " in probe(url_of(standby))[1])
        assert probe(url_of(standby))[0] == 69
    finally:
        standby.stop("immediate")


# --- TLS -----------------------------------------------------------------------------------------


def openssl(*args: str) -> None:
    subprocess.run(["openssl", *args], check=True, capture_output=True)


class Authority:
    """A CA and what it signs, in a folder."""

    def __init__(self, folder: pathlib.Path, name: str) -> None:
        folder.mkdir()
        self.folder = folder
        self.cert = folder / "ca.pem"
        openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-subj", f"/CN={name}", "-keyout", f"{folder}/ca.key", "-out", str(self.cert)),
        )

    def sign(self, common_name: str, *extensions: str) -> tuple[pathlib.Path, pathlib.Path]:
        """Return a certificate and its key."""
        base = self.folder / common_name
        key, cert, request = (base.with_suffix(f".{end}") for end in ("key", "pem", "csr"))
        openssl(
            *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-subj", f"/CN={common_name}", "-keyout", str(key), "-out", str(request)),
        )
        (base.with_suffix(".ext")).write_text("\n".join(extensions))
        openssl(
            *("x509", "-req", "-in", str(request), "-CA", str(self.cert), "-CAcreateserial"),
            *("-CAkey", f"{self.folder}/ca.key", "-extfile", f"{base}.ext", "-out", str(cert)),
        )
        key.chmod(0o600)
        return cert, key


@pytest.fixture
def authority(tmp_path: pathlib.Path) -> Authority:
    """The CA that all trust."""
    return Authority(tmp_path / "ca", "test CA")


@pytest.fixture
def tls_server(work: pathlib.Path, authority: Authority) -> Iterator[rig.Postgres]:
    """A server that takes "hive" over TLS only, "certified" with a client certificate only, and
    whose own certificate names localhost."""
    postgres = rig.Postgres(work / "postgres")
    cert, key = authority.sign("localhost", "subjectAltName=DNS:localhost")
    postgres.put("server.crt", cert.read_text())
    postgres.put("server.key", key.read_text())
    postgres.put("ca.crt", authority.cert.read_text())
    postgres.put(
        "pg_hba.conf",
        "hostssl all certified 127.0.0.1/32 scram-sha-256 clientcert=verify-full\n"
        "hostssl all hive 127.0.0.1/32 scram-sha-256\n"
        "host all postgres 127.0.0.1/32 scram-sha-256\n",
    )
    options = ("-c", "ssl=on", "-c", "ssl_ca_file=ca.crt")
    with postgres.start(*options) as running:
        for role in ("hive", "certified"):
            running.create_role(role, PASSWORD)
        running.create_database("hive", owner="hive")
        yield running


def test_sslmode_does_what_it_says_and_each_failure_says_what_to_do(
    tls_server: rig.Postgres, authority: Authority, tmp_path: pathlib.Path
) -> None:
    other = Authority(tmp_path / "other", "another CA")
    ca, wrong_ca = f"&sslrootcert={authority.cert}", f"&sslrootcert={other.cert}"
    cases = [
        ("localhost", f"sslmode=verify-full{ca}", 0, "ready"),
        ("127.0.0.1", f"sslmode=verify-full{ca}", 78, "use a name that the certificate has"),
        ("127.0.0.1", f"sslmode=verify-ca{ca}", 0, "ready"),
        ("localhost", f"sslmode=verify-full{wrong_ca}", 78, "let sslrootcert name the CA"),
        ("localhost", "sslmode=verify-full", 78, "let sslrootcert name the CA"),
        ("localhost", "sslmode=verify-full&sslrootcert=/nowhere", 78, "mount the CA's certificate"),
        ("127.0.0.1", "sslmode=require", 0, "ready"),
        ("127.0.0.1", "sslmode=prefer", 0, "ready"),
        ("127.0.0.1", "sslmode=disable", 77, "28000: no pg_hba.conf entry for host"),
    ]
    jdbc = [
        ("localhost", f"ssl=true{ca}", 0, "ready"),
        ("127.0.0.1", f"ssl=true{ca}", 78, "use a name that the certificate has"),
        ("localhost", "ssl=true", 78, "let sslrootcert name the CA"),
        ("127.0.0.1", "ssl=true&sslfactory=org.postgresql.ssl.NonValidatingFactory", 0, "ready"),
        ("127.0.0.1", f"sslmode=VERIFY-CA{ca}", 0, "ready"),
        ("127.0.0.1", "", 0, "ready"),
    ]
    for scheme, rows in (("", cases), ("jdbc:", jdbc)):
        for host, parameters, status, words in rows:
            url = f"{scheme}postgresql://{host}:{tls_server.port}/hive?user=hive&{parameters}"
            code, out = probe(url)
            assert (code, words in out) == (status, True), (url, out)


def test_a_wrong_password_over_tls_is_not_blamed_on_pg_hba(tls_server: rig.Postgres) -> None:
    """libpq would go on without TLS, and pg_hba.conf would refuse that with 28000."""
    code, out = probe(url_of(tls_server), "wrong")
    assert code == 77
    assert "28P01" in out and "28000" not in out
    assert tls_server.process
    refusals = re.findall('FATAL: .* "hive"', tls_server.process.stderr)
    assert len(refusals) == 1, "one connection, not two"


def test_a_server_without_tls_is_told(server: rig.Postgres) -> None:
    code, out = probe(url_of(server, "?sslmode=require"))
    assert code == 78
    assert "does not support SSL" in out and "turn ssl on at the server" in out


def test_client_certificates_are_used_and_their_faults_are_told(
    tls_server: rig.Postgres, authority: Authority, tmp_path: pathlib.Path
) -> None:
    other = Authority(tmp_path / "other", "another CA")
    cert, key = authority.sign("certified")
    der = key.with_suffix(".pk8")
    openssl("pkcs8", "-topk8", "-nocrypt", "-outform", "DER", "-in", str(key), "-out", str(der))
    der.chmod(0o600)
    open_key = key.with_suffix(".open")
    shutil.copy(key, open_key)
    open_key.chmod(0o644)
    someone, someones_key = authority.sign("somebody")
    foreign, foreign_key = other.sign("certified")
    cases = [
        (f"sslcert={cert}&sslkey={key}", 0, "ready"),
        (f"sslcert={cert}&sslkey={der}", 0, "ready"),
        ("sslcert=", 77, "28000: connection requires a valid client certificate"),
        (f"sslcert={someone}&sslkey={someones_key}", 77, "28"),
        (f"sslcert={foreign}&sslkey={foreign_key}", 77, "the server does not accept the client"),
        (f"sslcert={cert}&sslkey={open_key}", 78, "defaultMode 0400"),
        (f"sslcert={cert}&sslkey=/nowhere", 78, "mount the key"),
        (f"sslcert=/nowhere&sslkey={key}", 77, "28000: connection requires a valid client"),
    ]
    for scheme in ("", "jdbc:"):
        for parameters, status, words in cases:
            base = f"{scheme}postgresql://127.0.0.1:{tls_server.port}/hive?user=certified"
            code, out = probe(f"{base}&sslmode=require&{parameters}")
            assert (code, words in out) == (status, True), (scheme, parameters, out)
    run = rig.run_sparkpod("probe", "jdbc:postgresql://127.0.0.1/hive?sslkey=/x.p12")
    assert run.returncode == 64
    assert "PKCS-12" in run.stderr


# --- URLs ----------------------------------------------------------------------------------------


def test_the_drivers_answers_that_our_parser_is_tested_with_are_its_own(homes: rig.Homes) -> None:
    table = (rig.ROOT / "tests" / "unit" / "jdbc_urls.tsv").read_text(encoding="utf-8")
    urls = "\n".join(line.split("\t")[0] for line in table.splitlines())
    (driver,) = (homes.metastore / "hadoop" / "lib").glob("postgresql-*.jar")
    options = ["-XX:TieredStopAtLevel=1", "-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8"]
    run = subprocess.run(
        ["java", *options, "-cp", str(driver), str(rig.RIG / "ParseUrl.java")],
        input=urls,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
    )
    assert run.stdout == table


def test_a_password_in_the_metastores_url_is_refused_with_where_it_belongs(
    work: pathlib.Path, sparkpod: Start
) -> None:
    source = work / "templates"
    source.mkdir()
    (source / "hive-site.xml").write_text(
        "<configuration><property><name>javax.jdo.option.ConnectionURL</name>"
        "<value>jdbc:postgresql://db/hive?user=hive&amp;password=s3cret-s3cret</value>"
        "</property></configuration>"
    )
    env = {
        **{"SPARKPOD_RENDER_SOURCE": str(source), "SPARKPOD_RENDER_TARGET": str(work / "conf")},
        "METASTORE_HOME": str(work),
    }
    pod = sparkpod("metastore", env=env)
    assert pod.wait(30) == 78
    assert "javax.jdo.option.ConnectionPassword" in pod.stderr
    assert "s3cret" not in pod.stderr
