"""What leaves and enters KMS, against code that is not ours, where the algorithm is of the newer or rarer kind.

Ed25519ph, ML-DSA and ML-KEM; HMAC under a key that both sides have; private keys of data key pairs.
`test_kms_signing.py`, `test_kms_encryption.py` and `test_kms_agreement.py` do the same for RSA, ECDSA, Ed25519, OAEP and ECDH.
"""

import hashlib
import hmac
import os

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, mlkem, padding, rsa

from refusals import refused

MESSAGE = "a message — 署名".encode()
ML_DSA = {"ML_DSA_44": mldsa.MLDSA44PublicKey, "ML_DSA_65": mldsa.MLDSA65PublicKey, "ML_DSA_87": mldsa.MLDSA87PublicKey}
# `cryptography` has no ML-KEM-512.
ML_KEM = {"ML_KEM_768": mlkem.MLKEM768PublicKey, "ML_KEM_1024": mlkem.MLKEM1024PublicKey}


def public_of(kms, key):
    return serialization.load_der_public_key(kms.get_public_key(KeyId=key)["PublicKey"])


# Ed25519ph of RFC 8032, which `cryptography` does not offer: verification alone, as section 5.1.7 has it.
P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P


def add(one, other):
    (x1, y1), (x2, y2) = one, other
    product = D * x1 * x2 * y1 * y2
    x3 = (x1 * y2 + x2 * y1) * pow(1 + product, -1, P) % P
    return x3, (y1 * y2 + x1 * x2) * pow(1 - product, -1, P) % P


def times(number, point):
    total = (0, 1)
    while number:
        if number & 1:
            total = add(total, point)
        point, number = add(point, point), number >> 1
    return total


def point_of(data):
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & (1 << 255) - 1
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    assert x * x % P == square, "it is no point of the curve"
    return (x if x & 1 == sign else P - x), y


BASE = point_of((4 * pow(5, -1, P) % P).to_bytes(32, "little"))


def verifies_ed25519ph(public, signature, digest):
    domain = b"SigEd25519 no Ed25519 collisions" + bytes([1, 0])
    challenge = hashlib.sha512(domain + signature[:32] + public + digest).digest()
    s = int.from_bytes(signature[32:], "little")
    right = add(point_of(signature[:32]), times(int.from_bytes(challenge, "little") % ORDER, point_of(public)))
    return s < ORDER and times(s, BASE) == right


def test_the_verifier_of_ed25519ph_knows_the_published_vector():
    """RFC 8032, 7.3."""
    secret = bytes.fromhex("833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42")
    public = ed25519.Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
    signature = bytes.fromhex(
        "98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae41"
        "31f85042463c2a355a2003d062adf5aaa10b8c61e636062aaad11c2a26083406"
    )
    digest = hashlib.sha512(b"abc").digest()
    assert verifies_ed25519ph(public, signature, digest)
    assert not verifies_ed25519ph(public, signature, hashlib.sha512(b"abd").digest())


def test_ed25519ph_verifies_outside(kms, new_key):
    key = new_key(KeySpec="ECC_NIST_EDWARDS25519", KeyUsage="SIGN_VERIFY")["KeyId"]
    public = public_of(kms, key).public_bytes_raw()
    digest = hashlib.sha512(MESSAGE).digest()
    signed = kms.sign(KeyId=key, Message=digest, MessageType="DIGEST", SigningAlgorithm="ED25519_PH_SHA_512")
    assert verifies_ed25519ph(public, signed["Signature"], digest)
    assert not verifies_ed25519ph(public, signed["Signature"], hashlib.sha512(MESSAGE + b"!").digest())
    pure = kms.sign(KeyId=key, Message=MESSAGE, SigningAlgorithm="ED25519_SHA_512")["Signature"]
    assert not verifies_ed25519ph(public, pure, digest)


@pytest.mark.parametrize("spec", ML_DSA)
def test_ml_dsa_verifies_outside(kms, new_key, spec):
    """RAW is the pure form of FIPS 204 with an empty context; EXTERNAL_MU is the same signature, its hash made outside."""
    key = new_key(KeySpec=spec, KeyUsage="SIGN_VERIFY")["KeyId"]
    public = public_of(kms, key)
    assert isinstance(public, ML_DSA[spec])
    # FIPS 204, algorithms 2 and 7.
    mu = hashlib.shake_256(hashlib.shake_256(public.public_bytes_raw()).digest(64) + b"\0\0" + MESSAGE).digest(64)
    forms = {"RAW": MESSAGE, "EXTERNAL_MU": mu}
    for kind, message in forms.items():
        signature = kms.sign(KeyId=key, Message=message, MessageType=kind, SigningAlgorithm="ML_DSA_SHAKE_256")["Signature"]
        public.verify(signature, MESSAGE)
        for wrong in (MESSAGE + b"!", mu):
            with pytest.raises(InvalidSignature):
                public.verify(signature, wrong)
        for other, said in forms.items():
            told = kms.verify(KeyId=key, Message=said, MessageType=other, Signature=signature, SigningAlgorithm="ML_DSA_SHAKE_256")
            assert told["SignatureValid"]
        with refused("KMSInvalidSignatureException"):
            kms.verify(KeyId=key, Message=mu, MessageType="RAW", Signature=signature, SigningAlgorithm="ML_DSA_SHAKE_256")
    for length in (63, 65):
        with refused("ValidationException"):
            kms.sign(KeyId=key, Message=bytes(length), MessageType="EXTERNAL_MU", SigningAlgorithm="ML_DSA_SHAKE_256")


