"""Every key state against every operation, and the real deletion at the end.

The table is that of the KMS Developer Guide, "Key states of KMS keys": what a
disabled key and one that waits for its deletion refuse, and with which error.
"""

import datetime
import hashlib

import pytest

from policies import delegating, document
from refusals import refused
from server import ACCOUNT

DAY = 24 * 3600


class Prepared:
    """A key of a kind, and one good request for every operation it could be asked."""

    def __init__(self, kms, **arguments):
        self.kms = kms
        self.key = kms.create_key(**arguments)["KeyMetadata"]
        self.id, self.arn = self.key["KeyId"], self.key["Arn"]


@pytest.fixture(scope="module")
def kinds(kms):
    """For each kind of key: a maker, and its cryptographic requests."""

    def symmetric():
        one = Prepared(kms)
        blob = kms.encrypt(KeyId=one.id, Plaintext=b"x")["CiphertextBlob"]
        helper = kms.create_key()["KeyMetadata"]["KeyId"]
        other = kms.encrypt(KeyId=helper, Plaintext=b"x")["CiphertextBlob"]
        one.requests = {
            "Encrypt": lambda: kms.encrypt(KeyId=one.id, Plaintext=b"x"),
            "Decrypt": lambda: kms.decrypt(CiphertextBlob=blob),
            "Decrypt with KeyId": lambda: kms.decrypt(CiphertextBlob=blob, KeyId=one.id),
            "ReEncrypt from": lambda: kms.re_encrypt(CiphertextBlob=blob, DestinationKeyId=helper),
            "ReEncrypt to": lambda: kms.re_encrypt(CiphertextBlob=other, DestinationKeyId=one.id),
            "GenerateDataKey": lambda: kms.generate_data_key(KeyId=one.id, KeySpec="AES_256"),
            "GenerateDataKeyWithoutPlaintext": lambda: kms.generate_data_key_without_plaintext(
                KeyId=one.id, KeySpec="AES_256"
            ),
        }
        return one

    def signing():
        one = Prepared(kms, KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
        how = {"KeyId": one.id, "Message": b"x", "SigningAlgorithm": "ECDSA_SHA_256"}
        signature = kms.sign(**how)["Signature"]
        one.requests = {
            "Sign": lambda: kms.sign(**how),
            "Verify": lambda: kms.verify(Signature=signature, **how),
            "GetPublicKey": lambda: kms.get_public_key(KeyId=one.id),
        }
        return one

    def mac():
        one = Prepared(kms, KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")
        how = {"KeyId": one.id, "Message": b"x", "MacAlgorithm": "HMAC_SHA_256"}
        code = kms.generate_mac(**how)["Mac"]
        one.requests = {
            "GenerateMac": lambda: kms.generate_mac(**how),
            "VerifyMac": lambda: kms.verify_mac(Mac=code, **how),
        }
        return one

    return {"symmetric": symmetric, "signing": signing, "mac": mac}


@pytest.fixture(params=["symmetric", "signing", "mac"])
def one(request, kinds):
    return kinds[request.param]()


def everywhere_allowed(kms, one, name):
    """What every state allows."""
    kms.describe_key(KeyId=one.id)
    kms.get_key_policy(KeyId=one.id)
    kms.put_key_policy(KeyId=one.id, Policy=document(delegating(ACCOUNT)))
    kms.list_key_policies(KeyId=one.id)
    kms.list_resource_tags(KeyId=one.id)
    kms.list_aliases(KeyId=one.id)


def test_an_enabled_key_does_everything(kms, one, name):
    for work in one.requests.values():
        work()
    everywhere_allowed(kms, one, name)
    kms.enable_key(KeyId=one.id)
    with refused("KMSInvalidStateException", f"^{one.arn} is not pending deletion"):
        kms.cancel_key_deletion(KeyId=one.id)


def test_a_disabled_key_does_no_cryptography(kms, one, name):
    kms.disable_key(KeyId=one.id)
    metadata = kms.describe_key(KeyId=one.id)["KeyMetadata"]
    assert (metadata["KeyState"], metadata["Enabled"]) == ("Disabled", False)
    for operation, work in one.requests.items():
        with refused("DisabledException", rf"^{one.arn} is disabled\.$", status=400):
            work()
            pytest.fail(operation)
    everywhere_allowed(kms, one, name)
    # It is still labelled, named and switched.
    kms.disable_key(KeyId=one.id)
    kms.create_alias(AliasName=f"alias/{name}-disabled", TargetKeyId=one.id)
    kms.update_alias(AliasName=f"alias/{name}-disabled", TargetKeyId=one.id)
    kms.delete_alias(AliasName=f"alias/{name}-disabled")
    kms.tag_resource(KeyId=one.id, Tags=[{"TagKey": "a", "TagValue": "b"}])
    kms.untag_resource(KeyId=one.id, TagKeys=["a"])
    kms.update_key_description(KeyId=one.id, Description="x")
    with refused("KMSInvalidStateException", "is not pending deletion"):
        kms.cancel_key_deletion(KeyId=one.id)
    kms.enable_key(KeyId=one.id)
    for work in one.requests.values():
        work()


def test_a_key_that_waits_for_its_deletion_is_read_only(kms, kinds, one, name):
    alias = f"alias/{name}-pending"
    kms.create_alias(AliasName=alias, TargetKeyId=one.id)
    kms.schedule_key_deletion(KeyId=one.id, PendingWindowInDays=7)
    metadata = kms.describe_key(KeyId=one.id)["KeyMetadata"]
    assert (metadata["KeyState"], metadata["Enabled"]) == ("PendingDeletion", False)
    pending = rf"^{one.arn} is pending deletion\.$"
    for operation, work in one.requests.items():
        with refused("KMSInvalidStateException", pending, status=400):
            work()
            pytest.fail(operation)
    everywhere_allowed(kms, one, name)
    for work in (
        lambda: kms.enable_key(KeyId=one.id),
        lambda: kms.disable_key(KeyId=one.id),
        lambda: kms.create_alias(AliasName=f"{alias}-2", TargetKeyId=one.id),
        lambda: kms.update_alias(AliasName=alias, TargetKeyId=one.id),
        lambda: kms.tag_resource(KeyId=one.id, Tags=[{"TagKey": "a", "TagValue": "b"}]),
        lambda: kms.untag_resource(KeyId=one.id, TagKeys=["a"]),
        lambda: kms.update_key_description(KeyId=one.id, Description="x"),
        lambda: kms.schedule_key_deletion(KeyId=one.id),
    ):
        with refused("KMSInvalidStateException", pending):
            work()
    # Only the new target of an alias is looked at.
    other = Prepared(kms, **{name: one.key[name] for name in ("KeySpec", "KeyUsage")})
    kms.update_alias(AliasName=alias, TargetKeyId=other.id)
    kms.delete_alias(AliasName=alias)
    # Asked back, it is disabled until someone enables it.
    assert kms.cancel_key_deletion(KeyId=one.id)["KeyId"] == one.arn
    metadata = kms.describe_key(KeyId=one.id)["KeyMetadata"]
    assert metadata["KeyState"] == "Disabled" and "DeletionDate" not in metadata
    for work in one.requests.values():
        with refused("DisabledException"):
            work()
    kms.enable_key(KeyId=one.id)
    for work in one.requests.values():
        work()


def test_the_window_is_7_to_30_days(kms, new_key):
    made = new_key()["KeyId"]
    for days in (1, 6, 31, 365):
        with refused("ValidationException"):
            kms.schedule_key_deletion(KeyId=made, PendingWindowInDays=days)
    assert kms.describe_key(KeyId=made)["KeyMetadata"]["KeyState"] == "Enabled"
    answer = kms.schedule_key_deletion(KeyId=made)
    assert answer["PendingWindowInDays"] == 30 and answer["KeyState"] == "PendingDeletion"
    assert answer["KeyId"].endswith(made)
    waits = answer["DeletionDate"] - datetime.datetime.now(datetime.timezone.utc)
    assert datetime.timedelta(days=30, minutes=-5) < waits <= datetime.timedelta(days=30, minutes=5)
    assert kms.describe_key(KeyId=made)["KeyMetadata"]["DeletionDate"] == answer["DeletionDate"]


def test_at_the_end_of_its_window_a_key_is_gone_with_everything_it_had(timed):
    kms = timed.client("kms")
    doomed = kms.create_key(Tags=[{"TagKey": "a", "TagValue": "b"}])["KeyMetadata"]
    kept = kms.create_key()["KeyMetadata"]
    kms.create_alias(AliasName="alias/doomed", TargetKeyId=doomed["KeyId"])
    blob = kms.encrypt(KeyId=doomed["KeyId"], Plaintext=b"x")["CiphertextBlob"]
    kms.schedule_key_deletion(KeyId=doomed["KeyId"], PendingWindowInDays=7)
    kms.schedule_key_deletion(KeyId=kept["KeyId"], PendingWindowInDays=8)

    timed.advance(7 * DAY - 60)
    assert kms.describe_key(KeyId=doomed["KeyId"])["KeyMetadata"]["KeyState"] == "PendingDeletion"
    timed.advance(120)
    with refused("NotFoundException", f"^Key '{doomed['Arn']}' does not exist"):
        kms.describe_key(KeyId=doomed["KeyId"])
    with refused("NotFoundException"):
        kms.describe_key(KeyId="alias/doomed")
    with refused("AccessDeniedException"):
        kms.decrypt(CiphertextBlob=blob)
    with refused("NotFoundException"):
        kms.cancel_key_deletion(KeyId=doomed["KeyId"])
    assert [key["KeyId"] for key in kms.list_keys()["Keys"]] == [kept["KeyId"]]
    assert not [alias for alias in kms.list_aliases()["Aliases"] if "TargetKeyId" in alias]
    kms.cancel_key_deletion(KeyId=kept["KeyId"])
    timed.advance(30 * DAY)
    assert kms.describe_key(KeyId=kept["KeyId"])["KeyMetadata"]["KeyState"] == "Disabled"


def test_enabling_an_enabled_key_changes_nothing(kms, new_key):
    made = new_key()["KeyId"]
    kms.enable_key(KeyId=made)
    kms.disable_key(KeyId=made)
    kms.disable_key(KeyId=made)
    assert kms.describe_key(KeyId=made)["KeyMetadata"]["KeyState"] == "Disabled"


def test_the_state_is_looked_at_before_the_usage(kms, new_key):
    made = new_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyId"]
    kms.disable_key(KeyId=made)
    with refused("DisabledException"):
        kms.sign(
            KeyId=made,
            Message=hashlib.sha256(b"x").digest(),
            MessageType="DIGEST",
            SigningAlgorithm="ECDSA_SHA_256",
        )
