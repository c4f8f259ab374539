"""Key policies: the authority over a key, the lockout check, and other accounts."""

import json

import pytest

from policies import allow, delegating, deny, document, principal, trusting
from refusals import refused
from server import ACCOUNT, OTHER_ACCOUNT, REGION

ROOT = f"arn:aws:iam::{ACCOUNT}:root"
OTHER_ROOT = f"arn:aws:iam::{OTHER_ACCOUNT}:root"
LOCKED_OUT = r"^The new key policy will not allow you to update the key policy in the future\.$"
INVALID_PRINCIPALS = r"^Policy contains a statement with one or more invalid principals\.$"
MISSING = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/00000000-0000-0000-0000-000000000000"


def test_the_default_policy_delegates_to_the_account(kms, new_key):
    made = new_key()["KeyId"]
    assert kms.list_key_policies(KeyId=made)["PolicyNames"] == ["default"]
    told = kms.get_key_policy(KeyId=made)
    assert told["PolicyName"] == "default"
    policy = json.loads(told["Policy"])
    assert policy["Version"] == "2012-10-17"
    (statement,) = policy["Statement"]
    assert statement["Principal"] == {"AWS": ROOT}
    assert (statement["Effect"], statement["Action"], statement["Resource"]) == ("Allow", "kms:*", "*")


def test_a_policy_comes_back_as_it_was_given(kms, new_key):
    made = new_key()["KeyId"]
    policy = json.dumps({"Version": "2012-10-17", "Id": "größe", "Statement": [delegating(ACCOUNT)]}, indent=3)
    kms.put_key_policy(KeyId=made, Policy=policy)
    assert kms.get_key_policy(KeyId=made, PolicyName="default")["Policy"] == policy
    with refused("NotFoundException"):
        kms.get_key_policy(KeyId=made, PolicyName="other")
    with refused("ValidationException"):
        kms.put_key_policy(KeyId=made, PolicyName="other", Policy=policy)


def test_nobody_locks_themselves_out(kms, new_key, new_user):
    made = new_key()["KeyId"]
    user = new_user()
    for policy in (
        document(principal(user.arn, "kms:*")),
        document(principal(ROOT, "kms:Encrypt")),
        document(delegating(ACCOUNT), principal(ROOT, "kms:PutKeyPolicy", effect="Deny")),
    ):
        with refused("MalformedPolicyDocumentException", LOCKED_OUT, status=400):
            kms.put_key_policy(KeyId=made, Policy=policy)
        with refused("MalformedPolicyDocumentException", LOCKED_OUT):
            kms.create_key(Policy=policy)
    kms.put_key_policy(KeyId=made, Policy=document(principal(user.arn, "kms:*")), BypassPolicyLockoutSafetyCheck=True)
    # The check was right: the root user cannot come back, the named user can.
    with refused("AccessDeniedException", "because no resource-based policy allows the kms:PutKeyPolicy action"):
        kms.put_key_policy(KeyId=made, Policy=document(delegating(ACCOUNT)))
    user.client("kms").put_key_policy(
        KeyId=made, Policy=document(delegating(ACCOUNT), principal(user.arn, "kms:PutKeyPolicy"))
    )
    kms.describe_key(KeyId=made)


@pytest.mark.parametrize(
    "arn",
    [
        f"arn:aws:iam::{ACCOUNT}:user/nobody-of-that-name",
        f"arn:aws:iam::{ACCOUNT}:role/nobody-of-that-name",
        f"arn:aws:iam::{ACCOUNT}:user/*",
        "nonsense",
        "AIDAQQQQQQQQQQQQQQQQQ",
    ],
)
def test_principals_must_exist(kms, new_key, arn):
    with refused("MalformedPolicyDocumentException", INVALID_PRINCIPALS, status=400):
        kms.put_key_policy(
            KeyId=new_key()["KeyId"], Policy=document(delegating(ACCOUNT), principal(arn, "kms:Encrypt"))
        )


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '"text"', "null", '{"Version":"2012-10-17"}', '{"Version":"2012-10-17","Statement":[{"Effect":"Maybe"}]}'],
)
def test_what_is_no_policy_is_malformed(kms, key, text):
    with refused("MalformedPolicyDocumentException", status=400):
        kms.put_key_policy(KeyId=key["KeyId"], Policy=text)


