"""The KES bridge, over real mutual TLS."""

import base64
import contextlib
import datetime
import hashlib
import http.client
import ipaddress
import json
import os
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from policies import allow
from programs import recorded, running
from server import REGION, clean_environment, free_port

ALL = ["kms:CreateKey", "kms:CreateAlias", "kms:DeleteAlias", "kms:ListAliases", "kms:DescribeKey", "kms:Encrypt",
       "kms:Decrypt", "kms:GenerateDataKey", "kms:ScheduleKeyDeletion", "kms:GetParametersForImport",
       "kms:ImportKeyMaterial"]  # fmt: skip
NOT_ALLOWED = (403, {"message": "not authorized: insufficient permissions"})
NOT_AUTHENTIC = (400, {"message": "decryption failed: ciphertext is not authentic"})
NO_SUCH_KEY = (404, {"message": "key does not exist"})
KEY_EXISTS = (400, {"message": "key already exists"})


def b64(data):
    return base64.b64encode(data).decode()


class Certificate:
    """A self-signed certificate, as `kes identity new` makes one."""

    def __init__(self, directory, name, private=None, days=30):
        private = private or ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.timezone.utc)
        end = now + datetime.timedelta(days=days)
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(private.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(min(now, end) - datetime.timedelta(days=1))
            .not_valid_after(end)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
            .sign(private, None if isinstance(private, ed25519.Ed25519PrivateKey) else hashes.SHA256())
        )
        self.path, self.key = directory / f"{name}.crt", directory / f"{name}.key"
        self.path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        self.key.write_bytes(
            private.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        self.key.chmod(0o600)
        public = private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.identity = hashlib.sha256(public).hexdigest()


class Kes:
    """A running bridge, and its clients."""

    def __init__(self, home, port, server_certificate):
        self.home, self.port, self.certificate = home, port, server_certificate

    def as_client(self, certificate):
        def ask(method, path, body=None):
            context = ssl.create_default_context(cafile=str(self.certificate.path))
            if certificate:
                context.load_cert_chain(certificate.path, certificate.key)
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=context, timeout=60)
            with contextlib.closing(connection):
                connection.request(method, path, body=None if body is None else json.dumps(body))
                answer = connection.getresponse()
                text = answer.read().decode()
                if answer.headers["content-type"] == "application/x-ndjson":
                    return answer.status, [json.loads(line) for line in text.splitlines()]
                return answer.status, json.loads(text) if text else None

        return ask


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    directory = tmp_path_factory.mktemp("certificates")
    return {
        "server": Certificate(directory, "server"),
        "store": Certificate(directory, "store"),
        "reader": Certificate(directory, "reader", ed25519.Ed25519PrivateKey.generate()),
        "stranger": Certificate(directory, "stranger"),
        "late": Certificate(directory, "late", days=-1),
    }


@pytest.fixture
def kes_of(palisade, certificates, tmp_path):
    """Runs bridges: `with kes_of({"store": user.credentials}) as kes`."""

    @contextlib.contextmanager
    def kes_of(clients, tls=""):
        home, port = tmp_path / "kes", free_port()
        home.mkdir(exist_ok=True)
        profiles, identities = "", ""
        for name, credentials in clients.items():
            profiles += f"[{name}]\naws_access_key_id = {credentials['AccessKeyId']}\n"
            profiles += f"aws_secret_access_key = {credentials['SecretAccessKey']}\n"
            identities += f'[[identity]]\nid = "{certificates[name].identity}"\nprofile = "{name}"\n'
        (home / "credentials").write_text(profiles)
        server = certificates["server"]
        config = home / "kes.toml"
        # Nobody answers at the first.
        nobody = f"http://127.0.0.1:{free_port()}"
        config.write_text(
            f'listen = "127.0.0.1:{port}"\nendpoint = ["{nobody}", "{palisade.url}"]\nregion = "{REGION}"\n'
            f'[tls]\ncertificate = "{server.path}"\nkey = "{server.key}"\n{tls}\n{identities}'
        )

        def ready():
            return (home / "out").exists() and (home / "out").stat().st_size > 0

        with running(home, ["kes-bridge", "--config", config], clean_environment(home), ready):
            yield Kes(home, port, server)

    return kes_of


@pytest.fixture
def store(new_user):
    return new_user(allow(ALL))


