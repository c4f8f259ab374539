"""The KMS v2 plugin, under the eyes of a gRPC client that is generated from the published interface."""

import contextlib
import os
import pathlib
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time

import grpc
import pytest

from policies import allow
from programs import recorded, running
from server import binary, free_port

PROTO = pathlib.Path(__file__).parent / "proto"
CODE = grpc.StatusCode
USES = ["kms:DescribeKey", "kms:Encrypt", "kms:Decrypt"]


@pytest.fixture(scope="session")
def interface(tmp_path_factory):
    """The modules that the generator makes of the interface."""
    made = tmp_path_factory.mktemp("generated")
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO}", f"--python_out={made}", f"--grpc_python_out={made}", "kms_v2.proto"],
        check=True,
        timeout=60,
    )
    sys.path.insert(0, str(made))
    import kms_v2_pb2
    import kms_v2_pb2_grpc

    return kms_v2_pb2, kms_v2_pb2_grpc


class Plugin:
    """A running plugin, and a client of it."""

    def __init__(self, interface, path):
        self.messages, services = interface
        self.path = path
        # As an API server names it; left alone, this client would name the escaped path.
        self.channel = grpc.insecure_channel(f"unix://{path}", [("grpc.default_authority", "localhost")])
        self.stub = services.KeyManagementServiceStub(self.channel)

    def status(self):
        return self.stub.Status(self.messages.StatusRequest(), timeout=60)

    def encrypt(self, plaintext, **more):
        return self.stub.Encrypt(self.messages.EncryptRequest(plaintext=plaintext, uid="an-id", **more), timeout=60)

    def decrypt(self, sealed, **changed):
        fields = {"ciphertext": sealed.ciphertext, "key_id": sealed.key_id, "annotations": dict(sealed.annotations)}
        return self.stub.Decrypt(self.messages.DecryptRequest(uid="an-id", **{**fields, **changed}), timeout=60).plaintext


@pytest.fixture
def plugin_of(palisade, interface, tmp_path):
    """Runs plugins: `with plugin_of(user.credentials, "--key", …) as plugin`."""
    # A socket's path has at most 107 bytes.
    short = tempfile.TemporaryDirectory()
    path = pathlib.Path(short.name) / "s"

    @contextlib.contextmanager
    def plugin_of(credentials, *flags, environment=None):
        arguments = ["kms-plugin", "--socket", path, *flags]
        environment = {**palisade.environment(credentials), **(environment or {})}
        with running(tmp_path / "plugin", arguments, environment, path.exists) as process:
            plugin = Plugin(interface, path)
            plugin.process, plugin.log = process, tmp_path / "plugin" / "log"
            with plugin.channel:
                yield plugin

    with short:
        yield plugin_of


@contextlib.contextmanager
def fails(*codes, saying=""):
    with pytest.raises(grpc.RpcError) as caught:
        yield
    assert caught.value.code() in codes, caught.value
    assert saying in caught.value.details(), caught.value.details()


def test_what_was_sealed_opens_and_all_is_recorded_as_the_user_s(palisade, plugin_of, new_user, key):
    user = new_user(allow(USES, key["Arn"]))
    with plugin_of(user.credentials, "--key", key["KeyId"]) as plugin:
        assert stat.S_IMODE(os.stat(plugin.path).st_mode) == 0o600
        status = plugin.status()
        assert (status.version, status.healthz) == ("v2", "ok")
        sealed = plugin.encrypt(b"a data key")
        assert sealed.key_id == status.key_id and len(sealed.key_id) < 1024
        # The API server refuses ciphertexts of a kilobyte and more.
        assert b"a data key" not in sealed.ciphertext and len(sealed.ciphertext) < 1024
        assert all("." in name for name in sealed.annotations)
        assert plugin.decrypt(sealed) == b"a data key"
        assert plugin.encrypt(bytes(4096)).ciphertext
    did = recorded(palisade, user.arn)
    # The plugin tries before it says that it is well, and opens what it sealed.
    assert did[:5] == [
        ("DescribeKey", None),
        ("Encrypt", "DryRunOperationException"),
        ("Encrypt", None),
        ("Decrypt", None),
        ("Decrypt", None),
    ]


