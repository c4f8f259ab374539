"""Users, access keys, groups, inline policies, boundaries and tags."""

import json
import re

import pytest

from policies import allow, deny, document
from refusals import refused
from server import ACCOUNT

READ = document(allow("kms:DescribeKey"))


def test_a_user_lives(iam, name):
    made = iam.create_user(UserName=name, Path="/team/red/", Tags=[{"Key": "Team", "Value": "red"}])["User"]
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/team/red/{name}"
    assert re.fullmatch(r"AIDA[A-Z2-7]{17}", made["UserId"])
    assert (made["Path"], made["UserName"]) == ("/team/red/", name)
    told = iam.get_user(UserName=name)["User"]
    assert told == {**made, "Tags": [{"Key": "Team", "Value": "red"}]}
    listed = [user for user in iam.list_users(PathPrefix="/team/")["Users"] if user["UserName"] == name]
    assert len(listed) == 1 and "Tags" not in listed[0]
    iam.update_user(UserName=name, NewUserName=f"{name}-renamed", NewPath="/")
    renamed = iam.get_user(UserName=f"{name}-renamed")["User"]
    assert renamed["UserId"] == made["UserId"]
    assert renamed["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/{name}-renamed"
    with refused("NoSuchEntity", f"^The user with name {name} cannot be found\\.$", status=404):
        iam.get_user(UserName=name)
    iam.delete_user(UserName=f"{name}-renamed")
    with refused("NoSuchEntity"):
        iam.delete_user(UserName=f"{name}-renamed")


def test_names_are_unique_without_regard_to_case(iam, name):
    iam.create_user(UserName=name)
    with refused("EntityAlreadyExists", f"^User with name {name} already exists\\.$", status=409):
        iam.create_user(UserName=name)
    with refused("EntityAlreadyExists"):
        iam.create_user(UserName=name.upper())
    iam.create_group(GroupName=name)
    with refused("EntityAlreadyExists", "^Group with name"):
        iam.create_group(GroupName=name)


@pytest.mark.parametrize("bad", ["with space", "slash/", "ü", "u" * 65, "star*"])
def test_names_have_few_characters(iam, bad):
    with refused("ValidationError", "at 'userName' failed to satisfy constraint", status=400):
        iam.create_user(UserName=bad)


@pytest.mark.parametrize("path", ["no-slashes", "/open", "closed/", ""])
def test_paths_begin_and_end_with_a_slash(iam, name, path):
    with refused("ValidationError"):
        iam.create_user(UserName=name, Path=path or "x")


def test_an_access_key_is_shown_once(iam, name, palisade):
    iam.create_user(UserName=name)
    made = iam.create_access_key(UserName=name)["AccessKey"]
    assert re.fullmatch(r"AKIA[A-Z2-7]{16}", made["AccessKeyId"])
    assert len(made["SecretAccessKey"]) == 40 and made["Status"] == "Active"
    (listed,) = iam.list_access_keys(UserName=name)["AccessKeyMetadata"]
    assert listed["AccessKeyId"] == made["AccessKeyId"] and "SecretAccessKey" not in listed
    assert palisade.client("sts").get_access_key_info(AccessKeyId=made["AccessKeyId"])["Account"] == ACCOUNT


def test_a_user_has_two_access_keys_at_most(iam, name):
    iam.create_user(UserName=name)
    for _ in range(2):
        iam.create_access_key(UserName=name)
    with refused("LimitExceeded", "^Cannot exceed quota for AccessKeysPerUser: 2$", status=409):
        iam.create_access_key(UserName=name)


def test_a_key_of_another_user_is_not_found(iam, name):
    for user in (name, f"{name}-b"):
        iam.create_user(UserName=user)
    key = iam.create_access_key(UserName=name)["AccessKey"]["AccessKeyId"]
    with refused("NoSuchEntity", f"^The Access Key with id {key} cannot be found"):
        iam.delete_access_key(UserName=f"{name}-b", AccessKeyId=key)


def test_what_must_go_before_a_user(iam, name):
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]["AccessKeyId"]
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=READ)
    arn = iam.create_policy(PolicyName=name, PolicyDocument=READ)["Policy"]["Arn"]
    iam.attach_user_policy(UserName=name, PolicyArn=arn)
    iam.create_group(GroupName=name)
    iam.add_user_to_group(GroupName=name, UserName=name)
    remove = {
        "access key": lambda: iam.delete_access_key(UserName=name, AccessKeyId=key),
        "inline": lambda: iam.delete_user_policy(UserName=name, PolicyName="p"),
        "attached": lambda: iam.detach_user_policy(UserName=name, PolicyArn=arn),
        "group": lambda: iam.remove_user_from_group(GroupName=name, UserName=name),
    }
    for work in remove.values():
        with refused("DeleteConflict", "^Cannot delete entity, must ", status=409):
            iam.delete_user(UserName=name)
        work()
    iam.delete_user(UserName=name)
    iam.delete_group(GroupName=name)
    iam.delete_policy(PolicyArn=arn)


