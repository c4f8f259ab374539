"""Centralized root access: features of an organisation, and sessions of its members' root users."""

import datetime

import pytest

from policies import allow, document
from refusals import refused
from server import ACCOUNT, OTHER_ACCOUNT, OTHER_KEY
from test_iam_signing_certificates import certificate
from test_organizations import Tree, tree  # noqa: F401 (a fixture)

AUDIT = "arn:aws:iam::aws:policy/root-task/IAMAuditRootUserCredentials"
CREATE = "arn:aws:iam::aws:policy/root-task/IAMCreateRootUserPassword"
DELETE = "arn:aws:iam::aws:policy/root-task/IAMDeleteRootUserCredentials"
BOTH = ["RootCredentialsManagement", "RootSessions"]


@pytest.fixture
def family(tree):  # noqa: F811
    """The other account as a member, and root access to it."""
    handshake = tree.api.invite_account_to_organization(Target={"Id": OTHER_ACCOUNT, "Type": "ACCOUNT"})["Handshake"]
    tree.server.other_client("organizations").accept_handshake(HandshakeId=handshake["Id"])
    tree.api.enable_aws_service_access(ServicePrincipal="iam.amazonaws.com")
    iam = tree.server.client("iam")
    iam.enable_organizations_root_credentials_management()
    assert iam.enable_organizations_root_sessions()["EnabledFeatures"] == BOTH
    return tree


def become_root(tree, task, account=OTHER_ACCOUNT, **more):  # noqa: F811
    sts = tree.server.client("sts", tree.admin)
    return sts.assume_root(TargetPrincipal=account, TaskPolicyArn={"arn": task}, **more)


def as_root(tree, task, service="iam", account=OTHER_ACCOUNT):  # noqa: F811
    return tree.server.client(service, become_root(tree, task, account)["Credentials"])


def test_features_need_an_organization_that_trusts_iam(tree):  # noqa: F811
    iam = tree.server.client("iam")
    with refused("OrganizationNotFoundException", status=400):
        tree.server.other_client("iam").list_organizations_features()
    with refused("ServiceAccessNotEnabledException", status=400):
        iam.enable_organizations_root_sessions()
    tree.api.enable_aws_service_access(ServicePrincipal="iam.amazonaws.com")
    assert iam.list_organizations_features() | {"ResponseMetadata": None} == {
        "OrganizationId": tree.id,
        "EnabledFeatures": [],
        "ResponseMetadata": None,
    }
    told = iam.enable_organizations_root_credentials_management()
    assert (told["OrganizationId"], told["EnabledFeatures"]) == (tree.id, BOTH[:1])
    assert iam.enable_organizations_root_sessions()["EnabledFeatures"] == BOTH
    assert iam.disable_organizations_root_credentials_management()["EnabledFeatures"] == BOTH[1:]
    assert iam.disable_organizations_root_sessions()["EnabledFeatures"] == []


def test_delegated_administrators_see_and_disable(family):
    member = family.server.other_client("iam")
    with refused("AccountNotManagementOrDelegatedAdministratorException"):
        member.list_organizations_features()
    family.api.register_delegated_administrator(AccountId=OTHER_ACCOUNT, ServicePrincipal="iam.amazonaws.com")
    assert member.list_organizations_features()["EnabledFeatures"] == BOTH
    with refused("CallerIsNotManagementAccountException"):
        member.enable_organizations_root_sessions()
    assert member.disable_organizations_root_sessions()["EnabledFeatures"] == BOTH[:1]


def test_a_session_of_a_members_root_user(family):
    told = become_root(family, AUDIT, DurationSeconds=300)
    credentials = told["Credentials"]
    lasts = credentials["Expiration"] - datetime.datetime.now(datetime.timezone.utc)
    assert 200 < lasts.total_seconds() <= 300
    assert "SourceIdentity" not in told
    who = family.server.client("sts", credentials).get_caller_identity()
    arn = f"arn:aws:iam::{OTHER_ACCOUNT}:root"
    assert (who["Arn"], who["UserId"], who["Account"]) == (arn, OTHER_ACCOUNT, OTHER_ACCOUNT)


