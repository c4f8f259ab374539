"""Organizations: accounts in a tree, and the policies that bind them."""

import json
import subprocess
import time

import pytest

from policies import allow, delegating, deny, document, principal
from refusals import refused
from server import ACCOUNT, OTHER_ACCOUNT, Server

SCP = "SERVICE_CONTROL_POLICY"
RCP = "RESOURCE_CONTROL_POLICY"
TAG = "TAG_POLICY"
FULL = "p-FullAWSAccess"


class Tree:
    """An organisation of the first account, and how to make things in it."""

    def __init__(self, server):
        self.server = server
        self.api = server.client("organizations")
        self.organization = self.api.create_organization()["Organization"]
        self.id = self.organization["Id"]
        self.root = self.api.list_roots()["Roots"][0]["Id"]
        self.numbers = iter(range(1, 10_000))
        self.admin = self.administrator()

    def administrator(self):
        """A user of the management account: root users may not assume roles."""
        iam = self.server.client("iam")
        iam.create_user(UserName="administrator")
        iam.attach_user_policy(UserName="administrator", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
        return iam.create_access_key(UserName="administrator")["AccessKey"]

    def account(self, parent=None, **more):
        """Creates an account, waits until it is there, and moves it."""
        number = next(self.numbers)
        status = self.api.create_account(Email=f"a{number}@example.com", AccountName=f"account {number}", **more)
        account = self.made(status["CreateAccountStatus"])["AccountId"]
        if parent:
            self.api.move_account(AccountId=account, SourceParentId=self.root, DestinationParentId=parent)
        return account

    def made(self, status):
        assert status["State"] == "IN_PROGRESS" and "AccountId" not in status
        deadline = time.monotonic() + 60
        while status["State"] == "IN_PROGRESS":
            assert time.monotonic() < deadline
            time.sleep(0.05)
            told = self.api.describe_create_account_status(CreateAccountRequestId=status["Id"])
            status = told["CreateAccountStatus"]
        return status

    def unit(self, parent=None):
        made = self.api.create_organizational_unit(ParentId=parent or self.root, Name=f"unit {next(self.numbers)}")
        return made["OrganizationalUnit"]["Id"]

    def enter(self, account, role="OrganizationAccountAccessRole"):
        """Credentials of the account's own administrator."""
        sts = self.server.client("sts", self.admin)
        return sts.assume_role(RoleArn=f"arn:aws:iam::{account}:role/{role}", RoleSessionName="me")["Credentials"]

    def client(self, service, account):
        return self.server.client(service, self.enter(account))

    def policy(self, *statements, kind=SCP, target=None):
        made = self.api.create_policy(
            Content=document(*statements), Description="", Name=f"policy {next(self.numbers)}", Type=kind
        )
        policy = made["Policy"]["PolicySummary"]["Id"]
        if target:
            self.api.attach_policy(PolicyId=policy, TargetId=target)
        return policy

    def enable(self, kind):
        return self.api.enable_policy_type(RootId=self.root, PolicyType=kind)["Root"]


@pytest.fixture
def tree(tmp_path):
    server = Server(tmp_path / "organization")
    yield Tree(server)
    assert server.metric("palisade_panics_total") == 0
    server.stop()


def everything(call, key, **arguments):
    """All pages of a list, which must be pages."""
    items, token = [], None
    while True:
        page = call(MaxResults=2, **arguments, **({"NextToken": token} if token else {}))
        assert len(page[key]) <= 2
        items += page[key]
        token = page.get("NextToken")
        if not token:
            return items


def test_an_organization_is_made_and_described(tree):
    told = tree.api.describe_organization()["Organization"]
    assert told["Id"].startswith("o-") and told["FeatureSet"] == "ALL"
    assert told["Arn"] == f"arn:aws:organizations::{ACCOUNT}:organization/{tree.id}"
    assert told["MasterAccountId"] == ACCOUNT
    assert told["MasterAccountArn"] == f"arn:aws:organizations::{ACCOUNT}:account/{tree.id}/{ACCOUNT}"
    root = tree.api.list_roots()["Roots"][0]
    assert root["Name"] == "Root" and root["PolicyTypes"] == []
    assert root["Arn"] == f"arn:aws:organizations::{ACCOUNT}:root/{tree.id}/{tree.root}"
    (own,) = tree.api.list_accounts()["Accounts"]
    assert (own["Id"], own["JoinedMethod"], own["Status"], own["State"]) == (ACCOUNT, "INVITED", "ACTIVE", "ACTIVE")
    with refused("AlreadyInOrganizationException", status=400):
        tree.api.create_organization()


def test_who_is_outside_sees_nothing(tree):
    outside = tree.server.other_client("organizations")
    words = r"^Your account is not a member of an organization\.$"
    for call, arguments in [
        (outside.describe_organization, {}),
        (outside.list_accounts, {}),
        (outside.describe_account, {"AccountId": ACCOUNT}),
        (outside.list_roots, {}),
        (outside.create_policy, {"Content": document(deny("s3:*")), "Description": "", "Name": "p", "Type": SCP}),
        (outside.delete_organization, {}),
    ]:
        with refused("AWSOrganizationsNotInUseException", words, status=400):
            call(**arguments)
    sts = tree.server.other_client("sts")
    account = tree.account()
    iam = tree.server.other_client("iam")
    iam.create_user(UserName="stranger")
    iam.attach_user_policy(UserName="stranger", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    stranger = iam.create_access_key(UserName="stranger")["AccessKey"]
    sts = tree.server.client("sts", stranger)
    with refused("AccessDenied"):
        sts.assume_role(
            RoleArn=f"arn:aws:iam::{account}:role/OrganizationAccountAccessRole", RoleSessionName="stranger"
        )


def test_a_created_account_works(tree):
    status = tree.api.create_account(
        Email="dev@example.com", AccountName="dev", Tags=[{"Key": "Team", "Value": "red"}],
        IamUserAccessToBilling="DENY",
    )["CreateAccountStatus"]
    assert status["Id"].startswith("car-") and status["AccountName"] == "dev"
    done = tree.made(status)
    assert done["State"] == "SUCCEEDED" and "CompletedTimestamp" in done
    account = done["AccountId"]
    told = tree.api.describe_account(AccountId=account)["Account"]
    assert told["Arn"] == f"arn:aws:organizations::{ACCOUNT}:account/{tree.id}/{account}"
    assert (told["Email"], told["Name"]) == ("dev@example.com", "dev")
    assert (told["JoinedMethod"], told["Status"], told["State"]) == ("CREATED", "ACTIVE", "ACTIVE")
    assert tree.api.list_parents(ChildId=account)["Parents"] == [{"Id": tree.root, "Type": "ROOT"}]
    assert tree.api.list_tags_for_resource(ResourceId=account)["Tags"] == [{"Key": "Team", "Value": "red"}]
    # It is really an account: its role does what an administrator does, in it and nowhere else.
    inside = tree.enter(account)
    me = tree.server.client("sts", inside).get_caller_identity()
    assert me["Account"] == account
    assert me["Arn"] == f"arn:aws:sts::{account}:assumed-role/OrganizationAccountAccessRole/me"
    key = tree.server.client("kms", inside).create_key()["KeyMetadata"]
    assert key["AWSAccountId"] == account
    iam = tree.server.client("iam", inside)
    iam.create_user(UserName="someone")
    attached = iam.list_attached_role_policies(RoleName="OrganizationAccountAccessRole")["AttachedPolicies"]
    assert [policy["PolicyName"] for policy in attached] == ["AdministratorAccess"]
    with refused("NoSuchEntity"):
        tree.server.client("iam").get_user(UserName="someone")


def test_a_role_of_another_name(tree):
    account = tree.account(RoleName="Steward")
    assert tree.enter(account, "Steward")
    with refused("AccessDenied"):
        tree.enter(account)


def test_an_address_serves_once(tree):
    tree.made(tree.api.create_account(Email="one@example.com", AccountName="one")["CreateAccountStatus"])
    second = tree.api.create_account(Email="ONE@example.com", AccountName="two")["CreateAccountStatus"]
    second = tree.made(second)
    assert (second["State"], second["FailureReason"]) == ("FAILED", "EMAIL_ALREADY_EXISTS")
    assert "AccountId" not in second
    failed = tree.api.list_create_account_status(States=["FAILED"])["CreateAccountStatuses"]
    assert [status["Id"] for status in failed] == [second["Id"]]
    with refused("CreateAccountStatusNotFoundException"):
        tree.api.describe_create_account_status(CreateAccountRequestId="car-" + "a" * 32)


def test_units_and_the_way_through_them(tree):
    api = tree.api
    made = api.create_organizational_unit(ParentId=tree.root, Name="prod", Tags=[{"Key": "a", "Value": "b"}])
    prod = made["OrganizationalUnit"]
    assert prod["Id"].startswith(f"ou-{tree.root[2:]}-")
    assert prod["Arn"] == f"arn:aws:organizations::{ACCOUNT}:ou/{tree.id}/{prod['Id']}"
    inner = tree.unit(prod["Id"])
    told = api.describe_organizational_unit(OrganizationalUnitId=inner)["OrganizationalUnit"]
    assert told["Path"] == f"{tree.id}/{tree.root}/{prod['Id']}/{inner}/"
    with refused("DuplicateOrganizationalUnitException"):
        api.create_organizational_unit(ParentId=tree.root, Name="prod")
    api.update_organizational_unit(OrganizationalUnitId=inner, Name="inner")
    api.create_organizational_unit(ParentId=prod["Id"], Name="other")
    with refused("DuplicateOrganizationalUnitException"):
        api.update_organizational_unit(OrganizationalUnitId=inner, Name="other")
    account = tree.account(inner)
    with refused("OrganizationalUnitNotEmptyException"):
        api.delete_organizational_unit(OrganizationalUnitId=inner)
    assert api.list_parents(ChildId=account)["Parents"] == [{"Id": inner, "Type": "ORGANIZATIONAL_UNIT"}]
    assert api.list_parents(ChildId=inner)["Parents"] == [{"Id": prod["Id"], "Type": "ORGANIZATIONAL_UNIT"}]
    children = api.list_children(ParentId=inner, ChildType="ACCOUNT")["Children"]
    assert children == [{"Id": account, "Type": "ACCOUNT"}]
    assert [one["Id"] for one in api.list_accounts_for_parent(ParentId=inner)["Accounts"]] == [account]
    api.move_account(AccountId=account, SourceParentId=inner, DestinationParentId=tree.root)
    api.delete_organizational_unit(OrganizationalUnitId=inner)
    with refused("OrganizationalUnitNotFoundException"):
        api.describe_organizational_unit(OrganizationalUnitId=inner)


def test_the_tree_has_five_levels(tree):
    parent = tree.root
    for _ in range(5):
        parent = tree.unit(parent)
    with refused("ConstraintViolationException") as refusal:
        tree.unit(parent)
    assert refusal.response["Reason"] == "OU_DEPTH_LIMIT_EXCEEDED"


def test_moving_wrongly(tree):
    unit, account = tree.unit(), tree.account()
    move = tree.api.move_account
    nowhere = f"ou-{tree.root[2:]}-nowhere00"
    with refused("AccountNotFoundException"):
        move(AccountId=OTHER_ACCOUNT, SourceParentId=tree.root, DestinationParentId=unit)
    with refused("SourceParentNotFoundException"):
        move(AccountId=account, SourceParentId=nowhere, DestinationParentId=unit)
    with refused("SourceParentNotFoundException"):
        move(AccountId=account, SourceParentId=tree.unit(), DestinationParentId=unit)
    with refused("DestinationParentNotFoundException"):
        move(AccountId=account, SourceParentId=tree.root, DestinationParentId=nowhere)
    with refused("DuplicateAccountException"):
        move(AccountId=account, SourceParentId=tree.root, DestinationParentId=tree.root)


def test_lists_come_in_pages(tree):
    units = [tree.unit() for _ in range(5)]
    listed = everything(tree.api.list_organizational_units_for_parent, "OrganizationalUnits", ParentId=tree.root)
    assert sorted(unit["Id"] for unit in listed) == sorted(units)
    children = everything(tree.api.list_children, "Children", ParentId=tree.root, ChildType="ORGANIZATIONAL_UNIT")
    assert sorted(child["Id"] for child in children) == sorted(units)
    accounts = [tree.account() for _ in range(3)]
    listed = everything(tree.api.list_accounts, "Accounts")
    assert sorted(account["Id"] for account in listed) == sorted([ACCOUNT, *accounts])
    with refused("InvalidInputException") as refusal:
        tree.api.list_accounts(NextToken="nonsense")
    assert refusal.response["Reason"] == "INVALID_NEXT_TOKEN"


def test_policies_live(tree):
    api = tree.api
    content = document(deny("s3:*"))
    made = api.create_policy(Content=content, Description="no s3", Name="no-s3", Type=SCP)["Policy"]
    summary, policy = made["PolicySummary"], made["PolicySummary"]["Id"]
    assert made["Content"] == content and summary["AwsManaged"] is False
    assert summary["Arn"] == f"arn:aws:organizations::{ACCOUNT}:policy/{tree.id}/service_control_policy/{policy}"
    with refused("DuplicatePolicyException"):
        api.create_policy(Content=content, Description="", Name="no-s3", Type=SCP)
    api.update_policy(PolicyId=policy, Name="less-s3", Content=document(deny("s3:Get*")))
    told = api.describe_policy(PolicyId=policy)["Policy"]
    assert told["PolicySummary"]["Name"] == "less-s3" and told["PolicySummary"]["Description"] == "no s3"
    names = {one["Name"] for one in api.list_policies(Filter=SCP)["Policies"]}
    assert names == {"FullAWSAccess", "less-s3"}
    assert [one["Name"] for one in api.list_policies(Filter=RCP)["Policies"]] == ["RCPFullAWSAccess"]
    full = api.describe_policy(PolicyId=FULL)["Policy"]
    assert full["PolicySummary"]["Arn"] == "arn:aws:organizations::aws:policy/service_control_policy/p-FullAWSAccess"
    for call in (api.delete_policy, api.update_policy):
        with refused("InvalidInputException") as refusal:
            call(PolicyId=FULL)
        assert refusal.response["Reason"] == "IMMUTABLE_POLICY"
    with refused("PolicyTypeNotEnabledException"):
        api.attach_policy(PolicyId=policy, TargetId=tree.root)
    tree.enable(SCP)
    api.attach_policy(PolicyId=policy, TargetId=tree.root)
    with refused("DuplicatePolicyAttachmentException"):
        api.attach_policy(PolicyId=policy, TargetId=tree.root)
    (target,) = api.list_targets_for_policy(PolicyId=policy)["Targets"]
    assert (target["TargetId"], target["Name"], target["Type"]) == (tree.root, "Root", "ROOT")
    with refused("PolicyInUseException"):
        api.delete_policy(PolicyId=policy)
    api.detach_policy(PolicyId=policy, TargetId=tree.root)
    with refused("PolicyNotAttachedException"):
        api.detach_policy(PolicyId=policy, TargetId=tree.root)
    api.delete_policy(PolicyId=policy)
    with refused("PolicyNotFoundException"):
        api.describe_policy(PolicyId=policy)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (SCP, "{"),
        (SCP, document(principal("*", "s3:*"))),
        (RCP, document({"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*"})),
        (RCP, document({"Effect": "Deny", "Action": "s3:*", "Resource": "*"})),
        (TAG, document(deny("s3:*"))),
    ],
)
def test_what_is_no_policy_of_its_type(tree, kind, content):
    with refused("MalformedPolicyDocumentException"):
        tree.api.create_policy(Content=content, Description="", Name="p", Type=kind)


