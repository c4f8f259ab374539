"""Managed policies: versions, attachments, grammar and sizes."""

import json

import pytest

from policies import allow, document
from refusals import refused
from server import ACCOUNT

READ = document(allow("kms:DescribeKey"))
WRITE = document(allow("kms:Encrypt"))


@pytest.fixture
def policy(iam, name):
    return iam.create_policy(PolicyName=name, PolicyDocument=READ, Path="/p/", Description="d")["Policy"]


def test_a_policy_is_what_was_asked_for(iam, policy, name):
    assert policy["Arn"] == f"arn:aws:iam::{ACCOUNT}:policy/p/{name}"
    assert policy["PolicyId"].startswith("ANPA")
    assert (policy["DefaultVersionId"], policy["AttachmentCount"], policy["IsAttachable"]) == ("v1", 0, True)
    assert policy["PermissionsBoundaryUsageCount"] == 0
    told = iam.get_policy(PolicyArn=policy["Arn"])["Policy"]
    assert told["Description"] == "d" and told["CreateDate"] == policy["CreateDate"]
    version = iam.get_policy_version(PolicyArn=policy["Arn"], VersionId="v1")["PolicyVersion"]
    assert version["Document"] == json.loads(READ) and version["IsDefaultVersion"] is True
    with refused("EntityAlreadyExists", f"^A policy called {name} already exists. Duplicate names are not allowed.$"):
        iam.create_policy(PolicyName=name, PolicyDocument=READ)


def test_versions_change_what_is_allowed(iam, key, new_user, policy):
    arn = policy["Arn"]
    user = new_user()
    iam.attach_user_policy(UserName=user.name, PolicyArn=arn)
    user.client("kms").describe_key(KeyId=key["KeyId"])
    made = iam.create_policy_version(PolicyArn=arn, PolicyDocument=WRITE)["PolicyVersion"]
    assert (made["VersionId"], made["IsDefaultVersion"]) == ("v2", False)
    with refused("AccessDeniedException"):
        user.client("kms").encrypt(KeyId=key["KeyId"], Plaintext=b"x")
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v2")
    user.client("kms").encrypt(KeyId=key["KeyId"], Plaintext=b"x")
    with refused("AccessDeniedException"):
        user.client("kms").describe_key(KeyId=key["KeyId"])
    with refused("DeleteConflict", status=409):
        iam.delete_policy_version(PolicyArn=arn, VersionId="v2")
    iam.delete_policy_version(PolicyArn=arn, VersionId="v1")
    third = iam.create_policy_version(PolicyArn=arn, PolicyDocument=READ, SetAsDefault=True)["PolicyVersion"]
    assert (third["VersionId"], third["IsDefaultVersion"]) == ("v3", True)
    iam.delete_policy_version(PolicyArn=arn, VersionId="v2")
    # Numbers are never used again.
    assert iam.create_policy_version(PolicyArn=arn, PolicyDocument=READ)["PolicyVersion"]["VersionId"] == "v4"
    versions = iam.list_policy_versions(PolicyArn=arn)["Versions"]
    assert sorted(version["VersionId"] for version in versions) == ["v3", "v4"]
    with refused("NoSuchEntity"):
        iam.get_policy_version(PolicyArn=arn, VersionId="v1")


def test_a_policy_has_five_versions_at_most(iam, policy):
    for _ in range(4):
        iam.create_policy_version(PolicyArn=policy["Arn"], PolicyDocument=READ)
    with refused("LimitExceeded", "^A managed policy can have up to 5 versions", status=409):
        iam.create_policy_version(PolicyArn=policy["Arn"], PolicyDocument=READ)
    with refused("DeleteConflict"):
        iam.delete_policy(PolicyArn=policy["Arn"])


def test_attachments_are_counted_listed_and_protect(iam, policy, name, new_role):
    arn = policy["Arn"]
    iam.create_user(UserName=name)
    iam.create_group(GroupName=name)
    role = new_role()["RoleName"]
    iam.attach_user_policy(UserName=name, PolicyArn=arn)
    iam.attach_user_policy(UserName=name, PolicyArn=arn)
    iam.attach_group_policy(GroupName=name, PolicyArn=arn)
    iam.attach_role_policy(RoleName=role, PolicyArn=arn)
    assert iam.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == 3
    attached = [{"PolicyName": policy["PolicyName"], "PolicyArn": arn}]
    assert iam.list_attached_user_policies(UserName=name)["AttachedPolicies"] == attached
    assert iam.list_attached_group_policies(GroupName=name)["AttachedPolicies"] == attached
    assert iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"] == attached
    holders = iam.list_entities_for_policy(PolicyArn=arn)
    assert [one["UserName"] for one in holders["PolicyUsers"]] == [name]
    assert [one["GroupName"] for one in holders["PolicyGroups"]] == [name]
    assert [one["RoleName"] for one in holders["PolicyRoles"]] == [role]
    with refused("DeleteConflict", "^Cannot delete a policy attached to entities.$", status=409):
        iam.delete_policy(PolicyArn=arn)
    iam.detach_user_policy(UserName=name, PolicyArn=arn)
    iam.detach_group_policy(GroupName=name, PolicyArn=arn)
    iam.detach_role_policy(RoleName=role, PolicyArn=arn)
    with refused("NoSuchEntity", status=404):
        iam.detach_role_policy(RoleName=role, PolicyArn=arn)
    iam.delete_policy(PolicyArn=arn)
    with refused("NoSuchEntity", "was not found", status=404):
        iam.get_policy(PolicyArn=arn)


