"""STS: who one is, and sessions of every kind."""

import datetime
import re

import pytest

from policies import allow, delegating, deny, document, principal, trusting
from refusals import refused
from server import ACCOUNT, OTHER_ACCOUNT

ROOT = f"arn:aws:iam::{ACCOUNT}:root"
HOUR = 3600


@pytest.fixture
def assumer(new_user):
    """A user who may assume anything that trusts the account."""
    return new_user(allow("sts:*"), allow("kms:DescribeKey"))


def assume(person, role, **arguments):
    arguments = {"RoleSessionName": "session", **arguments}
    return person.client("sts").assume_role(RoleArn=role["Arn"], **arguments)


# Who am I?


def test_the_root_user(sts):
    told = sts.get_caller_identity()
    assert (told["UserId"], told["Account"], told["Arn"]) == (ACCOUNT, ACCOUNT, ROOT)


def test_the_other_account(palisade):
    told = palisade.other_client("sts").get_caller_identity()
    assert (told["Account"], told["Arn"]) == (OTHER_ACCOUNT, f"arn:aws:iam::{OTHER_ACCOUNT}:root")


def test_a_user(new_user, iam):
    user = new_user()
    told = user.client("sts").get_caller_identity()
    assert told["UserId"] == iam.get_user(UserName=user.name)["User"]["UserId"]
    assert told["Arn"] == user.arn


def test_nobody_is_denied_to_know_who_they_are(new_user):
    user = new_user(deny("*"))
    assert user.client("sts").get_caller_identity()["Arn"] == user.arn


def test_sts_answers_in_every_region(palisade):
    for region in ("us-east-1", "eu-west-1", "ap-southeast-2"):
        assert palisade.client("sts", region=region).get_caller_identity()["Account"] == ACCOUNT


# AssumeRole.


def test_a_session_of_a_role(palisade, assumer, new_role):
    role = new_role(Path="/deep/path/")
    told = assume(assumer, role)
    credentials = told["Credentials"]
    assert re.fullmatch(r"ASIA[A-Z2-7]{16}", credentials["AccessKeyId"])
    lasts = credentials["Expiration"] - datetime.datetime.now(datetime.timezone.utc)
    assert abs(lasts.total_seconds() - HOUR) < 60
    # The ARN of a session drops the path of its role.
    arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/{role['RoleName']}/session"
    assert told["AssumedRoleUser"] == {"AssumedRoleId": f"{role['RoleId']}:session", "Arn": arn}
    assert "PackedPolicySize" not in told
    identity = palisade.client("sts", credentials).get_caller_identity()
    assert (identity["Arn"], identity["UserId"]) == (arn, f"{role['RoleId']}:session")


def test_a_session_may_what_its_role_may_at_each_call(palisade, iam, assumer, new_role, key):
    role = new_role(allow("kms:Encrypt"))
    kms = palisade.client("kms", assume(assumer, role)["Credentials"])
    kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x")
    with refused(
        "AccessDeniedException",
        rf"^User: arn:aws:sts::{ACCOUNT}:assumed-role/{role['RoleName']}/session is not authorized to perform: "
        rf"kms:DescribeKey on resource: {key['Arn']} because no identity-based policy allows the kms:DescribeKey action$",
    ):
        kms.describe_key(KeyId=key["KeyId"])
    iam.put_role_policy(RoleName=role["RoleName"], PolicyName="conformance", PolicyDocument=document(deny("*")))
    with refused("AccessDeniedException", "explicit deny in an identity-based policy"):
        kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x")
    iam.delete_role_policy(RoleName=role["RoleName"], PolicyName="conformance")
    iam.delete_role(RoleName=role["RoleName"])
    # The session still is who it is, and may nothing.
    assert palisade.client("sts", kms_credentials(kms)).get_caller_identity()["Account"] == ACCOUNT
    with refused("AccessDeniedException"):
        kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x")


def kms_credentials(client):
    frozen = client._request_signer._credentials.get_frozen_credentials()
    return {"AccessKeyId": frozen.access_key, "SecretAccessKey": frozen.secret_key, "SessionToken": frozen.token}