def test_documents_have_a_longest_length(tree):
    def sized(kind, length):
        statement = deny("kms:*") if kind == SCP else {**deny("kms:*"), "Principal": "*"}
        text = document(statement)
        return text[:-1] + " " * (length - len(text)) + text[-1]

    for kind, most in [(SCP, 10_240), (RCP, 5_120)]:
        tree.api.create_policy(Content=sized(kind, most), Description="", Name=f"{kind}", Type=kind)
        with refused("ConstraintViolationException") as refusal:
            tree.api.create_policy(Content=sized(kind, most + 1), Description="", Name=f"long {kind}", Type=kind)
        assert refusal.response["Reason"] == "POLICY_CONTENT_LIMIT_EXCEEDED"


def test_policy_types_that_are_not_here(tree):
    with refused("InvalidInputException") as refusal:
        tree.api.create_policy(Content="{}", Description="", Name="p", Type="BACKUP_POLICY")
    assert refusal.response["Reason"] == "INVALID_ENUM_POLICY_TYPE"
    with refused("InvalidInputException"):
        tree.enable("BACKUP_POLICY")


def test_policy_types_go_on_and_off(tree):
    api = tree.api
    unit = tree.unit()
    root = tree.enable(SCP)
    assert root["PolicyTypes"] == [{"Type": SCP, "Status": "ENABLED"}]
    with refused("PolicyTypeAlreadyEnabledException"):
        tree.enable(SCP)
    policy = tree.policy(deny("s3:*"), target=unit)
    attached = {one["Id"] for one in api.list_policies_for_target(TargetId=unit, Filter=SCP)["Policies"]}
    assert attached == {FULL, policy}
    targets = {one["TargetId"] for one in everything(api.list_targets_for_policy, "Targets", PolicyId=FULL)}
    assert targets == {tree.root, unit, ACCOUNT}
    api.disable_policy_type(RootId=tree.root, PolicyType=SCP)
    with refused("PolicyTypeNotEnabledException"):
        api.disable_policy_type(RootId=tree.root, PolicyType=SCP)
    # Everything was detached, and only AWS's own policy comes back.
    tree.enable(SCP)
    attached = [one["Id"] for one in api.list_policies_for_target(TargetId=unit, Filter=SCP)["Policies"]]
    assert attached == [FULL]
    api.delete_policy(PolicyId=policy)
    with refused("RootNotFoundException"):
        api.enable_policy_type(RootId="r-none", PolicyType=RCP)


