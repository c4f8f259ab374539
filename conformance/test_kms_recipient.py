"""Answers to enclaves, opened by OpenSSL."""

import subprocess

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from nitro import Nitro
from refusals import refused
from server import Server


@pytest.fixture(scope="module")
def nitro():
    return Nitro()


@pytest.fixture(scope="module")
def enclave():
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="module")
def attesting(tmp_path_factory, nitro):
    home = tmp_path_factory.mktemp("attesting")
    (home / "root.pem").write_bytes(nitro.root_pem())
    server = Server(home, "--nitro-root", str(home / "root.pem"))
    yield server
    server.stop()


def recipient(document):
    return {"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256", "AttestationDocument": document}


def opened(answer, enclave, tmp_path):
    """What OpenSSL reads of an answer as the enclave would."""
    key = tmp_path / "enclave.pem"
    key.write_bytes(
        enclave.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    command = ["openssl", "cms", "-decrypt", "-inform", "DER", "-binary", "-inkey", str(key)]
    return subprocess.run(command, input=answer["CiphertextForRecipient"], capture_output=True, check=True).stdout


def test_an_enclave_gets_what_others_get_in_clear(attesting, nitro, enclave, tmp_path):
    kms = attesting.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    to = recipient(nitro.document(enclave.public_key()))
    blob = kms.encrypt(KeyId=key, Plaintext=b"for the enclave")["CiphertextBlob"]
    answer = kms.decrypt(CiphertextBlob=blob, Recipient=to)
    assert not answer.get("Plaintext") and "KeyMaterialId" not in answer
    assert opened(answer, enclave, tmp_path) == b"for the enclave"
    made = kms.generate_data_key(KeyId=key, KeySpec="AES_256", Recipient=to)
    assert opened(made, enclave, tmp_path) == kms.decrypt(CiphertextBlob=made["CiphertextBlob"])["Plaintext"]
    pair = kms.generate_data_key_pair(KeyId=key, KeyPairSpec="ECC_NIST_P256", Recipient=to)
    private = kms.decrypt(CiphertextBlob=pair["PrivateKeyCiphertextBlob"])["Plaintext"]
    assert opened(pair, enclave, tmp_path) == private
    assert len(opened(kms.generate_random(NumberOfBytes=77, Recipient=to), enclave, tmp_path)) == 77


def test_strangers_are_not_believed(attesting, nitro, enclave, kms):
    theirs = attesting.client("kms")
    with refused("ValidationException", "trusted root"):
        theirs.generate_random(NumberOfBytes=8, Recipient=recipient(Nitro().document(enclave.public_key())))
    changed = bytearray(nitro.document(enclave.public_key()))
    changed[-1] ^= 1
    with refused("ValidationException", "signature"):
        theirs.generate_random(NumberOfBytes=8, Recipient=recipient(bytes(changed)))
    # A server that trusts no root believes none.
    with refused("UnsupportedOperationException"):
        kms.generate_random(NumberOfBytes=8, Recipient=recipient(nitro.document(enclave.public_key())))
