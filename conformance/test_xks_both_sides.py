"""Keys of one palisade behind the custom key store of another: both sides of the XKS Proxy API, each held to the other.

The one that keeps the keys speaks plain HTTP on loopback, so something stands before it that ends TLS, as in front of many servers.
"""

import json
import socket
import ssl
import subprocess
import threading
import time

import pytest

from policies import allow, document
from refusals import refused
from server import ACCOUNT, Server, binary
from xks_proxy import HOST, certify

ROLE = "aws-kms"
# Nobody assumes it: it is what the credential stands for.
NOBODY = {"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
CONTEXT = {"tenant": "42"}


class TlsEnd:
    """Ends TLS and passes on what is said, both ways, until either side has said all.

    With `clients`, an authority, it lets nobody through who shows no certificate of it.
    """

    def __init__(self, chain, key, port, clients=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain, key)
        if clients:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(clients)
        self.behind = port
        self.listener = context.wrap_socket(socket.create_server(("127.0.0.1", 0)), server_side=True)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                outer, _ = self.listener.accept()
            except ssl.SSLError:
                continue
            except OSError:
                return
            inner = socket.create_connection(("127.0.0.1", self.behind))
            for one, other in ((outer, inner), (inner, outer)):
                threading.Thread(target=self.pass_on, args=(one, other), daemon=True).start()

    @staticmethod
    def pass_on(one, other):
        try:
            while said := one.recv(65536):
                other.sendall(said)
        except OSError:
            pass
        for end in (one, other):
            end.close()

    def stop(self):
        self.listener.close()


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("both")


@pytest.fixture(scope="module")
def credential(home):
    """What lets the other side in, as `palisade xks-credential` prints it."""
    command = [binary(), "xks-credential", "--file", home / "xks.toml", "--principal", f"arn:aws:iam::{ACCOUNT}:role/{ROLE}"]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def keeper(home, credential):
    """The palisade that has the keys."""
    server = Server(home / "keeper", "--xks-credentials", home / "xks.toml")
    server.client("iam").create_role(RoleName=ROLE, AssumeRolePolicyDocument=document(NOBODY))
    yield server
    assert server.metric("palisade_panics_total") == 0
    server.stop()


@pytest.fixture(scope="module")
def user(home, keeper):
    """The palisade whose custom key store rests on them."""
    authority, chain, key = certify(home)
    front = TlsEnd(chain, key, int(keeper.url.rsplit(":", 1)[1]))
    settings = home / "key-stores.toml"
    settings.write_text(
        f'authorities = "{authority}"\nmilliseconds = 10000\n[[proxy]]\nhost = "{HOST}"\naddress = "127.0.0.1:{front.port}"\n'
    )
    server = Server(home / "user", "--key-stores", str(settings))
    yield server
    assert server.metric("palisade_panics_total") == 0
    server.stop()
    front.stop()


def may(keeper, *statements):
    keeper.client("iam").put_role_policy(RoleName=ROLE, PolicyName="xks", PolicyDocument=document(*statements))


def connected(kms, store):
    kms.connect_custom_key_store(CustomKeyStoreId=store)
    for _ in range(300):
        (entry,) = kms.describe_custom_key_stores(CustomKeyStoreId=store)["CustomKeyStores"]
        if entry["ConnectionState"] != "CONNECTING":
            return entry["ConnectionState"]
        time.sleep(0.1)
    raise AssertionError(entry)


def made_store(ours, credential):
    given = credential["XksProxyAuthenticationCredential"]
    return ours.create_custom_key_store(
        CustomKeyStoreName="theirs",
        CustomKeyStoreType="EXTERNAL_KEY_STORE",
        XksProxyUriEndpoint=f"https://{HOST}",
        XksProxyUriPath=credential["XksProxyUriPath"],
        XksProxyConnectivity="PUBLIC_ENDPOINT",
        XksProxyAuthenticationCredential={name: given[name] for name in ("AccessKeyId", "RawSecretAccessKey")},
    )["CustomKeyStoreId"]


def test_a_key_of_one_is_the_key_of_another(keeper, user, credential):
    theirs, ours = keeper.client("kms"), user.client("kms")
    external = theirs.create_key()["KeyMetadata"]
    key_arn = external["Arn"]
    may(keeper, allow(["kms:Encrypt", "kms:Decrypt", "kms:DescribeKey"], key_arn))
    store = made_store(ours, credential)
    assert connected(ours, store) == "CONNECTED"
    with refused("XksKeyNotFoundException"):
        ours.create_key(Origin="EXTERNAL_KEY_STORE", CustomKeyStoreId=store, XksKeyId="nobody")
    made = ours.create_key(Origin="EXTERNAL_KEY_STORE", CustomKeyStoreId=store, XksKeyId=external["KeyId"])
    key = made["KeyMetadata"]["KeyId"]

    sealed = ours.encrypt(KeyId=key, Plaintext=b"hello", EncryptionContext=CONTEXT)["CiphertextBlob"]
    assert ours.decrypt(CiphertextBlob=sealed, EncryptionContext=CONTEXT)["Plaintext"] == b"hello"
    with refused("KMSInvalidStateException"):
        ours.decrypt(CiphertextBlob=sealed)
    # The key that a ciphertext names is the other's: who keeps the external key knows of none.
    with refused("AccessDeniedException", "refers to a customer master key that does not exist"):
        theirs.decrypt(CiphertextBlob=sealed, EncryptionContext=CONTEXT)

    # New material there changes nothing here.
    theirs.rotate_key_on_demand(KeyId=external["KeyId"])
    assert ours.decrypt(CiphertextBlob=sealed, EncryptionContext=CONTEXT)["Plaintext"] == b"hello"
    later = ours.encrypt(KeyId=key, Plaintext=b"later")["CiphertextBlob"]
    assert ours.decrypt(CiphertextBlob=later)["Plaintext"] == b"later"

    # Who keeps the key decides, by its policies and by the key's state, and each denial is felt at once.
    may(keeper, allow(["kms:Encrypt", "kms:DescribeKey"], key_arn))
    ours.encrypt(KeyId=key, Plaintext=b"hello")
    with refused("KMSInvalidStateException", "denied access to the operation"):
        ours.decrypt(CiphertextBlob=later)
    may(keeper, allow(["kms:Encrypt", "kms:Decrypt", "kms:DescribeKey"], key_arn))
    theirs.disable_key(KeyId=external["KeyId"])
    with refused("KMSInvalidStateException", "is not enabled in the external key manager"):
        ours.decrypt(CiphertextBlob=later)
    theirs.enable_key(KeyId=external["KeyId"])
    assert ours.decrypt(CiphertextBlob=later)["Plaintext"] == b"later"


def test_a_front_that_asks_for_a_certificate_gets_ours_and_no_other(home, keeper, credential, tmp_path):
    authority, chain, key = certify(home / "front")
    clients, ours, our_key = certify(tmp_path / "ours", "aws-kms")
    _, strange, strange_key = certify(tmp_path / "strange", "aws-kms")
    for file in (our_key, strange_key):
        file.chmod(0o600)
    front = TlsEnd(chain, key, int(keeper.url.rsplit(":", 1)[1]), clients)
    external = keeper.client("kms").create_key()["KeyMetadata"]
    may(keeper, allow(["kms:Encrypt", "kms:Decrypt", "kms:DescribeKey"], external["Arn"]))

    def user(name, shown):
        settings = tmp_path / f"{name}.toml"
        proxy = f'[[proxy]]\nhost = "{HOST}"\naddress = "127.0.0.1:{front.port}"\n{shown}'
        settings.write_text(f'authorities = "{authority}"\nmilliseconds = 10000\n{proxy}')
        return Server(tmp_path / name, "--key-stores", str(settings))

    def given(certificate, of):
        return f'certificate = "{certificate}"\nkey = "{of}"\n'

    for name, shown in [("without", ""), ("stranger", given(strange, strange_key))]:
        server = user(name, shown)
        with refused("XksProxyUriUnreachableException", "TLS"):
            made_store(server.client("kms"), credential)
        server.stop()
    server = user("known", given(ours, our_key))
    kms = server.client("kms")
    store = made_store(kms, credential)
    assert connected(kms, store) == "CONNECTED"
    made = kms.create_key(Origin="EXTERNAL_KEY_STORE", CustomKeyStoreId=store, XksKeyId=external["KeyId"])
    for _ in range(3):
        sealed = kms.encrypt(KeyId=made["KeyMetadata"]["KeyId"], Plaintext=b"hello")["CiphertextBlob"]
        assert kms.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"hello"
    server.stop()
    front.stop()

    # A key of another certificate, and one that others may read, end it at the start.
    for shown, why in [(given(ours, strange_key), "is not the key of"), (given(ours, tmp_path / "ours" / "open"), "chmod 600")]:
        (tmp_path / "ours" / "open").write_bytes(our_key.read_bytes())
        settings = tmp_path / "wrong.toml"
        settings.write_text(f'[[proxy]]\nhost = "{HOST}"\n{shown}')
        command = [binary(), "dev", "--listen", "127.0.0.1:0", "--key-stores", settings]
        ended = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60)
        assert ended.returncode == 1 and why in ended.stderr, ended.stderr