def test_how_many_policies_a_target_takes(tree):
    tree.enable(SCP)
    tree.enable(RCP)
    unit = tree.unit()
    for _ in range(9):
        tree.policy(deny("s3:*"), target=unit)
    tenth = tree.policy(deny("s3:*"))
    with refused("ConstraintViolationException") as refusal:
        tree.api.attach_policy(PolicyId=tenth, TargetId=unit)
    assert refusal.response["Reason"] == "MAX_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED"
    other = tree.unit()
    with refused("ConstraintViolationException") as refusal:
        tree.api.detach_policy(PolicyId=FULL, TargetId=other)
    assert refusal.response["Reason"] == "MIN_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED"
    with refused("InvalidInputException") as refusal:
        tree.api.detach_policy(PolicyId="p-RCPFullAWSAccess", TargetId=other)
    assert refusal.response["Reason"] == "NON_DETACHABLE_POLICY"


def denied_by_scp(tree, account, what="kms:ListKeys"):
    return refused(
        "AccessDeniedException",
        rf"^User: arn:aws:sts::{account}:assumed-role/OrganizationAccountAccessRole/me is not authorized to perform: "
        rf"{what} (on resource: \S+ )?with an explicit deny in a service control policy",
        status=400,
    )


@pytest.mark.parametrize("level", ["root", "unit", "account"])
def test_a_deny_binds_from_every_level(tree, level):
    tree.enable(SCP)
    unit = tree.unit()
    account, spared = tree.account(unit), tree.account()
    kms = tree.client("kms", account)
    kms.list_keys()
    target = {"root": tree.root, "unit": unit, "account": account}[level]
    policy = tree.policy(deny("kms:ListKeys"), target=target)
    with denied_by_scp(tree, account) as refusal:
        kms.list_keys()
    assert f":policy/{tree.id}/service_control_policy/{policy}" in refusal.message
    kms.create_key()  # only what is denied is
    if level == "root":
        with denied_by_scp(tree, spared):
            tree.client("kms", spared).list_keys()
    else:
        tree.client("kms", spared).list_keys()
    # The management account is bound by none of it, and neither is who is outside.
    tree.server.client("kms").list_keys()
    tree.server.other_client("kms").list_keys()
    tree.api.detach_policy(PolicyId=policy, TargetId=target)
    kms.list_keys()


