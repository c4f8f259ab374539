"""CreateKey, DescribeKey, ListKeys, descriptions, tags and aliases."""

import datetime
import re

import pytest

from refusals import refused
from server import ACCOUNT, REGION

SPECS = {
    "SYMMETRIC_DEFAULT": ["ENCRYPT_DECRYPT"],
    "RSA_2048": ["ENCRYPT_DECRYPT", "SIGN_VERIFY"],
    "RSA_3072": ["ENCRYPT_DECRYPT", "SIGN_VERIFY"],
    "RSA_4096": ["ENCRYPT_DECRYPT", "SIGN_VERIFY"],
    "ECC_NIST_P256": ["SIGN_VERIFY"],
    "ECC_NIST_P384": ["SIGN_VERIFY"],
    "ECC_NIST_P521": ["SIGN_VERIFY"],
    "ECC_SECG_P256K1": ["SIGN_VERIFY"],
    "ECC_NIST_EDWARDS25519": ["SIGN_VERIFY"],
    "HMAC_224": ["GENERATE_VERIFY_MAC"],
    "HMAC_256": ["GENERATE_VERIFY_MAC"],
    "HMAC_384": ["GENERATE_VERIFY_MAC"],
    "HMAC_512": ["GENERATE_VERIFY_MAC"],
}


@pytest.mark.parametrize("spec,usage", [(spec, usage) for spec, usages in SPECS.items() for usage in usages])
def test_a_key_is_what_was_asked_for(kms, spec, usage):
    made = kms.create_key(KeySpec=spec, KeyUsage=usage, Description="a key")["KeyMetadata"]
    assert made["KeySpec"] == spec
    if spec in kms.meta.service_model.shape_for("CustomerMasterKeySpec").enum:
        assert made["CustomerMasterKeySpec"] == spec
    assert made["KeyUsage"] == usage
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", made["KeyId"])
    assert made["Arn"] == f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{made['KeyId']}"
    assert made["AWSAccountId"] == ACCOUNT
    assert (made["Enabled"], made["KeyState"], made["KeyManager"]) == (True, "Enabled", "CUSTOMER")
    assert (made["Origin"], made["MultiRegion"], made["Description"]) == ("AWS_KMS", False, "a key")
    age = datetime.datetime.now(datetime.timezone.utc) - made["CreationDate"]
    assert abs(age.total_seconds()) < 60
    assert "DeletionDate" not in made
    described = kms.describe_key(KeyId=made["KeyId"])["KeyMetadata"]
    assert described == made


def test_the_default_is_a_symmetric_key(kms):
    made = kms.create_key()["KeyMetadata"]
    assert (made["KeySpec"], made["KeyUsage"], made["Description"]) == ("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT", "")
    assert made["EncryptionAlgorithms"] == ["SYMMETRIC_DEFAULT"]
    assert len(made["CurrentKeyMaterialId"]) == 64