def test_a_user_who_is_in_a_group_has_its_rights(iam, key, new_user, name):
    user = new_user()
    group = iam.create_group(GroupName=name, Path="/g/")["Group"]
    assert group["Arn"] == f"arn:aws:iam::{ACCOUNT}:group/g/{name}" and group["GroupId"].startswith("AGPA")
    iam.put_group_policy(GroupName=name, PolicyName="p", PolicyDocument=READ)
    with refused("AccessDeniedException"):
        user.client("kms").describe_key(KeyId=key["KeyId"])
    iam.add_user_to_group(GroupName=name, UserName=user.name)
    iam.add_user_to_group(GroupName=name, UserName=user.name)
    user.client("kms").describe_key(KeyId=key["KeyId"])
    assert [one["UserName"] for one in iam.get_group(GroupName=name)["Users"]] == [user.name]
    assert [one["GroupName"] for one in iam.list_groups_for_user(UserName=user.name)["Groups"]] == [name]
    iam.update_group(GroupName=name, NewGroupName=f"{name}-renamed")
    user.client("kms").describe_key(KeyId=key["KeyId"])
    with refused("DeleteConflict"):
        iam.delete_group(GroupName=f"{name}-renamed")
    iam.remove_user_from_group(GroupName=f"{name}-renamed", UserName=user.name)
    with refused("AccessDeniedException"):
        user.client("kms").describe_key(KeyId=key["KeyId"])


def test_an_inline_policy_comes_back_as_it_was_given(iam, name):
    iam.create_user(UserName=name)
    text = '{ "Version":"2012-10-17",\n "Statement":{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::a%3Ab" } }'
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=text)
    # botocore decodes the URL encoding and parses the JSON.
    told = iam.get_user_policy(UserName=name, PolicyName="p")
    assert told["PolicyDocument"] == json.loads(text)
    assert iam.list_user_policies(UserName=name)["PolicyNames"] == ["p"]
    with refused("NoSuchEntity", "^The user policy with name q cannot be found"):
        iam.get_user_policy(UserName=name, PolicyName="q")
    iam.delete_user_policy(UserName=name, PolicyName="p")
    with refused("NoSuchEntity"):
        iam.delete_user_policy(UserName=name, PolicyName="p")


def test_inline_policies_of_a_user_share_2048_characters(iam, name):
    iam.create_user(UserName=name)

    def of_size(size):
        empty = document(allow("s3:*", "arn:aws:s3:::")).replace(" ", "")
        return document(allow("s3:*", "arn:aws:s3:::" + "b" * (size - len(empty)))).replace(" ", "")

    iam.put_user_policy(UserName=name, PolicyName="a", PolicyDocument=of_size(1024))
    iam.put_user_policy(UserName=name, PolicyName="b", PolicyDocument=of_size(1024) + "   \n" * 100)
    with refused("LimitExceeded", "^Maximum policy size of 2048 bytes exceeded for user", status=409):
        iam.put_user_policy(UserName=name, PolicyName="b", PolicyDocument=of_size(1025))


def test_a_boundary_bounds(iam, key, new_user, name):
    boundary = iam.create_policy(PolicyName=name, PolicyDocument=document(allow("kms:Encrypt")))["Policy"]["Arn"]
    user = new_user(allow("kms:*"))
    user.client("kms").describe_key(KeyId=key["KeyId"])
    iam.put_user_permissions_boundary(UserName=user.name, PermissionsBoundary=boundary)
    told = iam.get_user(UserName=user.name)["User"]["PermissionsBoundary"]
    assert told["PermissionsBoundaryArn"] == boundary
    user.client("kms").encrypt(KeyId=key["KeyId"], Plaintext=b"x")
    with refused("AccessDeniedException", "because no permissions boundary allows the kms:DescribeKey action"):
        user.client("kms").describe_key(KeyId=key["KeyId"])
    assert iam.get_policy(PolicyArn=boundary)["Policy"]["PermissionsBoundaryUsageCount"] == 1
    with refused("DeleteConflict"):
        iam.delete_policy(PolicyArn=boundary)
    # A boundary gives nothing by itself.
    user.may(allow("s3:*"))
    with refused("AccessDeniedException", "because no identity-based policy allows"):
        user.client("kms").encrypt(KeyId=key["KeyId"], Plaintext=b"x")
    iam.delete_user_permissions_boundary(UserName=user.name)
    user.may(allow("kms:*"))
    user.client("kms").describe_key(KeyId=key["KeyId"])


