"""The proxy of an external key store, asked as AWS KMS asks it by the published specification:

AWS KMS External Key Store Proxy API Specification, with botocore's own SigV4 and, as its Appendix D has it, curl.
"""

import base64
import datetime
import hashlib
import json
import os
import subprocess
import time

import botocore.auth
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
import pytest

from policies import allow
from server import ACCOUNT, REGION, Server, binary

ROLE = "aws-kms"
PREFIX = "/stores/one"


def b64(data):
    return base64.b64encode(data).decode()


class Proxy:
    """A server that lets AWS KMS in, and the credential that it was given."""

    def __init__(self, directory):
        self.file = directory / "xks.toml"
        self.key = self.credential(f"role/{ROLE}")
        self.below = self.credential(f"role/{ROLE}", "--prefix", PREFIX)
        self.server = Server(directory / "server", "--xks-credentials", self.file)
        self.iam = self.server.client("iam")
        trust = {"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": trust})
        self.iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=document)
        self.kms = self.server.client("kms")

    def credential(self, principal, *more):
        """What `palisade xks-credential` prints: the file that the console of AWS KMS takes."""
        command = [binary(), "xks-credential", "--file", self.file, "--principal", f"arn:aws:iam::{ACCOUNT}:{principal}", *more]
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60, check=True)
        return json.loads(done.stdout)

    def may(self, *statements):
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        self.iam.put_role_policy(RoleName=ROLE, PolicyName="xks", PolicyDocument=document)

    def ask(self, path, body, key=None, region=REGION, service="kms-xks-proxy", tamper=None, wait=0):
        """One request as AWS KMS makes it: `SignedHeaders=host;x-amz-date`. Gives status, body and request id."""
        key = key or self.key
        given = key["XksProxyAuthenticationCredential"]
        path = key["XksProxyUriPath"] + path
        text = json.dumps(body)
        request = AWSRequest("POST", f"{self.server.url}{path}", data=text)
        SigV4Auth(Credentials(given["AccessKeyId"], given["RawSecretAccessKey"]), service, region).add_auth(request)
        headers = dict(request.headers)
        assert "SignedHeaders=host;x-amz-date," in headers["Authorization"]
        headers["Content-Type"] = "application/json"
        if tamper:
            text = tamper(text)
        status, answered, answer = self.server.request("POST", path, text, headers)
        assert answered["Content-Type"] == "application/json"
        return status, json.loads(answer), answered["x-amzn-requestid"]

    def refused(self, path, body, **more):
        status, answer, _ = self.ask(path, body, **more)
        assert set(answer) == {"errorName", "errorMessage"}, answer
        assert len(answer["errorMessage"]) < 512 and answer["errorMessage"].isprintable()
        return status, answer["errorName"]


def metadata(operation, **more):
    return {
        "awsPrincipalArn": "arn:aws:iam::123456789012:user/Alice",
        "kmsKeyArn": "arn:aws:kms:us-east-2:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        "kmsOperation": operation,
        "kmsRequestId": "4112f4d6-db54-4af4-ae30-c55a22a8dfae",
        "kmsViaService": "ebs",
        **more,
    }


def to_encrypt(plaintext, aad=None, **more):
    body = {"requestMetadata": metadata("Encrypt", **more), "plaintext": b64(plaintext), "encryptionAlgorithm": "AES_GCM"}
    if aad is not None:
        body["additionalAuthenticatedData"] = b64(aad)
    return body


def to_decrypt(sealed, aad=None, **changed):
    fields = ["ciphertext", "ciphertextMetadata", "initializationVector", "authenticationTag"]
    body = {"requestMetadata": metadata("Decrypt"), "encryptionAlgorithm": "AES_GCM", **{name: sealed[name] for name in fields}}
    if aad is not None:
        body["additionalAuthenticatedData"] = b64(aad)
    return {**body, **changed}


@pytest.fixture(scope="module")
def proxy(tmp_path_factory):
    proxy = Proxy(tmp_path_factory.mktemp("xks"))
    yield proxy
    panics = proxy.server.metric("palisade_panics_total")
    proxy.server.stop()
    assert panics == 0


@pytest.fixture(scope="module")
def key(proxy):
    return proxy.kms.create_key()["KeyMetadata"]


@pytest.fixture(autouse=True)
def allowed(proxy, key):
    proxy.may(allow(["kms:DescribeKey", "kms:Encrypt", "kms:Decrypt"], key["Arn"]))


