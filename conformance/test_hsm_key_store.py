"""AWS CloudHSM key stores before a real PKCS#11 token: SoftHSM stands for the cluster."""

import json
import os
import signal
import subprocess
import time
import uuid

import pytest

from refusals import refused
from server import ACCOUNT, OTHER_KEY, OTHER_SECRET, Server, binary

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
ONE, TWO = "cluster-abcdefghi23", "cluster-abcdefghi24"
PASSWORDS = {ONE: "kmsPswd-one", TWO: "kmsPswd-two"}
ABSENT = "cluster-abcdefghi25"


class Tokens:
    """Two tokens, their trust anchors, and the settings that make clusters of them."""

    def __init__(self, home):
        self.home = home
        self.configuration = home / "softhsm2.conf"
        (home / "tokens").mkdir()
        self.configuration.write_text(f"directories.tokendir = {home / 'tokens'}\n")
        self.run("softhsm2-util", "--version")
        tables = []
        for cluster in (ONE, TWO, ABSENT):
            self.run(
                *"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30".split(),
                *("-subj", f"/CN={cluster}", "-keyout", os.devnull, "-out", home / f"{cluster}.crt"),
            )
            tables.append(f'''
[[cluster]]
id = "{cluster}"
account = "{ACCOUNT}"
module = "{MODULE}"
token = "{cluster}"
user = "kmsuser"
trust_anchor = "{home / f'{cluster}.crt'}"
''')
        for cluster, password in PASSWORDS.items():
            self.run(
                *"softhsm2-util --init-token --free --so-pin 87654321 --label".split(),
                *(cluster, "--pin", f"kmsuser:{password}"),
            )
        self.settings = home / "key-stores.toml"
        self.settings.write_text("".join(tables))

    def run(self, *command):
        environment = os.environ | {"SOFTHSM2_CONF": str(self.configuration)}
        done = subprocess.run([str(part) for part in command], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def anchor(self, cluster):
        return (self.home / f"{cluster}.crt").read_text()

    def keys(self, cluster):
        """What another program sees on a token."""
        return self.run(
            *("pkcs11-tool", "--module", MODULE, "--token-label", cluster, "--list-objects"),
            *("--login", "--pin", f"kmsuser:{PASSWORDS[cluster]}"),
        )


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    return Tokens(tmp_path_factory.mktemp("tokens"))


@pytest.fixture(scope="module")
def server(tmp_path_factory, tokens):
    class WithTokens(Server):
        wrapper = ("env", f"SOFTHSM2_CONF={tokens.configuration}")

    server = WithTokens(tmp_path_factory.mktemp("hsm"), "--key-stores", tokens.settings)
    yield server
    assert server.metric("palisade_panics_total") == 0
    server.stop()
    assert not any(password in server.log_text() for password in PASSWORDS.values())


@pytest.fixture
def kms(server):
    return server.client("kms")


def settled(kms, store):
    # A server that was killed leaves its jobs a lease of a minute.
    for _ in range(900):
        (entry,) = kms.describe_custom_key_stores(CustomKeyStoreId=store)["CustomKeyStores"]
        if entry["ConnectionState"] not in ("CONNECTING", "DISCONNECTING"):
            return entry
        time.sleep(0.1)
    raise AssertionError(entry)


def connect(kms, store):
    kms.connect_custom_key_store(CustomKeyStoreId=store)
    return settled(kms, store)


def disconnect(kms, store):
    kms.disconnect_custom_key_store(CustomKeyStoreId=store)
    return settled(kms, store)


def wanted(tokens, cluster, **more):
    return {
        "CustomKeyStoreName": f"store-of-{cluster}",
        "CloudHsmClusterId": cluster,
        "TrustAnchorCertificate": tokens.anchor(cluster),
        "KeyStorePassword": PASSWORDS.get(cluster, "no-password"),
    } | more


@pytest.fixture(scope="module")
def store(server, tokens):
    """A connected store in the first cluster."""
    kms = server.client("kms")
    store = kms.create_custom_key_store(**wanted(tokens, ONE))["CustomKeyStoreId"]
    assert connect(kms, store)["ConnectionState"] == "CONNECTED"
    return store


@pytest.fixture
def key(kms, store):
    return kms.create_key(Origin="AWS_CLOUDHSM", CustomKeyStoreId=store)["KeyMetadata"]


def helpers(server):
    """The processes in which modules run."""
    found = set()
    for process in os.listdir("/proc"):
        if process.isdigit():
            try:
                with open(f"/proc/{process}/stat") as stat, open(f"/proc/{process}/cmdline") as command:
                    parent = stat.read().rsplit(")", 1)[1].split()[1]
                    if int(parent) == server.process.pid and "hsm-helper" in command.read():
                        found.add(int(process))
            except OSError:
                pass
    return found


def test_a_store_is_made_of_its_own_cluster_alone(kms, server, tokens):
    unknown = wanted(tokens, ONE, CloudHsmClusterId="cluster-zzzzzzzzz77")
    with refused("CloudHsmClusterNotFoundException"):
        kms.create_custom_key_store(**unknown)
    with refused("IncorrectTrustAnchorException"):
        kms.create_custom_key_store(**wanted(tokens, ONE, TrustAnchorCertificate=tokens.anchor(TWO)))
    with refused("CloudHsmClusterNotActiveException"):
        kms.create_custom_key_store(**wanted(tokens, ABSENT))
    # Another account's, and another region's, is not there.
    stranger = server.client("kms", {"AccessKeyId": OTHER_KEY, "SecretAccessKey": OTHER_SECRET})
    with refused("CloudHsmClusterNotFoundException"):
        stranger.create_custom_key_store(**wanted(tokens, ONE))
    with refused("CloudHsmClusterNotFoundException"):
        server.client("kms", region="eu-west-1").create_custom_key_store(**wanted(tokens, ONE))


def test_from_store_to_plaintext(kms, store, tokens):
    (entry,) = kms.describe_custom_key_stores(CustomKeyStoreId=store)["CustomKeyStores"]
    assert entry["CloudHsmClusterId"] == ONE and entry["CustomKeyStoreType"] == "AWS_CLOUDHSM"
    assert entry["TrustAnchorCertificate"].strip() == tokens.anchor(ONE).strip()
    assert PASSWORDS[ONE] not in str(entry)

    metadata = kms.create_key(Origin="AWS_CLOUDHSM", CustomKeyStoreId=store)["KeyMetadata"]
    assert (metadata["Origin"], metadata["KeyState"]) == ("AWS_CLOUDHSM", "Enabled")
    assert (metadata["CustomKeyStoreId"], metadata["CloudHsmClusterId"]) == (store, ONE)

    context = {"project": "nile"}
    key = metadata["KeyId"]
    sealed = kms.encrypt(KeyId=key, Plaintext=b"hello", EncryptionContext=context)["CiphertextBlob"]
    again = kms.encrypt(KeyId=key, Plaintext=b"hello", EncryptionContext=context)["CiphertextBlob"]
    assert sealed != again and b"hello" not in sealed
    opened = kms.decrypt(CiphertextBlob=sealed, EncryptionContext=context)
    assert (opened["Plaintext"], opened["KeyId"]) == (b"hello", metadata["Arn"])
    largest = os.urandom(4096)
    assert kms.decrypt(CiphertextBlob=kms.encrypt(KeyId=key, Plaintext=largest)["CiphertextBlob"])["Plaintext"] == largest

    # Another context, an altered ciphertext, another key: nothing.
    with refused("InvalidCiphertextException"):
        kms.decrypt(CiphertextBlob=sealed, EncryptionContext={"project": "amazon"})
    with refused("InvalidCiphertextException"):
        kms.decrypt(CiphertextBlob=sealed)
    with refused("InvalidCiphertextException"):
        kms.decrypt(CiphertextBlob=sealed[:-1] + bytes([sealed[-1] ^ 1]), EncryptionContext=context)
    other = kms.create_key(Origin="AWS_CLOUDHSM", CustomKeyStoreId=store)["KeyMetadata"]["KeyId"]
    with refused("IncorrectKeyException"):
        kms.decrypt(KeyId=other, CiphertextBlob=sealed, EncryptionContext=context)

    data_key = kms.generate_data_key(KeyId=key, KeySpec="AES_256")
    assert kms.decrypt(CiphertextBlob=data_key["CiphertextBlob"])["Plaintext"] == data_key["Plaintext"]
    outside = kms.create_key()["KeyMetadata"]["KeyId"]
    moved = kms.re_encrypt(CiphertextBlob=sealed, SourceEncryptionContext=context, DestinationKeyId=outside)
    assert kms.decrypt(CiphertextBlob=moved["CiphertextBlob"])["Plaintext"] == b"hello"
    random = kms.generate_random(NumberOfBytes=32, CustomKeyStoreId=store)["Plaintext"]
    assert len(random) == 32 and random != kms.generate_random(NumberOfBytes=32, CustomKeyStoreId=store)["Plaintext"]

    # The key is on the token, and stays there.
    listed = tokens.keys(ONE)
    assert key in listed and "never extractable" in listed
    assert key not in tokens.keys(TWO)


def test_a_wrong_password_fails_the_connection_and_the_right_one_mends_it(kms, tokens):
    store = kms.create_custom_key_store(**wanted(tokens, TWO, KeyStorePassword="not-the-one"))["CustomKeyStoreId"]
    entry = connect(kms, store)
    assert (entry["ConnectionState"], entry["ConnectionErrorCode"]) == ("FAILED", "INVALID_CREDENTIALS")
    with refused("CustomKeyStoreInvalidStateException"):
        kms.create_key(Origin="AWS_CLOUDHSM", CustomKeyStoreId=store)
    assert disconnect(kms, store)["ConnectionState"] == "DISCONNECTED"
    kms.update_custom_key_store(CustomKeyStoreId=store, KeyStorePassword=PASSWORDS[TWO])
    entry = connect(kms, store)
    assert entry["ConnectionState"] == "CONNECTED" and "ConnectionErrorCode" not in entry
    key = kms.create_key(Origin="AWS_CLOUDHSM", CustomKeyStoreId=store)["KeyMetadata"]["KeyId"]
    sealed = kms.encrypt(KeyId=key, Plaintext=b"two")["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"two"
    assert key in tokens.keys(TWO) and key not in tokens.keys(ONE)
    disconnect(kms, store)


def test_a_disconnected_store_opens_nothing(kms, store, key):
    sealed = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"secret")["CiphertextBlob"]
    try:
        assert disconnect(kms, store)["ConnectionState"] == "DISCONNECTED"
        assert kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]["KeyState"] == "Unavailable"
        for call in (
            lambda: kms.decrypt(CiphertextBlob=sealed),
            lambda: kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x"),
            lambda: kms.generate_data_key(KeyId=key["KeyId"], KeySpec="AES_256"),
        ):
            with refused("KMSInvalidStateException"):
                call()
        with refused("CustomKeyStoreInvalidStateException"):
            kms.generate_random(NumberOfBytes=8, CustomKeyStoreId=store)
    finally:
        assert connect(kms, store)["ConnectionState"] == "CONNECTED"
    assert kms.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"secret"
    with refused("CustomKeyStoreHasCMKsException"):
        disconnect(kms, store)
        kms.delete_custom_key_store(CustomKeyStoreId=store)
    assert connect(kms, store)["ConnectionState"] == "CONNECTED"


