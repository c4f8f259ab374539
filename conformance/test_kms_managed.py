"""AWS managed keys, as a client meets them."""

import json

import pytest

from refusals import refused


def test_first_described_then_used(kms):
    before = {one["AliasName"]: one for one in kms.list_aliases()["Aliases"]}
    assert "TargetKeyId" not in before["alias/aws/sqs"]
    with refused("NotFoundException"):
        kms.encrypt(KeyId="alias/aws/sqs", Plaintext=b"early")
    key = kms.describe_key(KeyId="alias/aws/sqs")["KeyMetadata"]
    assert key["KeyManager"] == "AWS" and key["KeyState"] == "Enabled"
    assert kms.describe_key(KeyId="alias/aws/sqs")["KeyMetadata"] == key
    after = {one["AliasName"]: one for one in kms.list_aliases()["Aliases"]}
    assert after["alias/aws/sqs"]["TargetKeyId"] == key["KeyId"]
    assert kms.get_key_rotation_status(KeyId=key["KeyId"])["RotationPeriodInDays"] == 365
    statement = json.loads(kms.get_key_policy(KeyId=key["KeyId"])["Policy"])["Statement"][0]
    assert statement["Condition"]["StringEquals"]["kms:ViaService"].startswith("sqs.")


@pytest.mark.parametrize(
    "operation, more",
    [
        ("disable_key", {}),
        ("schedule_key_deletion", {}),
        ("disable_key_rotation", {}),
        ("rotate_key_on_demand", {}),
        ("tag_resource", {"Tags": [{"TagKey": "a", "TagValue": "b"}]}),
        ("put_key_policy", {"Policy": '{"Version": "2012-10-17", "Statement": []}'}),
        ("encrypt", {"Plaintext": b"directly"}),
    ],
)
def test_nobody_manages_it(kms, operation, more):
    key = kms.describe_key(KeyId="alias/aws/ssm")["KeyMetadata"]["KeyId"]
    with refused(("AccessDeniedException", "MalformedPolicyDocumentException"), "no resource-based policy allows|Statement|policy"):
        getattr(kms, operation)(KeyId=key, **more)