def test_an_allow_below_never_restores(tree):
    tree.enable(SCP)
    unit = tree.unit()
    account = tree.account(unit)
    kms = tree.client("kms", account)
    narrow = tree.policy(allow("s3:*"), target=unit)
    kms.list_keys()
    tree.api.detach_policy(PolicyId=FULL, TargetId=unit)
    wide = tree.policy(allow("kms:*"), target=account)
    words = "because no service control policy allows the kms:ListKeys action$"
    with refused("AccessDeniedException", words):
        kms.list_keys()
    # Even the account's root user, and whoever its own policies let do all, is held.
    tree.api.update_policy(PolicyId=narrow, Content=document(allow(["s3:*", "kms:List*"])))
    kms.list_keys()
    with refused("AccessDeniedException", "because no service control policy allows the kms:CreateKey action$"):
        kms.create_key()
    tree.api.detach_policy(PolicyId=wide, TargetId=account)


def test_moving_changes_what_binds_at_once(tree):
    tree.enable(SCP)
    free, bound = tree.unit(), tree.unit()
    tree.policy(deny("kms:ListKeys"), target=bound)
    account = tree.account(free)
    kms = tree.client("kms", account)
    for _ in range(10):
        kms.list_keys()
        tree.api.move_account(AccountId=account, SourceParentId=free, DestinationParentId=bound)
        with denied_by_scp(tree, account):
            kms.list_keys()
        tree.api.move_account(AccountId=account, SourceParentId=bound, DestinationParentId=free)


def test_users_of_a_member_are_bound_as_well(tree):
    tree.enable(SCP)
    account = tree.account()
    iam = tree.client("iam", account)
    iam.create_user(UserName="all")
    iam.put_user_policy(UserName="all", PolicyName="all", PolicyDocument=document(allow("*")))
    key = iam.create_access_key(UserName="all")["AccessKey"]
    user = tree.server.client("kms", key)
    user.list_keys()
    tree.policy(deny("kms:*", Condition={"StringNotEquals": {"aws:RequestedRegion": "eu-west-1"}}), target=account)
    with refused("AccessDeniedException", "explicit deny in a service control policy"):
        user.list_keys()
    tree.server.client("kms", key, region="eu-west-1").list_keys()


def test_why_names_the_level(tree):
    tree.enable(SCP)
    account = tree.account()
    policy = tree.policy(deny("kms:ListKeys"), target=account)
    inside = tree.enter(account)
    with denied_by_scp(tree, account) as refusal:
        tree.server.client("kms", inside).list_keys()
    why = tree.server.palisade("why", refusal.request_id, "--json", credentials=inside, check=False)
    assert policy in why.stdout, why.stdout + why.stderr


