"""Service-linked roles: made by their service's rules, and nobody's to change."""

import itertools

import pytest

from policies import allow, document
from refusals import refused
from server import ACCOUNT, Server

NUMBERS = itertools.count(1)
OWN = "AWSServiceRoleForOrganizations"
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"


@pytest.fixture
def suffix():
    return f"t{next(NUMBERS)}"


def deleted(iam, role):
    """Asks for the deletion, and tells what came of it."""
    task = iam.delete_service_linked_role(RoleName=role)["DeletionTaskId"]
    return iam.get_service_linked_role_deletion_status(DeletionTaskId=task)


def test_a_service_linked_role_lives(iam, suffix):
    made = iam.create_service_linked_role(
        AWSServiceName="autoscaling.amazonaws.com", CustomSuffix=suffix, Description="d"
    )["Role"]
    name = f"AWSServiceRoleForAutoScaling_{suffix}"
    assert made["RoleName"] == name and made["Path"] == "/aws-service-role/autoscaling.amazonaws.com/"
    assert made["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] == {"Service": "autoscaling.amazonaws.com"}
    iam.update_role(RoleName=name, Description="e")
    iam.tag_role(RoleName=name, Tags=[{"Key": "a", "Value": "b"}])
    told = iam.get_role(RoleName=name)["Role"]
    assert told["Description"] == "e" and told["Tags"] == [{"Key": "a", "Value": "b"}]
    protected = f"^Cannot perform the operation on the protected role '{name}' - this role is only modifiable by AWS$"
    with refused("UnmodifiableEntity", protected, status=400):
        iam.attach_role_policy(RoleName=name, PolicyArn=ADMINISTRATOR)
    with refused("UnmodifiableEntity", protected):
        iam.delete_role(RoleName=name)
    with refused("InvalidInput", "has been taken in this account, please try a different suffix"):
        iam.create_service_linked_role(AWSServiceName="autoscaling.amazonaws.com", CustomSuffix=suffix)
    assert deleted(iam, name)["Status"] == "SUCCEEDED"
    with refused("NoSuchEntity", status=404):
        iam.get_role(RoleName=name)


def test_services_without_a_template_are_refused(iam):
    with refused("AccessDenied", "^Cannot find Service Linked Role template for nothing.amazonaws.com$", status=403):
        iam.create_service_linked_role(AWSServiceName="nothing.amazonaws.com")
    with refused("InvalidInput", "^Custom suffix is not allowed for es.amazonaws.com$"):
        iam.create_service_linked_role(AWSServiceName="es.amazonaws.com", CustomSuffix="x")


def test_which_roles_may_be_made_is_told_by_the_service(new_user, suffix):
    only = {"StringEquals": {"iam:AWSServiceName": "lexv2.amazonaws.com"}}
    iam = new_user(allow("iam:CreateServiceLinkedRole", Condition=only)).client("iam")
    iam.create_service_linked_role(AWSServiceName="lexv2.amazonaws.com", CustomSuffix=suffix)
    with refused("AccessDenied", "iam:CreateServiceLinkedRole"):
        iam.create_service_linked_role(AWSServiceName="autoscaling.amazonaws.com", CustomSuffix=suffix)


@pytest.fixture
def alone(tmp_path):
    server = Server(tmp_path / "alone")
    yield server
    server.stop()


def test_an_organisation_needs_its_role(alone):
    iam = alone.client("iam")
    iam.create_user(UserName="founder")
    key = iam.create_access_key(UserName="founder")["AccessKey"]

    def may(*actions):
        iam.put_user_policy(UserName="founder", PolicyName="p", PolicyDocument=document(allow(list(actions))))

    organizations = alone.client("organizations", key)
    may("organizations:CreateOrganization")
    with refused("AccessDeniedForDependencyException") as refusal:
        organizations.create_organization()
    assert refusal.response["Reason"] == "ACCESS_DENIED_DURING_CREATE_SERVICE_LINKED_ROLE"
    with refused("AWSOrganizationsNotInUseException"):
        alone.client("organizations").describe_organization()
    may("organizations:CreateOrganization", "iam:CreateServiceLinkedRole")
    organizations.create_organization()
    role = iam.get_role(RoleName=OWN)["Role"]
    assert role["Arn"] == f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/organizations.amazonaws.com/{OWN}"
    bears = iam.list_attached_role_policies(RoleName=OWN)["AttachedPolicies"]
    assert [policy["PolicyName"] for policy in bears] == ["AWSOrganizationsServiceTrustPolicy"]

    told = deleted(iam, OWN)
    assert told["Status"] == "FAILED" and "member of the organization" in told["Reason"]["Reason"]
    iam.get_role(RoleName=OWN)
    alone.client("organizations").delete_organization()
    assert deleted(iam, OWN)["Status"] == "SUCCEEDED"


def test_whoever_joins_has_the_role(alone):
    alone.client("organizations").create_organization()
    organizations, outside = alone.client("organizations"), alone.other_client("organizations")
    target = {"Id": alone.other_client("sts").get_caller_identity()["Account"], "Type": "ACCOUNT"}
    sent = organizations.invite_account_to_organization(Target=target)["Handshake"]
    with refused("NoSuchEntity"):
        alone.other_client("iam").get_role(RoleName=OWN)
    outside.accept_handshake(HandshakeId=sent["Id"])
    assert alone.other_client("iam").get_role(RoleName=OWN)["Role"]["RoleName"] == OWN
