"""A root key that another KMS keeps: opened by nobody at hand, over TLS, and only as that KMS permits."""

import functools
import json

import pytest

from test_serve import Served, certificate


@pytest.fixture
def keeper(tmp_path):
    """The KMS that keeps the slot's key: a second program, served over TLS."""
    directory = tmp_path / "keeper"
    made = Served(directory, f'[tls]\ncertificate = "{directory}/tls.crt"\nkey = "{directory}/tls.key"\n')
    certificate(directory, "keeper")
    made.initialise()
    with made.running("https", verify=directory / "tls.crt"):
        yield made


@pytest.fixture
def served(tmp_path):
    made = Served(tmp_path / "served")
    made.initialise()
    return made


def test_another_kms_opens_it_as_its_key_policy_permits(keeper, served):
    kms = keeper.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    credentials = served.write_private(
        served.directory / "credentials",
        "[default]\naws_access_key_id = {access_key_id}\naws_secret_access_key = {secret_access_key}\n".format(
            **keeper.credentials
        ),
    )
    means = ["--kms-credentials-file", credentials]
    add = ["seal", "add", "--data", served.data, "--passphrase-file", served.passphrase, "--slot", "kms"]
    add += ["--kms-endpoint", keeper.url, "--kms-key-id", key, *means]
    # A server whose certificate nobody vouches for is told nothing.
    refused = served.run(*add, check=False)
    assert refused.returncode != 0 and "TLS" in refused.stderr
    authorities = {"AWS_CA_BUNDLE": str(keeper.directory / "tls.crt")}
    run = functools.partial(served.run, variables=authorities)
    run(*add)
    run("seal", "verify", "--data", served.data, *means)
    with served.running(unseal=means, variables=authorities):
        made = served.client("kms").create_key()["KeyMetadata"]["KeyId"]
        assert served.client("kms").encrypt(KeyId=made, Plaintext=b"kept")["CiphertextBlob"]

    # The context names the store, so that the other side can decide by it.
    document = json.loads((served.data / "slots.json").read_text())
    method = next(slot["method"] for slot in document["slots"] if slot["method"]["kind"] == "kms")
    blob = bytes.fromhex(method["ciphertext"])
    with pytest.raises(kms.exceptions.InvalidCiphertextException):
        kms.decrypt(CiphertextBlob=blob)
    plain = kms.decrypt(CiphertextBlob=blob, EncryptionContext={"palisade:store": document["store_id"]})
    assert len(plain["Plaintext"]) == 32
    assert plain["Plaintext"].hex() not in (served.data / "slots.json").read_text()

    def permit(context):
        allowed = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Resource": "*"}
        denied = {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "kms:Decrypt",
            "Resource": "*",
            "Condition": {"StringNotEquals": {"kms:EncryptionContext:palisade:store": context}},
        }
        policy = {"Version": "2012-10-17", "Statement": [{**allowed, "Action": "kms:*"}, denied]}
        kms.put_key_policy(KeyId=key, Policy=json.dumps(policy))

    permit("another store")
    refused = run("serve", "--config", served.config, *means, check=False)
    assert refused.returncode != 0 and "AccessDeniedException" in refused.stderr and "stays sealed" in refused.stderr
    # The slot is counted as shut although another opens; that other does not care.
    verified = run("seal", "verify", "--data", served.data, "--passphrase-file", served.passphrase, *means, check=False)
    assert verified.returncode != 0 and "kms slot stays shut" in verified.stderr
    with served.running(unseal=["--passphrase-file", served.passphrase]):
        assert served.client("kms").describe_key(KeyId=made)
    permit(document["store_id"])
    with served.running(unseal=means, variables=authorities):
        assert served.client("kms").describe_key(KeyId=made)


def test_a_new_root_key_while_clients_work(served):
    """Everything made before goes on to work: keys, ciphertexts, access keys, sessions."""
    with served.running():
        kms, sts = served.client("kms"), served.client("sts")
        key = kms.create_key()["KeyMetadata"]["KeyId"]
        blob = kms.encrypt(KeyId=key, Plaintext=b"before")["CiphertextBlob"]
        session = sts.get_session_token()["Credentials"]
        asking = {
            "AWS_ENDPOINT_URL": served.url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": served.credentials["access_key_id"],
            "AWS_SECRET_ACCESS_KEY": served.credentials["secret_access_key"],
        }
        told = json.loads(served.run("seal", "rotate-root", "--json", variables=asking).stdout)
        assert [root["state"] for root in told["roots"]] == ["old", "current"]
        assert told["pass"]["rowsResealed"] == 2 and told["pass"]["rowsUnreadable"] == 0
        early = served.run("seal", "remove-root", "1", check=False, variables=asking)
        assert early.returncode == 1 and "may be in use until" in early.stderr
        as_session = asking | {
            "AWS_ACCESS_KEY_ID": session["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": session["SecretAccessKey"],
            "AWS_SESSION_TOKEN": session["SessionToken"],
        }
        assert "Root 2" in served.run("seal", "status", variables=as_session).stdout
        assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"before"
        after = kms.encrypt(KeyId=key, Plaintext=b"after")["CiphertextBlob"]
    with served.running(unseal=["--shares-file", served.shares]):
        kms = served.client("kms")
        assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"before"
        assert kms.decrypt(CiphertextBlob=after)["Plaintext"] == b"after"
    served.run("verify", "--data", served.data, "--passphrase-file", served.passphrase)