def test_the_credential_is_what_aws_kms_takes(proxy):
    """By the constraints of CreateCustomKeyStore in AWS's own model, and in a file that nobody else may read."""
    model = proxy.kms.meta.service_model.operation_model("CreateCustomKeyStore").input_shape.members
    form = model["XksProxyAuthenticationCredential"].members
    for given, name in [(proxy.key, "/kms/xks/v1"), (proxy.below, f"{PREFIX}/kms/xks/v1")]:
        assert given["XksProxyUriPath"] == name
        credential = given["XksProxyAuthenticationCredential"]
        for member, value in credential.items():
            bounds = form[member].metadata
            assert bounds["min"] <= len(value) <= bounds["max"]
        assert set(credential["AccessKeyId"]) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
        assert len(base64.b64decode(credential["RawSecretAccessKey"] + "=")) == 32
    assert os.stat(proxy.file).st_mode & 0o077 == 0


def test_a_key_store_is_made_connected_and_used(proxy, key):
    """The calls that AWS KMS makes from CreateCustomKeyStore to Decrypt."""
    told = {"requestMetadata": {"kmsRequestId": "r", "kmsOperation": "CreateCustomKeyStore"}}
    status, health, _ = proxy.ask("/health", told)
    assert status == 200
    assert isinstance(health["xksProxyFleetSize"], int) and health["xksProxyFleetSize"] > 0
    assert all(health[name] for name in ["xksProxyVendor", "xksProxyModel", "ekmVendor"])
    assert 1 <= len(health["ekmFleetDetails"]) <= 10
    assert [set(one) for one in health["ekmFleetDetails"]] == [{"id", "model", "healthStatus"}]
    assert health["ekmFleetDetails"][0]["healthStatus"] == "ACTIVE"

    about = {"requestMetadata": metadata("CreateKey")}
    del about["requestMetadata"]["kmsKeyArn"]
    status, described, _ = proxy.ask(f"/keys/{key['KeyId']}/metadata", about)
    assert (status, described) == (200, {"keySpec": "AES_256", "keyUsage": ["ENCRYPT", "DECRYPT"], "keyStatus": "ENABLED"})

    aad = b"project=nile,department=marketing"
    body = to_encrypt(b"Hello World!", aad) | {"ciphertextDataIntegrityValueAlgorithm": "SHA_256"}
    status, sealed, _ = proxy.ask(f"/keys/{key['KeyId']}/encrypt", body)
    assert status == 200, sealed
    parts = [base64.b64decode(sealed[name]) for name in ["ciphertextMetadata", "initializationVector", "ciphertext", "authenticationTag"]]
    assert [len(part) for part in parts] == [20, 12, 12, 16]
    assert base64.b64decode(sealed["ciphertextDataIntegrityValue"]) == hashlib.sha256(aad + b"".join(parts)).digest()

    status, opened, _ = proxy.ask(f"/keys/{key['KeyId']}/decrypt", to_decrypt(sealed, aad))
    assert (status, opened) == (200, {"plaintext": b64(b"Hello World!")})


def test_below_a_prefix_the_other_credential_counts(proxy, key):
    path = f"/keys/{key['KeyId']}/encrypt"
    assert proxy.ask(path, to_encrypt(b"x"), key=proxy.below)[0] == 200
    crossed = proxy.below | {"XksProxyUriPath": "/kms/xks/v1"}
    assert proxy.refused(path, to_encrypt(b"x"), key=crossed) == (401, "AuthenticationFailedException")


def test_what_was_tampered_with_does_not_open(proxy, key):
    path = f"/keys/{key['KeyId']}"
    sealed = proxy.ask(f"{path}/encrypt", to_encrypt(b"attack at dawn", b"aad"))[1]
    for name in ["ciphertext", "ciphertextMetadata", "initializationVector", "authenticationTag"]:
        damaged = bytearray(base64.b64decode(sealed[name]))
        damaged[-1] ^= 1
        changed = to_decrypt(sealed, b"aad", **{name: b64(bytes(damaged))})
        assert proxy.refused(f"{path}/decrypt", changed) == (400, "InvalidCiphertextException")
    for aad in [None, b"", b"AAD"]:
        assert proxy.refused(f"{path}/decrypt", to_decrypt(sealed, aad)) == (400, "InvalidCiphertextException")
    assert proxy.ask(f"{path}/decrypt", to_decrypt(sealed, b"aad"))[1]["plaintext"] == b64(b"attack at dawn")