def test_what_is_not_there_is_not_attached(iam, name):
    iam.create_user(UserName=name)
    with refused("NoSuchEntity", "does not exist or is not attachable", status=404):
        iam.attach_user_policy(UserName=name, PolicyArn=f"arn:aws:iam::{ACCOUNT}:policy/nothing")
    for arn in ("nonsense-that-is-long-enough", f"arn:aws:iam::{ACCOUNT}:user/x"):
        with refused(("ValidationError", "InvalidInput", "NoSuchEntity")):
            iam.attach_user_policy(UserName=name, PolicyArn=arn)


def test_ten_policies_are_attached_at_most(iam, name):
    iam.create_user(UserName=name)
    for number in range(11):
        arn = iam.create_policy(PolicyName=f"{name}-{number}", PolicyDocument=READ)["Policy"]["Arn"]
        if number < 10:
            iam.attach_user_policy(UserName=name, PolicyArn=arn)
    with refused("LimitExceeded", "PoliciesPerUser: 10", status=409):
        iam.attach_user_policy(UserName=name, PolicyArn=arn)


def test_policies_of_aws_work(iam, key, new_user):
    user = new_user()
    iam.attach_user_policy(UserName=user.name, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    user.client("kms").encrypt(KeyId=key["KeyId"], Plaintext=b"x")
    user.client("iam").list_users(MaxItems=1)
    told = iam.get_policy(PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")["Policy"]
    assert told["PolicyName"] == "AdministratorAccess"
    listed = iam.list_policies(Scope="AWS", MaxItems=1000)["Policies"]
    assert "AdministratorAccess" in [one["PolicyName"] for one in listed]
    local = iam.get_paginator("list_policies").paginate(Scope="Local", PathPrefix="/p/")
    assert all(one["Path"].startswith("/p/") for page in local for one in page["Policies"])


@pytest.mark.parametrize(
    "text,message",
    [
        ("{", None),
        ("nonsense", None),
        ('{"Version":"2012-10-17","Statement":[]}', None),
        ('{"Version":"2013-01-01","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}', None),
        ('{"Version":"2012-10-17","Statement":{"Effect":"allow","Action":"s3:*","Resource":"*"}}', "legacy parsing"),
        ('{"Version":"2012-10-17","Statement":{"Effect":"Allow","Resource":"*"}}', None),
        ('{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*"}}', None),
        ('{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3","Resource":"*"}}', None),
        ('{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"bucket"}}', None),
        (
            '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*","Principal":"*"}}',
            r"^Policy document should not specify a principal\.$",
        ),
        (
            '{"Version":"2012-10-17","Statement":[{"Sid":"a","Effect":"Allow","Action":"s3:*","Resource":"*"},'
            '{"Sid":"a","Effect":"Allow","Action":"s3:*","Resource":"*"}]}',
            None,
        ),
        (
            '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*",'
            '"Condition":{"StringSortOf":{"aws:username":"x"}}}}',
            None,
        ),
        ('{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","NotAction":"s3:*","Resource":"*"}}', None),
        ('{"Version":"2012-10-17","Surprise":1,"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}', None),
    ],
)
def test_what_is_no_policy_is_malformed(iam, name, text, message):
    with refused("MalformedPolicyDocument", message, status=400):
        iam.create_policy(PolicyName=name, PolicyDocument=text)


def test_actions_nobody_knows_are_kept(iam, name):
    text = document(allow(["apigatway:PUT", "s3:NoSuchThing"], Condition={"StringEquals": {"my:Key": "x"}}))
    arn = iam.create_policy(PolicyName=name, PolicyDocument=text)["Policy"]["Arn"]
    version = iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]
    assert version["Document"] == json.loads(text)


def test_a_managed_policy_has_6144_characters_without_white_space(iam, name):
    empty = len(document(allow("s3:*", "arn:aws:s3:::")).replace(" ", ""))

    def of_size(size):
        return document(allow("s3:*", "arn:aws:s3:::" + "b" * (size - empty)))

    iam.create_policy(PolicyName=name, PolicyDocument=of_size(6144) + " \n\t" * 1000)
    with refused("LimitExceeded", "^Cannot exceed quota for PolicySize: 6144$", status=409):
        iam.create_policy(PolicyName=f"{name}-2", PolicyDocument=of_size(6145))


def test_tags_of_policies(iam, policy):
    iam.tag_policy(PolicyArn=policy["Arn"], Tags=[{"Key": "a", "Value": "1"}, {"Key": "A", "Value": "2"}])
    assert len(iam.list_policy_tags(PolicyArn=policy["Arn"])["Tags"]) == 2
    iam.untag_policy(PolicyArn=policy["Arn"], TagKeys=["a"])
    assert iam.get_policy(PolicyArn=policy["Arn"])["Policy"]["Tags"] == [{"Key": "A", "Value": "2"}]