def test_both_sides_must_agree_when_the_account_is_trusted(new_user, new_role):
    role = new_role()
    user = new_user()
    with refused(
        "AccessDenied",
        f"^User: {user.arn} is not authorized to perform: sts:AssumeRole on resource: {role['Arn']}",
        status=403,
    ):
        assume(user, role)
    user.may(allow("sts:AssumeRole", role["Arn"]))
    assume(user, role)


def test_trusting_a_user_by_name_is_enough(new_user, new_role):
    user = new_user()
    assume(user, new_role(trust=trusting(user.arn)))


def test_an_unknown_role_and_one_that_does_not_trust_look_alike(assumer, new_role, new_user):
    other = new_role(trust=trusting(new_user().arn))
    said = []
    for arn in (other["Arn"], f"arn:aws:iam::{ACCOUNT}:role/nobody"):
        with refused("AccessDenied", status=403) as told:
            assume(assumer, {"Arn": arn})
        said.append(told.message.replace(arn, "ROLE").replace(arn.split("/")[-1], "NAME"))
    assert said[0] == said[1]


def test_trust_binds_to_the_one_who_was_named(palisade, iam, new_user, new_role):
    user = new_user()
    role = new_role(trust=trusting(user.arn))
    assume(user, role)
    iam.delete_access_key(UserName=user.name, AccessKeyId=user.credentials["AccessKeyId"])
    iam.delete_user(UserName=user.name)
    iam.create_user(UserName=user.name)
    namesake = palisade.client("sts", iam.create_access_key(UserName=user.name)["AccessKey"])
    with refused("AccessDenied"):
        namesake.assume_role(RoleArn=role["Arn"], RoleSessionName="session")


def test_the_root_user_assumes_nothing(sts, new_role):
    with refused("AccessDenied", "^Roles may not be assumed by root accounts", status=403):
        sts.assume_role(RoleArn=new_role()["Arn"], RoleSessionName="session")


def test_an_external_id_is_a_condition(assumer, new_role):
    role = new_role(trust=trusting(ACCOUNT, Condition={"StringEquals": {"sts:ExternalId": "ours-42"}}))
    assume(assumer, role, ExternalId="ours-42")
    for wrong in ({}, {"ExternalId": "theirs"}):
        with refused("AccessDenied"):
            assume(assumer, role, **wrong)
    # Where nobody asks for it, it is ignored.
    assume(assumer, new_role(), ExternalId="whatever")


def test_the_session_name_is_a_condition_too(assumer, new_role):
    role = new_role(trust=trusting(ACCOUNT, Condition={"StringLike": {"sts:RoleSessionName": "ci-*"}}))
    assume(assumer, role, RoleSessionName="ci-1")
    with refused("AccessDenied"):
        assume(assumer, role, RoleSessionName="me")


def test_a_session_policy_only_takes_away(palisade, assumer, new_role, key):
    role = new_role(allow("kms:Encrypt"))
    kms = palisade.client("kms", assume(assumer, role, Policy=document(allow("kms:*", key["Arn"])))["Credentials"])
    kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x")
    with refused("AccessDeniedException", "because no identity-based policy allows the kms:DescribeKey action"):
        kms.describe_key(KeyId=key["KeyId"])
    less = assume(assumer, role, Policy=document(allow("kms:DescribeKey")))
    assert less["PackedPolicySize"] >= 0
    with refused("AccessDeniedException", "because no session policy allows the kms:Encrypt action$"):
        palisade.client("kms", less["Credentials"]).encrypt(KeyId=key["KeyId"], Plaintext=b"x")
    denying = assume(assumer, role, Policy=document(allow("*"), deny("kms:Encrypt")))
    with refused("AccessDeniedException", "with an explicit deny in a session policy"):
        palisade.client("kms", denying["Credentials"]).encrypt(KeyId=key["KeyId"], Plaintext=b"x")


def test_managed_session_policies(palisade, iam, assumer, new_role, key, name):
    role = new_role(allow("kms:*"))
    arn = iam.create_policy(PolicyName=name, PolicyDocument=document(allow("kms:Encrypt")))["Policy"]["Arn"]
    kms = palisade.client("kms", assume(assumer, role, PolicyArns=[{"arn": arn}])["Credentials"])
    kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x")
    with refused("AccessDeniedException", "because no session policy allows"):
        kms.describe_key(KeyId=key["KeyId"])