def test_a_policy_has_at_most_32_kilobytes(kms, new_key):
    made = new_key()["KeyId"]
    policy = document(delegating(ACCOUNT))
    kms.put_key_policy(KeyId=made, Policy=policy + " " * (32768 - len(policy)))
    with refused(("LimitExceededException", "ValidationException")):
        kms.put_key_policy(KeyId=made, Policy=policy + " " * (32769 - len(policy)))


@pytest.mark.parametrize(
    ("elements", "lacks"),
    [
        ({"Action": "kms:*"}, "resources"),
        ({"NotAction": "kms:CreateGrant"}, "resources"),
        ({"Resource": "*"}, "actions"),
        ({}, "actions"),
    ],
)
def test_a_statement_without_action_or_resource_is_malformed(kms, new_key, elements, lacks):
    made = new_key()["KeyId"]
    before = kms.get_key_policy(KeyId=made)["Policy"]
    policy = document(delegating(ACCOUNT), {"Effect": "Deny", "Principal": "*", **elements})
    for bypass in (False, True):
        with refused("MalformedPolicyDocumentException", f"must contain {lacks}", status=400):
            kms.put_key_policy(KeyId=made, Policy=policy, BypassPolicyLockoutSafetyCheck=bypass)
        with refused("MalformedPolicyDocumentException", f"must contain {lacks}", status=400):
            new_key(Policy=policy, BypassPolicyLockoutSafetyCheck=bypass)
    assert kms.get_key_policy(KeyId=made)["Policy"] == before


def test_a_statement_may_say_what_it_is_not_about(kms, new_key):
    made = new_key()["KeyId"]
    spared = {"Effect": "Deny", "Principal": "*", "NotAction": "kms:*", "NotResource": "arn:aws:s3:::b"}
    kms.put_key_policy(KeyId=made, Policy=document(delegating(ACCOUNT), spared))
    kms.describe_key(KeyId=made)


def test_without_delegation_the_account_own_policies_do_not_count(kms, new_key, new_user):
    named, unnamed = new_user(), new_user(allow("kms:*"))
    made = new_key(
        Policy=document(
            principal(ROOT, ["kms:PutKeyPolicy", "kms:DescribeKey"]), principal(named.arn, ["kms:Encrypt"])
        )
    )
    # The policy names a user: that user needs nothing else.
    named.client("kms").encrypt(KeyId=made["KeyId"], Plaintext=b"x")
    with refused("AccessDeniedException", status=400):
        named.client("kms").describe_key(KeyId=made["KeyId"])
    # The other has every right in IAM, and none here.
    with refused(
        "AccessDeniedException",
        rf"^User: {unnamed.arn} is not authorized to perform: kms:Encrypt on resource: {made['Arn']} "
        "because no resource-based policy allows the kms:Encrypt action$",
    ):
        unnamed.client("kms").encrypt(KeyId=made["KeyId"], Plaintext=b"x")
    # Even the root user has only what the policy says.
    with refused("AccessDeniedException"):
        kms.encrypt(KeyId=made["KeyId"], Plaintext=b"x")
    # Delegation of some actions is delegation of these alone.
    unnamed.client("kms").describe_key(KeyId=made["KeyId"])


def test_delegation_alone_gives_nobody_anything(key, new_user):
    user = new_user()
    with refused(
        "AccessDeniedException",
        rf"^User: {user.arn} is not authorized to perform: kms:Encrypt on resource: {key['Arn']} "
        "because no identity-based policy allows the kms:Encrypt action$",
        status=400,
    ):
        user.client("kms").encrypt(KeyId=key["KeyId"], Plaintext=b"x")
    user.may(allow("kms:Encrypt", key["Arn"]))
    user.client("kms").encrypt(KeyId=key["KeyId"], Plaintext=b"x")


def test_a_deny_in_the_key_policy_wins(kms, new_key, new_user):
    user = new_user(allow("kms:*"))
    made = new_key(Policy=document(delegating(ACCOUNT), principal(user.arn, "kms:Decrypt", effect="Deny")))
    blob = user.client("kms").encrypt(KeyId=made["KeyId"], Plaintext=b"x")["CiphertextBlob"]
    with refused("AccessDeniedException", "with an explicit deny in a resource-based policy$"):
        user.client("kms").decrypt(CiphertextBlob=blob)
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"


def test_a_deny_in_an_identity_policy_wins(key, new_user):
    user = new_user(allow("kms:*"), deny("kms:Encrypt"))
    with refused("AccessDeniedException", "with an explicit deny in an identity-based policy"):
        user.client("kms").encrypt(KeyId=key["KeyId"], Plaintext=b"x")


