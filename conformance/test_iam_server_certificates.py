"""Server certificates whose keys and chains another program made."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from policies import allow
from refusals import refused
from test_iam_signing_certificates import DAY, NOW


def pem(certificate):
    return certificate.public_bytes(Encoding.PEM).decode()


def private(key, form=PrivateFormat.PKCS8, encryption=NoEncryption()):
    return key.private_bytes(Encoding.PEM, form, encryption).decode()


def signed(subject, key, issuer, issuer_key, ends=DAY):
    name, by = (x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)]) for text in (subject, issuer))
    made = x509.CertificateBuilder().subject_name(name).issuer_name(by).public_key(key.public_key())
    made = made.serial_number(x509.random_serial_number()).not_valid_before(NOW - DAY).not_valid_after(NOW + ends)
    return made.sign(issuer_key, hashes.SHA256())


ROOT_KEY = rsa.generate_private_key(65537, 2048)
BETWEEN_KEY = ec.generate_private_key(ec.SECP384R1())
ROOT = pem(signed("root", ROOT_KEY, "root", ROOT_KEY))
BETWEEN = pem(signed("between", BETWEEN_KEY, "root", ROOT_KEY))


def server(key, **more):
    return pem(signed("www.example.com", key, "between", BETWEEN_KEY, **more))


KEYS = {
    "rsa": (rsa.generate_private_key(65537, 2048), PrivateFormat.PKCS8),
    "rsa, pkcs1": (rsa.generate_private_key(65537, 3072), PrivateFormat.TraditionalOpenSSL),
    "p256": (ec.generate_private_key(ec.SECP256R1()), PrivateFormat.PKCS8),
    "p384, sec1": (ec.generate_private_key(ec.SECP384R1()), PrivateFormat.TraditionalOpenSSL),
}


@pytest.fixture
def forgotten(iam):
    """Names of certificates that are deleted afterwards: an account has twenty."""
    names = []
    yield names
    for name in names:
        iam.delete_server_certificate(ServerCertificateName=name)


@pytest.mark.parametrize("kind", KEYS)
def test_a_certificate_with_its_chain(iam, new_user, name, forgotten, kind):
    key, form = KEYS[kind]
    user = new_user(allow("iam:*ServerCertificate*"))
    own = user.client("iam")
    body, chain = server(key), BETWEEN + ROOT
    made = own.upload_server_certificate(
        ServerCertificateName=name, Path="/cloudfront/", CertificateBody=body, CertificateChain=chain,
        PrivateKey=private(key, form), Tags=[{"Key": "team", "Value": "web"}],
    )
    forgotten.append(name)
    told = made["ServerCertificateMetadata"]
    assert told["Arn"].endswith(f":server-certificate/cloudfront/{name}")
    assert made["Tags"] == [{"Key": "team", "Value": "web"}]
    got = own.get_server_certificate(ServerCertificateName=name)["ServerCertificate"]
    assert (got["CertificateBody"], got["CertificateChain"]) == (body.strip(), chain.strip())
    assert got["ServerCertificateMetadata"] == told
    pages = iam.get_paginator("list_server_certificates").paginate(PathPrefix="/cloudfront/")
    assert told in [one for page in pages for one in page["ServerCertificateMetadataList"]]
    own.update_server_certificate(ServerCertificateName=name, NewPath="/")
    own.untag_server_certificate(ServerCertificateName=name, TagKeys=["team"])
    own.tag_server_certificate(ServerCertificateName=name, Tags=[{"Key": "team", "Value": "mail"}])
    assert own.list_server_certificate_tags(ServerCertificateName=name)["Tags"] == [{"Key": "team", "Value": "mail"}]
    with refused("EntityAlreadyExists", status=409):
        own.upload_server_certificate(
            ServerCertificateName=name.upper(), CertificateBody=body, PrivateKey=private(key, form)
        )


@pytest.mark.parametrize(
    "case, code",
    {
        "another key": "KeyPairMismatch",
        "a passphrase": "MalformedCertificate",
        "expired": "MalformedCertificate",
        "the root alone": "MalformedCertificate",
        "the wrong way round": "MalformedCertificate",
        "no certificate": "MalformedCertificate",
    }.items(),
)
def test_what_does_not_belong_together(iam, name, case, code):
    key = KEYS["p256"][0]
    given = {"CertificateBody": server(key), "PrivateKey": private(key), "CertificateChain": BETWEEN + ROOT}
    given |= {
        "another key": {"PrivateKey": private(KEYS["p384, sec1"][0])},
        "a passphrase": {"PrivateKey": private(key, encryption=BestAvailableEncryption(b"secret"))},
        "expired": {"CertificateBody": server(key, ends=-DAY / 2)},
        "the root alone": {"CertificateChain": ROOT},
        "the wrong way round": {"CertificateChain": ROOT + BETWEEN},
        "no certificate": {"CertificateBody": private(key)},
    }[case]
    with refused(code, status=400):
        iam.upload_server_certificate(ServerCertificateName=name, **given)
    with refused("NoSuchEntity", status=404):
        iam.get_server_certificate(ServerCertificateName=name)


def test_who_may_not(new_user, name):
    user = new_user(allow("iam:ListUsers"))
    with refused("AccessDenied", rf"iam:GetServerCertificate on resource: .*:server-certificate/{name}", status=403):
        user.client("iam").get_server_certificate(ServerCertificateName=name)


def test_no_key_is_recorded(palisade, iam, name, forgotten):
    key = KEYS["p256"][0]
    iam.upload_server_certificate(ServerCertificateName=name, CertificateBody=server(key), PrivateKey=private(key))
    forgotten.append(name)
    line = private(key).splitlines()[1]
    assert line not in palisade.log_text()