def test_roots_credentials_are_audited_and_deleted(family):
    family.server.other_client("iam").upload_signing_certificate(CertificateBody=certificate())
    audit, delete = as_root(family, AUDIT), as_root(family, DELETE)
    (key,) = audit.list_access_keys()["AccessKeyMetadata"]
    assert key["AccessKeyId"] == OTHER_KEY
    assert audit.get_account_summary()["SummaryMap"]["AccountAccessKeysPresent"] == 1
    assert audit.get_user()["User"]["Arn"] == f"arn:aws:iam::{OTHER_ACCOUNT}:root"
    assert audit.list_mfa_devices()["MFADevices"] == []
    (signing,) = audit.list_signing_certificates()["Certificates"]
    with refused("AccessDenied", r"explicit deny in a session policy", status=403):
        audit.delete_signing_certificate(CertificateId=signing["CertificateId"])
    delete.delete_signing_certificate(CertificateId=signing["CertificateId"])
    assert audit.get_account_summary()["SummaryMap"]["AccountSigningCertificatesPresent"] == 0
    audit.get_access_key_last_used(AccessKeyId=OTHER_KEY)
    with refused("AccessDenied", r"explicit deny in a session policy: " + AUDIT, status=403):
        audit.delete_access_key(AccessKeyId=OTHER_KEY)
    delete.delete_access_key(AccessKeyId=OTHER_KEY)
    assert audit.get_account_summary()["SummaryMap"]["AccountAccessKeysPresent"] == 0
    with refused("InvalidClientTokenId"):
        family.server.other_client("sts").get_caller_identity()


def test_root_may_have_a_password_again(family):
    create, delete, audit = (as_root(family, task) for task in (CREATE, DELETE, AUDIT))
    with refused("NoSuchEntity"):
        audit.get_login_profile()
    create.create_login_profile()
    audit.get_login_profile()
    assert audit.get_account_summary()["SummaryMap"]["AccountPasswordPresent"] == 1
    delete.delete_login_profile()
    assert audit.get_account_summary()["SummaryMap"]["AccountPasswordPresent"] == 0


def test_accounts_that_the_organization_made(family):
    account = family.account()
    audit = as_root(family, AUDIT, account=account)
    assert audit.list_access_keys()["AccessKeyMetadata"] == []
    summary = audit.get_account_summary()["SummaryMap"]
    assert (summary["AccountAccessKeysPresent"], summary["AccountPasswordPresent"]) == (0, 0)


def test_who_may_not_become_root(family):
    server = family.server
    task = {"arn": AUDIT}
    with refused("AccessDenied", status=403):
        server.client("sts").assume_root(TargetPrincipal=OTHER_ACCOUNT, TaskPolicyArn=task)
    for account in (ACCOUNT, "999988887777"):
        with refused("AccessDenied", status=403):
            become_root(family, AUDIT, account)
    with refused("ValidationError"):
        become_root(family, "arn:aws:iam::aws:policy/AdministratorAccess")

    iam = server.client("iam")
    iam.create_user(UserName="auditor")
    own = allow("sts:AssumeRoot", Condition={"StringEquals": {"sts:TaskPolicyArn": AUDIT}})
    iam.put_user_policy(UserName="auditor", PolicyName="own", PolicyDocument=document(own))
    auditor = server.client("sts", iam.create_access_key(UserName="auditor")["AccessKey"])
    auditor.assume_root(TargetPrincipal=f"arn:aws:iam::{OTHER_ACCOUNT}:root", TaskPolicyArn=task)
    words = r"auditor is not authorized to perform: sts:AssumeRoot on resource: arn:aws:iam::\d+:root because no identity"
    with refused("AccessDenied", words, status=403):
        auditor.assume_root(TargetPrincipal=OTHER_ACCOUNT, TaskPolicyArn={"arn": DELETE})

    iam.disable_organizations_root_sessions()
    become_root(family, DELETE)
    with refused("AccessDenied", r"not enabled", status=403):
        become_root(family, CREATE)


def test_the_members_policies_bind_its_root(family):
    family.enable("SERVICE_CONTROL_POLICY")
    scp = {"Effect": "Deny", "Action": "iam:ListAccessKeys", "Resource": "*"}
    audit = as_root(family, AUDIT)
    family.policy(scp, target=OTHER_ACCOUNT)
    with refused("AccessDenied", r"explicit deny in a service control policy", status=403):
        audit.list_access_keys()
