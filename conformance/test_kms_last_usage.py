"""When a key was last used, and the policies that ask."""

import json

from refusals import refused

DAY = 24 * 3600


def test_last_use_is_told(kms, new_key):
    key = new_key()
    before = kms.get_key_last_usage(KeyId=key["KeyId"])
    assert before["KeyLastUsage"] == {}
    assert before["KeyId"] == key["KeyId"]
    assert before["KeyCreationDate"] == key["CreationDate"]
    made = kms.generate_data_key(KeyId=key["Arn"], KeySpec="AES_256")
    used = kms.get_key_last_usage(KeyId=key["Arn"])["KeyLastUsage"]
    assert used["Operation"] == "GenerateDataKey"
    assert used["KmsRequestId"] == made["ResponseMetadata"]["RequestId"]
    assert used["CloudTrailEventId"]


def test_aliases_are_not_taken(kms, new_key):
    with refused("InvalidArnException"):
        kms.get_key_last_usage(KeyId="alias/anything")


def test_keys_in_use_are_kept(timed):
    kms = timed.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    policy = json.loads(kms.get_key_policy(KeyId=key)["Policy"])
    policy["Statement"].append(
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": ["kms:DisableKey", "kms:ScheduleKeyDeletion"],
            "Resource": "*",
            "Condition": {"NumericLessThan": {"kms:TrailingDaysWithoutKeyUsage": "7"}},
        }
    )
    kms.put_key_policy(KeyId=key, Policy=json.dumps(policy))
    timed.advance(6 * DAY)
    kms.encrypt(KeyId=key, Plaintext=b"in use")
    timed.advance(6 * DAY)
    with refused("AccessDeniedException"):
        kms.disable_key(KeyId=key)
    timed.advance(DAY)
    kms.disable_key(KeyId=key)
