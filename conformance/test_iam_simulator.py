"""The policy simulator says what the door does."""

import pytest
from botocore.exceptions import ClientError

from policies import allow, deny, document
from refusals import refused


def decisions(answer):
    return {one["EvalActionName"]: one["EvalDecision"] for one in answer["EvaluationResults"]}


def test_a_custom_policy(iam):
    policy = document(allow("s3:*"), deny("s3:DeleteObject", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}))
    ask = {"PolicyInputList": [policy], "ActionNames": ["s3:GetObject", "s3:DeleteObject", "kms:Decrypt"]}
    here = {"ContextKeyName": "aws:SourceIp", "ContextKeyType": "ip", "ContextKeyValues": ["10.1.2.3"]}
    told = iam.simulate_custom_policy(**ask, ContextEntries=[here])
    assert decisions(told) == {
        "s3:GetObject": "allowed", "s3:DeleteObject": "explicitDeny", "kms:Decrypt": "implicitDeny",
    }
    [matched] = told["EvaluationResults"][1]["MatchedStatements"]
    assert matched["SourcePolicyId"] == "PolicyInputList.1"
    assert policy[matched["StartPosition"]["Column"] - 1] == "{"
    told = iam.simulate_custom_policy(**ask)
    assert told["EvaluationResults"][1]["MissingContextValues"] == ["aws:SourceIp"]
    assert iam.get_context_keys_for_custom_policy(PolicyInputList=[policy])["ContextKeyNames"] == ["aws:SourceIp"]


@pytest.mark.parametrize("boundary", [None, "arn:aws:iam::aws:policy/IAMReadOnlyAccess"])
def test_what_is_simulated_is_what_happens(iam, new_user, boundary):
    user = new_user(allow(["iam:ListUsers", "kms:ListKeys"]), deny("iam:ListGroups"))
    if boundary:
        iam.put_user_permissions_boundary(UserName=user.name, PermissionsBoundary=boundary)
    calls = {
        "iam:ListUsers": user.client("iam").list_users,
        "iam:ListRoles": user.client("iam").list_roles,
        "iam:ListGroups": user.client("iam").list_groups,
        "kms:ListKeys": user.client("kms").list_keys,
    }
    told = decisions(iam.simulate_principal_policy(PolicySourceArn=user.arn, ActionNames=list(calls)))
    for action, call in calls.items():
        try:
            call()
        except ClientError:
            assert told[action].endswith("Deny"), action
        else:
            assert told[action] == "allowed", action
    assert told["iam:ListGroups"] == "explicitDeny"
    assert told["kms:ListKeys"] == ("implicitDeny" if boundary else "allowed")


def test_pages_join_into_all_decisions(iam):
    ask = {"PolicyInputList": [document(allow("s3:Get*"))], "ActionNames": ["s3:GetObject", "s3:PutObject"]}
    arns = [f"arn:aws:s3:::b/{number}" for number in range(5)]
    pages = iam.get_paginator("simulate_custom_policy").paginate(
        **ask, ResourceArns=arns, PaginationConfig={"PageSize": 3},
    )
    results = [one for page in pages for one in page["EvaluationResults"]]
    assert [one["EvalDecision"] for one in results] == ["allowed"] * 5 + ["implicitDeny"] * 5
    assert [one["EvalResourceName"] for one in results] == arns * 2


def test_who_may_not_simulate(iam, new_user):
    user = new_user(allow("s3:*"))
    own = user.client("iam")
    with refused("AccessDenied", "iam:SimulatePrincipalPolicy on resource", status=403):
        own.simulate_principal_policy(PolicySourceArn=user.arn, ActionNames=["s3:GetObject"])
    with refused("AccessDenied", "iam:SimulateCustomPolicy on resource", status=403):
        own.simulate_custom_policy(PolicyInputList=[document(allow("s3:*"))], ActionNames=["s3:GetObject"])