def test_the_older_name_of_the_spec_works_alone(kms):
    made = kms.create_key(CustomerMasterKeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]
    assert made["KeySpec"] == "ECC_NIST_P256"
    with refused("ValidationException"):
        kms.create_key(KeySpec="ECC_NIST_P256", CustomerMasterKeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")


@pytest.mark.parametrize(
    "spec,usage",
    [
        ("SYMMETRIC_DEFAULT", "SIGN_VERIFY"),
        ("RSA_2048", "GENERATE_VERIFY_MAC"),
        ("ECC_NIST_P256", "ENCRYPT_DECRYPT"),
        ("ECC_SECG_P256K1", "ENCRYPT_DECRYPT"),
        ("HMAC_256", "SIGN_VERIFY"),
    ],
)
def test_a_usage_that_does_not_fit_is_refused(kms, spec, usage):
    with refused("ValidationException"):
        kms.create_key(KeySpec=spec, KeyUsage=usage)


@pytest.mark.parametrize("spec", [spec for spec in SPECS if spec != "SYMMETRIC_DEFAULT"])
def test_only_a_symmetric_key_needs_no_usage(kms, spec):
    with refused("ValidationException", "You must specify a KeyUsage value"):
        kms.create_key(KeySpec=spec)


def test_values_outside_the_model_are_named(kms):
    with refused("ValidationException", "Value 'AES_512' at 'keySpec' failed to satisfy constraint"):
        kms.create_key(KeySpec="AES_512")
    with refused("ValidationException", "at 'description' .*less than or equal to 8192"):
        kms.create_key(Description="d" * 8193)
    kms.create_key(Description="d" * 8192)


def test_what_is_not_there_yet_is_refused_not_ignored(kms):
    with refused("UnsupportedOperationException"):
        kms.create_key(KeySpec="SM2", KeyUsage="SIGN_VERIFY")


def test_the_description_changes(kms, new_key):
    made = new_key(Description="before")["KeyId"]
    kms.update_key_description(KeyId=made, Description="after")
    assert kms.describe_key(KeyId=made)["KeyMetadata"]["Description"] == "after"
    kms.update_key_description(KeyId=made, Description="")
    assert kms.describe_key(KeyId=made)["KeyMetadata"]["Description"] == ""


def test_management_operations_take_no_alias(kms, new_key, name):
    made = new_key()["KeyId"]
    kms.create_alias(AliasName=f"alias/{name}", TargetKeyId=made)
    for call in (
        lambda alias: kms.disable_key(KeyId=alias),
        lambda alias: kms.update_key_description(KeyId=alias, Description="x"),
        lambda alias: kms.get_key_policy(KeyId=alias),
        lambda alias: kms.schedule_key_deletion(KeyId=alias),
        lambda alias: kms.list_resource_tags(KeyId=alias),
    ):
        with refused("InvalidArnException", "^Key Aliases are not supported for this operation"):
            call(f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/{name}")
        with refused(("InvalidArnException", "NotFoundException")):
            call(f"alias/{name}")
    assert kms.describe_key(KeyId=made)["KeyMetadata"]["KeyState"] == "Enabled"


def test_lists_of_keys_are_whole_and_paged(palisade):
    elsewhere = palisade.client("kms", region="ap-southeast-2")
    made = {elsewhere.create_key()["KeyMetadata"]["KeyId"] for _ in range(7)}
    paginator = elsewhere.get_paginator("list_keys")
    pages = list(paginator.paginate(PaginationConfig={"PageSize": 3}))
    assert [len(page["Keys"]) for page in pages] == [3, 3, 1]
    assert [page["Truncated"] for page in pages] == [True, True, False]
    listed = [entry for page in pages for entry in page["Keys"]]
    assert {entry["KeyId"] for entry in listed} == made and len(listed) == 7
    assert all(entry["KeyArn"].endswith(entry["KeyId"]) for entry in listed)
    assert len(elsewhere.list_keys(Limit=1000)["Keys"]) == 7
    with refused("ValidationException"):
        elsewhere.list_keys(Limit=1001)
    for marker in ("nonsense", "AAAA"):
        with refused("InvalidMarkerException"):
            elsewhere.list_keys(Marker=marker)


# Aliases.


def test_an_alias_lives(kms, key, new_key, name):
    alias = f"alias/team/{name}"
    assert kms.create_alias(AliasName=alias, TargetKeyId=key["KeyId"])["ResponseMetadata"]["HTTPStatusCode"] == 200
    (listed,) = [one for one in kms.list_aliases(KeyId=key["KeyId"])["Aliases"] if one["AliasName"] == alias]
    assert listed["AliasArn"] == f"arn:aws:kms:{REGION}:{ACCOUNT}:{alias}"
    assert listed["TargetKeyId"] == key["KeyId"]
    assert listed["CreationDate"] == listed["LastUpdatedDate"]
    other = new_key()
    kms.update_alias(AliasName=alias, TargetKeyId=other["Arn"])
    assert kms.describe_key(KeyId=alias)["KeyMetadata"]["KeyId"] == other["KeyId"]
    kms.delete_alias(AliasName=alias)
    with refused("NotFoundException", rf"^Alias arn:aws:kms:.*:{alias} is not found\.$"):
        kms.describe_key(KeyId=alias)
    with refused("NotFoundException"):
        kms.delete_alias(AliasName=alias)


def test_an_alias_is_taken_once(kms, key, name):
    kms.create_alias(AliasName=f"alias/{name}", TargetKeyId=key["KeyId"])
    with refused("AlreadyExistsException", f"alias/{name} already exists"):
        kms.create_alias(AliasName=f"alias/{name}", TargetKeyId=key["KeyId"])


def test_an_alias_of_one_region_is_free_in_another(palisade, kms, key, name):
    kms.create_alias(AliasName=f"alias/{name}", TargetKeyId=key["KeyId"])
    elsewhere = palisade.client("kms", region="eu-central-1")
    there = elsewhere.create_key()["KeyMetadata"]["KeyId"]
    elsewhere.create_alias(AliasName=f"alias/{name}", TargetKeyId=there)
    assert elsewhere.describe_key(KeyId=f"alias/{name}")["KeyMetadata"]["KeyId"] == there


def test_an_alias_moves_within_its_kind_only(kms, key, new_key, name):
    kms.create_alias(AliasName=f"alias/{name}", TargetKeyId=key["KeyId"])
    for arguments in (
        {"KeySpec": "RSA_2048", "KeyUsage": "ENCRYPT_DECRYPT"},
        {"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"},
    ):
        with refused("ValidationException"):
            kms.update_alias(AliasName=f"alias/{name}", TargetKeyId=new_key(**arguments)["KeyId"])


@pytest.mark.parametrize(
    "alias,code",
    [
        ("no-prefix", "ValidationException"),
        ("alias/", "ValidationException"),
        ("alias/with space", "ValidationException"),
        ("alias/with:colon", "ValidationException"),
        ("alias/" + "a" * 251, "ValidationException"),
        ("alias/aws/mine", "NotAuthorizedException"),
    ],
)
def test_names_that_no_alias_has(kms, key, alias, code):
    with refused(code):
        kms.create_alias(AliasName=alias, TargetKeyId=key["KeyId"])


def test_the_longest_alias_works(kms, key):
    kms.create_alias(AliasName="alias/" + "a" * 250, TargetKeyId=key["KeyId"])


def test_an_alias_points_at_a_key_of_its_own_account(palisade, key, name):
    stranger = palisade.other_client("kms")
    with refused("NotFoundException"):
        stranger.create_alias(AliasName=f"alias/{name}", TargetKeyId=key["KeyId"])


def test_a_key_has_fifty_aliases_at_most(kms, new_key, name):
    full = new_key()["KeyId"]
    for number in range(50):
        kms.create_alias(AliasName=f"alias/{name}/{number}", TargetKeyId=full)
    with refused("LimitExceededException"):
        kms.create_alias(AliasName=f"alias/{name}/50", TargetKeyId=full)
    pages = kms.get_paginator("list_aliases").paginate(KeyId=full, PaginationConfig={"PageSize": 20})
    assert [len(page["Aliases"]) for page in pages] == [20, 20, 10]
    with refused("ValidationException"):
        kms.list_aliases(Limit=101)


# Tags.


def test_tags_are_added_replaced_and_removed(kms, new_key):
    made = new_key(Tags=[{"TagKey": "team", "TagValue": "red"}])["KeyId"]
    kms.tag_resource(
        KeyId=made, Tags=[{"TagKey": "team", "TagValue": "blue"}, {"TagKey": "Größe", "TagValue": "a b_.:/=+-@"}]
    )
    tags = {tag["TagKey"]: tag["TagValue"] for tag in kms.list_resource_tags(KeyId=made)["Tags"]}
    assert tags == {"team": "blue", "Größe": "a b_.:/=+-@"}
    kms.untag_resource(KeyId=made, TagKeys=["team", "never-there"])
    assert [tag["TagKey"] for tag in kms.list_resource_tags(KeyId=made)["Tags"]] == ["Größe"]


def test_a_key_has_fifty_tags_at_most(kms, new_key):
    tags = [{"TagKey": f"key{number:02}", "TagValue": "v"} for number in range(50)]
    made = new_key(Tags=tags)["KeyId"]
    with refused("LimitExceededException"):
        kms.tag_resource(KeyId=made, Tags=[{"TagKey": "one-more", "TagValue": ""}])
    kms.tag_resource(KeyId=made, Tags=[{"TagKey": "key00", "TagValue": "changed"}])
    pages = kms.get_paginator("list_resource_tags").paginate(KeyId=made, PaginationConfig={"PageSize": 20})
    assert [len(page["Tags"]) for page in pages] == [20, 20, 10]


@pytest.mark.parametrize(
    "tags,code",
    [
        ([{"TagKey": "aws:mine", "TagValue": ""}], "TagException"),
        ([{"TagKey": "a", "TagValue": "1"}, {"TagKey": "a", "TagValue": "2"}], "TagException"),
        ([{"TagKey": "k" * 129, "TagValue": ""}], "ValidationException"),
        ([{"TagKey": "k", "TagValue": "v" * 257}], "ValidationException"),
    ],
)
def test_tags_that_may_not_be(kms, key, tags, code):
    with refused(code):
        kms.tag_resource(KeyId=key["KeyId"], Tags=tags)
    with refused(code):
        kms.create_key(Tags=tags)