def test_a_malformed_session_policy(assumer, new_role):
    for text in ("{", document({"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"})):
        with refused("MalformedPolicyDocument", status=400):
            assume(assumer, new_role(), Policy=text)


def test_naming_the_session_in_a_key_policy_passes_its_session_policy(palisade, assumer, new_role, new_key):
    role = new_role()
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/{role['RoleName']}/session"
    made = new_key(Policy=document(delegating(ACCOUNT), principal(session, "kms:Encrypt")))
    credentials = assume(assumer, role, Policy=document(allow("s3:*")))["Credentials"]
    palisade.client("kms", credentials).encrypt(KeyId=made["KeyId"], Plaintext=b"x")
    other = assume(assumer, role, RoleSessionName="other")["Credentials"]
    with refused("AccessDeniedException"):
        palisade.client("kms", other).encrypt(KeyId=made["KeyId"], Plaintext=b"x")


def test_naming_the_role_in_a_key_policy_does_not(palisade, assumer, new_role, new_key):
    role = new_role()
    made = new_key(Policy=document(delegating(ACCOUNT), principal(role["Arn"], "kms:Encrypt")))
    palisade.client("kms", assume(assumer, role)["Credentials"]).encrypt(KeyId=made["KeyId"], Plaintext=b"x")
    bounded = assume(assumer, role, Policy=document(allow("s3:*")))["Credentials"]
    with refused("AccessDeniedException", "because no session policy allows"):
        palisade.client("kms", bounded).encrypt(KeyId=made["KeyId"], Plaintext=b"x")


def test_the_boundary_of_a_role_bounds_its_sessions(palisade, iam, assumer, new_role, key, name):
    boundary = iam.create_policy(PolicyName=name, PolicyDocument=document(allow("kms:Encrypt")))["Policy"]["Arn"]
    role = new_role(allow("kms:*"), PermissionsBoundary=boundary)
    kms = palisade.client("kms", assume(assumer, role)["Credentials"])
    kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x")
    with refused("AccessDeniedException", "because no permissions boundary allows the kms:DescribeKey action"):
        kms.describe_key(KeyId=key["KeyId"])
    iam.delete_role_permissions_boundary(RoleName=role["RoleName"])
    kms.describe_key(KeyId=key["KeyId"])


def test_a_role_does_not_trust_itself(palisade, assumer, new_role):
    role = new_role(allow("sts:AssumeRole"), trust=trusting(assumer.arn))
    session = palisade.client("sts", assume(assumer, role)["Credentials"])
    with refused("AccessDenied"):
        session.assume_role(RoleArn=role["Arn"], RoleSessionName="again")


def test_a_wrong_mfa_code_is_refused(assumer):
    with refused("AccessDenied", "^MultiFactorAuthentication failed"):
        assumer.client("sts").get_session_token(SerialNumber=f"arn:aws:iam::{ACCOUNT}:mfa/none", TokenCode="123456")


def test_chained_sessions_end_at_one_hour(palisade, assumer, new_role):
    role = new_role(allow("sts:AssumeRole"), MaxSessionDuration=12 * HOUR)
    second = new_role(trust=trusting(role["Arn"]), MaxSessionDuration=12 * HOUR)
    first = palisade.client("sts", assume(assumer, role, DurationSeconds=12 * HOUR)["Credentials"])
    chained = first.assume_role(RoleArn=second["Arn"], RoleSessionName="chained", DurationSeconds=HOUR)
    assert chained["AssumedRoleUser"]["Arn"].endswith(f"assumed-role/{second['RoleName']}/chained")
    with refused("ValidationError", "exceeds the 1 hour session limit for roles assumed by role chaining", status=400):
        first.assume_role(RoleArn=second["Arn"], RoleSessionName="chained", DurationSeconds=HOUR + 1)


def test_sessions_are_no_longer_than_the_role_allows(assumer, new_role):
    role = new_role()
    with refused("ValidationError", "^The requested DurationSeconds exceeds the MaxSessionDuration set for this role", status=400):
        assume(assumer, role, DurationSeconds=HOUR + 1)
    assume(assumer, role, DurationSeconds=900)