def test_neither_side_opens_what_the_other_sealed(proxy, key):
    """Not even when the parts of one are put where the other has them."""
    path = f"/keys/{key['KeyId']}"
    sealed = proxy.ask(f"{path}/encrypt", to_encrypt(b"secret"))[1]
    blob = proxy.kms.encrypt(KeyId=key["KeyId"], Plaintext=b"secret")["CiphertextBlob"]
    head, nonce, vector, rest = blob[:57], blob[57:73], blob[73:85], blob[85:]
    parts = {
        "ciphertextMetadata": b64(base64.b64decode(sealed["ciphertextMetadata"])[:4] + nonce),
        "initializationVector": b64(vector),
        "ciphertext": b64(rest[:-16]),
        "authenticationTag": b64(rest[-16:]),
    }
    assert proxy.refused(f"{path}/decrypt", to_decrypt(parts)) == (400, "InvalidCiphertextException")
    names = ["initializationVector", "ciphertext", "authenticationTag"]
    made = head + base64.b64decode(sealed["ciphertextMetadata"])[4:] + b"".join(base64.b64decode(sealed[name]) for name in names)
    assert len(made) == len(blob)
    with pytest.raises(proxy.kms.exceptions.InvalidCiphertextException):
        proxy.kms.decrypt(CiphertextBlob=made)
    assert proxy.kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"secret"


def test_who_signs_wrongly_is_nobody(proxy, key):
    path, body = f"/keys/{key['KeyId']}/encrypt", to_encrypt(b"x")
    credential = proxy.key["XksProxyAuthenticationCredential"]

    def with_credential(**changed):
        return proxy.key | {"XksProxyAuthenticationCredential": credential | changed}

    secret = credential["RawSecretAccessKey"]
    for wrong in [
        {"key": with_credential(RawSecretAccessKey=("B" if secret[0] == "A" else "A") + secret[1:])},
        {"key": with_credential(AccessKeyId="A" * 26)},
        {"service": "kms"},
        {"tamper": lambda text: text.replace("Encrypt", "Decrypt")},
    ]:
        assert proxy.refused(path, body, **wrong) == (401, "AuthenticationFailedException"), wrong
    status, _, answer = proxy.server.request("POST", proxy.key["XksProxyUriPath"] + path, json.dumps(body))
    assert (status, json.loads(answer)["errorName"]) == (401, "AuthenticationFailedException")
    # A root user of the account who signs for the proxy is a stranger too.
    from server import ROOT_KEY, ROOT_SECRET

    root = with_credential(AccessKeyId=ROOT_KEY, RawSecretAccessKey=ROOT_SECRET)
    assert proxy.refused(path, body, key=root) == (401, "AuthenticationFailedException")


@pytest.mark.parametrize("seconds, taken", [(-290, True), (290, True), (-310, False), (310, False)])
def test_five_minutes_of_skew_and_no_more(proxy, key, monkeypatch, seconds, taken):
    machine_time = botocore.auth.get_current_datetime

    def moved(*arguments, **named):
        return machine_time(*arguments, **named) + datetime.timedelta(seconds=seconds)

    monkeypatch.setattr(botocore.auth, "get_current_datetime", moved)
    path = f"/keys/{key['KeyId']}/encrypt"
    if taken:
        assert proxy.ask(path, to_encrypt(b"x"))[0] == 200
    else:
        assert proxy.refused(path, to_encrypt(b"x")) == (401, "AuthenticationFailedException")


def test_state_and_kind_of_the_key_count(proxy):
    made = proxy.kms.create_key()["KeyMetadata"]
    proxy.may(allow("kms:*"))
    path = f"/keys/{made['KeyId']}"
    sealed = proxy.ask(f"{path}/encrypt", to_encrypt(b"x"))[1]
    proxy.kms.disable_key(KeyId=made["KeyId"])
    about = {"requestMetadata": metadata("DescribeKey")}
    assert proxy.ask(f"{path}/metadata", about)[1]["keyStatus"] == "DISABLED"
    assert proxy.refused(f"{path}/encrypt", to_encrypt(b"x")) == (400, "InvalidStateException")
    assert proxy.refused(f"{path}/decrypt", to_decrypt(sealed)) == (400, "InvalidStateException")
    proxy.kms.enable_key(KeyId=made["KeyId"])
    proxy.kms.rotate_key_on_demand(KeyId=made["KeyId"])
    assert proxy.ask(f"{path}/decrypt", to_decrypt(sealed))[1]["plaintext"] == b64(b"x")

    mac = proxy.kms.create_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")["KeyMetadata"]["KeyId"]
    assert proxy.refused(f"/keys/{mac}/encrypt", to_encrypt(b"x")) == (400, "InvalidKeyUsageException")
    assert proxy.refused("/keys/nobody/encrypt", to_encrypt(b"x")) == (404, "KeyNotFoundException")
    assert proxy.refused("/keys/a/b/encrypt", to_encrypt(b"x")) == (404, "InvalidUriPathException")
    proxy.kms.create_alias(AliasName="alias/for-aws", TargetKeyId=made["KeyId"])
    assert proxy.ask("/keys/for-aws/decrypt", to_decrypt(sealed))[1]["plaintext"] == b64(b"x")