def test_a_resource_control_policy_holds_the_door_of_a_key(tree):
    tree.enable(RCP)
    account = tree.account()
    inside = tree.client("kms", account)
    key = inside.create_key(
        Policy=document(delegating(account), principal(f"arn:aws:iam::{OTHER_ACCOUNT}:root", "kms:Encrypt"))
    )["KeyMetadata"]["Arn"]
    outside = tree.server.other_client("kms")
    outside.encrypt(KeyId=key, Plaintext=b"x")
    perimeter = {
        "Effect": "Deny", "Principal": "*", "Action": "kms:*", "Resource": "*",
        "Condition": {"StringNotEqualsIfExists": {"aws:PrincipalOrgID": tree.id}},
    }
    policy = tree.policy(perimeter, kind=RCP, target=tree.root)
    with refused("AccessDeniedException"):
        outside.encrypt(KeyId=key, Plaintext=b"x")
    inside.encrypt(KeyId=key, Plaintext=b"x")
    tree.api.update_policy(PolicyId=policy, Content=document({**perimeter, "Condition": {"Bool": {"aws:SecureTransport": "false"}}}))
    with refused("AccessDeniedException", f"explicit deny in a resource control policy: arn:aws:.*{policy}"):
        inside.encrypt(KeyId=key, Plaintext=b"x")
    # Resources of the management account are bound by none.
    own = tree.server.client("kms")
    own.encrypt(KeyId=own.create_key()["KeyMetadata"]["KeyId"], Plaintext=b"x")


def test_a_key_policy_for_the_organization(tree):
    unit = tree.unit()
    first, second = tree.account(), tree.account(unit)
    kms = tree.client("kms", first)
    everyone = {"Effect": "Allow", "Principal": "*", "Action": "kms:Encrypt", "Resource": "*"}
    of_us = {**everyone, "Condition": {"StringEquals": {"aws:PrincipalOrgID": tree.id}}}
    key = kms.create_key(Policy=document(delegating(first), of_us))["KeyMetadata"]["Arn"]
    tree.client("kms", second).encrypt(KeyId=key, Plaintext=b"x")
    tree.server.client("kms").encrypt(KeyId=key, Plaintext=b"x")
    with refused("AccessDeniedException"):
        tree.server.other_client("kms").encrypt(KeyId=key, Plaintext=b"x")
    path = f"{tree.id}/{tree.root}/{unit}/*"
    of_unit = {**everyone, "Condition": {"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": path}}}
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=document(delegating(first), of_unit))
    tree.client("kms", second).encrypt(KeyId=key, Plaintext=b"x")
    with refused("AccessDeniedException"):
        tree.server.client("kms").encrypt(KeyId=key, Plaintext=b"x")


def test_the_resource_s_organization_is_a_condition_too(tree):
    account = tree.account()
    kms = tree.client("kms", account)
    key = kms.create_key(
        Policy=document(delegating(account), principal(f"arn:aws:iam::{ACCOUNT}:root", "kms:*"))
    )["KeyMetadata"]["Arn"]
    iam = tree.server.client("iam")
    iam.create_user(UserName="careful")
    within = allow("kms:Encrypt", Condition={"StringEquals": {"aws:ResourceOrgID": "${aws:PrincipalOrgID}"}})
    iam.put_user_policy(UserName="careful", PolicyName="within", PolicyDocument=document(within))
    careful = tree.server.client("kms", iam.create_access_key(UserName="careful")["AccessKey"])
    careful.encrypt(KeyId=key, Plaintext=b"x")
    foreign = tree.server.other_client("kms").create_key(
        Policy=document(delegating(OTHER_ACCOUNT), principal(f"arn:aws:iam::{ACCOUNT}:root", "kms:*"))
    )["KeyMetadata"]["Arn"]
    with refused("AccessDeniedException"):
        careful.encrypt(KeyId=foreign, Plaintext=b"x")


def test_members_see_their_organization_and_change_nothing(tree):
    account = tree.account()
    member = tree.client("organizations", account)
    assert member.describe_organization()["Organization"]["Id"] == tree.id
    words = r"^You don't have permissions to access this resource\.$"
    for call, arguments in [
        (member.list_accounts, {}),
        (member.list_roots, {}),
        (member.create_organizational_unit, {"ParentId": tree.root, "Name": "mine"}),
        (member.create_account, {"Email": "x@example.com", "AccountName": "x"}),
        (member.describe_policy, {"PolicyId": FULL}),
        (member.delete_organization, {}),
    ]:
        with refused("AccessDeniedException", words, status=400):
            call(**arguments)


