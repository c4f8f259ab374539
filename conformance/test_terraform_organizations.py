"""Terraform's AWS provider on Organizations: apply, empty plan, change, empty plan, destroy."""

import pytest

from refusals import refused
from server import Server
from test_terraform import MODULE, Terraform


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path / "server")
    yield server
    assert server.metric("palisade_panics_total") == 0
    server.stop()


def test_an_organization_is_kept(server, tmp_path):
    directory = tmp_path / "module"
    directory.mkdir()
    terraform = Terraform(server, directory, MODULE / "organizations")
    organizations = server.client("organizations")

    terraform.apply(1)
    terraform.assert_plan_is_empty(1)
    account = terraform.outputs()["account"]
    told = organizations.describe_account(AccountId=account)["Account"]
    assert told["State"] == "ACTIVE"

    terraform.apply(2)
    terraform.assert_plan_is_empty(2)
    (parent,) = organizations.list_parents(ChildId=account)["Parents"]
    unit = organizations.describe_organizational_unit(OrganizationalUnitId=parent["Id"])["OrganizationalUnit"]
    assert unit["Name"] == "inner"

    terraform.run("destroy", "-auto-approve", "-var=generation=2")
    with refused("AWSOrganizationsNotInUseException"):
        organizations.describe_organization()
