"""GenerateMac and VerifyMac. The key never leaves, so the code is judged by its properties."""

import pytest

from refusals import refused

LENGTHS = {"HMAC_224": 28, "HMAC_256": 32, "HMAC_384": 48, "HMAC_512": 64}


@pytest.fixture(scope="module")
def keys(kms):
    return {
        spec: kms.create_key(KeySpec=spec, KeyUsage="GENERATE_VERIFY_MAC")["KeyMetadata"]["KeyId"]
        for spec in LENGTHS
    }


def algorithm_of(spec):
    return spec.replace("HMAC_", "HMAC_SHA_")


@pytest.mark.parametrize("spec", LENGTHS)
def test_a_code_is_made_and_verified(kms, keys, spec):
    how = {"KeyId": keys[spec], "MacAlgorithm": algorithm_of(spec), "Message": b"message"}
    made = kms.generate_mac(**how)
    assert len(made["Mac"]) == LENGTHS[spec]
    assert made["MacAlgorithm"] == algorithm_of(spec)
    assert made["KeyId"].startswith("arn:aws:kms:")
    assert kms.generate_mac(**how)["Mac"] == made["Mac"]
    assert kms.verify_mac(Mac=made["Mac"], **how)["MacValid"] is True
    described = kms.describe_key(KeyId=keys[spec])["KeyMetadata"]
    assert described["MacAlgorithms"] == [algorithm_of(spec)]
    assert described["KeySpec"] == spec and described["KeyUsage"] == "GENERATE_VERIFY_MAC"


@pytest.mark.parametrize("spec", LENGTHS)
def test_a_wrong_code_is_an_exception_never_false(kms, keys, spec):
    how = {"KeyId": keys[spec], "MacAlgorithm": algorithm_of(spec)}
    mac = kms.generate_mac(Message=b"message", **how)["Mac"]
    for message, wrong in ((b"massage", mac), (b"message", bytes(len(mac))), (b"message", mac[:-1]), (b"message", b"x")):
        with refused("KMSInvalidMacException", status=400):
            kms.verify_mac(Message=message, Mac=wrong, **how)


def test_two_keys_make_two_codes(kms, keys, new_key):
    other = new_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")["KeyId"]
    macs = {
        kms.generate_mac(KeyId=key, MacAlgorithm="HMAC_SHA_256", Message=b"m")["Mac"]
        for key in (keys["HMAC_256"], other)
    }
    assert len(macs) == 2


def test_an_algorithm_of_another_spec_is_refused(kms, keys):
    with refused("InvalidKeyUsageException"):
        kms.generate_mac(KeyId=keys["HMAC_256"], MacAlgorithm="HMAC_SHA_512", Message=b"x")


def test_a_key_for_something_else_is_refused(kms, key):
    with refused("InvalidKeyUsageException"):
        kms.generate_mac(KeyId=key["KeyId"], MacAlgorithm="HMAC_SHA_256", Message=b"x")
    with refused("InvalidKeyUsageException"):
        kms.verify_mac(KeyId=key["KeyId"], MacAlgorithm="HMAC_SHA_256", Message=b"x", Mac=b"x")


def test_a_message_has_at_most_4096_bytes(kms, keys):
    how = {"KeyId": keys["HMAC_256"], "MacAlgorithm": "HMAC_SHA_256"}
    kms.generate_mac(Message=bytes(4096), **how)
    with refused("ValidationException", "at 'message' .*less than or equal to 4096"):
        kms.generate_mac(Message=bytes(4097), **how)


def test_the_usage_of_a_mac_key_is_not_inferred(kms):
    with refused("ValidationException", "You must specify a KeyUsage value for all KMS keys except"):
        kms.create_key(KeySpec="HMAC_256")


def test_dry_run(kms, keys):
    with refused("DryRunOperationException"):
        kms.generate_mac(KeyId=keys["HMAC_256"], MacAlgorithm="HMAC_SHA_256", Message=b"x", DryRun=True)