def test_what_was_changed_does_not_open(plugin_of, new_user, new_key, key):
    other = new_key()
    user = new_user(allow(USES, [key["Arn"], other["Arn"]]))
    with plugin_of(user.credentials, "--key", key["KeyId"]) as plugin:
        sealed = plugin.encrypt(b"a data key")
        changed = bytearray(sealed.ciphertext)
        changed[-1] ^= 1
        with fails(CODE.INVALID_ARGUMENT, saying="InvalidCiphertextException"):
            plugin.decrypt(sealed, ciphertext=bytes(changed))
        with fails(CODE.INVALID_ARGUMENT, saying="InvalidCiphertextException"):
            plugin.decrypt(sealed, ciphertext=sealed.ciphertext[:40])
        arn, material = sealed.key_id.rsplit("/", 1)
        with fails(CODE.INVALID_ARGUMENT, saying="key_id is not that of the ciphertext"):
            plugin.decrypt(sealed, key_id=f"{arn}/{'0' * 64}")
        with fails(CODE.INVALID_ARGUMENT, saying="IncorrectKeyException"):
            plugin.decrypt(sealed, key_id=f"{other['Arn']}/{material}")
        for nonsense in ("", "a key", arn):
            with fails(CODE.INVALID_ARGUMENT):
                plugin.decrypt(sealed, key_id=nonsense)
        with fails(CODE.INVALID_ARGUMENT, saying="annotation"):
            plugin.decrypt(sealed, annotations={"other.example.org": b"x"})
        with fails(CODE.INVALID_ARGUMENT, saying="another encryption context"):
            plugin.decrypt(sealed, annotations={name: b"{}" for name in sealed.annotations})
        with fails(CODE.INVALID_ARGUMENT):
            plugin.decrypt(sealed, ciphertext=b"")
        with fails(CODE.INVALID_ARGUMENT):
            plugin.decrypt(sealed, ciphertext=bytes(6145))
        for plaintext in (b"", bytes(4097)):
            with fails(CODE.INVALID_ARGUMENT):
                plugin.encrypt(plaintext)
        with fails(CODE.RESOURCE_EXHAUSTED):
            plugin.encrypt(bytes(100_000))
        assert plugin.decrypt(sealed) == b"a data key"
    with plugin_of(user.credentials, "--key", key["KeyId"], "--context", "cluster=other") as plugin:
        with fails(CODE.INVALID_ARGUMENT, saying="another encryption context"):
            plugin.decrypt(sealed)
        with fails(CODE.INVALID_ARGUMENT, saying="InvalidCiphertextException"):
            plugin.decrypt(sealed, annotations={})


def test_rotation_gives_another_key_id_and_the_old_one_opens(plugin_of, new_user, kms, new_key):
    key = new_key()["KeyId"]
    user = new_user(allow(USES))
    with plugin_of(user.credentials, "--key", key) as plugin:
        before, sealed = plugin.status().key_id, plugin.encrypt(b"1")
        kms.rotate_key_on_demand(KeyId=key)
        after = plugin.status().key_id
        assert after != before == sealed.key_id
        assert plugin.encrypt(b"2").key_id == after
        assert plugin.decrypt(sealed) == b"1"


def test_an_alias_that_moves_gives_another_key_id(plugin_of, new_user, kms, new_key, name):
    first, second = new_key(), new_key()
    kms.create_alias(AliasName=f"alias/{name}", TargetKeyId=first["KeyId"])
    user = new_user(allow(USES))
    with plugin_of(user.credentials, "--key", f"alias/{name}") as plugin:
        sealed = plugin.encrypt(b"1")
        assert sealed.key_id == plugin.status().key_id and first["Arn"] in sealed.key_id
        kms.update_alias(AliasName=f"alias/{name}", TargetKeyId=second["KeyId"])
        assert second["Arn"] in plugin.status().key_id
        assert plugin.decrypt(sealed) == b"1"


