"""Signing certificates of users and of root, made by another program."""

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from policies import allow
from refusals import refused

KEY = rsa.generate_private_key(65537, 2048)
NOW = datetime.datetime.now(datetime.timezone.utc)
DAY = datetime.timedelta(days=1)


def certificate(begins=-DAY, ends=DAY):
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "signer.example.com")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(KEY.public_key())
    made = made.serial_number(x509.random_serial_number()).not_valid_before(NOW + begins).not_valid_after(NOW + ends)
    return made.sign(KEY, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def test_a_users_certificates(iam, new_user):
    user = new_user(allow("iam:*SigningCertificate*"))
    own = user.client("iam")
    body = certificate()
    made = own.upload_signing_certificate(CertificateBody=body)["Certificate"]
    assert (made["UserName"], made["CertificateBody"], made["Status"]) == (user.name, body, "Active")
    own.update_signing_certificate(CertificateId=made["CertificateId"], Status="Inactive")
    (listed,) = iam.list_signing_certificates(UserName=user.name)["Certificates"]
    assert listed | {"Status": "Active"} == made and listed["Status"] == "Inactive"
    with refused("DuplicateCertificate", status=409):
        iam.upload_signing_certificate(UserName=new_user().name, CertificateBody=body)
    own.upload_signing_certificate(CertificateBody=certificate())
    with refused("LimitExceeded", status=409):
        own.upload_signing_certificate(CertificateBody=certificate())
    with refused("DeleteConflict", status=409):
        for key in iam.list_access_keys(UserName=user.name)["AccessKeyMetadata"]:
            iam.delete_access_key(UserName=user.name, AccessKeyId=key["AccessKeyId"])
        iam.delete_user_policy(UserName=user.name, PolicyName=iam.list_user_policies(UserName=user.name)["PolicyNames"][0])
        iam.delete_user(UserName=user.name)
    for listed in iam.list_signing_certificates(UserName=user.name)["Certificates"]:
        iam.delete_signing_certificate(UserName=user.name, CertificateId=listed["CertificateId"])
    assert iam.list_signing_certificates(UserName=user.name)["Certificates"] == []


@pytest.mark.parametrize(
    "body, code",
    [
        ("no certificate", "MalformedCertificate"),
        (certificate().replace("CERTIFICATE", "PUBLIC KEY"), "MalformedCertificate"),
        (certificate(ends=-DAY / 2), "InvalidCertificate"),
        (certificate(begins=DAY / 2), "InvalidCertificate"),
    ],
)
def test_what_is_not_taken(iam, new_user, body, code):
    with refused(code, status=400):
        iam.upload_signing_certificate(UserName=new_user().name, CertificateBody=body)


def test_who_may_not(new_user):
    user = new_user(allow("iam:ListUsers"))
    with refused("AccessDenied", r"iam:UploadSigningCertificate on resource: .*user/" + user.name, status=403):
        user.client("iam").upload_signing_certificate(CertificateBody=certificate())
