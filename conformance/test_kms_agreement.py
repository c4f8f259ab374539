"""DeriveSharedSecret judged by code that is not ours; ML-KEM and ML-DSA through boto3."""

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from refusals import refused

CURVES = {"ECC_NIST_P256": ec.SECP256R1, "ECC_NIST_P384": ec.SECP384R1, "ECC_NIST_P521": ec.SECP521R1}


def der(public):
    return public.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


@pytest.mark.parametrize("spec", CURVES)
def test_both_sides_have_one_secret(kms, new_key, spec):
    key = new_key(KeySpec=spec, KeyUsage="KEY_AGREEMENT")["KeyId"]
    theirs = serialization.load_der_public_key(kms.get_public_key(KeyId=key)["PublicKey"])
    own = ec.generate_private_key(CURVES[spec]())
    told = kms.derive_shared_secret(
        KeyId=key, KeyAgreementAlgorithm="ECDH", PublicKey=der(own.public_key())
    )
    assert told["SharedSecret"] == own.exchange(ec.ECDH(), theirs)
    other = ec.generate_private_key(ec.SECP256K1())
    with refused("ValidationException"):
        kms.derive_shared_secret(
            KeyId=key, KeyAgreementAlgorithm="ECDH", PublicKey=der(other.public_key())
        )


@pytest.mark.parametrize("spec", ["ML_KEM_512", "ML_KEM_768", "ML_KEM_1024"])
def test_a_secret_is_encapsulated(kms, new_key, spec):
    key = new_key(KeySpec=spec, KeyUsage="ENCAPSULATE_DECAPSULATE")["KeyId"]
    made = kms.encapsulate(KeyId=key, EncapsulationAlgorithm="ML_KEM")
    opened = kms.decapsulate(
        KeyId=key,
        EncapsulationAlgorithm="ML_KEM",
        SharedSecretCiphertextBlob=made["SharedSecretCiphertextBlob"],
    )
    assert opened["SharedSecret"] == made["SharedSecret"] and len(made["SharedSecret"]) == 32


@pytest.mark.parametrize("spec", ["ML_DSA_44", "ML_DSA_65", "ML_DSA_87"])
@pytest.mark.parametrize("kind, message", [("RAW", b"message"), ("EXTERNAL_MU", b"7" * 64)])
def test_ml_dsa(kms, new_key, spec, kind, message):
    key = new_key(KeySpec=spec, KeyUsage="SIGN_VERIFY")["KeyId"]
    request = {"KeyId": key, "MessageType": kind, "SigningAlgorithm": "ML_DSA_SHAKE_256"}
    signature = kms.sign(Message=message, **request)["Signature"]
    assert kms.verify(Message=message, Signature=signature, **request)["SignatureValid"]
    with refused("KMSInvalidSignatureException"):
        kms.verify(Message=message[1:] + b"x", Signature=signature, **request)
