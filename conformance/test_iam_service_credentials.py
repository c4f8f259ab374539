"""Credentials of users for one service alone."""

import base64

import pytest

from policies import allow
from refusals import refused
from server import ACCOUNT


def test_a_password_for_git(iam, new_user):
    user = new_user(allow("iam:*ServiceSpecificCredential*", "arn:aws:iam::*:user/${aws:username}"))
    own = user.client("iam")
    given = {"UserName": user.name, "ServiceName": "codecommit.amazonaws.com"}
    made = own.create_service_specific_credential(**given)["ServiceSpecificCredential"]
    assert made["ServiceUserName"] == f"{user.name}-at-{ACCOUNT}" and made["Status"] == "Active"
    ours = {"ServiceSpecificCredentialId": made["ServiceSpecificCredentialId"]}
    # Whose it is may be left out by the user itself.
    reset = own.reset_service_specific_credential(**ours)["ServiceSpecificCredential"]
    assert reset["ServicePassword"] != made["ServicePassword"]
    assert reset | {"ServicePassword": ""} == made | {"ServicePassword": ""}
    own.update_service_specific_credential(**ours, Status="Inactive")
    (listed,) = own.list_service_specific_credentials()["ServiceSpecificCredentials"]
    assert listed["Status"] == "Inactive" and "ServicePassword" not in listed
    assert listed in iam.list_service_specific_credentials(AllUsers=True)["ServiceSpecificCredentials"]
    own.create_service_specific_credential(**given)
    with refused("LimitExceeded", status=409):
        own.create_service_specific_credential(**given)
    other = new_user()
    with refused("AccessDenied", r"iam:CreateServiceSpecificCredential on resource: .*user/" + other.name, status=403):
        own.create_service_specific_credential(**given | {"UserName": other.name})
    with refused("NoSuchEntity", "^No such credential", status=404):
        iam.delete_service_specific_credential(UserName=other.name, **ours)
    for listed in own.list_service_specific_credentials()["ServiceSpecificCredentials"]:
        own.delete_service_specific_credential(
            UserName=user.name, ServiceSpecificCredentialId=listed["ServiceSpecificCredentialId"]
        )


@pytest.mark.parametrize("service", ["bedrock", "logs"])
def test_a_key_that_grows_old(iam, new_user, service):
    user = new_user()
    made = iam.create_service_specific_credential(
        UserName=user.name, ServiceName=f"{service}.amazonaws.com", CredentialAgeDays=30
    )["ServiceSpecificCredential"]
    assert (made["ExpirationDate"] - made["CreateDate"]).days == 30
    secret = base64.b64decode(made["ServiceCredentialSecret"][4:]).decode()
    assert secret.startswith(made["ServiceCredentialAlias"] + ":") and "ServicePassword" not in made


@pytest.mark.parametrize("service", ["s3.amazonaws.com", "codecommit"])
def test_services_that_take_none(iam, new_user, service):
    user = new_user()
    with refused("NotSupportedService", f"^No such service {service} is supported", status=404):
        iam.create_service_specific_credential(UserName=user.name, ServiceName=service)


def test_passwords_do_not_age(iam, new_user):
    with refused("ValidationError", "CredentialAgeDays", status=400):
        iam.create_service_specific_credential(
            UserName=new_user().name, ServiceName="cassandra.amazonaws.com", CredentialAgeDays=30
        )