def test_a_refusal_by_policy_is_explained(proxy, key):
    proxy.may(allow("kms:Encrypt", key["Arn"], Condition={"StringEquals": {"palisade:XksKmsOperation": "GenerateDataKey"}}))
    path = f"/keys/{key['KeyId']}/encrypt"
    body = to_encrypt(b"x")
    body["requestMetadata"]["kmsOperation"] = "GenerateDataKey"
    assert proxy.ask(path, body)[0] == 200
    status, answer, request = proxy.ask(path, to_encrypt(b"x"))
    assert (status, answer["errorName"]) == (403, "AccessDeniedException")
    assert f"assumed-role/{ROLE}/xks-proxy" in answer["errorMessage"]
    why = json.loads(proxy.server.palisade("why", request, "--json").stdout)
    assert why["decisions"][0]["allowed"] is False
    assert why["decisions"][0]["action"] == "kms:Encrypt"

    # The key's own policy decides as well.
    proxy.may(allow("kms:*"))
    made = proxy.kms.create_key()["KeyMetadata"]
    policy = json.loads(proxy.kms.get_key_policy(KeyId=made["KeyId"])["Policy"])
    role = {"AWS": f"arn:aws:iam::{ACCOUNT}:role/{ROLE}"}
    policy["Statement"].append({"Effect": "Deny", "Principal": role, "Action": "kms:Decrypt", "Resource": "*"})
    proxy.kms.put_key_policy(KeyId=made["KeyId"], Policy=json.dumps(policy))
    sealed = proxy.ask(f"/keys/{made['KeyId']}/encrypt", to_encrypt(b"x"))[1]
    assert proxy.refused(f"/keys/{made['KeyId']}/decrypt", to_decrypt(sealed)) == (403, "AccessDeniedException")


def test_a_get_is_told_to_post(proxy, key):
    for path in ["/kms/xks/v1/health", f"/kms/xks/v1/keys/{key['KeyId']}/encrypt"]:
        assert proxy.server.request("GET", path)[0] == 405


def test_a_new_credential_counts_without_a_restart(tmp_path, proxy, key):
    path = f"/keys/{key['KeyId']}/encrypt"
    before = proxy.file.read_text()
    fresh = proxy.credential(f"role/{ROLE}")

    def wait_for(status):
        deadline = time.monotonic() + 20
        while (found := proxy.ask(path, to_encrypt(b"x"), key=fresh)[0]) != status:
            assert time.monotonic() < deadline, found
            time.sleep(0.2)

    wait_for(200)
    assert proxy.ask(path, to_encrypt(b"x"))[0] == 200
    proxy.file.write_text(before)
    wait_for(401)
    assert proxy.ask(path, to_encrypt(b"x"))[0] == 200


def test_the_specifications_own_example(proxy, key):
    """Appendix D, with another server, key and credential."""
    given = proxy.key["XksProxyAuthenticationCredential"]
    url = f"{proxy.server.url}{proxy.key['XksProxyUriPath']}"

    def curl(path, body):
        command = ["curl", "-sS", "--aws-sigv4", f"aws:amz:{REGION}:kms-xks-proxy"]
        command += ["--user", f"{given['AccessKeyId']}:{given['RawSecretAccessKey']}"]
        command += ["-X", "POST", "-H", "Content-Type:application/json", "--data", json.dumps(body), url + path]
        return json.loads(subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout)

    body = to_encrypt(b"Hello World!")
    sealed = curl(f"/keys/{key['KeyId']}/encrypt", body)
    assert proxy.ask(f"/keys/{key['KeyId']}/decrypt", to_decrypt(sealed))[1]["plaintext"] == body["plaintext"]
    told = curl("/health", {"requestMetadata": {"kmsOperation": "KmsHealthCheck", "kmsRequestId": "1124f4d6"}})
    assert told["xksProxyVendor"] == "Palisade"


def test_a_file_that_others_may_read_is_refused(tmp_path):
    file = tmp_path / "xks.toml"
    file.write_text("")
    file.chmod(0o644)
    command = [str(binary()), "dev", "--listen", "127.0.0.1:0", "--xks-credentials", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and "chmod 600" in done.stderr