def test_a_role_is_named_for_all_its_sessions(palisade, new_key, new_role):
    role = new_role(trust=trusting(ROOT))
    made = new_key(Policy=document(delegating(ACCOUNT), principal(role["Arn"], "kms:Encrypt")))
    session = session_of(palisade, role)
    palisade.client("kms", session).encrypt(KeyId=made["KeyId"], Plaintext=b"x")
    with refused("AccessDeniedException", f"^User: arn:aws:sts::{ACCOUNT}:assumed-role/{role['RoleName']}/session "):
        palisade.client("kms", session).describe_key(KeyId=made["KeyId"])


def session_of(palisade, role, **arguments):
    """Assumes a role as a user who may."""
    iam = palisade.client("iam")
    name = f"assumer-of-{role['RoleName']}"
    iam.create_user(UserName=name)
    iam.put_user_policy(
        UserName=name, PolicyName="assume", PolicyDocument=document(allow("sts:AssumeRole", role["Arn"]))
    )
    credentials = iam.create_access_key(UserName=name)["AccessKey"]
    assumer = palisade.client("sts", credentials)
    return assumer.assume_role(RoleArn=role["Arn"], RoleSessionName="session", **arguments)["Credentials"]


def deleted(iam, user):
    iam.delete_access_key(UserName=user.name, AccessKeyId=user.credentials["AccessKeyId"])
    iam.delete_user(UserName=user.name)


def test_a_name_used_again_does_not_inherit(palisade, iam, new_key, new_user):
    user = new_user()
    made = new_key(Policy=document(delegating(ACCOUNT), principal(user.arn, "kms:Encrypt")))
    user.client("kms").encrypt(KeyId=made["KeyId"], Plaintext=b"x")
    deleted(iam, user)
    again = iam.create_user(UserName=user.name)["User"]
    assert again["Arn"] == user.arn
    namesake = palisade.client("kms", iam.create_access_key(UserName=user.name)["AccessKey"])
    with refused("AccessDeniedException"):
        namesake.encrypt(KeyId=made["KeyId"], Plaintext=b"x")


def test_a_dead_principal_is_shown_by_its_id(iam, kms, new_key, new_user):
    user = new_user()
    user_id = iam.get_user(UserName=user.name)["User"]["UserId"]
    made = new_key(Policy=document(delegating(ACCOUNT), principal(user.arn, "kms:Encrypt")))
    deleted(iam, user)
    shown = kms.get_key_policy(KeyId=made["KeyId"])["Policy"]
    assert user_id in shown and user.arn not in shown
    # Nobody can write the id of the dead.
    with refused("MalformedPolicyDocumentException", INVALID_PRINCIPALS):
        kms.put_key_policy(KeyId=made["KeyId"], Policy=shown)


def test_a_renamed_principal_keeps_what_it_had(iam, kms, new_key, new_user):
    user = new_user()
    made = new_key(Policy=document(delegating(ACCOUNT), principal(user.arn, "kms:Encrypt")))
    iam.update_user(UserName=user.name, NewUserName=f"{user.name}-renamed")
    user.client("kms").encrypt(KeyId=made["KeyId"], Plaintext=b"x")
    shown = kms.get_key_policy(KeyId=made["KeyId"])["Policy"]
    assert f'"{user.arn}-renamed"' in shown and f'"{user.arn}"' not in shown
    # What is read can be written.
    kms.put_key_policy(KeyId=made["KeyId"], Policy=shown)
    user.client("kms").encrypt(KeyId=made["KeyId"], Plaintext=b"x")


def test_everybody_but_those_who_are_named(kms, new_key, new_user):
    spared, other = new_user(allow("kms:*")), new_user(allow("kms:*"))
    but = {"Effect": "Deny", "NotPrincipal": {"AWS": [spared.arn, ROOT]}, "Action": "kms:Encrypt", "Resource": "*"}
    made = new_key(Policy=document(delegating(ACCOUNT), but))
    spared.client("kms").encrypt(KeyId=made["KeyId"], Plaintext=b"x")
    kms.encrypt(KeyId=made["KeyId"], Plaintext=b"x")
    with refused("AccessDeniedException", "with an explicit deny in a resource-based policy"):
        other.client("kms").encrypt(KeyId=made["KeyId"], Plaintext=b"x")


