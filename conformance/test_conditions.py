"""Condition keys, end to end: what KMS and IAM say of a request, and what operators make of it."""

import pytest

from policies import allow, deny
from refusals import refused
from server import ACCOUNT, REGION


@pytest.fixture
def user(new_user):
    return new_user()


def encrypting(user, key, **context):
    return user.client("kms").encrypt(KeyId=key["KeyId"], Plaintext=b"x", EncryptionContext=context)


def denied():
    return refused("AccessDeniedException", "because no identity-based policy allows")


def test_the_encryption_context_by_name(user, key):
    user.may(allow("kms:Encrypt", Condition={"StringEquals": {"kms:EncryptionContext:Dept": ["red", "blue"]}}))
    encrypting(user, key, Dept="red")
    encrypting(user, key, Dept="blue", Other="x")
    for wrong in ({}, {"Dept": "Red"}, {"Other": "red"}):
        with denied():
            encrypting(user, key, **wrong)


def test_the_names_of_the_encryption_context(user, key):
    only = {
        "ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["a", "b"]},
        "Null": {"kms:EncryptionContextKeys": "false"},
    }
    user.may(allow("kms:Encrypt", Condition=only))
    encrypting(user, key, a="1")
    encrypting(user, key, a="1", b="2")
    with denied():
        encrypting(user, key, a="1", c="3")
    with denied():
        encrypting(user, key)