def test_a_disabled_key_is_felt_at_once(plugin_of, new_user, kms, new_key):
    key = new_key()["KeyId"]
    user = new_user(allow(USES))
    with plugin_of(user.credentials, "--key", key) as plugin:
        sealed = plugin.encrypt(b"1")
        kms.disable_key(KeyId=key)
        status = plugin.status()
        assert "Disabled" in status.healthz and status.key_id == sealed.key_id
        with fails(CODE.FAILED_PRECONDITION, saying="DisabledException"):
            plugin.decrypt(sealed)
        with fails(CODE.FAILED_PRECONDITION):
            plugin.encrypt(b"2")
        kms.enable_key(KeyId=key)
        assert plugin.status().healthz == "ok" and plugin.decrypt(sealed) == b"1"


def test_each_decision_is_the_kms_s(palisade, plugin_of, new_user, key):
    user = new_user(allow("kms:DescribeKey"))
    with plugin_of(user.credentials, "--key", key["KeyId"], "--context", "cluster=prod") as plugin:
        assert "AccessDeniedException" in plugin.status().healthz
        with fails(CODE.PERMISSION_DENIED, saying="kms:Encrypt"):
            plugin.encrypt(b"1")
        assert recorded(palisade, user.arn)[-1] == ("Encrypt", "AccessDeniedException")
        bound = {"StringEquals": {"kms:EncryptionContext:cluster": "prod"}}
        user.may(allow("kms:DescribeKey"), allow(["kms:Encrypt", "kms:Decrypt"], Condition=bound))
        assert plugin.status().healthz == "ok"
        sealed = plugin.encrypt(b"1")
        user.may(allow(["kms:DescribeKey", "kms:Encrypt"]))
        with fails(CODE.PERMISSION_DENIED, saying="kms:Decrypt"):
            plugin.decrypt(sealed)
        # What could not be opened again is not given out.
        with fails(CODE.PERMISSION_DENIED, saying="kms:Decrypt"):
            plugin.encrypt(b"2")
        user.may(allow("kms:Encrypt"))
        with fails(CODE.PERMISSION_DENIED, saying="kms:DescribeKey"):
            plugin.status()
    user.may(allow(USES, Condition=bound), allow("kms:DescribeKey"))
    with plugin_of(user.credentials, "--key", key["KeyId"]) as plugin:
        with fails(CODE.PERMISSION_DENIED):
            plugin.encrypt(b"1")


