"""Grants, as boto3 makes and ends them."""

import pytest

from policies import allow
from refusals import refused


@pytest.fixture
def grantee(new_user):
    return new_user()


def test_a_grant_opens_and_closes_a_key(kms, new_key, grantee):
    key = new_key()["KeyId"]
    theirs = grantee.client("kms")
    with refused("AccessDeniedException"):
        theirs.encrypt(KeyId=key, Plaintext=b"x")
    made = kms.create_grant(
        KeyId=key,
        GranteePrincipal=grantee.arn,
        Operations=["Encrypt", "Decrypt", "DescribeKey"],
        Constraints={"EncryptionContextSubset": {"team": "a"}},
        Name="for-tests",
    )
    again = kms.create_grant(
        KeyId=key,
        GranteePrincipal=grantee.arn,
        Operations=["Decrypt", "DescribeKey", "Encrypt"],
        Constraints={"EncryptionContextSubset": {"team": "a"}},
        Name="for-tests",
    )
    assert again["GrantId"] == made["GrantId"]
    context = {"team": "a", "more": "b"}
    blob = theirs.encrypt(
        KeyId=key, Plaintext=b"x", EncryptionContext=context, GrantTokens=[made["GrantToken"]]
    )["CiphertextBlob"]
    assert theirs.decrypt(CiphertextBlob=blob, EncryptionContext=context)["Plaintext"] == b"x"
    with refused("AccessDeniedException"):
        theirs.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext={"team": "b"})
    with refused("InvalidGrantTokenException"):
        theirs.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext=context, GrantTokens=["bm8="])
    (listed,) = kms.list_grants(KeyId=key)["Grants"]
    assert listed["GranteePrincipal"] == grantee.arn
    assert listed["Operations"] == ["Decrypt", "DescribeKey", "Encrypt"]
    with refused("AccessDeniedException"):
        theirs.retire_grant(GrantToken=made["GrantToken"])
    kms.revoke_grant(KeyId=key, GrantId=made["GrantId"])
    with refused("AccessDeniedException"):
        theirs.decrypt(CiphertextBlob=blob, EncryptionContext=context)


def test_pages_and_retiring(kms, new_key, grantee, new_user):
    retirer = new_user()
    key = new_key()["Arn"]
    made = {
        kms.create_grant(
            KeyId=key, GranteePrincipal=grantee.arn, RetiringPrincipal=retirer.arn, Operations=["Encrypt"]
        )["GrantId"]
        for _ in range(5)
    }
    pages = kms.get_paginator("list_grants").paginate(KeyId=key, PaginationConfig={"PageSize": 2})
    assert {grant["GrantId"] for page in pages for grant in page["Grants"]} == made
    pages = kms.get_paginator("list_retirable_grants").paginate(
        RetiringPrincipal=retirer.arn, PaginationConfig={"PageSize": 2}
    )
    assert {grant["GrantId"] for page in pages for grant in page["Grants"]} == made
    for grant in made:
        retirer.client("kms").retire_grant(KeyId=key, GrantId=grant)
    assert kms.list_grants(KeyId=key)["Grants"] == []


def test_a_recreated_user_has_no_grant(kms, iam, new_key, grantee, palisade):
    key = new_key()["KeyId"]
    kms.create_grant(KeyId=key, GranteePrincipal=grantee.arn, Operations=["Encrypt"])
    grantee.client("kms").encrypt(KeyId=key, Plaintext=b"x")
    iam.delete_access_key(UserName=grantee.name, AccessKeyId=grantee.credentials["AccessKeyId"])
    iam.delete_user(UserName=grantee.name)
    iam.create_user(UserName=grantee.name)
    fresh = palisade.client("kms", iam.create_access_key(UserName=grantee.name)["AccessKey"])
    with refused("AccessDeniedException"):
        fresh.encrypt(KeyId=key, Plaintext=b"x")


def test_a_role_session_and_its_role(kms, new_key, new_role, new_user, palisade):
    role = new_role()
    caller = new_user(allow("sts:AssumeRole"))
    key = new_key()["KeyId"]
    session = caller.client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="one")
    theirs = palisade.client("kms", session["Credentials"])
    with refused("AccessDeniedException"):
        theirs.encrypt(KeyId=key, Plaintext=b"x")
    other = session["AssumedRoleUser"]["Arn"].replace("/one", "/two")
    kms.create_grant(KeyId=key, GranteePrincipal=other, Operations=["Encrypt"])
    with refused("AccessDeniedException"):
        theirs.encrypt(KeyId=key, Plaintext=b"x")
    kms.create_grant(KeyId=key, GranteePrincipal=session["AssumedRoleUser"]["Arn"], Operations=["Encrypt"])
    theirs.encrypt(KeyId=key, Plaintext=b"x")
    kms.create_grant(KeyId=key, GranteePrincipal=role["Arn"], Operations=["DescribeKey"])
    theirs.describe_key(KeyId=key)
