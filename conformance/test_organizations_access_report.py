"""Service last accessed of a whole organisation: IAM asks Organizations, for its caller."""

import time

import pytest

from policies import allow, deny, document
from refusals import refused
from server import ACCOUNT, OTHER_ACCOUNT
from test_organizations import SCP, Tree, tree  # noqa: F401 (a fixture)


class Family:
    """A unit in a unit, an account in each, and one SCP that leaves KMS out of the inner."""

    def __init__(self, tree):
        tree.enable(SCP)
        self.tree, self.iam = tree, tree.server.client("iam")
        self.outer = tree.unit()
        self.inner = tree.unit(self.outer)
        self.above, self.below = tree.account(self.outer), tree.account(self.inner)
        self.path = f"{tree.id}/{tree.root}"
        self.outer_path = f"{self.path}/{self.outer}"
        self.inner_path = f"{self.outer_path}/{self.inner}"
        self.without_kms = tree.policy({"Effect": "Allow", "NotAction": "kms:*", "Resource": "*"})
        tree.api.attach_policy(PolicyId=self.without_kms, TargetId=self.inner)
        tree.api.detach_policy(PolicyId="p-FullAWSAccess", TargetId=self.inner)

    def report(self, path, iam=None, **more):
        iam, policy = iam or self.iam, more.pop("policy", None)
        given = {"EntityPath": path} | ({"OrganizationsPolicyId": policy} if policy else {})
        job = iam.generate_organizations_access_report(**given)["JobId"]
        told = iam.get_organizations_access_report(JobId=job, **more)
        return told, {one["ServiceNamespace"]: one for one in told.get("AccessDetails", [])}


@pytest.fixture
def family(tree):  # noqa: F811
    return Family(tree)


def test_what_was_tried_and_from_where(family):
    family.tree.client("kms", family.above).list_keys()
    told, services = family.report(family.outer_path)
    assert told["JobStatus"] == "COMPLETED" and told["JobCompletionDate"] == told["JobCreationDate"]
    assert told["NumberOfServicesAccessible"] == len(services) and "s3" in services
    tried = [one for one in services.values() if "EntityPath" in one]
    assert told["NumberOfServicesNotAccessed"] == len(services) - len(tried)
    kms = services["kms"]
    assert kms["EntityPath"] == f"{family.outer_path}/{family.above}" and kms["TotalAuthenticatedEntities"] == 1
    assert kms["ServiceName"] == "AWS Key Management Service" and kms["Region"] == "us-east-1"
    assert services["s3"]["TotalAuthenticatedEntities"] == 0 and "LastAuthenticatedTime" not in services["s3"]

    # Another account tries it later, in another region and in vain.
    time.sleep(1.1)
    family.tree.api.move_account(
        AccountId=family.below, SourceParentId=family.inner, DestinationParentId=family.outer
    )
    with refused("NotFoundException", status=400):
        family.tree.server.client("kms", family.tree.enter(family.below), region="eu-west-1").describe_key(
            KeyId="00000000-0000-4000-8000-000000000000"
        )
    later = family.report(family.path)[1]["kms"]
    assert later["EntityPath"] == f"{family.outer_path}/{family.below}" and later["Region"] == "eu-west-1"
    assert later["TotalAuthenticatedEntities"] == 2
    # Root users count, and so does the management account itself.
    assert family.report(f"{family.path}/{ACCOUNT}")[1]["iam"]["EntityPath"] == f"{family.path}/{ACCOUNT}"
    alone = family.report(f"{family.outer_path}/{family.above}")[1]["kms"]
    assert alone["LastAuthenticatedTime"] == kms["LastAuthenticatedTime"]


def test_what_the_policies_on_the_way_allow(family):
    assert "kms" in family.report(family.outer_path)[1]
    inner = family.report(family.inner_path)[1]
    assert "kms" not in inner and "s3" in inner
    assert "kms" not in family.report(f"{family.inner_path}/{family.below}")[1]
    # Of one policy, whatever else is attached.
    assert "kms" not in family.report(family.path, policy=family.without_kms)[1]
    assert "kms" in family.report(family.inner_path, policy="p-FullAWSAccess")[1]