def test_a_deny_in_a_boundary_is_told(iam, key, new_user, name):
    boundary = iam.create_policy(
        PolicyName=name, PolicyDocument=document(allow("*"), deny("kms:Encrypt"))
    )["Policy"]["Arn"]
    user = new_user(allow("kms:*"))
    iam.put_user_permissions_boundary(UserName=user.name, PermissionsBoundary=boundary)
    with refused("AccessDeniedException", f"with an explicit deny in a permissions boundary: {boundary}$"):
        user.client("kms").encrypt(KeyId=key["KeyId"], Plaintext=b"x")


def test_tags_of_users_ignore_the_case_of_keys(iam, name):
    iam.create_user(UserName=name, Tags=[{"Key": "Team", "Value": "red"}])
    iam.tag_user(UserName=name, Tags=[{"Key": "team", "Value": "blue"}, {"Key": "b", "Value": ""}])
    tags = iam.list_user_tags(UserName=name)["Tags"]
    assert sorted((tag["Key"].lower(), tag["Value"]) for tag in tags) == [("b", ""), ("team", "blue")]
    iam.untag_user(UserName=name, TagKeys=["TEAM", "never-there"])
    assert [tag["Key"] for tag in iam.list_user_tags(UserName=name)["Tags"]] == ["b"]
    with refused(("InvalidInput", "ValidationError")):
        iam.tag_user(UserName=name, Tags=[{"Key": "aws:x", "Value": ""}])
    with refused(("LimitExceeded", "InvalidInput", "ValidationError")):
        iam.tag_user(UserName=name, Tags=[{"Key": f"k{number}", "Value": ""} for number in range(51)])


def test_lists_of_users_are_whole_and_paged(palisade):
    iam = palisade.other_client("iam")
    names = sorted(f"paged-{number:02}" for number in range(25))
    for name in names:
        iam.create_user(UserName=name, Path="/paged/")
    pages = list(
        iam.get_paginator("list_users").paginate(PathPrefix="/paged/", PaginationConfig={"PageSize": 10})
    )
    assert [user["UserName"] for page in pages for user in page["Users"]] == names
    assert len(pages) >= 3 and all(len(page["Users"]) <= 10 for page in pages)
    assert iam.list_users(PathPrefix="/pag")["IsTruncated"] is False
    with refused("ValidationError"):
        iam.list_users(MaxItems=1001)
    with refused(("ValidationError", "InvalidInput")):
        iam.list_users(Marker="nonsense")


def test_waiters_find_what_is_there(iam, name):
    iam.create_user(UserName=name)
    iam.get_waiter("user_exists").wait(UserName=name)
    made = iam.create_policy(PolicyName=name, PolicyDocument=READ)["Policy"]["Arn"]
    iam.get_waiter("policy_exists").wait(PolicyArn=made)


def test_get_user_without_a_name_is_oneself(iam, new_user):
    user = new_user(allow("iam:GetUser"))
    assert user.client("iam").get_user()["User"]["Arn"] == user.arn
    assert iam.get_user()["User"]["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"


def test_the_account_summary_counts(palisade):
    iam = palisade.other_client("iam")
    before = iam.get_account_summary()["SummaryMap"]
    iam.create_group(GroupName="counted")
    after = iam.get_account_summary()["SummaryMap"]
    assert after["Groups"] == before["Groups"] + 1
    assert (after["UsersQuota"], after["AccessKeysPerUserQuota"]) == (5000, 2)
    assert iam.list_account_aliases()["AccountAliases"] == []


def test_an_operation_that_is_not_there_says_so(iam, name):
    with refused("InvalidAction", "not implemented", status=400):
        iam.get_human_readable_summary(EntityArn=f"arn:aws:iam::{ACCOUNT}:user/{name}")