def test_for_all_values_is_true_of_nothing(user, key):
    user.may(
        allow("kms:Encrypt", Condition={"ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["a"]}})
    )
    encrypting(user, key)  # AWS's own trap, kept
    with denied():
        encrypting(user, key, b="1")


def test_for_any_value(user, key):
    user.may(
        allow("kms:Encrypt", Condition={"ForAnyValue:StringLike": {"kms:EncryptionContextKeys": ["aws:*", "app"]}})
    )
    encrypting(user, key, app="1", other="2")
    with denied():
        encrypting(user, key, other="2")
    with denied():
        encrypting(user, key)


def test_null(user, key):
    user.may(allow("kms:Encrypt", Condition={"Null": {"kms:EncryptionContext:tenant": "true"}}))
    encrypting(user, key)
    with denied():
        encrypting(user, key, tenant="a")


def test_a_variable_in_a_value(user, key):
    user.may(
        allow("kms:Encrypt", Condition={"StringEquals": {"kms:EncryptionContext:owner": "${aws:username}"}})
    )
    encrypting(user, key, owner=user.name)
    with denied():
        encrypting(user, key, owner="somebody")
    # A value with a star in it is a star, not a wildcard.
    user.may(allow("kms:Encrypt", Condition={"StringEquals": {"kms:EncryptionContext:owner": "*"}}))
    encrypting(user, key, owner="*")
    with denied():
        encrypting(user, key, owner="x")


def test_the_alias_of_this_request(user, kms, key, name):
    alias = f"alias/{name}"
    kms.create_alias(AliasName=alias, TargetKeyId=key["KeyId"])
    user.may(allow("kms:Encrypt", Condition={"StringEquals": {"kms:RequestAlias": alias}}))
    user.client("kms").encrypt(KeyId=alias, Plaintext=b"x")
    user.client("kms").encrypt(KeyId=f"arn:aws:kms:{REGION}:{ACCOUNT}:{alias}", Plaintext=b"x")
    with denied():
        user.client("kms").encrypt(KeyId=key["KeyId"], Plaintext=b"x")


def test_any_alias_of_the_key(user, kms, new_key, name):
    made = new_key()
    kms.create_alias(AliasName=f"alias/app/{name}", TargetKeyId=made["KeyId"])
    user.may(allow("kms:Encrypt", Condition={"ForAnyValue:StringLike": {"kms:ResourceAliases": "alias/app/*"}}))
    encrypting(user, made)
    kms.delete_alias(AliasName=f"alias/app/{name}")
    with denied():
        encrypting(user, made)


def test_the_tags_of_the_key(user, kms, new_key):
    made = new_key(Tags=[{"TagKey": "Team", "TagValue": "red"}])
    user.may(allow("kms:Encrypt", Condition={"StringEquals": {"aws:ResourceTag/Team": "red"}}))
    encrypting(user, made)
    kms.tag_resource(KeyId=made["KeyId"], Tags=[{"TagKey": "Team", "TagValue": "blue"}])
    with denied():
        encrypting(user, made)


def test_the_tag_of_the_caller(user, iam, new_key):
    made = new_key(Tags=[{"TagKey": "Team", "TagValue": "red"}])
    user.may(
        allow("kms:Encrypt", Condition={"StringEquals": {"aws:ResourceTag/Team": "${aws:PrincipalTag/Team}"}})
    )
    with denied():
        encrypting(user, made)
    iam.tag_user(UserName=user.name, Tags=[{"Key": "Team", "Value": "red"}])
    encrypting(user, made)
    iam.tag_user(UserName=user.name, Tags=[{"Key": "Team", "Value": "blue"}])
    with denied():
        encrypting(user, made)


def test_the_tags_of_the_request(user, new_key):
    user.may(
        allow("kms:CreateKey"),
        allow(
            "kms:TagResource",
            Condition={
                "StringEquals": {"aws:RequestTag/Team": "red"},
                "ForAllValues:StringEquals": {"aws:TagKeys": ["Team"]},
            },
        ),
    )
    user.client("kms").create_key(Tags=[{"TagKey": "Team", "TagValue": "red"}])
    with denied():
        user.client("kms").create_key(Tags=[{"TagKey": "Team", "TagValue": "blue"}])
    with denied():
        user.client("kms").create_key(
            Tags=[{"TagKey": "Team", "TagValue": "red"}, {"TagKey": "Other", "TagValue": "x"}]
        )


def test_the_spec_and_usage_of_a_new_key(user):
    user.may(
        allow("kms:CreateKey", Condition={"StringEquals": {"kms:KeySpec": "ECC_NIST_P256", "kms:KeyUsage": "SIGN_VERIFY"}})
    )
    user.client("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
    with denied():
        user.client("kms").create_key()


def test_the_algorithm(user, new_key):
    made = new_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")["KeyId"]
    user.may(allow("kms:Sign", Condition={"StringLike": {"kms:SigningAlgorithm": "RSASSA_PSS_*"}}))
    user.client("kms").sign(KeyId=made, Message=b"x", SigningAlgorithm="RSASSA_PSS_SHA_512")
    with denied():
        user.client("kms").sign(KeyId=made, Message=b"x", SigningAlgorithm="RSASSA_PKCS1_V1_5_SHA_256")


def test_the_waiting_period(user, new_key):
    user.may(
        allow("kms:ScheduleKeyDeletion"),
        deny(
            "kms:ScheduleKeyDeletion",
            Condition={"NumericLessThan": {"kms:ScheduleKeyDeletionPendingWindowInDays": "30"}},
        ),
    )
    made = new_key()["KeyId"]
    with refused("AccessDeniedException", "explicit deny"):
        user.client("kms").schedule_key_deletion(KeyId=made, PendingWindowInDays=7)
    user.client("kms").schedule_key_deletion(KeyId=made, PendingWindowInDays=30)


@pytest.mark.parametrize(
    "condition,allowed",
    [
        ({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, True),
        ({"NotIpAddress": {"aws:SourceIp": "127.0.0.1"}}, False),
        ({"StringEquals": {"aws:RequestedRegion": REGION}}, True),
        ({"StringEquals": {"aws:RequestedRegion": "eu-west-1"}}, False),
        ({"Bool": {"aws:SecureTransport": "false"}}, True),
        ({"Bool": {"aws:SecureTransport": "true"}}, False),
        ({"Bool": {"aws:ViaAWSService": "false", "aws:PrincipalIsAWSService": "false"}}, True),
        ({"Bool": {"aws:ViaAWSService": "true"}}, False),
        ({"Bool": {"aws:PrincipalIsAWSService": "true"}}, False),
        ({"Null": {"aws:CalledVia": "true", "aws:CalledViaFirst": "true", "aws:CalledViaLast": "true"}}, True),
        ({"Null": {"aws:SourceArn": "true", "aws:SourceAccount": "true", "aws:SourceOrgID": "true"}}, True),
        ({"Null": {"aws:SourceArn": "false"}}, False),
        ({"Null": {"aws:PrincipalOrgID": "true", "aws:ResourceOrgID": "true", "aws:SourceOrgPaths": "true"}}, True),
        ({"StringEquals": {"aws:PrincipalOrgID": "o-0123456789"}}, False),
        ({"Null": {"aws:TokenIssueTime": "true", "aws:Referer": "true"}}, True),
        ({"Null": {"aws:TokenIssueTime": "false"}}, False),
        ({"StringLike": {"aws:userid": "AIDA*", "aws:username": "user-*"}}, True),
        ({"StringLike": {"aws:userid": "AROA*"}}, False),
        ({"StringLike": {"aws:username": "role-*"}}, False),
        ({"StringEquals": {"aws:PrincipalAccount": ACCOUNT}}, True),
        ({"StringEquals": {"aws:PrincipalType": "User"}}, True),
        ({"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:user/user-*"}}, True),
        ({"StringEquals": {"kms:CallerAccount": ACCOUNT}}, True),
        ({"StringEquals": {"aws:ResourceAccount": ACCOUNT}}, True),
        ({"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, True),
        ({"DateLessThan": {"aws:EpochTime": "1577836800"}}, False),
        ({"StringEquals": {"KMS:CALLERACCOUNT": ACCOUNT}}, True),
        ({"StringLike": {"aws:UserAgent": "*Boto3*"}}, True),
        # No key: positive operators are false, negated ones true, IfExists true.
        ({"StringEquals": {"aws:SourceVpce": "vpce-1"}}, False),
        ({"StringNotEquals": {"aws:SourceVpce": "vpce-1"}}, True),
        ({"StringEqualsIfExists": {"aws:SourceVpce": "vpce-1"}}, True),
        ({"Bool": {"aws:MultiFactorAuthPresent": "false"}}, False),
        ({"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}, True),
        ({"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}}, False),
    ],
)
def test_global_keys(user, key, condition, allowed):
    user.may(allow("kms:Encrypt", Condition=condition))
    if allowed:
        encrypting(user, key)
    else:
        with denied():
            encrypting(user, key)


@pytest.mark.parametrize(
    "action,allowed",
    [("KMS:encrypt", True), ("kms:Enc*", True), ("kms:?ncrypt", True), ("kms:Decrypt", False), ("s3:*", False), ("*", True)],
)
def test_actions_ignore_case_and_have_wildcards(user, key, action, allowed):
    user.may(allow(action))
    if allowed:
        encrypting(user, key)
    else:
        with denied():
            encrypting(user, key)


@pytest.mark.parametrize(
    "resource,allowed",
    [
        ("arn:aws:kms:*:*:key/*", True),
        ("arn:aws:kms:us-east-1:111122223333:key/*", True),
        ("arn:aws:kms:eu-west-1:*:key/*", False),
        ("arn:aws:kms:*:444455556666:key/*", False),
        ("arn:aws:kms:*:*:alias/*", False),
        ("arn:aws:s3:::*", False),
        ("arn:aws:kms:us-east-1:111122223333:KEY/*", False),
    ],
)
def test_resources_are_matched_segment_by_segment(user, key, resource, allowed):
    user.may(allow("kms:Encrypt", resource))
    if allowed:
        encrypting(user, key)
    else:
        with denied():
            encrypting(user, key)


def test_not_action_and_not_resource(user, key, new_key):
    user.may({"Effect": "Allow", "NotAction": "kms:Decrypt", "Resource": "*"})
    blob = encrypting(user, key)["CiphertextBlob"]
    with denied():
        user.client("kms").decrypt(CiphertextBlob=blob)
    user.may({"Effect": "Allow", "Action": "kms:*", "NotResource": key["Arn"]})
    encrypting(user, new_key())
    with denied():
        encrypting(user, key)


def test_where_the_request_was_linked_from(user, key):
    user.may(allow("kms:Encrypt", Condition={"StringLike": {"aws:Referer": "https://app.example/*"}}))
    client = user.client("kms")
    with denied():
        client.encrypt(KeyId=key["KeyId"], Plaintext=b"x")
    linked = {}

    def link(request, **_):
        request.headers["Referer"] = linked["from"]

    client.meta.events.register("before-sign.kms", link)
    linked["from"] = "https://app.example/page"
    client.encrypt(KeyId=key["KeyId"], Plaintext=b"x")
    linked["from"] = "https://other.example/page"
    with denied():
        client.encrypt(KeyId=key["KeyId"], Plaintext=b"x")


def test_when_a_token_was_issued(palisade, new_user, key):
    person = new_user(allow("kms:Encrypt", Condition={"DateGreaterThan": {"aws:TokenIssueTime": "2020-01-01T00:00:00Z"}}))
    with denied():  # long-term credentials have no such time
        person.client("kms").encrypt(KeyId=key["KeyId"], Plaintext=b"x")
    token = person.client("sts").get_session_token()["Credentials"]
    palisade.client("kms", token).encrypt(KeyId=key["KeyId"], Plaintext=b"x")
    person.may(allow("kms:Encrypt", Condition={"DateLessThan": {"aws:TokenIssueTime": "2020-01-01T00:00:00Z"}}))
    with denied():
        palisade.client("kms", token).encrypt(KeyId=key["KeyId"], Plaintext=b"x")
