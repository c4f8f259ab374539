"""Sign, Verify and GetPublicKey, judged by code that is not ours."""

import hashlib
import os
import subprocess

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

from refusals import refused

DIGESTS = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
RSA_SPECS = ["RSA_2048", "RSA_3072", "RSA_4096"]
RSA_ALGORITHMS = [
    f"RSASSA_{scheme}_SHA_{bits}" for scheme in ("PSS", "PKCS1_V1_5") for bits in ("256", "384", "512")
]
CURVES = {
    "ECC_NIST_P256": ("ECDSA_SHA_256", ec.SECP256R1),
    "ECC_NIST_P384": ("ECDSA_SHA_384", ec.SECP384R1),
    "ECC_NIST_P521": ("ECDSA_SHA_512", ec.SECP521R1),
    "ECC_SECG_P256K1": ("ECDSA_SHA_256", ec.SECP256K1),
}
EVERY = [(spec, algorithm) for spec in RSA_SPECS for algorithm in RSA_ALGORITHMS]
EVERY += [(spec, algorithm) for spec, (algorithm, _) in CURVES.items()]
MESSAGE = "a message, signed — 署名".encode()


@pytest.fixture(scope="module")
def keys(kms):
    """One signing key of each spec."""
    specs = [*RSA_SPECS, *CURVES, "ECC_NIST_EDWARDS25519"]
    return {
        spec: kms.create_key(KeySpec=spec, KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"] for spec in specs
    }


@pytest.fixture(scope="module")
def public(kms, keys):
    """Their public halves, as Python reads them."""
    return {
        spec: serialization.load_der_public_key(kms.get_public_key(KeyId=key)["PublicKey"])
        for spec, key in keys.items()
    }


def digest_of(algorithm, message):
    return hashlib.new("sha" + algorithm[-3:], message).digest()


def verified_outside(public, algorithm, signature, message):
    """Raises InvalidSignature unless the signature is right."""
    digest = DIGESTS[algorithm[-3:]]
    if algorithm.startswith("RSASSA_PSS"):
        scheme = padding.PSS(mgf=padding.MGF1(digest), salt_length=digest.digest_size)
        public.verify(signature, message, scheme, digest)
    elif algorithm.startswith("RSASSA_PKCS1"):
        public.verify(signature, message, padding.PKCS1v15(), digest)
    else:
        public.verify(signature, message, ec.ECDSA(digest))


@pytest.mark.parametrize("spec,algorithm", EVERY)
def test_signatures_verify_outside_and_here(kms, keys, public, spec, algorithm):
    for message_type, message in (("RAW", MESSAGE), ("DIGEST", digest_of(algorithm, MESSAGE))):
        how = {"KeyId": keys[spec], "SigningAlgorithm": algorithm, "MessageType": message_type}
        signed = kms.sign(Message=message, **how)
        assert signed["SigningAlgorithm"] == algorithm
        assert signed["KeyId"].endswith(keys[spec])
        verified_outside(public[spec], algorithm, signed["Signature"], MESSAGE)
        with pytest.raises(InvalidSignature):
            verified_outside(public[spec], algorithm, signed["Signature"], MESSAGE + b"!")
        answer = kms.verify(Message=message, Signature=signed["Signature"], **how)
        assert answer["SignatureValid"] is True
        # Raw and digest are two ways to say the same message.
        kms.verify(
            KeyId=keys[spec], SigningAlgorithm=algorithm, Message=MESSAGE, Signature=signed["Signature"]
        )
        broken = bytearray(signed["Signature"])
        broken[-1] ^= 1
        with refused("KMSInvalidSignatureException"):
            kms.verify(Message=message, Signature=bytes(broken), **how)


def test_a_wrong_signature_is_an_exception_never_false(kms, keys):
    for spec, algorithm in (("ECC_NIST_P256", "ECDSA_SHA_256"), ("RSA_2048", "RSASSA_PSS_SHA_256")):
        for signature in (b"\x00", os.urandom(256), b"\x30\x06\x02\x01\x00\x02\x01\x00"):
            with refused("KMSInvalidSignatureException", status=400):
                kms.verify(KeyId=keys[spec], Message=b"x", Signature=signature, SigningAlgorithm=algorithm)


def test_ed25519_signs_messages(kms, keys, public):
    key = keys["ECC_NIST_EDWARDS25519"]
    how = {"KeyId": key, "SigningAlgorithm": "ED25519_SHA_512", "MessageType": "RAW"}
    signature = kms.sign(Message=MESSAGE, **how)["Signature"]
    assert len(signature) == 64
    public["ECC_NIST_EDWARDS25519"].verify(signature, MESSAGE)
    assert kms.verify(Message=MESSAGE, Signature=signature, **how)["SignatureValid"]
    with refused("ValidationException"):
        kms.sign(
            KeyId=key,
            Message=hashlib.sha512(MESSAGE).digest(),
            MessageType="DIGEST",
            SigningAlgorithm="ED25519_SHA_512",
        )


def test_ed25519ph_signs_digests_and_is_not_ed25519(kms, keys, public):
    key = keys["ECC_NIST_EDWARDS25519"]
    digest = hashlib.sha512(MESSAGE).digest()
    how = {"KeyId": key, "SigningAlgorithm": "ED25519_PH_SHA_512", "MessageType": "DIGEST", "Message": digest}
    signature = kms.sign(**how)["Signature"]
    assert kms.verify(Signature=signature, **how)["SignatureValid"]
    for message in (MESSAGE, digest):
        with pytest.raises(InvalidSignature):
            public["ECC_NIST_EDWARDS25519"].verify(signature, message)
        with refused("KMSInvalidSignatureException"):
            kms.verify(KeyId=key, Message=message, Signature=signature, SigningAlgorithm="ED25519_SHA_512")
    with refused("ValidationException"):
        kms.sign(KeyId=key, Message=MESSAGE, MessageType="RAW", SigningAlgorithm="ED25519_PH_SHA_512")


@pytest.mark.parametrize(
    "spec,algorithm", [("RSA_2048", "RSASSA_PSS_SHA_384"), ("RSA_2048", "RSASSA_PKCS1_V1_5_SHA_256"), ("ECC_NIST_P521", "ECDSA_SHA_512")]
)
def test_openssl_verifies(kms, keys, tmp_path, spec, algorithm):
    signed = kms.sign(KeyId=keys[spec], Message=MESSAGE, SigningAlgorithm=algorithm)
    (tmp_path / "message").write_bytes(MESSAGE)
    (tmp_path / "signature").write_bytes(signed["Signature"])
    (tmp_path / "public.der").write_bytes(kms.get_public_key(KeyId=keys[spec])["PublicKey"])
    command = f"openssl dgst -sha{algorithm[-3:]} -verify public.der -keyform DER -signature signature"
    if "PSS" in algorithm:
        command += " -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest"
    said = subprocess.run([*command.split(), "message"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert "Verified OK" in said.stdout


@pytest.mark.parametrize("spec", [*RSA_SPECS, *CURVES])
def test_public_keys_are_of_the_spec(kms, keys, public, spec):
    told = kms.get_public_key(KeyId=keys[spec])
    assert told["KeySpec"] == told["CustomerMasterKeySpec"] == spec
    assert told["KeyUsage"] == "SIGN_VERIFY"
    assert told["KeyId"].startswith("arn:aws:kms:")
    assert "EncryptionAlgorithms" not in told
    if spec in CURVES:
        algorithm, curve = CURVES[spec]
        assert told["SigningAlgorithms"] == [algorithm]
        assert isinstance(public[spec].curve, curve)
    else:
        assert sorted(told["SigningAlgorithms"]) == sorted(RSA_ALGORITHMS)
        assert isinstance(public[spec], rsa.RSAPublicKey)
        assert public[spec].key_size == int(spec[4:])
        assert public[spec].public_numbers().e == 65537


def test_the_public_key_of_an_encryption_key(kms, new_key):
    told = kms.get_public_key(KeyId=new_key(KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT")["KeyId"])
    assert sorted(told["EncryptionAlgorithms"]) == ["RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"]
    assert "SigningAlgorithms" not in told


def test_edwards_public_key(keys, public, kms):
    assert isinstance(public["ECC_NIST_EDWARDS25519"], ed25519.Ed25519PublicKey)
    told = kms.get_public_key(KeyId=keys["ECC_NIST_EDWARDS25519"])
    assert sorted(told["SigningAlgorithms"]) == ["ED25519_PH_SHA_512", "ED25519_SHA_512"]


def test_symmetric_and_mac_keys_have_no_public_half(kms, key, new_key):
    for wrong in (key["KeyId"], new_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")["KeyId"]):
        with refused("UnsupportedOperationException"):
            kms.get_public_key(KeyId=wrong)


def test_a_message_has_1_to_4096_bytes(kms, keys):
    how = {"KeyId": keys["ECC_NIST_P256"], "SigningAlgorithm": "ECDSA_SHA_256"}
    kms.sign(Message=b"x", **how)
    kms.sign(Message=bytes(4096), **how)
    with refused("ValidationException", "at 'message' .*less than or equal to 4096"):
        kms.sign(Message=bytes(4097), **how)


@pytest.mark.parametrize("algorithm,spec", [("ECDSA_SHA_384", "ECC_NIST_P384"), ("RSASSA_PSS_SHA_512", "RSA_2048")])
def test_a_digest_has_the_length_of_its_algorithm(kms, keys, algorithm, spec):
    right = len(digest_of(algorithm, b""))
    for length in (right - 1, right + 1, 20):
        with refused("ValidationException", rf"^Digest is invalid length for algorithm {algorithm}\.$"):
            kms.sign(KeyId=keys[spec], Message=bytes(length), MessageType="DIGEST", SigningAlgorithm=algorithm)


def test_an_algorithm_of_another_spec_is_refused(kms, keys):
    for spec, algorithm in (
        ("ECC_NIST_P256", "ECDSA_SHA_384"),
        ("ECC_NIST_P384", "ECDSA_SHA_256"),
        ("RSA_2048", "ECDSA_SHA_256"),
        ("ECC_NIST_P256", "RSASSA_PSS_SHA_256"),
        ("ECC_NIST_EDWARDS25519", "ECDSA_SHA_256"),
    ):
        with refused("InvalidKeyUsageException"):
            kms.sign(KeyId=keys[spec], Message=b"x", SigningAlgorithm=algorithm)


def test_a_key_that_does_not_sign(kms, key, new_key):
    encrypting = new_key(KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT")["KeyId"]
    for wrong in (key["KeyId"], encrypting):
        with refused("InvalidKeyUsageException"):
            kms.sign(KeyId=wrong, Message=b"x", SigningAlgorithm="RSASSA_PSS_SHA_256")
        with refused("InvalidKeyUsageException"):
            kms.verify(KeyId=wrong, Message=b"x", Signature=b"x", SigningAlgorithm="RSASSA_PSS_SHA_256")


def test_an_unknown_algorithm_fails_validation(kms, keys):
    with refused("ValidationException", "at 'signingAlgorithm' failed to satisfy constraint"):
        kms.sign(KeyId=keys["RSA_2048"], Message=b"x", SigningAlgorithm="RSASSA_PSS_SHA_1")


def test_dry_run(kms, keys):
    how = {"KeyId": keys["ECC_NIST_P256"], "SigningAlgorithm": "ECDSA_SHA_256", "Message": b"x"}
    with refused("DryRunOperationException"):
        kms.sign(DryRun=True, **how)
    signature = kms.sign(**how)["Signature"]
    with refused("DryRunOperationException"):
        kms.verify(DryRun=True, Signature=signature, **how)


def test_ecdsa_signatures_are_der_and_never_repeat(kms, keys):
    how = {"KeyId": keys["ECC_SECG_P256K1"], "SigningAlgorithm": "ECDSA_SHA_256", "Message": b"x"}
    signatures = {kms.sign(**how)["Signature"] for _ in range(5)}
    assert len(signatures) == 5
    for signature in signatures:
        utils.decode_dss_signature(signature)
