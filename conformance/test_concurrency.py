"""Many callers at once: one winner where there can be one, and nothing lost where all may win."""

import threading

from botocore.exceptions import ClientError

from policies import allow, document
from server import in_parallel

CALLERS = 12


def outcomes(palisade, service, work):
    """What each of the callers was told: `None` for success, or the error's code."""
    clients = [palisade.client(service) for _ in range(CALLERS)]
    start = threading.Barrier(CALLERS)

    def call(number):
        start.wait()
        try:
            work(clients[number], number)
        except ClientError as error:
            return error.response["Error"]["Code"]
        return None

    return in_parallel(CALLERS, call)


def test_one_of_many_gets_an_alias(palisade, kms, name):
    keys = [kms.create_key()["KeyMetadata"]["KeyId"] for _ in range(CALLERS)]
    told = outcomes(
        palisade, "kms", lambda client, number: client.create_alias(AliasName=f"alias/{name}", TargetKeyId=keys[number])
    )
    assert told.count(None) == 1 and told.count("AlreadyExistsException") == CALLERS - 1, told
    winner = keys[told.index(None)]
    assert kms.describe_key(KeyId=f"alias/{name}")["KeyMetadata"]["KeyId"] == winner


def test_one_of_many_makes_a_user(palisade, name):
    told = outcomes(palisade, "iam", lambda client, number: client.create_user(UserName=name if number % 2 else name.upper()))
    assert told.count(None) == 1 and told.count("EntityAlreadyExists") == CALLERS - 1, told


def test_two_of_many_get_an_access_key(palisade, iam, name):
    iam.create_user(UserName=name)
    told = outcomes(palisade, "iam", lambda client, _: client.create_access_key(UserName=name))
    assert told.count(None) == 2 and told.count("LimitExceeded") == CALLERS - 2, told
    assert len(iam.list_access_keys(UserName=name)["AccessKeyMetadata"]) == 2


def test_everyones_tag_is_there(palisade, kms, new_key):
    made = new_key()["KeyId"]
    told = outcomes(
        palisade, "kms", lambda client, number: client.tag_resource(KeyId=made, Tags=[{"TagKey": f"k{number}", "TagValue": ""}])
    )
    assert told == [None] * CALLERS
    assert len(kms.list_resource_tags(KeyId=made)["Tags"]) == CALLERS


def test_everyones_inline_policy_is_there(palisade, iam, name):
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=document({"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}))
    told = outcomes(
        palisade,
        "iam",
        lambda client, number: client.put_role_policy(RoleName=name, PolicyName=f"p{number}", PolicyDocument=document(allow("s3:*"))),
    )
    assert told == [None] * CALLERS
    assert len(iam.list_role_policies(RoleName=name)["PolicyNames"]) == CALLERS


def test_versions_have_numbers_of_their_own(palisade, iam, name):
    arn = iam.create_policy(PolicyName=name, PolicyDocument=document(allow("s3:*")))["Policy"]["Arn"]
    told = outcomes(
        palisade,
        "iam",
        lambda client, _: client.create_policy_version(PolicyArn=arn, PolicyDocument=document(allow("kms:*")), SetAsDefault=True),
    )
    assert told.count(None) == 4 and told.count("LimitExceeded") == CALLERS - 4, told
    versions = iam.list_policy_versions(PolicyArn=arn)["Versions"]
    assert sorted(version["VersionId"] for version in versions) == ["v1", "v2", "v3", "v4", "v5"]
    assert sum(version["IsDefaultVersion"] for version in versions) == 1


def test_a_user_is_not_deleted_from_under_a_key(palisade, iam, name):
    """Either the user goes, or it has a key: never a key whose user is gone."""
    for round_number in range(10):
        user = f"{name}-{round_number}"
        iam.create_user(UserName=user)
        keys = []

        def work(client, number):
            if number % 2:
                client.delete_user(UserName=user)
            else:
                keys.append(client.create_access_key(UserName=user)["AccessKey"])

        outcomes(palisade, "iam", work)
        exists = any(one["UserName"] == user for one in iam.list_users(MaxItems=1000)["Users"])
        assert exists == bool(keys)
        for key in keys:
            palisade.client("sts", key).get_caller_identity()


def test_after_a_key_is_disabled_nobody_uses_it(palisade, kms, new_key):
    """A call that begins after the answer to DisableKey must fail, whoever makes it."""
    made = new_key()["KeyId"]
    disabled = threading.Event()
    late_successes = []

    def use(number):
        client = palisade.client("kms")
        for _ in range(60):
            began_after = disabled.is_set()
            try:
                client.encrypt(KeyId=made, Plaintext=b"x")
            except ClientError as error:
                assert error.response["Error"]["Code"] == "DisabledException"
                return
            if began_after:
                late_successes.append(number)

    users = [threading.Thread(target=use, args=(number,)) for number in range(8)]
    for user in users:
        user.start()
    kms.disable_key(KeyId=made)
    disabled.set()
    for user in users:
        user.join()
    assert not late_successes