def test_keys_that_no_kms_key_names_are_listed(server, kms, key, tokens, tmp_path):
    password = tmp_path / "password"
    password.write_text(PASSWORDS[ONE] + "\n")
    password.chmod(0o600)

    def listed(*more, cluster=ONE):
        command = ["cluster-keys", "--json", "--key-stores", tokens.settings, "--cluster", cluster, "--password-file", password]
        done = subprocess.run(
            [str(part) for part in (binary(), *command, *more)],
            env=server.environment(None) | {"SOFTHSM2_CONF": str(tokens.configuration)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.returncode, json.loads(done.stdout)

    before = tokens.keys(ONE)
    code, told = listed()
    assert (code, told["unnamed"]) == (0, []) and told["keys"] >= 1
    # As a server leaves one that dies after it has made it.
    left = str(uuid.uuid4())
    tokens.run(
        *("pkcs11-tool", "--module", MODULE, "--token-label", ONE, "--login", "--pin", f"kmsuser:{PASSWORDS[ONE]}"),
        *("--keygen", "--key-type", "AES:32", "--label", left),
    )
    assert listed() == (0, {"cluster": ONE, "keys": told["keys"] + 1, "unnamed": [left]})
    # It is the same in KMS and token after as before, but for that one.
    assert left in tokens.keys(ONE) and len(tokens.keys(ONE)) > len(before)
    # Where nobody has a store of it, nothing is told to be nobody's.
    code, told = listed("--region", "eu-west-1")
    assert code == 1 and "no key store of" in told["error"]
    code, told = listed(cluster=ABSENT)
    assert code == 1 and "no key store of" in told["error"]
    password.write_text("wrong\n")
    code, told = listed()
    assert code == 1 and "password" in told["error"]


def test_it_survives_its_helper_and_its_server(server, kms, key):
    sealed = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"kept")["CiphertextBlob"]
    # The module's process is killed: the next call starts another and logs in by itself.
    before = helpers(server)
    assert before
    for process in before:
        os.kill(process, signal.SIGKILL)
    for _ in range(100):
        try:
            assert kms.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"kept"
            break
        except kms.exceptions.KMSInvalidStateException:
            # The death was noticed in the middle of this call, which is not repeated.
            time.sleep(0.1)
    else:
        raise AssertionError("it did not come back")
    after = helpers(server)
    assert after and not after & before

    # A server that stops leaves no helper, nor does one that is killed; the next still opens.
    server.kill()
    gone = time.monotonic() + 10
    while any(os.path.exists(f"/proc/{process}") for process in after):
        assert time.monotonic() < gone, "the helper outlives its server"
        time.sleep(0.05)
    server.start()
    kms = server.client("kms")
    assert kms.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"kept"