def test_other_failures_have_codes_of_their_own(plugin_of, new_user, new_key, key):
    user = new_user(allow(USES))
    with plugin_of(user.credentials, "--key", "alias/nobody-s") as plugin:
        for ask in (plugin.status, lambda: plugin.encrypt(b"1")):
            with fails(CODE.NOT_FOUND):
                ask()
    rsa = new_key(KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT")["KeyId"]
    with plugin_of(user.credentials, "--key", rsa) as plugin:
        with fails(CODE.FAILED_PRECONDITION, saying="symmetric"):
            plugin.status()
    empty = new_key(Origin="EXTERNAL")["KeyId"]
    with plugin_of(user.credentials, "--key", empty) as plugin:
        with fails(CODE.FAILED_PRECONDITION, saying="PendingImport"):
            plugin.status()
        with fails(CODE.FAILED_PRECONDITION):
            plugin.encrypt(b"1")
    wrong = {"AccessKeyId": user.credentials["AccessKeyId"], "SecretAccessKey": "not the secret"}
    with plugin_of(wrong, "--key", key["KeyId"]) as plugin:
        with fails(CODE.UNAUTHENTICATED):
            plugin.status()
    with plugin_of(user.credentials, "--key", key["KeyId"]) as plugin:
        other = plugin.channel.unary_unary("/v2.KeyManagementService/Sign")
        with fails(CODE.UNIMPLEMENTED):
            other(b"", timeout=60)
        broken = plugin.channel.unary_unary("/v2.KeyManagementService/Encrypt")
        with fails(CODE.INVALID_ARGUMENT):
            broken(b"\x0a\xff", timeout=60)


def test_a_silent_kms_is_told_and_the_next_endpoint_is_asked(palisade, plugin_of, new_user, key):
    user = new_user(allow(USES))
    nobody = f"http://127.0.0.1:{free_port()}"
    with plugin_of(user.credentials, "--key", key["KeyId"], "--endpoint", nobody) as plugin:
        with fails(CODE.UNAVAILABLE):
            plugin.status()
    with plugin_of(user.credentials, "--key", key["KeyId"], "--endpoint", nobody, "--endpoint", palisade.url) as plugin:
        assert plugin.decrypt(plugin.encrypt(b"1")) == b"1"
    with socket.create_server(("127.0.0.1", 0)) as mute:
        slow = f"http://127.0.0.1:{mute.getsockname()[1]}"
        with plugin_of(user.credentials, "--key", key["KeyId"], "--endpoint", slow, "--timeout", "1") as plugin:
            with fails(CODE.DEADLINE_EXCEEDED):
                plugin.status()
        both = ["--endpoint", slow, "--endpoint", palisade.url, "--timeout", "20"]
        with plugin_of(user.credentials, "--key", key["KeyId"], *both) as plugin:
            # Half of the time is kept for the second.
            assert plugin.status().healthz == "ok"


def test_a_plugin_that_died_is_replaced_and_a_living_one_is_not(palisade, plugin_of, new_user, key):
    user = new_user(allow(USES))
    flags = ["--key", key["KeyId"]]
    with plugin_of(user.credentials, *flags) as plugin:
        sealed = plugin.encrypt(b"1")
        second = palisade.palisade("kms-plugin", "--socket", plugin.path, *flags, check=False)
        assert second.returncode != 0 and "another program answers" in second.stderr
        assert plugin.decrypt(sealed) == b"1"
        plugin.process.kill()
        plugin.process.wait(30)
        assert plugin.path.exists()
    with plugin_of(user.credentials, *flags) as plugin:
        # The socket that the dead one left was there before: ask until the new one answers.
        deadline = time.monotonic() + 30
        while True:
            try:
                assert plugin.decrypt(sealed) == b"1"
                break
            except grpc.RpcError as error:
                assert error.code() == CODE.UNAVAILABLE and time.monotonic() < deadline
        plugin.process.terminate()
        assert plugin.process.wait(30) == 0 and not plugin.path.exists()
    plugin.path.write_text("a file of somebody's")
    third = palisade.palisade("kms-plugin", "--socket", plugin.path, *flags, check=False)
    assert third.returncode != 0 and plugin.path.read_text() == "a file of somebody's"


def test_many_at_once(plugin_of, new_user, key):
    user = new_user(allow(USES))
    with plugin_of(user.credentials, "--key", key["KeyId"]) as plugin:
        made = {}

        def work(number):
            made[number] = plugin.encrypt(b"%d" % number)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {number: plugin.decrypt(sealed) for number, sealed in made.items()} == {n: b"%d" % n for n in range(40)}
        assert b"not the secret" not in plugin.log.read_bytes()


@pytest.mark.parametrize(
    "flags, variables, saying",
    [
        ([], {"AWS_ACCESS_KEY_ID": ""}, "AWS_SECRET_ACCESS_KEY"),
        ([], {"AWS_SECRET_ACCESS_KEY": ""}, "palisade env"),
        (["--endpoint", "http://192.0.2.1"], {}, "plain http is for this machine alone"),
        (["--endpoint", "https://"], {}, "https://"),
        (["--context", "a=b", "--context", "a=c"], {}, "--context a=… is there twice"),
        (["--context", "palisade:purpose=mine"], {}, "the plugin's own"),
        (["--key", ""], {}, "--key"),
        (["--region", ""], {}, "--region"),
    ],
)
def test_a_plugin_that_could_not_work_does_not_start(palisade, tmp_path, flags, variables, saying):
    socket_path = tmp_path / "s"
    key = [] if "--key" in flags else ["--key", "alias/any"]
    done = subprocess.run(
        [str(binary()), "kms-plugin", "--socket", str(socket_path), *key, *flags],
        env={**palisade.environment(), **variables},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode in (1, 2) and saying in done.stderr, done
    assert not socket_path.exists()
