"""Rotation by itself and on demand; what was encrypted before stays readable."""

import pytest

from refusals import refused

DAY = 24 * 3600


def test_on_demand(kms, new_key):
    key = new_key()
    blobs = {key["CurrentKeyMaterialId"]: kms.encrypt(KeyId=key["KeyId"], Plaintext=b"0")["CiphertextBlob"]}
    for number in range(1, 4):
        kms.rotate_key_on_demand(KeyId=key["KeyId"])
        made = kms.generate_data_key(KeyId=key["KeyId"], KeySpec="AES_256")
        blobs[made["KeyMaterialId"]] = made["CiphertextBlob"]
        current = kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]["CurrentKeyMaterialId"]
        assert current == made["KeyMaterialId"]
    assert len(blobs) == 4
    for material, blob in blobs.items():
        assert kms.decrypt(CiphertextBlob=blob)["KeyMaterialId"] == material
    pages = kms.get_paginator("list_key_rotations").paginate(
        KeyId=key["KeyId"], IncludeKeyMaterial="ALL_KEY_MATERIAL", PaginationConfig={"PageSize": 3}
    )
    assert [entry["KeyMaterialId"] for page in pages for entry in page["Rotations"]] == list(blobs)
    old = next(iter(blobs.values()))
    moved = kms.re_encrypt(CiphertextBlob=old, DestinationKeyId=key["KeyId"])
    assert moved["SourceKeyMaterialId"] == key["CurrentKeyMaterialId"]
    assert moved["DestinationKeyMaterialId"] == current


def test_by_itself(timed):
    kms = timed.client("kms")
    key = kms.create_key()["KeyMetadata"]
    kms.enable_key_rotation(KeyId=key["KeyId"], RotationPeriodInDays=90)
    status = kms.get_key_rotation_status(KeyId=key["KeyId"])
    assert status["KeyRotationEnabled"] and status["RotationPeriodInDays"] == 90
    timed.advance(91 * DAY)
    rotated = kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"]
    assert rotated["CurrentKeyMaterialId"] != key["CurrentKeyMaterialId"]
    (rotation,) = kms.list_key_rotations(KeyId=key["KeyId"])["Rotations"]
    assert rotation["RotationType"] == "AUTOMATIC"
    kms.disable_key_rotation(KeyId=key["KeyId"])
    assert not kms.get_key_rotation_status(KeyId=key["KeyId"])["KeyRotationEnabled"]


@pytest.mark.parametrize("spec, usage", [("RSA_2048", "SIGN_VERIFY"), ("HMAC_256", "GENERATE_VERIFY_MAC")])
def test_only_symmetric_keys_rotate(kms, new_key, spec, usage):
    key = new_key(KeySpec=spec, KeyUsage=usage)["KeyId"]
    for operation in (kms.enable_key_rotation, kms.disable_key_rotation, kms.rotate_key_on_demand):
        with refused("UnsupportedOperationException"):
            operation(KeyId=key)
