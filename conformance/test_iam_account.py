"""The account as a whole: instance profiles, alias, password policy, and what an audit reads."""

import json

import pytest

from policies import allow, document, trusting
from refusals import refused
from server import ACCOUNT, Server

TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)


@pytest.fixture
def alone(tmp_path):
    """A server of its own, for what an account has one of."""
    server = Server(tmp_path / "alone")
    yield server
    server.stop()


def test_an_instance_profile_lives(iam, name):
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
    made = iam.create_instance_profile(InstanceProfileName=name, Path="/p/", Tags=[{"Key": "a", "Value": "b"}])
    made = made["InstanceProfile"]
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:instance-profile/p/{name}"
    assert made["InstanceProfileId"].startswith("AIPA") and made["Roles"] == []
    iam.get_waiter("instance_profile_exists").wait(InstanceProfileName=name)
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    with refused("LimitExceeded", "^Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1$", status=409):
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    told = iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
    assert [role["RoleName"] for role in told["Roles"]] == [name]
    assert told["Tags"] == [{"Key": "a", "Value": "b"}]
    listed = iam.list_instance_profiles_for_role(RoleName=name)["InstanceProfiles"]
    assert [profile["InstanceProfileName"] for profile in listed] == [name]
    with refused("DeleteConflict", r"must remove roles from instance profile first\.$", status=409):
        iam.delete_role(RoleName=name)
    with refused("DeleteConflict", r"must remove roles from instance profile first\.$", status=409):
        iam.delete_instance_profile(InstanceProfileName=name)
    iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=name)
    iam.delete_instance_profile(InstanceProfileName=name)
    iam.delete_role(RoleName=name)
    with refused("NoSuchEntity", f"^Instance Profile {name} cannot be found\\.$", status=404):
        iam.get_instance_profile(InstanceProfileName=name)


def test_a_profile_hands_out_no_role_that_may_not_be_passed(iam, new_user, name):
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)["Role"]
    iam.create_instance_profile(InstanceProfileName=name)
    person = new_user(allow("iam:AddRoleToInstanceProfile"))
    with refused("AccessDenied", f"perform: iam:PassRole on resource: {role['Arn']}", status=403):
        person.client("iam").add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    passer = new_user(allow("iam:AddRoleToInstanceProfile"), allow("iam:PassRole", role["Arn"]))
    passer.client("iam").add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)


def test_the_accounts_alias(alone):
    iam, other = alone.client("iam"), alone.other_client("iam")
    assert iam.list_account_aliases()["AccountAliases"] == []
    iam.create_account_alias(AccountAlias="acme")
    with refused("EntityAlreadyExists", status=409):
        other.create_account_alias(AccountAlias="acme")
    assert iam.list_account_aliases()["AccountAliases"] == ["acme"]
    iam.delete_account_alias(AccountAlias="acme")
    other.create_account_alias(AccountAlias="acme")


def test_the_password_policy_is_set_as_a_whole(alone):
    iam = alone.client("iam")
    with refused("NoSuchEntity", f"^The Password Policy with domain name {ACCOUNT} cannot be found\\.$", status=404):
        iam.get_account_password_policy()
    iam.update_account_password_policy(MinimumPasswordLength=14, RequireSymbols=True, MaxPasswordAge=90)
    told = iam.get_account_password_policy()["PasswordPolicy"]
    assert (told["MinimumPasswordLength"], told["RequireSymbols"], told["ExpirePasswords"]) == (14, True, True)
    iam.update_account_password_policy(RequireNumbers=True)
    told = iam.get_account_password_policy()["PasswordPolicy"]
    assert (told["MinimumPasswordLength"], told["RequireSymbols"], told["ExpirePasswords"]) == (6, False, False)
    assert "MaxPasswordAge" not in told
    iam.delete_account_password_policy()
    with refused("NoSuchEntity", status=404):
        iam.get_account_password_policy()


def test_when_a_key_was_last_used(iam, new_user):
    user = new_user(allow("kms:ListKeys"))
    key_id = iam.list_access_keys(UserName=user.name)["AccessKeyMetadata"][0]["AccessKeyId"]
    told = iam.get_access_key_last_used(AccessKeyId=key_id)
    assert told["UserName"] == user.name
    assert told["AccessKeyLastUsed"]["ServiceName"] == told["AccessKeyLastUsed"]["Region"] == "N/A"
    assert "LastUsedDate" not in told["AccessKeyLastUsed"]
    user.client("kms", region="eu-west-1").list_keys()
    told = iam.get_access_key_last_used(AccessKeyId=key_id)["AccessKeyLastUsed"]
    assert (told["ServiceName"], told["Region"]) == ("kms", "eu-west-1")
    assert told["LastUsedDate"]


def test_when_a_role_was_last_used(iam, new_user, new_role, palisade):
    user = new_user(allow("sts:*"))
    role = new_role(trust=trusting(user.arn))
    assert iam.get_role(RoleName=role["RoleName"])["Role"]["RoleLastUsed"] == {}
    sts = user.client("sts")
    keys = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="session")["Credentials"]
    palisade.client("sts", credentials=keys).get_caller_identity()
    used = iam.get_role(RoleName=role["RoleName"])["Role"]["RoleLastUsed"]
    assert used["Region"] == "us-east-1" and used["LastUsedDate"]


def test_everything_in_one_list(alone):
    iam = alone.client("iam")
    iam.create_user(UserName="u")
    iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=document(allow("s3:*")))
    iam.create_group(GroupName="g")
    iam.add_user_to_group(GroupName="g", UserName="u")
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=TRUST)
    arn = iam.create_policy(PolicyName="m", PolicyDocument=document(allow("s3:*")))["Policy"]["Arn"]
    iam.attach_role_policy(RoleName="r", PolicyArn=arn)
    pages = list(iam.get_paginator("get_account_authorization_details").paginate(PaginationConfig={"PageSize": 2}))
    joined = {
        kind: [one for page in pages for one in page[kind]]
        for kind in ("UserDetailList", "GroupDetailList", "RoleDetailList", "Policies")
    }
    [user] = joined["UserDetailList"]
    assert user["GroupList"] == ["g"]
    assert user["UserPolicyList"][0]["PolicyDocument"] == json.loads(document(allow("s3:*")))
    [role] = joined["RoleDetailList"]
    assert role["AttachedManagedPolicies"] == [{"PolicyName": "m", "PolicyArn": arn}]
    assert role["AssumeRolePolicyDocument"] == json.loads(TRUST)
    assert [group["GroupName"] for group in joined["GroupDetailList"]] == ["g"]
    names = [policy["PolicyName"] for policy in joined["Policies"]]
    assert names[0] == "m" and "AdministratorAccess" in names and len(names) == len(set(names))
    local = iam.get_account_authorization_details(Filter=["LocalManagedPolicy"])
    assert [policy["PolicyName"] for policy in local["Policies"]] == ["m"]
    assert local["UserDetailList"] == []


def test_the_version_of_session_tokens(palisade, new_user):
    iam = palisade.other_client("iam")
    for version in (1, 2):
        iam.set_security_token_service_preferences(GlobalEndpointTokenVersion=f"v{version}Token")
        assert iam.get_account_summary()["SummaryMap"]["GlobalEndpointTokenVersion"] == version
    with refused("AccessDenied", "iam:SetSecurityTokenServicePreferences"):
        new_user().client("iam").set_security_token_service_preferences(GlobalEndpointTokenVersion="v1Token")