@pytest.mark.parametrize(
    "arguments,message",
    [
        ({"RoleSessionName": "Session1:2"}, "Value 'Session1:2' at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern"),
        ({"DurationSeconds": 43201}, "at 'durationSeconds' failed to satisfy constraint"),
        ({"ExternalId": "with space"}, "at 'externalId' failed to satisfy constraint"),
    ],
)
def test_arguments_are_checked(assumer, new_role, arguments, message):
    with refused("ValidationError", message, status=400):
        assume(assumer, new_role(), **arguments)


def test_a_role_arn_that_is_none(assumer):
    with refused("ValidationError", "is invalid$", status=400):
        assume(assumer, {"Arn": "not-an-arn-at-all-really"})


def test_across_accounts_both_sides_must_agree(palisade, assumer, new_user):
    iam = palisade.other_client("iam")
    trust = document(trusting(f"arn:aws:iam::{ACCOUNT}:root"))
    foreign = iam.create_role(RoleName=f"for-{assumer.name}", AssumeRolePolicyDocument=trust)["Role"]
    iam.put_role_policy(RoleName=foreign["RoleName"], PolicyName="p", PolicyDocument=document(allow("kms:CreateKey")))
    with refused("AccessDenied", status=403):
        assume(new_user(), foreign)
    credentials = assume(assumer, foreign)["Credentials"]
    made = palisade.client("kms", credentials).create_key()["KeyMetadata"]
    assert made["AWSAccountId"] == OTHER_ACCOUNT
    iam.update_assume_role_policy(
        RoleName=foreign["RoleName"], PolicyDocument=document(trusting(f"arn:aws:iam::{OTHER_ACCOUNT}:root"))
    )
    with refused("AccessDenied"):
        assume(assumer, foreign)


def test_tags_of_a_session_are_its_principal_tags(palisade, assumer, new_role, new_key):
    tagged = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": ["sts:AssumeRole", "sts:TagSession"]}
    role = new_role(
        allow("kms:Encrypt", Condition={"StringEquals": {"aws:ResourceTag/Team": "${aws:PrincipalTag/Team}"}}),
        trust=tagged,
        Tags=[{"Key": "Team", "Value": "blue"}],
    )
    red = new_key(Tags=[{"TagKey": "Team", "TagValue": "red"}])["KeyId"]
    with refused("AccessDeniedException"):
        palisade.client("kms", assume(assumer, role)["Credentials"]).encrypt(KeyId=red, Plaintext=b"x")
    session = assume(assumer, role, Tags=[{"Key": "Team", "Value": "red"}])["Credentials"]
    palisade.client("kms", session).encrypt(KeyId=red, Plaintext=b"x")
    with refused("AccessDenied", "sts:TagSession"):
        assume(assumer, new_role(), Tags=[{"Key": "Team", "Value": "red"}])
    with refused("InvalidParameterValue", "^Duplicate tag keys found"):
        assume(assumer, role, Tags=[{"Key": "a", "Value": "1"}, {"Key": "A", "Value": "2"}])


def test_a_source_identity_sticks(palisade, assumer, new_role):
    trust = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": ["sts:AssumeRole", "sts:SetSourceIdentity"]}
    first = new_role(allow("sts:*"), trust=trust)
    told = assume(assumer, first, SourceIdentity="alice")
    assert told["SourceIdentity"] == "alice"
    session = palisade.client("sts", told["Credentials"])
    second = new_role(trust=trust)
    chained = session.assume_role(RoleArn=second["Arn"], RoleSessionName="chained")
    assert chained["SourceIdentity"] == "alice"
    with refused(("AccessDenied", "ValidationError", "InvalidParameterValue")):
        session.assume_role(RoleArn=second["Arn"], RoleSessionName="chained", SourceIdentity="bob")


# The other sessions.