def test_pages_and_orders(family):
    family.tree.client("kms", family.above).list_keys()
    job = family.iam.generate_organizations_access_report(EntityPath=family.path)["JobId"]

    def names(order):
        found, more = [], {}
        while True:
            page = family.iam.get_organizations_access_report(JobId=job, SortKey=order, MaxItems=5, **more)
            assert len(page["AccessDetails"]) <= 5
            found += [one["ServiceNamespace"] for one in page["AccessDetails"]]
            if not page["IsTruncated"]:
                return found
            more = {"Marker": page["Marker"]}

    ascending = names("SERVICE_NAMESPACE_ASCENDING")
    assert ascending == sorted(ascending) and len(set(ascending)) == len(ascending)
    assert names("SERVICE_NAMESPACE_DESCENDING") == ascending[::-1]
    newest = names("LAST_AUTHENTICATED_TIME_DESCENDING")
    assert "kms" in newest[:5] and sorted(newest) == ascending
    assert "kms" in names("LAST_AUTHENTICATED_TIME_ASCENDING")[-5:]


def test_paths_that_lead_nowhere(family):
    for path in (
        f"o-0000000000/{family.tree.root}",
        f"{family.tree.id}/r-0000",
        f"{family.path}/{family.inner}",
        f"{family.path}/{family.above}",
        f"{family.outer_path}/{OTHER_ACCOUNT}",
        f"{family.outer_path}/ou-0000-00000000",
    ):
        told, services = family.report(path)
        assert told["JobStatus"] == "FAILED" and told["ErrorDetails"]["Code"] == "NoSuchEntity", path
        assert services == {}
    with refused("ValidationError", status=400):
        family.iam.generate_organizations_access_report(EntityPath="nowhere-at-all-in-here")


def test_who_may_ask(family):
    iam, server = family.iam, family.tree.server
    member = family.tree.client("iam", family.above)
    with refused("AccessDenied", "management account", status=403):
        member.generate_organizations_access_report(EntityPath=family.path)
    outside = server.other_client("iam")
    with refused("AccessDenied", "management account", status=403):
        outside.generate_organizations_access_report(EntityPath=family.path)
    job = iam.generate_organizations_access_report(EntityPath=family.path)["JobId"]

    def user(name, *statements):
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=document(*statements))
        return server.client("iam", iam.create_access_key(UserName=name)["AccessKey"])

    reports = allow("iam:*OrganizationsAccessReport")
    # Nobody reads what somebody else asked for.
    with refused("NoSuchEntity", status=404):
        user("other", allow("*")).get_organizations_access_report(JobId=job)
    # IAM asks for its caller, who must be allowed that too,
    with refused("AccessDenied", "organizations:ListRoots", status=403):
        user("reader", reports).generate_organizations_access_report(EntityPath=family.path)
    # be it by way of IAM alone,
    through = allow("organizations:*", Condition={"StringEquals": {"aws:CalledViaLast": "iam.amazonaws.com"}})
    only_through = user("through", reports, through)
    assert "kms" in family.report(family.path, only_through)[1]
    iam.put_user_policy(UserName="through", PolicyName="more", PolicyDocument=document(
        deny("organizations:ListPoliciesForTarget", Condition={"Bool": {"aws:ViaAWSService": "true"}})
    ))
    with refused("AccessDenied", "with an explicit deny in an identity-based policy", status=403):
        family.report(family.path, only_through)
    # and not otherwise.
    credentials = iam.create_access_key(UserName="through")["AccessKey"]
    with refused("AccessDeniedException", "organizations:ListRoots", status=400):
        server.client("organizations", credentials).list_roots()


def test_policies_must_bind(tree):  # noqa: F811
    with refused("AccessDenied", "service control policies", status=403):
        tree.server.client("iam").generate_organizations_access_report(EntityPath=f"{tree.id}/{tree.root}")