def test_the_life_of_a_key_and_who_is_recorded(palisade, kms, kes_of, certificates, store, name):
    with kes_of({"store": store.credentials}) as kes:
        ask = kes.as_client(certificates["store"])
        assert ask("POST", f"/v1/key/create/{name}") == (200, None)
        assert ask("POST", f"/v1/key/create/{name}") == KEY_EXISTS
        status, described = ask("GET", f"/v1/key/describe/{name}")
        assert status == 200 and described["name"] == name and described["algorithm"] == "AES256"
        assert kms.describe_key(KeyId=f"alias/kes/{name}")["KeyMetadata"]["KeyId"] == described["id"]
        created = datetime.datetime.fromisoformat(described["created_at"].replace("Z", "+00:00"))
        assert abs(datetime.datetime.now(datetime.timezone.utc) - created) < datetime.timedelta(hours=1)

        context = b64(b'{"bucket":"bucket/object"}')
        status, made = ask("POST", f"/v1/key/generate/{name}", {"context": context})
        assert status == 200 and len(base64.b64decode(made["plaintext"])) == 32
        opened = ask("POST", f"/v1/key/decrypt/{name}", {"ciphertext": made["ciphertext"], "context": context})
        assert opened == (200, {"plaintext": made["plaintext"]})
        status, sealed = ask("POST", f"/v1/key/encrypt/{name}", {"plaintext": b64(b"small")})
        assert status == 200
        assert ask("POST", f"/v1/key/decrypt/{name}", sealed) == (200, {"plaintext": b64(b"small")})
        both = [sealed, {"ciphertext": made["ciphertext"], "context": context}]
        wanted = [{"plaintext": b64(b"small")}, {"plaintext": made["plaintext"]}]
        assert ask("POST", f"/v1/key/bulk/decrypt/{name}", both) == (200, wanted)
        assert ask("POST", f"/v1/key/bulk/decrypt/{name}", [sealed, made]) == NOT_AUTHENTIC

        # The KMS itself opens it, by the context that the documentation tells.
        pairs = {"palisade:purpose": "kes", "kes:context": context}
        plain = kms.decrypt(CiphertextBlob=base64.b64decode(made["ciphertext"]), EncryptionContext=pairs)
        assert b64(plain["Plaintext"]) == made["plaintext"]

        assert ask("DELETE", f"/v1/key/delete/{name}") == (200, None)
        assert kms.describe_key(KeyId=described["id"])["KeyMetadata"]["KeyState"] == "PendingDeletion"
        assert ask("DELETE", f"/v1/key/delete/{name}") == NO_SUCH_KEY
        assert ask("POST", f"/v1/key/decrypt/{name}", sealed) == NO_SUCH_KEY
    did = [operation for operation, error in recorded(palisade, store.arn) if error is None]
    assert {"CreateKey", "CreateAlias", "GenerateDataKey", "Decrypt", "Encrypt", "ScheduleKeyDeletion"} <= set(did)
    log = (kes.home / "log").read_text()
    assert made["plaintext"] not in log and store.credentials["SecretAccessKey"] not in log


def test_what_was_changed_does_not_open(kes_of, certificates, store, name):
    with kes_of({"store": store.credentials}) as kes:
        ask = kes.as_client(certificates["store"])
        for key in (name, f"{name}-other"):
            assert ask("POST", f"/v1/key/create/{key}")[0] == 200
        context = b64(b"a context")
        sealed = ask("POST", f"/v1/key/encrypt/{name}", {"plaintext": b64(b"x"), "context": context})[1]["ciphertext"]

        def decrypt(key=name, ciphertext=sealed, **more):
            return ask("POST", f"/v1/key/decrypt/{key}", {"ciphertext": ciphertext, "context": context, **more})

        assert decrypt()[0] == 200
        changed = bytearray(base64.b64decode(sealed))
        changed[-1] ^= 1
        assert decrypt(ciphertext=b64(changed)) == NOT_AUTHENTIC
        assert decrypt(context=b64(b"another")) == NOT_AUTHENTIC
        assert decrypt(context=None) == NOT_AUTHENTIC
        assert decrypt(key=f"{name}-other") == NOT_AUTHENTIC
        assert decrypt(key=f"{name}-none") == NO_SUCH_KEY
        for body in ("text", {}, {"ciphertext": "!"}, {"ciphertext": 7}):
            assert ask("POST", f"/v1/key/decrypt/{name}", body)[0] == 400
        assert ask("POST", f"/v1/key/encrypt/{name}", {"plaintext": b64(bytes(4097))})[0] == 400
        assert ask("POST", f"/v1/key/encrypt/{name}", {"plaintext": "A" * (1 << 20)})[0] == 413