def test_a_session_of_oneself(palisade, new_user, key):
    user = new_user(allow("kms:*"), allow("iam:ListUsers"))
    credentials = user.client("sts").get_session_token(DurationSeconds=900)["Credentials"]
    assert credentials["AccessKeyId"].startswith("ASIA")
    palisade.client("kms", credentials).describe_key(KeyId=key["KeyId"])
    sts = palisade.client("sts", credentials)
    assert sts.get_caller_identity()["Arn"] == user.arn
    # Without MFA such a session does not reach IAM, and of STS little.
    with refused("InvalidClientTokenId", status=403):
        palisade.client("iam", credentials).list_users()
    with refused("AccessDenied", "Cannot call GetSessionToken with session credentials"):
        sts.get_session_token()


def test_a_session_token_needs_no_permission_and_ends_on_time(timed):
    iam = timed.client("iam")
    iam.create_user(UserName="u")
    iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=document(allow("kms:CreateKey")))
    long_term = iam.create_access_key(UserName="u")["AccessKey"]
    credentials = timed.client("sts", long_term).get_session_token(DurationSeconds=900)["Credentials"]
    kms = timed.client("kms", credentials)
    kms.create_key()
    timed.advance(899)
    kms.create_key()
    timed.advance(2)
    with refused("ExpiredTokenException", "^The security token included in the request is expired", status=400):
        kms.create_key()
    with refused("ExpiredToken", "^The security token included in the request is expired", status=403):
        timed.client("sts", credentials).get_caller_identity()
    timed.client("kms", long_term).create_key()


def test_older_sessions_are_revoked_by_their_issue_time(timed):
    iam = timed.client("iam")
    iam.create_user(UserName="u")
    iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=document(allow("sts:AssumeRole")))
    sts = timed.client("sts", iam.create_access_key(UserName="u")["AccessKey"])
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=document(trusting(ACCOUNT)))["Role"]
    iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=document(allow("kms:*")))
    before = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="before")["Credentials"]
    timed.advance(10)
    now = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=timed.ahead - 5)
    older = {"DateLessThan": {"aws:TokenIssueTime": now.strftime("%Y-%m-%dT%H:%M:%SZ")}}
    iam.put_role_policy(
        RoleName="r", PolicyName="AWSRevokeOlderSessions", PolicyDocument=document(deny("*", Condition=older))
    )
    after = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="after")["Credentials"]
    timed.client("kms", after).list_keys()
    with refused("AccessDeniedException", "with an explicit deny in an identity-based policy"):
        timed.client("kms", before).list_keys()


def test_a_federated_user_has_what_its_policy_and_its_user_share(palisade, new_user, key):
    user = new_user(allow("sts:GetFederationToken"), allow("kms:*"))
    told = user.client("sts").get_federation_token(Name="bob", Policy=document(allow("kms:DescribeKey")))
    assert told["FederatedUser"]["Arn"] == f"arn:aws:sts::{ACCOUNT}:federated-user/bob"
    assert told["FederatedUser"]["FederatedUserId"] == f"{ACCOUNT}:bob"
    kms = palisade.client("kms", told["Credentials"])
    kms.describe_key(KeyId=key["KeyId"])
    with refused("AccessDeniedException"):
        kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x")
    nothing = user.client("sts").get_federation_token(Name="eve")["Credentials"]
    with refused("AccessDeniedException"):
        palisade.client("kms", nothing).describe_key(KeyId=key["KeyId"])


def test_the_account_of_a_key_is_read_from_it(sts, new_user):
    user = new_user()
    assert sts.get_access_key_info(AccessKeyId=user.credentials["AccessKeyId"])["Account"] == ACCOUNT
    # A published example: no such key exists here.
    assert sts.get_access_key_info(AccessKeyId="ASIAY34FZKBOKMUTVV7A")["Account"] == "609629065308"


# Encoded authorization messages.


def test_what_nobody_encoded_is_not_decoded(sts, new_user):
    for message in ("x", "A" * 10_240, "nothing of the kind"):
        with refused("InvalidAuthorizationMessageException", status=400):
            sts.decode_authorization_message(EncodedMessage=message)
    with refused("AccessDenied", r"not authorized to perform: sts:DecodeAuthorizationMessage", status=403):
        new_user(allow("iam:*")).client("sts").decode_authorization_message(EncodedMessage="x")