@pytest.mark.parametrize("spec", ML_KEM)
def test_a_secret_encapsulated_outside_is_the_same_here(kms, new_key, spec):
    key = new_key(KeySpec=spec, KeyUsage="ENCAPSULATE_DECAPSULATE")["KeyId"]
    public = public_of(kms, key)
    assert isinstance(public, ML_KEM[spec])
    secret, ciphertext = public.encapsulate()
    how = {"KeyId": key, "EncapsulationAlgorithm": "ML_KEM"}
    assert kms.decapsulate(SharedSecretCiphertextBlob=ciphertext, **how)["SharedSecret"] == secret
    # Implicit rejection: another secret, the same each time.
    broken = bytes([ciphertext[0] ^ 1]) + ciphertext[1:]
    others = {kms.decapsulate(SharedSecretCiphertextBlob=broken, **how)["SharedSecret"] for _ in range(2)}
    assert len(others) == 1 and secret not in others
    for wrong in (ciphertext[:-1], ciphertext + b"\0"):
        with refused(("InvalidCiphertextException", "ValidationException")):
            kms.decapsulate(SharedSecretCiphertextBlob=wrong, **how)


@pytest.mark.parametrize("bits, length", [(224, 28), (256, 32), (384, 48), (512, 64)])
def test_a_code_is_that_of_the_imported_key(kms, new_key, bits, length):
    key = new_key(KeySpec=f"HMAC_{bits}", KeyUsage="GENERATE_VERIFY_MAC", Origin="EXTERNAL")["KeyId"]
    material = os.urandom(length)
    given = kms.get_parameters_for_import(KeyId=key, WrappingAlgorithm="RSAES_OAEP_SHA_256", WrappingKeySpec="RSA_4096")
    wrapping = serialization.load_der_public_key(given["PublicKey"])
    oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
    kms.import_key_material(
        KeyId=key,
        ImportToken=given["ImportToken"],
        EncryptedKeyMaterial=wrapping.encrypt(material, oaep),
        ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE",
    )
    made = kms.generate_mac(KeyId=key, Message=MESSAGE, MacAlgorithm=f"HMAC_SHA_{bits}")["Mac"]
    assert made == hmac.digest(material, MESSAGE, f"sha{bits}")


PAIRS = {
    **{f"RSA_{bits}": rsa.RSAPrivateKey for bits in (2048, 3072, 4096)},
    "ECC_NIST_P256": ec.EllipticCurvePrivateKey,
    "ECC_NIST_P384": ec.EllipticCurvePrivateKey,
    "ECC_NIST_P521": ec.EllipticCurvePrivateKey,
    "ECC_SECG_P256K1": ec.EllipticCurvePrivateKey,
    "ECC_NIST_EDWARDS25519": ed25519.Ed25519PrivateKey,
}
SUBJECT = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("spec", PAIRS)
def test_the_halves_of_a_data_key_pair_are_read_outside(kms, key, spec):
    pair = kms.generate_data_key_pair(KeyId=key["KeyId"], KeyPairSpec=spec, EncryptionContext={"a": "b"})
    private = serialization.load_der_private_key(pair["PrivateKeyPlaintext"], None)
    assert isinstance(private, PAIRS[spec])
    assert private.public_key().public_bytes(*SUBJECT) == pair["PublicKey"]
    opened = kms.decrypt(CiphertextBlob=pair["PrivateKeyCiphertextBlob"], EncryptionContext={"a": "b"})
    assert opened["Plaintext"] == pair["PrivateKeyPlaintext"]
    hidden = kms.generate_data_key_pair_without_plaintext(KeyId=key["KeyId"], KeyPairSpec=spec)
    assert "PrivateKeyPlaintext" not in hidden
    private = serialization.load_der_private_key(kms.decrypt(CiphertextBlob=hidden["PrivateKeyCiphertextBlob"])["Plaintext"], None)
    assert private.public_key().public_bytes(*SUBJECT) == hidden["PublicKey"]
