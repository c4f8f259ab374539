"""The session every new user has: denied, told why, given the right, allowed."""

import json
import re

import pytest

from policies import allow, deny, document
from refusals import refused
from server import ACCOUNT


def why(palisade, told, *flags, credentials=None, check=True):
    return palisade.palisade("why", told.request_id, *flags, credentials=credentials, check=check)


def test_deny_why_fix_allow(palisade, key, new_user):
    user = new_user()
    with refused(
        "AccessDeniedException",
        rf"^User: {user.arn} is not authorized to perform: kms:Encrypt on resource: {key['Arn']} "
        "because no identity-based policy allows the kms:Encrypt action$",
        status=400,
    ) as told:
        user.client("kms").encrypt(KeyId=key["KeyId"], Plaintext=b"x")
    text = why(palisade, told).stdout
    assert "DENIED" in text and "kms:Encrypt" in text and key["Arn"] in text and user.arn in text
    assert "identity-based policy" in text
    # The change it proposes is a statement to paste.
    (change,) = why(palisade, told, "--json").stdout.splitlines()
    decisions = json.loads(change)["decisions"]
    assert len(decisions) == 1 and decisions[0]["allowed"] is False
    block = re.search(r"\{.*\}", text[text.index("to allow it") :], re.DOTALL)
    assert block, text
    statement = json.loads(block.group())
    user.may(statement)
    user.client("kms").encrypt(KeyId=key["KeyId"], Plaintext=b"x")
    with refused("AccessDeniedException"):
        user.client("kms").decrypt(CiphertextBlob=b"x" * 100, KeyId=key["KeyId"])


def test_why_names_the_statement_that_denies(palisade, key, new_user):
    user = new_user(allow("kms:*", Sid="Everything"), deny("kms:Encrypt", Sid="NotThat"))
    with refused("AccessDeniedException", "with an explicit deny in an identity-based policy$") as told:
        user.client("kms").encrypt(KeyId=key["KeyId"], Plaintext=b"x")
    text = why(palisade, told).stdout
    assert "NotThat" in text and "Everything" in text and "conformance" in text


def test_why_names_the_condition_that_does_not_hold(palisade, key, new_user):
    user = new_user(allow("kms:Encrypt", Condition={"StringEquals": {"kms:EncryptionContext:team": "red"}}))
    with refused("AccessDeniedException") as told:
        user.client("kms").encrypt(KeyId=key["KeyId"], Plaintext=b"x", EncryptionContext={"team": "blue"})
    text = why(palisade, told).stdout
    assert "StringEquals" in text and "red" in text and "blue" in text
    assert "kms:encryptioncontext:team" in text.lower()


def test_why_tells_of_allowed_calls_too(palisade, kms, key):
    answer = kms.describe_key(KeyId=key["KeyId"])
    text = palisade.palisade("why", answer["ResponseMetadata"]["RequestId"]).stdout
    assert "ALLOWED" in text


def test_why_is_told_to_those_who_may_know(palisade, key, new_user):
    user, other = new_user(), new_user()
    with refused("AccessDeniedException") as told:
        user.client("kms").encrypt(KeyId=key["KeyId"], Plaintext=b"x")
    for nosy in (other.credentials, user.credentials):
        done = why(palisade, told, credentials=nosy, check=False)
        assert done.returncode != 0 and key["Arn"] not in done.stdout + done.stderr
    done = palisade.palisade("why", "00000000-0000-0000-0000-000000000000", check=False)
    assert done.returncode != 0
    other.may(allow("palisade:Explain"))
    assert key["Arn"] in why(palisade, told, credentials=other.credentials).stdout


def test_the_denial_is_explained_in_a_header_to_those_who_may_see_it(key, new_user, kms, palisade):
    user = new_user(allow("palisade:Explain"))
    with refused("AccessDeniedException") as told:
        user.client("kms").encrypt(KeyId=key["KeyId"], Plaintext=b"x")
    headers = told.response["ResponseMetadata"]["HTTPHeaders"]
    assert "x-palisade-decision" in headers
    blind = new_user()
    with refused("AccessDeniedException") as told:
        blind.client("kms").encrypt(KeyId=key["KeyId"], Plaintext=b"x")
    assert "x-palisade-decision" not in told.response["ResponseMetadata"]["HTTPHeaders"]


IAM_CALLS = [
    ("CreateUser", lambda iam: iam.create_user(UserName="x"), "user/x"),
    ("GetUser", lambda iam: iam.get_user(UserName="x"), "user/x"),
    ("DeleteUser", lambda iam: iam.delete_user(UserName="x"), "user/x"),
    ("CreateAccessKey", lambda iam: iam.create_access_key(UserName="x"), "user/x"),
    ("PutUserPolicy", lambda iam: iam.put_user_policy(UserName="x", PolicyName="p", PolicyDocument=document(allow("s3:*"))), "user/x"),
    ("CreateRole", lambda iam: iam.create_role(RoleName="x", AssumeRolePolicyDocument=document({"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"})), "role/x"),
    ("CreateGroup", lambda iam: iam.create_group(GroupName="x"), "group/x"),
    ("CreatePolicy", lambda iam: iam.create_policy(PolicyName="x", PolicyDocument=document(allow("s3:*"))), "policy/x"),
    ("ListUsers", lambda iam: iam.list_users(), "user/"),
    ("ListRoles", lambda iam: iam.list_roles(), "role/"),
]


@pytest.mark.parametrize("action,call,resource", IAM_CALLS, ids=[call[0] for call in IAM_CALLS])
def test_iam_denies_in_aws_words(new_user, action, call, resource):
    user = new_user()
    with refused(
        "AccessDenied",
        rf"^User: {user.arn} is not authorized to perform: iam:{action} on resource: "
        rf"arn:aws:iam::{ACCOUNT}:{resource}.* because no identity-based policy allows the iam:{action} action$",
        status=403,
    ):
        call(user.client("iam"))


def test_who_may_not_ask_learns_nothing(kms, new_user, new_key):
    """A denied caller is told the same of a key whatever its state."""
    made = new_key()
    user = new_user()
    said = set()
    for prepare in (lambda: None, lambda: kms.disable_key(KeyId=made["KeyId"]), lambda: kms.schedule_key_deletion(KeyId=made["KeyId"])):
        prepare()
        with refused("AccessDeniedException") as told:
            user.client("kms").encrypt(KeyId=made["KeyId"], Plaintext=b"x")
        said.add(told.message)
    assert len(said) == 1


def test_rights_taken_away_are_gone_at_once(key, new_user, iam):
    user = new_user(allow("kms:Encrypt"))
    kms = user.client("kms")
    for _ in range(5):
        kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x")
        iam.delete_user_policy(UserName=user.name, PolicyName="conformance")
        with refused("AccessDeniedException"):
            kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x")
        user.may(allow("kms:Encrypt"))
