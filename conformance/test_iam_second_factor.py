"""Passwords and one-time codes, as an authenticator app computes them."""

import base64
import hashlib
import hmac
import struct

import pytest

from policies import allow, deny, document
from refusals import refused
from server import ACCOUNT

STEP = 30


class Phone:
    """RFC 6238 with the seed that the server showed, and the server's own time."""

    def __init__(self, server, iam, name):
        made = iam.create_virtual_mfa_device(VirtualMFADeviceName=name)["VirtualMFADevice"]
        assert made["QRCodePNG"].startswith(b"\x89PNG")
        self.server, self.serial = server, made["SerialNumber"]
        self.seed = base64.b32decode(made["Base32StringSeed"])

    def code(self, steps=0):
        ends = self.server.client("sts").get_session_token(DurationSeconds=900)["Credentials"]["Expiration"]
        step = (int(ends.timestamp()) - 900) // STEP + steps
        tag = hmac.new(self.seed, struct.pack(">Q", step), hashlib.sha1).digest()
        at = tag[-1] & 15
        return f"{(struct.unpack('>I', tag[at:at + 4])[0] & 0x7FFFFFFF) % 1_000_000:06}"

    def enable(self, iam, user):
        iam.enable_mfa_device(
            UserName=user, SerialNumber=self.serial,
            AuthenticationCode1=self.code(-1), AuthenticationCode2=self.code(),
        )
        self.server.advance(STEP)


@pytest.fixture
def bob(timed):
    """On a clock that moves when told: a user with a device, and what it may do with it."""
    iam = timed.client("iam")
    iam.create_user(UserName="bob")
    keys = iam.create_access_key(UserName="bob")["AccessKey"]
    with_mfa = {"Bool": {"aws:MultiFactorAuthPresent": "true"}, "NumericLessThan": {"aws:MultiFactorAuthAge": "3600"}}
    guarded = allow("kms:ListKeys", Condition=with_mfa)
    # The usual guard of accounts that want a second factor.
    without = {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}
    guard = deny("kms:ListAliases", Condition=without)
    policy = document(guarded, guard, allow(["kms:ListAliases", "sts:*"]))
    iam.put_user_policy(UserName="bob", PolicyName="p", PolicyDocument=policy)
    phone = Phone(timed, iam, "bobs")
    phone.enable(iam, "bob")
    return timed, iam, keys, phone


def test_a_session_with_a_code_may_what_one_without_may_not(bob):
    server, _, keys, phone = bob
    sts = server.client("sts", keys)
    code = phone.code()
    proven = sts.get_session_token(SerialNumber=phone.serial, TokenCode=code)["Credentials"]
    with refused("AccessDenied", "invalid MFA one time pass code", status=403):
        sts.get_session_token(SerialNumber=phone.serial, TokenCode=code)
    plain = sts.get_session_token()["Credentials"]
    server.client("kms", proven).list_keys()
    server.client("kms", proven).list_aliases()
    for credentials in (keys, plain):
        with refused("AccessDeniedException"):
            server.client("kms", credentials).list_keys()
        with refused("AccessDeniedException", "with an explicit deny in an identity-based policy"):
            server.client("kms", credentials).list_aliases()
    server.advance(3600)
    with refused("AccessDeniedException"):
        server.client("kms", proven).list_keys()


def test_a_role_that_asks_for_a_code(bob):
    server, iam, keys, phone = bob
    trust = document({
        "Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole",
        "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}},
    })
    role = iam.create_role(RoleName="careful", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    sts = server.client("sts", keys)
    with refused("AccessDenied", status=403):
        sts.assume_role(RoleArn=role, RoleSessionName="session")
    sts.assume_role(RoleArn=role, RoleSessionName="session", SerialNumber=phone.serial, TokenCode=phone.code())


def test_a_device_is_enabled_by_two_codes_and_let_go(bob):
    server, iam, _, phone = bob
    iam.create_user(UserName="eve")
    other = Phone(server, iam, "eves")
    code = other.code()
    with refused("InvalidAuthenticationCode", status=403):
        iam.enable_mfa_device(
            UserName="eve", SerialNumber=other.serial, AuthenticationCode1=code, AuthenticationCode2=code,
        )
    other.enable(iam, "eve")
    listed = iam.list_virtual_mfa_devices(AssignmentStatus="Assigned")["VirtualMFADevices"]
    assert {device["User"]["UserName"] for device in listed} == {"bob", "eve"}
    assert iam.get_account_summary()["SummaryMap"]["MFADevicesInUse"] == 2
    with refused("DeleteConflict", status=409):
        iam.delete_virtual_mfa_device(SerialNumber=other.serial)
    iam.deactivate_mfa_device(UserName="eve", SerialNumber=other.serial)
    iam.delete_virtual_mfa_device(SerialNumber=other.serial)
    assert [device["SerialNumber"] for device in iam.list_mfa_devices(UserName="bob")["MFADevices"]] == [phone.serial]


def test_a_password_lives(iam, new_user):
    user = new_user(allow("iam:ChangePassword"))
    with refused("PasswordPolicyViolation", status=400):
        iam.create_login_profile(UserName=user.name, Password="short")
    made = iam.create_login_profile(UserName=user.name, Password="First-pass-1", PasswordResetRequired=True)
    assert made["LoginProfile"]["PasswordResetRequired"] is True
    with refused("EntityAlreadyExists", status=409):
        iam.create_login_profile(UserName=user.name, Password="First-pass-1")
    own = user.client("iam")
    with refused("AccessDenied", "^The old password was incorrect\\.$", status=403):
        own.change_password(OldPassword="First-pass-2", NewPassword="Second-pass-2")
    own.change_password(OldPassword="First-pass-1", NewPassword="Second-pass-2")
    assert iam.get_login_profile(UserName=user.name)["LoginProfile"]["PasswordResetRequired"] is False
    iam.delete_login_profile(UserName=user.name)
    with refused("NoSuchEntity", f"^Login Profile for User {user.name} cannot be found\\.$", status=404):
        iam.get_login_profile(UserName=user.name)
