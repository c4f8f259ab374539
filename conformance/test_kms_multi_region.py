"""Multi-Region keys: encrypt here, decrypt there."""

import pytest

from refusals import refused

HERE, THERE = "us-east-1", "eu-central-1"


@pytest.fixture
def there(palisade):
    return palisade.client("kms", region=THERE)


def test_a_replica_opens_what_its_primary_sealed(kms, there, new_key):
    key = new_key(MultiRegion=True)
    assert key["KeyId"].startswith("mrk-")
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x", EncryptionContext={"a": "b"})["CiphertextBlob"]
    with refused("AccessDeniedException"):
        there.decrypt(CiphertextBlob=blob, EncryptionContext={"a": "b"})
    replica = kms.replicate_key(KeyId=key["KeyId"], ReplicaRegion=THERE, Description="there")
    replica = replica["ReplicaKeyMetadata"]
    assert replica["Arn"] == key["Arn"].replace(HERE, THERE)
    opened = there.decrypt(CiphertextBlob=blob, EncryptionContext={"a": "b"})
    assert opened["Plaintext"] == b"x" and opened["KeyId"] == replica["Arn"]
    kms.rotate_key_on_demand(KeyId=key["KeyId"])
    made = there.generate_data_key(KeyId=key["KeyId"], KeySpec="AES_256")
    assert kms.decrypt(CiphertextBlob=made["CiphertextBlob"])["Plaintext"] == made["Plaintext"]
    with refused("AlreadyExistsException"):
        kms.replicate_key(KeyId=key["KeyId"], ReplicaRegion=THERE)


def test_the_primary_moves(kms, there, new_key):
    key = new_key(MultiRegion=True, KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyId"]
    kms.replicate_key(KeyId=key, ReplicaRegion=THERE)
    signed = there.sign(KeyId=key, Message=b"m", SigningAlgorithm="ECDSA_SHA_256")["Signature"]
    kms.verify(KeyId=key, Message=b"m", Signature=signed, SigningAlgorithm="ECDSA_SHA_256")
    kms.update_primary_region(KeyId=key, PrimaryRegion=THERE)
    for client in (kms, there):
        related = client.describe_key(KeyId=key)["KeyMetadata"]["MultiRegionConfiguration"]
        assert related["PrimaryKey"]["Region"] == THERE
        assert [replica["Region"] for replica in related["ReplicaKeys"]] == [HERE]
    told = there.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    assert told["KeyState"] == "PendingReplicaDeletion" and "DeletionDate" not in told
    with refused("KMSInvalidStateException"):
        there.sign(KeyId=key, Message=b"m", SigningAlgorithm="ECDSA_SHA_256")
    kms.sign(KeyId=key, Message=b"m", SigningAlgorithm="ECDSA_SHA_256")


def test_a_key_of_one_region_stays_there(kms, new_key):
    with refused("UnsupportedOperationException"):
        kms.replicate_key(KeyId=new_key()["KeyId"], ReplicaRegion=THERE)