def test_a_key_s_state_is_told(kms, kes_of, certificates, store, name):
    with kes_of({"store": store.credentials}) as kes:
        ask = kes.as_client(certificates["store"])
        ask("POST", f"/v1/key/create/{name}")
        kms.disable_key(KeyId=kms.describe_key(KeyId=f"alias/kes/{name}")["KeyMetadata"]["KeyId"])
        status, told = ask("POST", f"/v1/key/generate/{name}", {})
        assert status == 409 and "disabled" in told["message"]


def test_each_client_is_a_principal_of_its_own(palisade, kes_of, certificates, store, new_user, name):
    reader = new_user(allow("kms:Decrypt", Condition={"StringEquals": {"kms:EncryptionContext:palisade:purpose": "kes"}}))
    with kes_of({"store": store.credentials, "reader": reader.credentials}) as kes:
        ask, read = kes.as_client(certificates["store"]), kes.as_client(certificates["reader"])
        ask("POST", f"/v1/key/create/{name}")
        sealed = ask("POST", f"/v1/key/encrypt/{name}", {"plaintext": b64(b"x")})[1]
        assert read("POST", f"/v1/key/decrypt/{name}", sealed) == (200, {"plaintext": b64(b"x")})
        for method, path, body in (
            ("POST", f"/v1/key/generate/{name}", {}),
            ("POST", f"/v1/key/encrypt/{name}", {"plaintext": b64(b"x")}),
            ("POST", f"/v1/key/create/{name}-2", None),
            ("DELETE", f"/v1/key/delete/{name}", None),
            ("GET", f"/v1/key/describe/{name}", None),
            ("GET", "/v1/key/list/*", None),
        ):
            assert read(method, path, body) == NOT_ALLOWED, path
        reader.may(allow("kms:ListAliases"))
        assert read("POST", f"/v1/key/decrypt/{name}", sealed) == NOT_ALLOWED
        assert ask("POST", f"/v1/key/decrypt/{name}", sealed)[0] == 200
        identity = certificates["reader"].identity
        assert read("GET", "/v1/identity/self/describe")[1] == {
            "identity": identity, "admin": False, "policy": "reader", "policy_name": "reader",
        }  # fmt: skip
    did = recorded(palisade, reader.arn)
    assert ("Decrypt", None) in did and ("GenerateDataKey", "AccessDeniedException") in did
    assert did[-1] == ("Decrypt", "AccessDeniedException")


def test_who_shows_no_certificate_or_a_strange_one_is_refused(palisade, kes_of, certificates, store, name):
    with kes_of({"store": store.credentials, "late": store.credentials}) as kes:
        before = len(recorded(palisade, store.arn))
        for certificate in (None, certificates["late"]):
            with pytest.raises((ssl.SSLError, http.client.RemoteDisconnected, ConnectionError)):
                kes.as_client(certificate)("GET", "/version")
        stranger = kes.as_client(certificates["stranger"])
        for method, path in (("GET", "/version"), ("POST", f"/v1/key/create/{name}"), ("GET", "/v1/key/list/*")):
            assert stranger(method, path) == NOT_ALLOWED
        assert len(recorded(palisade, store.arn)) == before
    # With authorities, certificates must come from them.
    tls = f'client_authorities = "{certificates["reader"].path}"'
    with kes_of({"store": store.credentials}, tls) as kes:
        with pytest.raises((ssl.SSLError, http.client.RemoteDisconnected, ConnectionError)):
            kes.as_client(certificates["store"])("GET", "/version")


def test_keys_are_listed(kes_of, certificates, store, name):
    with kes_of({"store": store.credentials}) as kes:
        ask = kes.as_client(certificates["store"])
        names = [f"{name}-{letter}" for letter in "abc"]
        for each in names:
            ask("POST", f"/v1/key/create/{each}")
        status, lines = ask("GET", f"/v1/key/list/{name}*")
        assert status == 200 and [line["name"] for line in lines] == names and all(line["created_at"] for line in lines)
        assert [line["name"] for line in ask("GET", f"/v1/key/list/{name}-%2Ab")[1]] == names[1:2]
        assert ask("GET", f"/v1/key/list/{name}-%2Ad") == (200, [])
        assert [line["name"] for line in ask("GET", f"/v1/key/list/%2A-b")[1] if line["name"] in names] == [names[1]]
        assert set(names) <= {line["name"] for line in ask("GET", "/v1/key/list/*")[1]}
        assert ask("GET", f"/v1/key/list/{name}-a") == (200, {"names": names[:1], "continue_at": ""})


