"""Service last accessed: what policies allow, and when it was last tried."""

import datetime

from policies import allow, deny, document
from refusals import refused
from server import ACCOUNT


def report(iam, arn, **more):
    job = iam.generate_service_last_accessed_details(Arn=arn, **more)["JobId"]
    told = iam.get_service_last_accessed_details(JobId=job)
    assert told["JobStatus"] == "COMPLETED" and not told["IsTruncated"]
    return job, {one["ServiceNamespace"]: one for one in told["ServicesLastAccessed"]}


def test_a_user(iam, new_user):
    person = new_user(allow(["kms:ListKeys", "sqs:*"]), deny("s3:*"))
    _, before = report(iam, person.arn)
    assert set(before) == {"kms", "sqs"}  # what is allowed, not what is denied
    assert before["kms"]["ServiceName"] == "AWS Key Management Service"
    assert before["kms"]["TotalAuthenticatedEntities"] == 0 and "LastAuthenticated" not in before["kms"]
    person.client("kms", region="eu-west-1").list_keys()
    with refused("AccessDeniedException"):  # an attempt counts
        person.client("kms").create_key()
    _, after = report(iam, person.arn, Granularity="ACTION_LEVEL")
    kms = after["kms"]
    assert kms["LastAuthenticatedEntity"] == person.arn and kms["TotalAuthenticatedEntities"] == 1
    assert (datetime.datetime.now(datetime.timezone.utc) - kms["LastAuthenticated"]).total_seconds() < 600
    actions = {one["ActionName"]: one for one in kms["TrackedActionsLastAccessed"]}
    assert set(actions) == {"ListKeys", "CreateKey"}
    assert actions["ListKeys"]["LastAccessedRegion"] == "eu-west-1"
    assert after["sqs"]["TotalAuthenticatedEntities"] == 0 and after["sqs"]["TrackedActionsLastAccessed"] == []
    _, coarse = report(iam, person.arn)
    assert "TrackedActionsLastAccessed" not in coarse["kms"]


def test_a_group_a_policy_and_a_role(iam, new_user, new_role, sts, name):
    active, idle = new_user(allow("sts:*")), new_user()
    policy = iam.create_policy(PolicyName=name, PolicyDocument=document(allow("kms:*")))["Policy"]["Arn"]
    group = iam.create_group(GroupName=name)["Group"]["Arn"]
    for one in (active, idle):
        iam.add_user_to_group(GroupName=name, UserName=one.name)
    iam.attach_group_policy(GroupName=name, PolicyArn=policy)
    role = new_role(allow("kms:*"))
    iam.attach_role_policy(RoleName=role["RoleName"], PolicyArn=policy)
    active.client("kms").list_keys()

    for arn, members in ((group, {active.arn, idle.arn}), (policy, {active.arn, idle.arn, role["Arn"]})):
        job, services = report(iam, arn)
        assert set(services) == {"kms"} and services["kms"]["TotalAuthenticatedEntities"] == 1
        told = iam.get_service_last_accessed_details_with_entities(JobId=job, ServiceNamespace="kms")
        entities = {one["EntityInfo"]["Arn"]: one for one in told["EntityDetailsList"]}
        assert set(entities) == members
        assert entities[active.arn]["LastAuthenticated"] == services["kms"]["LastAuthenticated"]
        assert "LastAuthenticated" not in entities[idle.arn]
        with refused("NoSuchEntity"):
            iam.get_service_last_accessed_details_with_entities(JobId=job, ServiceNamespace="s3")

    session = active.client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="session")["Credentials"]
    active.server.client("kms", session).list_keys()
    _, services = report(iam, role["Arn"])
    assert services["kms"]["LastAuthenticatedEntity"] == role["Arn"]


def test_a_report_is_for_whoever_asked(iam, new_user):
    asker, other = new_user(allow("iam:*")), new_user(allow("iam:*"))
    job = asker.client("iam").generate_service_last_accessed_details(Arn=other.arn)["JobId"]
    asker.client("iam").get_service_last_accessed_details(JobId=job)
    for wrong in (other.client("iam"), iam):
        with refused("NoSuchEntity", status=404):
            wrong.get_service_last_accessed_details(JobId=job)
    asker.may(allow("iam:Generate*"))
    with refused("AccessDenied", "iam:GetServiceLastAccessedDetails"):
        asker.client("iam").get_service_last_accessed_details(JobId=job)


def test_a_namesake_did_nothing(iam, new_user, name):
    arn = iam.create_user(UserName=name)["User"]["Arn"]
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document(allow("kms:*")))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    new_user().server.client("kms", key).list_keys()
    job, services = report(iam, arn)
    assert services["kms"]["TotalAuthenticatedEntities"] == 1
    iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(UserName=name, PolicyName="p")
    iam.delete_user(UserName=name)
    told = iam.get_service_last_accessed_details(JobId=job)
    assert told["JobStatus"] == "FAILED" and told["Error"]["Code"] == "NoSuchEntity"
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document(allow("kms:*")))
    _, services = report(iam, arn)
    assert services["kms"]["TotalAuthenticatedEntities"] == 0
    with refused("NoSuchEntity"):
        iam.generate_service_last_accessed_details(Arn=f"arn:aws:iam::{ACCOUNT}:user/nobody-{name}")


def test_which_policies_grant(iam, new_user, name):
    person = new_user(allow("kms:List*"))
    iam.create_group(GroupName=name)
    iam.add_user_to_group(GroupName=name, UserName=person.name)
    iam.put_group_policy(GroupName=name, PolicyName="inline", PolicyDocument=document(allow("sqs:*")))
    iam.attach_group_policy(GroupName=name, PolicyArn="arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
    told = iam.list_policies_granting_service_access(Arn=person.arn, ServiceNamespaces=["s3", "kms", "sqs", "ssm"])
    granting = [(one["ServiceNamespace"], one["Policies"]) for one in told["PoliciesGrantingServiceAccess"]]
    assert [service for service, _ in granting] == ["s3", "kms", "sqs", "ssm"]
    s3, kms, sqs, ssm = (policies for _, policies in granting)
    assert s3 == [
        {
            "PolicyName": "AmazonS3ReadOnlyAccess",
            "PolicyType": "MANAGED",
            "PolicyArn": "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess",
        }
    ]
    inline = {"PolicyType": "INLINE"}
    assert kms == [{**inline, "PolicyName": "conformance", "EntityType": "USER", "EntityName": person.name}]
    assert sqs == [{**inline, "PolicyName": "inline", "EntityType": "GROUP", "EntityName": name}]
    assert ssm == []