def test_everybody_of_one_account(palisade, kms, new_key, new_user):
    theirs = {"StringEquals": {"kms:CallerAccount": OTHER_ACCOUNT}}
    everybody = {"Effect": "Allow", "Principal": "*", "Action": "kms:DescribeKey", "Resource": "*", "Condition": theirs}
    made = new_key(Policy=document(delegating(ACCOUNT), everybody))
    palisade.other_client("kms").describe_key(KeyId=made["Arn"])
    with refused("AccessDeniedException"):
        new_user().client("kms").describe_key(KeyId=made["Arn"])
    with refused("AccessDeniedException"):
        palisade.other_client("kms").encrypt(KeyId=made["Arn"], Plaintext=b"x")


def test_an_account_is_named_by_its_bare_id_too(kms, new_key, new_user):
    made = new_key(Policy=document(principal(ACCOUNT, "kms:*")))
    assert json.loads(kms.get_key_policy(KeyId=made["KeyId"])["Policy"])["Statement"][0]["Principal"] == {"AWS": ACCOUNT}
    new_user(allow("kms:Encrypt")).client("kms").encrypt(KeyId=made["KeyId"], Plaintext=b"x")


# Two accounts.


@pytest.fixture
def stranger(palisade, name):
    """A user of the other account, and how to give it rights there."""

    class Stranger:
        def __init__(self):
            self.iam = palisade.other_client("iam")
            self.name = f"stranger-{name}"
            self.arn = self.iam.create_user(UserName=self.name)["User"]["Arn"]
            self.kms = palisade.client("kms", self.iam.create_access_key(UserName=self.name)["AccessKey"])

        def may(self, *statements):
            self.iam.put_user_policy(UserName=self.name, PolicyName="p", PolicyDocument=document(*statements))

    return Stranger()


def test_across_accounts_both_sides_must_allow(kms, new_key, stranger):
    made = new_key()
    encrypt = lambda: stranger.kms.encrypt(KeyId=made["Arn"], Plaintext=b"x")  # noqa: E731
    with refused("AccessDeniedException"):
        encrypt()  # neither side
    kms.put_key_policy(
        KeyId=made["KeyId"], Policy=document(delegating(ACCOUNT), principal(OTHER_ROOT, ["kms:Encrypt", "kms:Decrypt"]))
    )
    with refused("AccessDeniedException", f"is not authorized to perform: kms:Encrypt on resource: {made['Arn']}"):
        encrypt()  # the owner's side alone
    stranger.may(allow(["kms:Encrypt", "kms:Decrypt", "kms:DescribeKey"], made["Arn"]))
    sealed = encrypt()
    assert sealed["KeyId"] == made["Arn"]
    assert stranger.kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"])["Plaintext"] == b"x"
    assert kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"])["Plaintext"] == b"x"
    with refused("AccessDeniedException"):
        stranger.kms.describe_key(KeyId=made["Arn"])  # the caller's side alone
    kms.put_key_policy(KeyId=made["KeyId"], Policy=document(delegating(ACCOUNT)))
    with refused("AccessDeniedException"):
        encrypt()


def test_naming_a_foreign_user_spares_no_identity_policy(new_key, stranger):
    made = new_key(Policy=document(delegating(ACCOUNT), principal(stranger.arn, "kms:Encrypt")))
    with refused("AccessDeniedException"):
        stranger.kms.encrypt(KeyId=made["Arn"], Plaintext=b"x")
    stranger.may(allow("kms:Encrypt", made["Arn"]))
    stranger.kms.encrypt(KeyId=made["Arn"], Plaintext=b"x")


def test_a_foreign_key_that_is_not_there_looks_like_one_that_refuses(new_key, stranger):
    stranger.may(allow("kms:*"))
    made = new_key()
    said = []
    for arn in (made["Arn"], MISSING):
        with refused("AccessDeniedException", status=400) as told:
            stranger.kms.encrypt(KeyId=arn, Plaintext=b"x")
        said.append(told.message.replace(arn, "ARN"))
    assert said[0] == said[1]
    for alias in ("alias/exists-not",):
        with refused("AccessDeniedException"):
            stranger.kms.encrypt(KeyId=f"arn:aws:kms:{REGION}:{ACCOUNT}:{alias}", Plaintext=b"x")


def test_ids_and_aliases_without_account_are_the_callers_own(kms, key, name, stranger):
    stranger.may(allow("kms:*"))
    kms.create_alias(AliasName=f"alias/{name}", TargetKeyId=key["KeyId"])
    for own in (key["KeyId"], f"alias/{name}"):
        with refused("NotFoundException"):
            stranger.kms.encrypt(KeyId=own, Plaintext=b"x")


