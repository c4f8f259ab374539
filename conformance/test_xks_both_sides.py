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
    """Ends TLS and passes on what is said, both ways, until either side has said all."""

    def __init__(self, chain, key, port):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain, key)
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


def test_a_key_of_one_is_the_key_of_another(keeper, user, credential):
    theirs, ours = keeper.client("kms"), user.client("kms")
    external = theirs.create_key()["KeyMetadata"]
    key_arn = external["Arn"]
    may(keeper, allow(["kms:Encrypt", "kms:Decrypt", "kms:DescribeKey"], key_arn))
    given = credential["XksProxyAuthenticationCredential"]
    store = ours.create_custom_key_store(
        CustomKeyStoreName="theirs",
        CustomKeyStoreType="EXTERNAL_KEY_STORE",
        XksProxyUriEndpoint=f"https://{HOST}",
        XksProxyUriPath=credential["XksProxyUriPath"],
        XksProxyConnectivity="PUBLIC_ENDPOINT",
        XksProxyAuthenticationCredential={name: given[name] for name in ("AccessKeyId", "RawSecretAccessKey")},
    )["CustomKeyStoreId"]
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