def test_tags(tree):
    unit, api = tree.unit(), tree.api
    policy = tree.policy(deny("s3:*"))
    for resource in (unit, tree.root, policy, ACCOUNT):
        api.tag_resource(ResourceId=resource, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
        api.tag_resource(ResourceId=resource, Tags=[{"Key": "a", "Value": "3"}])
        api.untag_resource(ResourceId=resource, TagKeys=["b", "c"])
        assert api.list_tags_for_resource(ResourceId=resource)["Tags"] == [{"Key": "a", "Value": "3"}]
    with refused("TargetNotFoundException"):
        api.list_tags_for_resource(ResourceId=OTHER_ACCOUNT)
    with refused("InvalidInputException") as refusal:
        api.tag_resource(ResourceId=unit, Tags=[{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}])
    assert refusal.response["Reason"] == "DUPLICATE_TAG_KEY"
    with refused("ConstraintViolationException") as refusal:
        api.tag_resource(ResourceId=unit, Tags=[{"Key": f"k{n}", "Value": ""} for n in range(50)])
    assert refusal.response["Reason"] == "MAX_TAG_LIMIT_EXCEEDED"


def test_permission_by_tag_and_policy_type(tree):
    iam = tree.server.client("iam")
    iam.create_user(UserName="tagged")
    may = [
        allow("organizations:DescribeAccount", Condition={"StringEquals": {"aws:ResourceTag/Team": "red"}}),
        allow("organizations:CreatePolicy", Condition={"StringEquals": {"organizations:PolicyType": SCP}}),
    ]
    iam.put_user_policy(UserName="tagged", PolicyName="p", PolicyDocument=document(*may))
    api = tree.server.client("organizations", iam.create_access_key(UserName="tagged")["AccessKey"])
    red = tree.account(Tags=[{"Key": "Team", "Value": "red"}])
    blue = tree.account(Tags=[{"Key": "Team", "Value": "blue"}])
    api.describe_account(AccountId=red)
    with refused("AccessDeniedException", "not authorized to perform: organizations:DescribeAccount"):
        api.describe_account(AccountId=blue)
    api.create_policy(Content=document(deny("s3:*")), Description="", Name="mine", Type=SCP)
    with refused("AccessDeniedException"):
        api.create_policy(
            Content=document({**deny("s3:*"), "Principal": "*"}), Description="", Name="mine", Type=RCP
        )


def test_a_closed_account_is_closed(tree):
    account = tree.account()
    inside = tree.enter(account)
    kms = tree.server.client("kms", inside)
    iam = tree.server.client("iam", inside)
    iam.create_user(UserName="user")
    user = tree.server.client("sts", iam.create_access_key(UserName="user")["AccessKey"])
    user.get_caller_identity()
    kms.list_keys()
    tree.api.close_account(AccountId=account)
    with refused("UnrecognizedClientException"):
        kms.list_keys()
    with refused("InvalidClientTokenId"):
        user.get_caller_identity()
    with refused("AccessDenied"):
        tree.enter(account)
    told = tree.api.describe_account(AccountId=account)["Account"]
    assert (told["Status"], told["State"]) == ("SUSPENDED", "SUSPENDED")
    with refused("AccountAlreadyClosedException"):
        tree.api.close_account(AccountId=account)
    with refused("ConstraintViolationException") as refusal:
        tree.api.close_account(AccountId=ACCOUNT)
    assert refusal.response["Reason"] == "CANNOT_CLOSE_MANAGEMENT_ACCOUNT"


def test_accounts_go_and_so_does_the_organization(tree):
    tree.enable(SCP)
    leaving, removed = tree.account(), tree.account()
    tree.policy(deny("kms:*"), target=leaving)
    with refused("OrganizationNotEmptyException"):
        tree.api.delete_organization()
    with refused("MasterCannotLeaveOrganizationException"):
        tree.api.leave_organization()
    inside = tree.enter(leaving)
    tree.server.client("organizations", inside).leave_organization()
    tree.server.client("kms", inside).list_keys()  # nothing binds it any more
    with refused("AWSOrganizationsNotInUseException"):
        tree.server.client("organizations", inside).describe_organization()
    tree.api.remove_account_from_organization(AccountId=removed)
    with refused("AccountNotFoundException"):
        tree.api.describe_account(AccountId=removed)
    tree.unit()
    tree.api.delete_organization()
    with refused("AWSOrganizationsNotInUseException"):
        tree.api.describe_organization()
    # A new one has nothing of the old.
    tree.api.create_organization()
    root = tree.api.list_roots()["Roots"][0]["Id"]
    assert tree.api.list_organizational_units_for_parent(ParentId=root)["OrganizationalUnits"] == []
    assert [one["Name"] for one in tree.api.list_policies(Filter=SCP)["Policies"]] == ["FullAWSAccess"]


def test_what_was_acknowledged_survives_a_kill(tree):
    tree.enable(SCP)
    account = tree.account()
    inside = tree.enter(account)
    tree.policy(deny("kms:ListKeys"), target=account)
    tree.server.kill()
    tree.server.start()
    with refused("AccessDeniedException", "service control policy"):
        tree.server.client("kms", inside).list_keys()


def test_the_command_line_of_aws(tree):
    def aws(*arguments):
        done = subprocess.run(
            ["aws", "--output", "json", "organizations", *arguments],
            env=tree.server.environment(), capture_output=True, text=True, timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    assert aws("describe-organization")["Organization"]["Id"] == tree.id
    aws("enable-policy-type", "--root-id", tree.root, "--policy-type", SCP)
    unit = aws("create-organizational-unit", "--parent-id", tree.root, "--name", "prod")["OrganizationalUnit"]["Id"]
    status = aws("create-account", "--email", "cli@example.com", "--account-name", "cli")["CreateAccountStatus"]
    account = tree.made(status)["AccountId"]
    aws("move-account", "--account-id", account, "--source-parent-id", tree.root, "--destination-parent-id", unit)
    made = aws(
        "create-policy", "--name", "no-keys", "--description", "", "--type", SCP, "--content", document(deny("kms:*"))
    )
    aws("attach-policy", "--policy-id", made["Policy"]["PolicySummary"]["Id"], "--target-id", unit)
    with denied_by_scp(tree, account):
        tree.client("kms", account).list_keys()
    accounts = aws("list-accounts", "--page-size", "1")["Accounts"]
    assert {one["Id"] for one in accounts} == {ACCOUNT, account}


# Invitations.


@pytest.fixture
def timed_tree(timed):
    """An organisation on a server whose clock moves only when told."""
    return Tree(timed)


def invite(tree, **more):
    return tree.api.invite_account_to_organization(Target={"Id": OTHER_ACCOUNT, "Type": "ACCOUNT"}, **more)["Handshake"]


def test_an_invited_account_comes_in_and_is_bound(tree):
    tree.enable(SCP)
    tree.policy(deny("kms:ListKeys"), target=tree.root)
    sent = invite(tree, Notes="come", Tags=[{"Key": "a", "Value": "b"}])
    assert sent["State"] == "REQUESTED" and sent["Action"] == "INVITE" and sent["Id"].startswith("h-")
    assert sent["Arn"] == f"arn:aws:organizations::{ACCOUNT}:handshake/{tree.id}/invite/{sent['Id']}"
    assert (sent["ExpirationTimestamp"] - sent["RequestedTimestamp"]).days == 15
    assert {"Type": "NOTES", "Value": "come"} in sent["Resources"]
    with refused("DuplicateHandshakeException"):
        invite(tree)
    outside = tree.server.other_client("organizations")
    (seen,) = outside.list_handshakes_for_account()["Handshakes"]
    assert seen["Id"] == sent["Id"]
    kms = tree.server.other_client("kms")
    kms.list_keys()
    accepted = outside.accept_handshake(HandshakeId=sent["Id"])["Handshake"]
    assert accepted["State"] == "ACCEPTED"
    with refused("AccessDeniedException", "explicit deny in a service control policy"):
        kms.list_keys()  # root users of members are bound
    told = tree.api.describe_account(AccountId=OTHER_ACCOUNT)["Account"]
    assert told["JoinedMethod"] == "INVITED"
    assert tree.api.list_tags_for_resource(ResourceId=OTHER_ACCOUNT)["Tags"] == [{"Key": "a", "Value": "b"}]
    # An invited account gets no role for the management account.
    with refused("AccessDenied"):
        tree.enter(OTHER_ACCOUNT)
    with refused("HandshakeAlreadyInStateException"):
        outside.accept_handshake(HandshakeId=sent["Id"])
    with refused("InvalidHandshakeTransitionException"):
        tree.api.cancel_handshake(HandshakeId=sent["Id"])
    with refused("HandshakeConstraintViolationException") as refusal:
        invite(tree)
    assert refusal.response["Reason"] == "ALREADY_IN_AN_ORGANIZATION"
    with refused("AlreadyInOrganizationException"):
        outside.create_organization()
    with refused("AccessDeniedException"):  # it is a member now, and a member alone
        outside.list_accounts()
    outside.leave_organization()
    kms.list_keys()


def test_invitations_end_otherwise(tree):
    outside = tree.server.other_client("organizations")
    declined = outside.decline_handshake(HandshakeId=invite(tree)["Id"])["Handshake"]
    assert declined["State"] == "DECLINED"
    canceled = tree.api.cancel_handshake(HandshakeId=invite(tree)["Id"])["Handshake"]
    assert canceled["State"] == "CANCELED"
    with refused("InvalidHandshakeTransitionException"):
        outside.accept_handshake(HandshakeId=canceled["Id"])
    listed = everything(tree.api.list_handshakes_for_organization, "Handshakes")
    assert {one["State"] for one in listed} == {"DECLINED", "CANCELED"}
    assert tree.api.describe_handshake(HandshakeId=declined["Id"])["Handshake"]["State"] == "DECLINED"
    mine = invite(tree)["Id"]
    with refused("AccessDeniedException"):  # each party has its own answer
        tree.api.accept_handshake(HandshakeId=mine)
    with refused("AccessDeniedException"):
        outside.cancel_handshake(HandshakeId=mine)
    third = tree.account()
    with refused("HandshakeNotFoundException"):
        tree.client("organizations", third).describe_handshake(HandshakeId=mine)
    for target, reason in [
        ({"Id": "someone@example.com", "Type": "EMAIL"}, "INVALID_PARTY_TYPE_TARGET"),
        ({"Id": "someone", "Type": "ACCOUNT"}, "INVALID_PATTERN_TARGET_ID"),
    ]:
        with refused("InvalidInputException") as refusal:
            tree.api.invite_account_to_organization(Target=target)
        assert refusal.response["Reason"] == reason
    with refused("HandshakeConstraintViolationException"):
        tree.api.invite_account_to_organization(Target={"Id": "999999999999", "Type": "ACCOUNT"})


def test_an_invitation_expires(timed_tree):
    tree = timed_tree
    outside = tree.server.other_client("organizations")
    sent = invite(tree)["Id"]
    tree.server.advance(15 * 24 * 60 * 60 - 60)
    assert outside.describe_handshake(HandshakeId=sent)["Handshake"]["State"] == "REQUESTED"
    tree.server.advance(60)
    assert outside.describe_handshake(HandshakeId=sent)["Handshake"]["State"] == "EXPIRED"
    with refused("InvalidHandshakeTransitionException"):
        outside.accept_handshake(HandshakeId=sent)
    again = invite(tree)["Id"]
    assert outside.accept_handshake(HandshakeId=again)["Handshake"]["State"] == "ACCEPTED"


# Delegation.


def test_delegated_administrators_read(tree):
    account, other = tree.account(), tree.account()
    api, service = tree.api, "guardduty.amazonaws.com"
    register = {"AccountId": account, "ServicePrincipal": service}
    with refused("ConstraintViolationException") as refusal:
        api.register_delegated_administrator(**register)
    assert refusal.response["Reason"] == "SERVICE_ACCESS_NOT_ENABLED"
    with refused("InvalidInputException") as refusal:
        api.enable_aws_service_access(ServicePrincipal="guardduty")
    assert refusal.response["Reason"] == "UNRECOGNIZED_SERVICE_PRINCIPAL"
    api.enable_aws_service_access(ServicePrincipal=service)
    api.enable_aws_service_access(ServicePrincipal=service)
    (enabled,) = api.list_aws_service_access_for_organization()["EnabledServicePrincipals"]
    assert enabled["ServicePrincipal"] == service
    with refused("ConstraintViolationException") as refusal:
        api.register_delegated_administrator(AccountId=ACCOUNT, ServicePrincipal=service)
    assert refusal.response["Reason"] == "CANNOT_REGISTER_MASTER_AS_DELEGATED_ADMINISTRATOR"
    member = tree.client("organizations", account)
    with refused("AccessDeniedException"):
        member.list_accounts()
    api.register_delegated_administrator(**register)
    with refused("AccountAlreadyRegisteredException"):
        api.register_delegated_administrator(**register)
    assert len(member.list_accounts()["Accounts"]) == 3
    with refused("AccessDeniedException"):
        member.create_organizational_unit(ParentId=tree.root, Name="mine")
    with refused("AccessDeniedException"):
        tree.client("organizations", other).list_accounts()
    (told,) = api.list_delegated_administrators(ServicePrincipal=service)["DelegatedAdministrators"]
    assert told["Id"] == account
    assert api.list_delegated_administrators(ServicePrincipal="config.amazonaws.com")["DelegatedAdministrators"] == []
    (told,) = api.list_delegated_services_for_account(AccountId=account)["DelegatedServices"]
    assert told["ServicePrincipal"] == service
    with refused("ConstraintViolationException") as refusal:
        api.remove_account_from_organization(AccountId=account)
    assert refusal.response["Reason"] == "CANNOT_REMOVE_DELEGATED_ADMINISTRATOR_FROM_ORG"
    api.deregister_delegated_administrator(**register)
    with refused("AccountNotRegisteredException"):
        api.deregister_delegated_administrator(**register)
    with refused("AccessDeniedException"):
        member.list_accounts()
    api.disable_aws_service_access(ServicePrincipal=service)
    assert api.list_aws_service_access_for_organization()["EnabledServicePrincipals"] == []


def test_a_resource_policy_delegates(tree):
    account, other = tree.account(), tree.account()
    member = tree.client("organizations", account)
    with refused("ResourcePolicyNotFoundException"):
        tree.api.describe_resource_policy()
    actions = ["organizations:ListAccounts", "organizations:CreatePolicy", "organizations:DescribePolicy"]
    content = document(
        {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": actions, "Resource": "*"}
    )
    put = tree.api.put_resource_policy(Content=content)["ResourcePolicy"]
    assert put["ResourcePolicySummary"]["Id"].startswith("rp-") and put["Content"] == content
    assert len(member.list_accounts()["Accounts"]) == 3
    made = member.create_policy(Content=document(deny("s3:*")), Description="", Name="theirs", Type=SCP)["Policy"]
    policy = made["PolicySummary"]["Id"]
    assert tree.api.describe_policy(PolicyId=policy)["Policy"] == made
    with refused("AccessDeniedException", "not authorized to perform: organizations:DeletePolicy"):
        member.delete_policy(PolicyId=policy)
    with refused("AccessDeniedException"):
        tree.client("organizations", other).list_accounts()
    # The member's own policies must allow as well.
    iam = tree.client("iam", account)
    iam.create_user(UserName="nobody")
    nobody = tree.server.client("organizations", iam.create_access_key(UserName="nobody")["AccessKey"])
    with refused("AccessDeniedException", "no identity-based policy allows"):
        nobody.list_accounts()
    assert tree.api.describe_resource_policy()["ResourcePolicy"] == put
    tree.api.delete_resource_policy()
    with refused("AccessDeniedException"):
        member.list_accounts()
    for statement, reason in [
        ({**json.loads(content)["Statement"][0], "Action": "organizations:CreateAccount"},
         "UNSUPPORTED_ACTION_IN_RESOURCE_POLICY"),
        ({**json.loads(content)["Statement"][0], "Principal": "*"}, "INVALID_PRINCIPAL"),
        ({**json.loads(content)["Statement"][0], "Principal": {"AWS": f"arn:aws:iam::{account}:role/none"}},
         "INVALID_PRINCIPAL"),
    ]:
        with refused("InvalidInputException") as refusal:
            tree.api.put_resource_policy(Content=document(statement))
        assert refusal.response["Reason"] == reason


# Tag policies.


def test_the_effective_tag_policy(tree):
    tree.enable(TAG)
    unit = tree.unit()
    account = tree.account(unit)
    with refused("EffectivePolicyNotFoundException"):
        tree.api.describe_effective_policy(PolicyType=TAG, TargetId=account)

    def attach(target, value):
        content = json.dumps({"tags": {"team": {"tag_key": {"@@assign": "Team"}, "tag_value": value}}})
        policy = tree.api.create_policy(
            Content=content, Description="", Name=f"tags {next(tree.numbers)}", Type=TAG
        )["Policy"]["PolicySummary"]["Id"]
        tree.api.attach_policy(PolicyId=policy, TargetId=target)
        return policy

    attach(tree.root, {"@@assign": ["red"], "@@operators_allowed_for_child_policies": ["@@append"]})
    attach(unit, {"@@append": ["blue"]})
    attach(account, {"@@assign": ["green"]})
    member = tree.client("organizations", account)
    for told in (
        tree.api.describe_effective_policy(PolicyType=TAG, TargetId=account),
        member.describe_effective_policy(PolicyType=TAG),
    ):
        effective = told["EffectivePolicy"]
        assert effective["TargetId"] == account
        assert json.loads(effective["PolicyContent"]) == {
            "tags": {"team": {"tag_key": "Team", "tag_value": ["red", "blue"]}}
        }
    with refused("AccessDeniedException"):
        member.describe_effective_policy(PolicyType=TAG, TargetId=ACCOUNT)
    with refused("InvalidInputException") as refusal:
        tree.api.describe_effective_policy(PolicyType="BACKUP_POLICY", TargetId=account)
    assert refusal.response["Reason"] == "INVALID_ENUM_POLICY_TYPE"


def test_a_simulation_knows_what_organizations_say(tree):
    tree.api.enable_policy_type(RootId=tree.root, PolicyType=SCP)
    account = tree.account()
    iam = tree.client("iam", account)
    role = f"arn:aws:iam::{account}:role/OrganizationAccountAccessRole"

    def told(**more):
        answer = iam.simulate_principal_policy(PolicySourceArn=role, ActionNames=["kms:Decrypt"], **more)
        [one] = answer["EvaluationResults"]
        return one["EvalDecision"], one.get("OrganizationsDecisionDetail", {}).get("AllowedByOrganizations")

    assert told() == ("allowed", True)
    policy = tree.api.create_policy(
        Name="no keys", Description="", Type=SCP, Content=document(deny("kms:*"))
    )["Policy"]["PolicySummary"]["Id"]
    tree.api.attach_policy(PolicyId=policy, TargetId=account)
    assert told() == ("explicitDeny", False)
    assert told(PolicyExclusionList=[{"PolicyType": "scp"}]) == ("allowed", None)


def test_all_features_are_there_already(tree):
    with refused("HandshakeConstraintViolationException") as refusal:
        tree.api.enable_all_features()
    assert refusal.response["Reason"] == "ORGANIZATION_ALREADY_HAS_ALL_FEATURES"
    with refused("AWSOrganizationsNotInUseException"):
        tree.server.other_client("organizations").enable_all_features()
