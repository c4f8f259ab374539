"""SSH public keys of users, in both forms, made and compared by another program."""

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_public_key

from policies import allow
from refusals import refused


@pytest.fixture
def public():
    return rsa.generate_private_key(65537, 2048).public_key()


def ssh(public):
    return public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def pem(public):
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def fingerprint(public):
    blob = base64.b64decode(ssh(public).split()[1])
    return hashlib.md5(blob, usedforsecurity=False).digest().hex(":")


@pytest.mark.parametrize("form", [ssh, pem])
def test_a_key_is_told_in_either_form(iam, new_user, public, form):
    user = new_user()
    uploaded = iam.upload_ssh_public_key(UserName=user.name, SSHPublicKeyBody=form(public))["SSHPublicKey"]
    assert uploaded["SSHPublicKeyBody"] == form(public)
    assert uploaded["Fingerprint"] == fingerprint(public) and uploaded["Status"] == "Active"
    key = {"UserName": user.name, "SSHPublicKeyId": uploaded["SSHPublicKeyId"]}
    told = iam.get_ssh_public_key(**key, Encoding="SSH")["SSHPublicKey"]["SSHPublicKeyBody"]
    assert load_ssh_public_key(told.encode()) == public
    assert iam.get_ssh_public_key(**key, Encoding="PEM")["SSHPublicKey"]["SSHPublicKeyBody"] == pem(public)
    iam.update_ssh_public_key(**key, Status="Inactive")
    (listed,) = iam.list_ssh_public_keys(UserName=user.name)["SSHPublicKeys"]
    assert (listed["SSHPublicKeyId"], listed["Status"]) == (key["SSHPublicKeyId"], "Inactive")
    iam.delete_ssh_public_key(**key)
    assert iam.list_ssh_public_keys(UserName=user.name)["SSHPublicKeys"] == []


def test_what_is_no_key_of_the_kind(iam, new_user, public):
    user = new_user()
    upload = lambda body: iam.upload_ssh_public_key(UserName=user.name, SSHPublicKeyBody=body)  # noqa: E731
    with refused("UnrecognizedPublicKeyEncoding", status=400):
        upload("no key at all")
    with refused("UnrecognizedPublicKeyEncoding", status=400):
        upload(ssh(ec.generate_private_key(ec.SECP256R1()).public_key()))
    with refused("InvalidPublicKey", status=400):
        upload(ssh(rsa.generate_private_key(65537, 1024).public_key()))
    with refused("InvalidPublicKey", status=400):
        upload(pem(ec.generate_private_key(ec.SECP256R1()).public_key()))
    upload(ssh(public))
    with refused("DuplicateSSHPublicKey", status=400):
        upload(pem(public))
    for _ in range(4):
        upload(ssh(rsa.generate_private_key(65537, 2048).public_key()))
    with refused("LimitExceeded", status=409):
        upload(ssh(rsa.generate_private_key(65537, 2048).public_key()))


def test_who_may_not(iam, new_user, public):
    user = new_user(allow("iam:ListUsers"))
    own = user.client("iam")
    with refused("AccessDenied", r"iam:UploadSSHPublicKey on resource: .*user/" + user.name, status=403):
        own.upload_ssh_public_key(UserName=user.name, SSHPublicKeyBody=ssh(public))
    with refused("AccessDenied", status=403):
        own.list_ssh_public_keys()
