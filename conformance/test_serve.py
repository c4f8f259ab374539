"""`palisade init` and `palisade serve`: sealed, durable, over TLS, and on PostgreSQL."""

import contextlib
import datetime
import ipaddress
import json
import os
import pathlib
import pwd
import shutil
import signal
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from server import CONFIG, SESSION, binary, clean_environment, free_port


class Served:
    """A data directory that was initialised, and how to serve it."""

    def __init__(self, directory, configuration=""):
        self.directory = directory
        self.home = directory / "home"
        self.home.mkdir(parents=True)
        self.data, self.passphrase, self.shares = directory / "data", directory / "passphrase", self.home / "shares"
        self.write_private(self.passphrase, "correct horse battery staple\n")
        self.port = free_port()
        self.config = directory / "palisade.toml"
        self.config.write_text(
            f'data = "{self.data}"\nlisten = "127.0.0.1:{self.port}"\n{configuration}'
        )

    def write_private(self, path, text):
        path.write_text(text)
        path.chmod(0o600)
        return path

    def run(self, *arguments, check=True, variables=None):
        done = subprocess.run(
            [str(binary()), *map(str, arguments)],
            env=clean_environment(self.home) | (variables or {}),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        assert "panicked" not in done.stderr
        return done

    def initialise(self):
        flags = ["--new-passphrase-file", self.passphrase, "--shares-file", self.shares, "--json"]
        self.credentials = json.loads(self.run("init", "--config", self.config, *flags).stdout)

    @contextlib.contextmanager
    def running(self, scheme="http", verify=None, unseal=None, variables=None):
        """Serves until the block is left, then kills without warning."""
        unseal = unseal or ["--passphrase-file", self.passphrase]
        with open(self.home / "log", "ab") as log:
            process = subprocess.Popen(
                [str(binary()), "serve", "--config", str(self.config), *map(str, unseal)],
                env=clean_environment(self.home) | (variables or {}),
                stdout=log,
                stderr=log,
            )
        self.url, self.verify = f"{scheme}://127.0.0.1:{self.port}", verify
        try:
            deadline = time.monotonic() + 30
            while True:
                try:
                    assert json.loads(self.get("/_palisade/health"))["mode"] == "serve"
                    break
                except (OSError, ssl.SSLError):
                    assert process.poll() is None and time.monotonic() < deadline, (self.home / "log").read_text()
                    time.sleep(0.02)
            yield self
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(30)

    def get(self, path, data=None):
        context = ssl.create_default_context(cafile=self.verify) if self.verify else None
        with urllib.request.urlopen(self.url + path, data, timeout=5, context=context) as answer:
            return answer.read()

    def client(self, service):
        return SESSION.client(
            service,
            region_name="us-east-1",
            endpoint_url=self.url,
            aws_access_key_id=self.credentials["access_key_id"],
            aws_secret_access_key=self.credentials["secret_access_key"],
            verify=str(self.verify) if self.verify else None,
            config=CONFIG,
        )


@pytest.fixture
def served(tmp_path):
    return Served(tmp_path / "served")


def test_nothing_is_served_that_was_not_prepared(served):
    done = served.run("serve", "--config", served.config, "--passphrase-file", served.passphrase, check=False)
    assert done.returncode != 0 and "palisade init" in done.stderr


def test_what_is_kept_survives_kills_and_stays_sealed(served):
    served.initialise()
    assert len(served.shares.read_text().splitlines()) == 3
    assert os.stat(served.shares).st_mode & 0o077 == 0
    # Once is enough.
    assert served.run("init", "--data", served.data, check=False).returncode != 0
    with served.running():
        key = served.client("kms").create_key()["KeyMetadata"]["KeyId"]
        blob = served.client("kms").encrypt(KeyId=key, Plaintext=b"kept")["CiphertextBlob"]
    with served.running():
        assert served.client("kms").decrypt(CiphertextBlob=blob)["Plaintext"] == b"kept"
    # Any two of the three shares open it too.
    two = served.write_private(served.directory / "two", "".join(served.shares.read_text().splitlines(True)[1:]))
    with served.running(unseal=["--shares-file", two]):
        assert served.client("kms").decrypt(CiphertextBlob=blob)["Plaintext"] == b"kept"
    one = served.write_private(served.directory / "one", served.shares.read_text().splitlines(True)[0])
    wrong = served.write_private(served.directory / "wrong", "wrong horse\n")
    for unseal in (["--passphrase-file", wrong], ["--shares-file", one]):
        assert served.run("serve", "--config", served.config, *unseal, check=False).returncode == 1
    secret = served.credentials["secret_access_key"].encode()
    for path in served.data.rglob("*"):
        assert not path.is_file() or secret not in path.read_bytes(), path
    # `dev` keeps its hands off, and the record is whole.
    assert served.run("dev", "--data", served.data, check=False).returncode != 0
    assert served.run("verify", "--data", served.data).stdout.startswith("The record is whole")
    seals = ["--seals", "--passphrase-file", served.passphrase]
    assert "seals right" in served.run("verify", "--data", served.data, *seals).stdout


def test_what_belongs_to_dev_is_not_there(served):
    served.initialise()
    with served.running():
        for path in ("/_palisade/reset", "/_palisade/clock"):
            with pytest.raises(urllib.error.HTTPError) as caught:
                served.get(path, b"{}")
            assert caught.value.code == 404
        with pytest.raises(urllib.error.HTTPError) as caught:
            served.get("/_palisade/metrics")
        assert caught.value.code == 403


@pytest.mark.parametrize("text", ["lisen = 1\n", "[tls]\nverify = false\n", "[audit]\nstrict = 'yes'\n", "[[[\n", "listen = 'nowhere'\n"])
def test_a_configuration_that_says_nonsense_is_refused(served, text):
    served.config.write_text(text)
    done = served.run("serve", "--config", served.config, check=False)
    assert done.returncode == 1 and "configuration" in done.stderr


# TLS.


def certificate(directory, name):
    """A self-signed certificate for 127.0.0.1, as PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (directory / "tls.key").write_bytes(pem)
    (directory / "tls.key").chmod(0o600)
    (directory / "tls.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return made


def test_tls_with_a_certificate_that_changes(tmp_path):
    directory = tmp_path / "served"
    served = Served(directory, f'[tls]\ncertificate = "{directory}/tls.crt"\nkey = "{directory}/tls.key"\n')
    first = certificate(directory, "first")
    served.initialise()
    with served.running("https", verify=directory / "tls.crt"):
        kms = served.client("kms")
        key = kms.create_key()["KeyMetadata"]["KeyId"]
        assert kms.encrypt(KeyId=key, Plaintext=b"x")["KeyId"].endswith(key)
        assert shown(served.port) == first
        # Two versions of HTTP on one port, and no old TLS.
        assert versions(served.port) == {"h2": "h2", "http/1.1": "http/1.1"}
        with pytest.raises((ssl.SSLError, OSError)):
            old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
            old.minimum_version = ssl.TLSVersion.TLSv1
            old.maximum_version = ssl.TLSVersion.TLSv1_1
            connect(served.port, old)
        second = certificate(directory, "second")
        deadline = time.monotonic() + 15
        while shown(served.port) != second:
            assert time.monotonic() < deadline, "the new certificate is not shown"
            time.sleep(0.2)
        served.client("kms").describe_key(KeyId=key)
        # Nonsense in the files leaves the last good certificate in use.
        (directory / "tls.crt").write_text("nonsense")
        time.sleep(2.5)
        assert shown(served.port) == second


def connect(port, context):
    import socket

    with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
            return connection.getpeercert(binary_form=True), connection.selected_alpn_protocol()


def untrusting():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def shown(port):
    return x509.load_der_x509_certificate(connect(port, untrusting())[0])


def versions(port):
    chosen = {}
    for protocol in ("h2", "http/1.1"):
        context = untrusting()
        context.set_alpn_protocols([protocol])
        chosen[protocol] = connect(port, context)[1]
    return chosen


# PostgreSQL.


def postgres_programs():
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    directory = found[-1].parent if found else pathlib.Path(on_path).parent if on_path else None
    assert directory, "PostgreSQL's server programs are not here"
    return directory


@pytest.fixture
def postgres():
    """A PostgreSQL of one's own on a free loopback port; gives its connection string."""
    programs = postgres_programs()
    # PostgreSQL refuses to run as root, and must reach its directory.
    directory = pathlib.Path(tempfile.mkdtemp(prefix="palisade-conformance-"))
    become = []
    if os.geteuid() == 0:
        who = next(name for name in ("postgres", "nobody") if exists(name))
        shutil.chown(directory, who)
        become = ["setpriv", f"--reuid={who}", "--regid=" + str(pwd.getpwnam(who).pw_gid), "--clear-groups"]
    port = free_port()
    settings = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"

    def run(program, *arguments):
        subprocess.run(
            [*become, str(programs / program), *arguments], check=True, cwd=directory, timeout=60,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )

    data = str(directory / "data")
    try:
        run("initdb", "-D", data, "-A", "trust", "-U", "palisade", "--no-sync")
        run("pg_ctl", "-D", data, "-o", settings, "-l", str(directory / "log"), "-w", "start")
        yield f"postgres://palisade@127.0.0.1:{port}/postgres"
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            run("pg_ctl", "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(directory, ignore_errors=True)


def exists(user):
    try:
        return bool(pwd.getpwnam(user))
    except KeyError:
        return False


def test_serve_on_postgresql(tmp_path, postgres):
    directory = tmp_path / "served"
    served = Served(directory, f'[store]\npostgres_url_file = "{directory}/postgres-url"\n')
    served.write_private(directory / "postgres-url", postgres + "\n")
    served.initialise()
    with served.running():
        kms, iam = served.client("kms"), served.client("iam")
        key = kms.create_key(Tags=[{"TagKey": "a", "TagValue": "b"}])["KeyMetadata"]["KeyId"]
        kms.create_alias(AliasName="alias/a", TargetKeyId=key)
        blob = kms.encrypt(KeyId="alias/a", Plaintext=b"kept")["CiphertextBlob"]
        iam.create_user(UserName="u")
        user = iam.create_access_key(UserName="u")["AccessKey"]
    with served.running():
        assert served.client("kms").decrypt(CiphertextBlob=blob)["Plaintext"] == b"kept"
        assert served.client("iam").get_user(UserName="u")["User"]["UserName"] == "u"
        served.credentials = {"access_key_id": user["AccessKeyId"], "secret_access_key": user["SecretAccessKey"]}
        assert served.client("sts").get_caller_identity()["Arn"].endswith(":user/u")