@pytest.mark.parametrize(
    "policy, may, may_not",
    [
        ("AmazonSQSReadOnlyAccess", "sqs:ListQueues", "sqs:ReceiveMessage"),
        ("AmazonSNSReadOnlyAccess", "sns:ListTopics", "sns:Publish"),
        ("AWSCertificateManagerReadOnly", "acm:ListCertificates", "acm:RequestCertificate"),
        ("AWSPrivateCAReadOnly", "acm-pca:ListTags", "acm-pca:IssueCertificate"),
        ("AmazonSSMManagedInstanceCore", "ssm:UpdateInstanceInformation", "ssm:PutParameter"),
        ("AmazonSSMFullAccess", "ssm:PutParameter", "secretsmanager:GetSecretValue"),
        ("SecretsManagerReadWrite", "secretsmanager:PutSecretValue", "kms:Decrypt"),
        ("AmazonGuardDutyReadOnlyAccess", "guardduty:ListFindings", "guardduty:DeleteDetector"),
    ],
)
def test_a_managed_policy_grants_what_it_says(iam, new_user, policy, may, may_not):
    user = new_user()
    iam.attach_user_policy(UserName=user.name, PolicyArn=f"arn:aws:iam::aws:policy/{policy}")
    told = decisions(iam.simulate_principal_policy(PolicySourceArn=user.arn, ActionNames=[may, may_not]))
    assert told == {may: "allowed", may_not: "implicitDeny"}


def test_service_control_policies_of_the_request(iam):
    def told(*levels):
        levels = [{"ServiceControlPolicyInputList": list(level)} for level in levels]
        answer = iam.simulate_custom_policy(
            PolicyInputList=[document(allow("*"))], ActionNames=["s3:GetObject", "kms:Decrypt"],
            OrderedOrganizationPolicyInputList=levels,
        )
        return {
            one["EvalActionName"]: (one["EvalDecision"], one["OrganizationsDecisionDetail"]["AllowedByOrganizations"])
            for one in answer["EvaluationResults"]
        }

    full = document(allow("*"))
    assert told([full], [full]) == {"s3:GetObject": ("allowed", True), "kms:Decrypt": ("allowed", True)}
    # Every level must allow, and a denial anywhere wins.
    narrow = told([full], [document(allow("s3:*"))], [full])
    assert narrow == {"s3:GetObject": ("allowed", True), "kms:Decrypt": ("implicitDeny", False)}
    denied = told([full, document(deny("s3:*"))], [full])
    assert denied == {"s3:GetObject": ("explicitDeny", False), "kms:Decrypt": ("allowed", True)}
    with refused("InvalidInput"):
        told([full], ["{}"])
    outside = iam.simulate_custom_policy(PolicyInputList=[full], ActionNames=["s3:GetObject"])
    assert "OrganizationsDecisionDetail" not in outside["EvaluationResults"][0]


def test_what_would_be_without_a_policy(iam, new_user, name):
    user = new_user(allow("kms:*"), deny("s3:*"))
    iam.create_group(GroupName=name)
    iam.add_user_to_group(GroupName=name, UserName=user.name)
    iam.put_group_policy(GroupName=name, PolicyName="inline", PolicyDocument=document(allow("sqs:*")))
    iam.attach_user_policy(UserName=user.name, PolicyArn="arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")
    iam.put_user_permissions_boundary(UserName=user.name, PermissionsBoundary="arn:aws:iam::aws:policy/AmazonS3FullAccess")
    actions = ["kms:Decrypt", "s3:GetObject", "sqs:SendMessage"]

    def allowed(*without):
        told = iam.simulate_principal_policy(
            PolicySourceArn=user.arn, ActionNames=actions, PolicyExclusionList=list(without)
        )
        return {action for action, decision in decisions(told).items() if decision == "allowed"}

    boundary = {"PolicyType": "permission-boundary"}
    own = {"InlinePolicyIdentifier": {"PolicyName": "conformance", "AttachmentType": "user", "AttachmentName": user.name}}
    of_group = {"InlinePolicyIdentifier": {"PolicyName": "inline", "AttachmentType": "group", "AttachmentName": name}}
    assert allowed() == set()
    assert allowed(boundary) == {"kms:Decrypt", "sqs:SendMessage"}
    assert allowed(boundary, of_group) == {"kms:Decrypt"}
    assert allowed(boundary, own) == {"s3:GetObject", "sqs:SendMessage"}
    assert allowed(own) == {"s3:GetObject"}
    assert allowed(own, {"PolicyArn": "arn:aws:iam::aws:policy/AmazonS3Read*"}) == set()
    assert allowed(own, {"PolicyType": "aws-managed"}) == set()
    assert allowed(boundary, {"PolicyType": "inline"}) == {"s3:GetObject"}
    # What fits nothing changes nothing, and what makes no sense is refused.
    assert allowed(boundary, {"PolicyArn": "arn:aws:iam::aws:policy/Nothing"}, {"PolicyType": "rcp"}) == allowed(boundary)
    with refused("InvalidInput"):
        allowed({"PolicyArn": "arn:aws:iam::*:policy/Read"})
