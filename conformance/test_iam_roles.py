"""Roles: trust policies, lives and deletion."""

import json

import pytest

from policies import allow, document, trusting
from refusals import refused
from server import ACCOUNT, OTHER_ACCOUNT, UNCHECKED

TRUST = document(trusting(f"arn:aws:iam::{ACCOUNT}:root"))


def test_a_role_lives(iam, name):
    made = iam.create_role(
        RoleName=name, Path="/r/", AssumeRolePolicyDocument=TRUST, Description="d", MaxSessionDuration=7200,
        Tags=[{"Key": "a", "Value": "b"}],
    )["Role"]
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:role/r/{name}"
    assert made["RoleId"].startswith("AROA") and len(made["RoleId"]) == 21
    assert made["AssumeRolePolicyDocument"] == json.loads(TRUST)
    told = iam.get_role(RoleName=name)["Role"]
    assert (told["MaxSessionDuration"], told["Description"]) == (7200, "d")
    assert told["Tags"] == [{"Key": "a", "Value": "b"}]
    iam.update_role(RoleName=name, MaxSessionDuration=3600)
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=document(trusting(OTHER_ACCOUNT)))
    told = iam.get_role(RoleName=name)["Role"]
    assert told["MaxSessionDuration"] == 3600
    assert "Allow" in json.dumps(told["AssumeRolePolicyDocument"])
    listed = [one for one in iam.list_roles(PathPrefix="/r/")["Roles"] if one["RoleName"] == name]
    assert len(listed) == 1 and "Tags" not in listed[0] and listed[0]["MaxSessionDuration"] == 3600
    assert iam.list_instance_profiles_for_role(RoleName=name)["InstanceProfiles"] == []
    iam.delete_role(RoleName=name)
    with refused("NoSuchEntity", f"^The role with name {name} cannot be found\\.$", status=404):
        iam.get_role(RoleName=name)


def test_a_role_nobody_used_says_so(iam, name):
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
    assert iam.get_role(RoleName=name)["Role"]["RoleLastUsed"] == {}


def test_names_are_unique_whatever_the_path(iam, name):
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
    with refused("EntityAlreadyExists", f"^Role with name {name} already exists\\.$", status=409):
        iam.create_role(RoleName=name, Path="/elsewhere/", AssumeRolePolicyDocument=TRUST)


def test_what_must_go_before_a_role(iam, name):
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=document(allow("s3:*")))
    iam.attach_role_policy(RoleName=name, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    with refused("DeleteConflict", "^Cannot delete entity, must ", status=409):
        iam.delete_role(RoleName=name)
    iam.delete_role_policy(RoleName=name, PolicyName="p")
    with refused("DeleteConflict", r"^Cannot delete entity, must detach all policies first\.$"):
        iam.delete_role(RoleName=name)
    iam.detach_role_policy(RoleName=name, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    iam.delete_role(RoleName=name)


@pytest.mark.parametrize(
    "arn",
    [
        f"arn:aws:iam::{ACCOUNT}:user/nobody-of-that-name",
        f"arn:aws:iam::{ACCOUNT}:role/nobody-of-that-name",
        f"arn:aws:iam::{ACCOUNT}:group/admins",
        "AROAQQQQQQQQQQQQQQQQQ",
    ],
)
def test_principals_of_a_trust_policy_must_exist(iam, name, arn):
    # Terraform retries on exactly these words.
    with refused("MalformedPolicyDocument", f'^Invalid principal in policy: "AWS":"{arn}"$', status=400):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trusting(arn)))


@pytest.mark.parametrize(
    "statement",
    [
        {"Effect": "Allow", "Action": "sts:AssumeRole"},
        {**trusting(ACCOUNT), "Resource": "*"},
        {**trusting(ACCOUNT), "Action": "s3:GetObject"},
        {"Effect": "Allow", "NotPrincipal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"},
    ],
)
def test_what_no_trust_policy_says(iam, name, statement):
    with refused("MalformedPolicyDocument", status=400):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(statement))


def test_services_may_be_trusted(iam, name):
    statement = {"Effect": "Allow", "Principal": {"Service": ["ec2.amazonaws.com", "lambda.amazonaws.com"]}, "Action": "sts:AssumeRole"}
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(statement))


def test_a_trust_policy_has_2048_characters(iam, name):
    long = document(trusting(ACCOUNT, Condition={"StringEquals": {"sts:ExternalId": "x" * 2000}}))
    with refused("LimitExceeded", "^Cannot exceed quota for ACLSizePerRole: 2048$", status=409):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=long)


def test_a_dead_principal_is_shown_by_its_id(iam, name):
    user = iam.create_user(UserName=name)["User"]
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trusting(user["Arn"])))
    iam.delete_user(UserName=name)
    shown = json.dumps(iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"])
    assert user["UserId"] in shown and user["Arn"] not in shown
    iam.create_user(UserName=name)
    shown = json.dumps(iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"])
    assert user["UserId"] in shown


@pytest.mark.parametrize("seconds", [3599, 43201])
def test_sessions_last_1_to_12_hours(palisade, name, seconds):
    iam = palisade.client("iam", config=UNCHECKED)
    with refused("ValidationError", "at 'maxSessionDuration' failed to satisfy constraint"):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST, MaxSessionDuration=seconds)


def test_tags_of_roles(iam, name):
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
    iam.tag_role(RoleName=name, Tags=[{"Key": "a", "Value": "1"}])
    assert iam.list_role_tags(RoleName=name)["Tags"] == [{"Key": "a", "Value": "1"}]
    iam.untag_role(RoleName=name, TagKeys=["a"])
    assert iam.list_role_tags(RoleName=name)["Tags"] == []