def test_management_stays_in_the_account(palisade, kms, new_key):
    made = new_key(Policy=document(delegating(ACCOUNT), principal(OTHER_ROOT, "kms:*")))
    stranger = palisade.other_client("kms")
    stranger.describe_key(KeyId=made["Arn"])
    for work in (
        lambda: stranger.disable_key(KeyId=made["Arn"]),
        lambda: stranger.schedule_key_deletion(KeyId=made["Arn"]),
        lambda: stranger.put_key_policy(KeyId=made["Arn"], Policy=document(principal(OTHER_ROOT, "kms:*"))),
        lambda: stranger.tag_resource(KeyId=made["Arn"], Tags=[{"TagKey": "a", "TagValue": "b"}]),
        lambda: stranger.update_key_description(KeyId=made["Arn"], Description="mine"),
        lambda: stranger.create_alias(AliasName="alias/mine", TargetKeyId=made["Arn"]),
    ):
        with refused(("AccessDeniedException", "NotFoundException")):
            work()
    assert kms.describe_key(KeyId=made["KeyId"])["KeyMetadata"]["KeyState"] == "Enabled"


# What needs permission on two things.


def test_an_alias_needs_permission_on_itself_and_on_its_key(key, new_key, new_user, name):
    alias = f"alias/{name}"
    alias_arn = f"arn:aws:kms:{REGION}:{ACCOUNT}:{alias}"
    user = new_user(allow("kms:CreateAlias", key["Arn"]))
    with refused("AccessDeniedException", f"kms:CreateAlias on resource: {alias_arn} "):
        user.client("kms").create_alias(AliasName=alias, TargetKeyId=key["KeyId"])
    user.may(allow("kms:CreateAlias", alias_arn))
    with refused("AccessDeniedException", f"kms:CreateAlias on resource: {key['Arn']} "):
        user.client("kms").create_alias(AliasName=alias, TargetKeyId=key["KeyId"])
    user.may(allow("kms:CreateAlias", [alias_arn, key["Arn"]]))
    user.client("kms").create_alias(AliasName=alias, TargetKeyId=key["KeyId"])
    other = new_key()
    for some in ([alias_arn, key["Arn"]], [alias_arn, other["Arn"]], [key["Arn"], other["Arn"]]):
        user.may(allow("kms:UpdateAlias", some))
        with refused("AccessDeniedException", "kms:UpdateAlias"):
            user.client("kms").update_alias(AliasName=alias, TargetKeyId=other["KeyId"])
    user.may(allow(["kms:UpdateAlias", "kms:DeleteAlias"], [alias_arn, key["Arn"], other["Arn"]]))
    user.client("kms").update_alias(AliasName=alias, TargetKeyId=other["KeyId"])
    user.client("kms").delete_alias(AliasName=alias)


def test_reencrypt_needs_both_halves(kms, key, new_key, new_user):
    other = new_key()
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x")["CiphertextBlob"]
    user = new_user(allow("kms:ReEncryptTo", other["Arn"]))
    with refused("AccessDeniedException", f"kms:ReEncryptFrom on resource: {key['Arn']}"):
        user.client("kms").re_encrypt(CiphertextBlob=blob, DestinationKeyId=other["KeyId"])
    user.may(allow("kms:ReEncryptFrom", key["Arn"]))
    with refused("AccessDeniedException", f"kms:ReEncryptTo on resource: {other['Arn']}"):
        user.client("kms").re_encrypt(CiphertextBlob=blob, DestinationKeyId=other["KeyId"])
    user.may(allow("kms:ReEncryptFrom", key["Arn"]), allow("kms:ReEncryptTo", other["Arn"]))
    user.client("kms").re_encrypt(CiphertextBlob=blob, DestinationKeyId=other["KeyId"])


def test_a_key_created_with_tags_needs_the_tag_action(new_user):
    user = new_user(allow("kms:CreateKey"))
    user.client("kms").create_key()
    with refused("AccessDeniedException", "kms:TagResource"):
        user.client("kms").create_key(Tags=[{"TagKey": "a", "TagValue": "b"}])
    user.may(allow(["kms:CreateKey", "kms:TagResource"]))
    user.client("kms").create_key(Tags=[{"TagKey": "a", "TagValue": "b"}])
