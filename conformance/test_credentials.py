"""Credentials that are not good, or no longer: the exact code of each protocol.

SDKs refresh on some codes, sign again on others and give up on the rest, so a
wrong code turns a refresh into a hard failure.
"""

import pytest

from policies import allow
from refusals import refused
from server import ROOT_KEY, ROOT_SECRET

INVALID_TOKEN = r"^The security token included in the request is invalid"
MISMATCH = "^The request signature we calculated does not match the signature you provided"


@pytest.fixture
def session(palisade, new_user, new_role):
    """A session that may list keys."""
    role = new_role(allow("kms:ListKeys"))
    user = new_user(allow("sts:AssumeRole"))
    return user.client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="session")["Credentials"]


def both(palisade, credentials, json_code, query_code, message):
    """The same credentials must fail at a JSON service and at two Query services."""
    with refused(json_code, message, status=400):
        palisade.client("kms", credentials).list_keys()
    with refused(query_code, message, status=403):
        palisade.client("sts", credentials).get_caller_identity()
    with refused(query_code, message, status=403):
        palisade.client("iam", credentials).list_users()


def test_an_unknown_key(palisade):
    unknown = {"AccessKeyId": "AKIAQNOBODYHASTHIS22", "SecretAccessKey": "x" * 40}
    both(palisade, unknown, "UnrecognizedClientException", "InvalidClientTokenId", INVALID_TOKEN)


def test_a_wrong_secret(palisade):
    wrong = {"AccessKeyId": ROOT_KEY, "SecretAccessKey": ROOT_SECRET[:-1] + "2"}
    both(palisade, wrong, "InvalidSignatureException", "SignatureDoesNotMatch", MISMATCH)


def test_a_deleted_key(palisade, iam, new_user):
    user = new_user(allow("*"))
    user.client("kms").list_keys()
    iam.delete_access_key(UserName=user.name, AccessKeyId=user.credentials["AccessKeyId"])
    both(palisade, user.credentials, "UnrecognizedClientException", "InvalidClientTokenId", INVALID_TOKEN)


def test_an_inactive_key(palisade, iam, new_user):
    user = new_user(allow("*"))
    key = user.credentials["AccessKeyId"]
    user.client("kms").list_keys()
    iam.update_access_key(UserName=user.name, AccessKeyId=key, Status="Inactive")
    both(palisade, user.credentials, "UnrecognizedClientException", "InvalidClientTokenId", INVALID_TOKEN)
    assert iam.list_access_keys(UserName=user.name)["AccessKeyMetadata"][0]["Status"] == "Inactive"
    iam.update_access_key(UserName=user.name, AccessKeyId=key, Status="Active")
    user.client("kms").list_keys()


def test_a_key_of_a_deleted_user(palisade, iam, new_user):
    user = new_user()
    iam.delete_access_key(UserName=user.name, AccessKeyId=user.credentials["AccessKeyId"])
    iam.delete_user(UserName=user.name)
    iam.create_user(UserName=user.name)
    both(palisade, user.credentials, "UnrecognizedClientException", "InvalidClientTokenId", INVALID_TOKEN)


def test_a_temporary_key_without_its_token(palisade, session):
    bare = {name: session[name] for name in ("AccessKeyId", "SecretAccessKey")}
    both(palisade, bare, "UnrecognizedClientException", "InvalidClientTokenId", INVALID_TOKEN)


def changed(text, at):
    return text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]


@pytest.mark.parametrize("where", ["first", "middle", "last", "cut", "longer", "nonsense"])
def test_an_altered_token(palisade, session, where):
    palisade.client("kms", session).list_keys()
    token = session["SessionToken"]
    altered = {
        "first": changed(token, 0),
        "middle": changed(token, len(token) // 2),
        "last": changed(token, len(token) - 6),
        "cut": token[:-8],
        "longer": token + "AAAA",
        "nonsense": "nonsense",
    }[where]
    both(
        palisade, {**session, "SessionToken": altered}, "UnrecognizedClientException", "InvalidClientTokenId", INVALID_TOKEN
    )


def test_the_token_of_another_session(palisade, session, new_user, new_role):
    other = new_user(allow("sts:AssumeRole")).client("sts")
    theirs = other.assume_role(RoleArn=new_role(allow("*"))["Arn"], RoleSessionName="session")["Credentials"]
    mixed = {**session, "SessionToken": theirs["SessionToken"]}
    both(palisade, mixed, "UnrecognizedClientException", "InvalidClientTokenId", INVALID_TOKEN)


def test_the_secret_of_another_session(palisade, session, new_user):
    theirs = new_user().client("sts").get_session_token()["Credentials"]
    mixed = {**session, "SecretAccessKey": theirs["SecretAccessKey"]}
    both(palisade, mixed, "InvalidSignatureException", "SignatureDoesNotMatch", MISMATCH)


def test_a_long_term_key_with_a_token(palisade, session):
    mixed = {"AccessKeyId": ROOT_KEY, "SecretAccessKey": ROOT_SECRET, "SessionToken": session["SessionToken"]}
    both(palisade, mixed, "UnrecognizedClientException", "InvalidClientTokenId", INVALID_TOKEN)