def test_a_key_is_imported(kms, kes_of, certificates, store, name):
    material = os.urandom(32)
    with kes_of({"store": store.credentials}) as kes:
        ask = kes.as_client(certificates["store"])
        assert ask("POST", f"/v1/key/import/{name}", {"bytes": b64(material)}) == (200, None)
        assert ask("POST", f"/v1/key/import/{name}", {"key": b64(material), "cipher": "AES256"}) == KEY_EXISTS
        key = kms.describe_key(KeyId=f"alias/kes/{name}")["KeyMetadata"]
        assert key["Origin"] == "EXTERNAL" and key["KeyState"] == "Enabled"
        sealed = ask("POST", f"/v1/key/encrypt/{name}", {"plaintext": b64(b"x")})[1]
        assert ask("POST", f"/v1/key/decrypt/{name}", sealed)[0] == 200
        for bad in ({}, {"bytes": b64(material[:31])}, {"key": b64(material), "cipher": "ChaCha20"}):
            assert ask("POST", f"/v1/key/import/{name}-2", bad)[0] == 400


def test_what_fails_half_way_leaves_no_key(kms, kes_of, certificates, new_user, name):
    user = new_user(allow(["kms:CreateKey", "kms:DescribeKey", "kms:ScheduleKeyDeletion"]))
    with kes_of({"store": user.credentials}) as kes:
        assert kes.as_client(certificates["store"])("POST", f"/v1/key/create/{name}") == NOT_ALLOWED
    states = [
        key["KeyState"]
        for page in kms.get_paginator("list_keys").paginate()
        for each in page["Keys"]
        if (key := kms.describe_key(KeyId=each["KeyId"])["KeyMetadata"])["Description"] == f"KES key {name}"
    ]
    assert states == ["PendingDeletion"]


def test_the_bridge_tells_of_itself(kes_of, certificates, store):
    with kes_of({"store": store.credentials}) as kes:
        ask = kes.as_client(certificates["store"])
        assert ask("GET", "/v1/ready") == (200, None)
        assert ask("GET", "/version")[1]["version"]
        status = ask("GET", "/v1/status")[1]
        assert status["kms"]["state"] == "reachable" and not status["keystore_unreachable"]
        calls = {(each["method"], each["path"]) for each in ask("GET", "/v1/api")[1]}
        assert {("POST", "/v1/key/create/"), ("GET", "/v1/status"), ("DELETE", "/v1/key/delete/")} <= calls
        for method, path, status in (
            ("POST", "/v1/policy/write/p", 501),
            ("GET", "/v1/identity/list/*", 501),
            ("GET", "/v1/log/audit", 501),
            ("PUT", "/v1/key/hmac/k", 501),
            ("GET", "/other", 404),
            ("GET", "/v1/key/create/k", 405),
            ("POST", "/v1/key/create/a.b", 400),
        ):
            assert ask(method, path)[0] == status, path


def test_the_identity_of_a_certificate_and_bad_configurations(palisade, certificates, tmp_path):
    certificate = certificates["reader"]
    told = palisade.palisade("kes-bridge", "--identity-of", certificate.path, "--json")
    assert json.loads(told.stdout) == {"identity": certificate.identity}
    tls = f'[tls]\ncertificate = "{certificates["server"].path}"\nkey = "{certificates["server"].key}"\n'
    one = f'[[identity]]\nid = "{certificate.identity}"\nprofile = "nobody"\n'
    for text, saying in (
        ("", "tls"),
        (tls, "identity"),
        (tls + one + one, "twice"),
        (tls + one.replace(certificate.identity, "ab"), "hexadecimal"),
        ('prefix = "aws/"\n' + tls + one, "prefix"),
        ("other = 1\n" + tls + one, "other"),
        ('listen = "127.0.0.1:0"\n' + tls + one, "the profile nobody has no aws_access_key_id"),
        ('region = ""\n' + tls + one, "region"),
    ):
        config = tmp_path / "kes.toml"
        config.write_text(text)
        done = palisade.palisade("kes-bridge", "--config", config, check=False)
        assert done.returncode == 1 and saying in done.stderr, done.stderr
