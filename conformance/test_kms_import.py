"""Imported material, wrapped by code that is not ours."""

import datetime
import os

import pytest
from cryptography.hazmat.primitives import hashes, hmac, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from refusals import refused

DAY = 24 * 3600
ALGORITHMS = [
    f"{scheme}_SHA_{bits}" for scheme in ("RSAES_OAEP", "RSA_AES_KEY_WRAP") for bits in ("1", "256")
]


def wrap(public, algorithm, material):
    public = serialization.load_der_public_key(public)
    digest = hashes.SHA1() if algorithm.endswith("_1") else hashes.SHA256()
    oaep = padding.OAEP(mgf=padding.MGF1(digest), algorithm=digest, label=None)
    if algorithm.startswith("RSAES"):
        return public.encrypt(material, oaep)
    key = os.urandom(32)
    return public.encrypt(key, oaep) + keywrap.aes_key_wrap_with_padding(key, material)


def give(kms, key, material, algorithm="RSAES_OAEP_SHA_256", spec="RSA_2048", **more):
    told = kms.get_parameters_for_import(KeyId=key, WrappingAlgorithm=algorithm, WrappingKeySpec=spec)
    more = {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE", **more}
    return kms.import_key_material(
        KeyId=key,
        ImportToken=told["ImportToken"],
        EncryptedKeyMaterial=wrap(told["PublicKey"], algorithm, material),
        **more,
    )


def pkcs8(private):
    return private.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.mark.parametrize("spec", ["RSA_2048", "RSA_3072", "RSA_4096"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_way_to_wrap(kms, new_key, algorithm, spec):
    key = new_key(Origin="EXTERNAL")["KeyId"]
    give(kms, key, os.urandom(32), algorithm, spec)
    blob = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"


@pytest.mark.parametrize(
    "spec, usage, private",
    [
        ("RSA_2048", "SIGN_VERIFY", lambda: rsa.generate_private_key(65537, 2048)),
        ("RSA_3072", "ENCRYPT_DECRYPT", lambda: rsa.generate_private_key(65537, 3072)),
        ("ECC_NIST_P256", "SIGN_VERIFY", lambda: ec.generate_private_key(ec.SECP256R1())),
        ("ECC_NIST_P521", "SIGN_VERIFY", lambda: ec.generate_private_key(ec.SECP521R1())),
        ("ECC_SECG_P256K1", "SIGN_VERIFY", lambda: ec.generate_private_key(ec.SECP256K1())),
        ("ECC_NIST_EDWARDS25519", "SIGN_VERIFY", ed25519.Ed25519PrivateKey.generate),
    ],
)
def test_a_private_key_made_elsewhere(kms, new_key, spec, usage, private):
    private = private()
    key = new_key(Origin="EXTERNAL", KeySpec=spec, KeyUsage=usage)["KeyId"]
    give(kms, key, pkcs8(private), "RSA_AES_KEY_WRAP_SHA_256")
    public = serialization.load_der_public_key(kms.get_public_key(KeyId=key)["PublicKey"])
    assert public == private.public_key()


def test_a_mac_key_made_elsewhere(kms, new_key):
    material = os.urandom(32)
    key = new_key(Origin="EXTERNAL", KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")["KeyId"]
    give(kms, key, material)
    mac = kms.generate_mac(KeyId=key, Message=b"m", MacAlgorithm="HMAC_SHA_256")["Mac"]
    outside = hmac.HMAC(material, hashes.SHA256())
    outside.update(b"m")
    assert outside.finalize() == mac


def test_a_key_is_wanted_back_with_the_same_material(kms, new_key):
    material = os.urandom(32)
    key = new_key(Origin="EXTERNAL")["KeyId"]
    first = give(kms, key, material)["KeyMaterialId"]
    blob = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    kms.delete_imported_key_material(KeyId=key)
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "PendingImport"
    with refused("KMSInvalidStateException"):
        kms.decrypt(CiphertextBlob=blob)
    with refused("IncorrectKeyMaterialException"):
        give(kms, key, os.urandom(32))
    assert give(kms, key, material)["KeyMaterialId"] == first
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"


def test_material_expires(timed):
    kms = timed.client("kms")
    key = kms.create_key(Origin="EXTERNAL")["KeyMetadata"]["KeyId"]
    ahead = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=5)
    give(kms, key, os.urandom(32), ExpirationModel="KEY_MATERIAL_EXPIRES", ValidTo=ahead)
    described = kms.describe_key(KeyId=key)["KeyMetadata"]
    assert described["ExpirationModel"] == "KEY_MATERIAL_EXPIRES"
    assert abs(described["ValidTo"] - ahead) < datetime.timedelta(seconds=2)
    kms.encrypt(KeyId=key, Plaintext=b"x")
    timed.advance(6 * DAY)
    with refused("KMSInvalidStateException", "is pending import"):
        kms.encrypt(KeyId=key, Plaintext=b"x")


def test_several_materials_and_rotation_to_them(kms, new_key):
    materials = [os.urandom(32) for _ in range(3)]
    key = new_key(Origin="EXTERNAL")["KeyId"]
    give(kms, key, materials[0])
    blobs = [kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]]
    for material in materials[1:]:
        give(kms, key, material, ImportType="NEW_KEY_MATERIAL")
        kms.rotate_key_on_demand(KeyId=key)
        blobs.append(kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"])
    used = [kms.decrypt(CiphertextBlob=blob)["KeyMaterialId"] for blob in blobs]
    listed = kms.list_key_rotations(KeyId=key, IncludeKeyMaterial="ALL_KEY_MATERIAL")["Rotations"]
    assert [entry["KeyMaterialId"] for entry in listed] == used and len(set(used)) == 3
