"""`palisade dev --seed`: who and what a file says is there, and nothing is bypassed or shown."""

import base64
import hashlib
import hmac
import subprocess

import pytest

from refusals import refused
from server import Server, binary, clean_environment

HOME, AWAY = "123456789012", "111122223333"
ROOT = {"AccessKeyId": "AKIASEEDROOT", "SecretAccessKey": "seedRootSecretThatIsNotShown01"}
ALICE = {"AccessKeyId": "AKIASEEDALICE", "SecretAccessKey": "seedAliceSecretThatIsNotShown2"}
AWAY_ROOT = {"AccessKeyId": "AKIASEEDAWAY", "SecretAccessKey": "seedAwaySecretThatIsNotShown03"}
KEY, HMAC = "1234abcd-12ab-34cd-56ef-1234567890ab", "aaaabbbb-cccc-4ddd-8eee-ffff00001111"
MATERIAL = base64.b64encode(b"seed material that nobody sees..").decode()
HMAC_MATERIAL = base64.b64encode(b"m" * 31 + b"n").decode()
SECRETS = [held["SecretAccessKey"] for held in (ROOT, ALICE, AWAY_ROOT)] + [MATERIAL, HMAC_MATERIAL]

ALLOW_USE = '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "kms:Encrypt", "Resource": "*"}}'
SEED = f"""
[[account]]
id = "{HOME}"
root = {{ id = "{ROOT["AccessKeyId"]}", secret = "{ROOT["SecretAccessKey"]}" }}

[[account.policy]]
name = "use"
path = "/app/"
description = "may encrypt"
tags = {{ team = "red" }}
document = '{ALLOW_USE}'

[[account.group]]
name = "readers"
attached = ["arn:aws:iam::aws:policy/IAMReadOnlyAccess"]
inline.listing = '{{"Statement": {{"Effect": "Allow", "Action": "kms:ListKeys", "Resource": "*"}}}}'

[[account.user]]
name = "alice"
path = "/people/"
tags = {{ team = "red" }}
groups = ["readers"]
attached = ["arn:aws:iam::{HOME}:policy/app/use"]
access_key = [{{ id = "{ALICE["AccessKeyId"]}", secret = "{ALICE["SecretAccessKey"]}" }}]
inline.assume = '{{"Statement": {{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}}}}'

[[account.role]]
name = "reader"
trust = '''{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": "sts:AssumeRole",
            "Principal": {{"AWS": "arn:aws:iam::{HOME}:user/people/alice"}}}}}}'''
description = "reads"
max_session_seconds = 7200
boundary = "arn:aws:iam::aws:policy/ReadOnlyAccess"

[[account.key]]
id = "{KEY}"
description = "the app's"
aliases = ["alias/app", "alias/old"]
tags = {{ team = "red" }}
material = "{MATERIAL}"
policy = '''{{"Version": "2012-10-17", "Statement": [
  {{"Effect": "Allow", "Principal": {{"AWS": "arn:aws:iam::{HOME}:root"}}, "Action": "kms:*", "Resource": "*"}},
  {{"Effect": "Allow", "Principal": {{"AWS": "arn:aws:iam::{AWAY}:root"}}, "Action": "kms:Decrypt", "Resource": "*"}}]}}'''

[[account.key]]
id = "{HMAC}"
spec = "HMAC_256"
usage = "GENERATE_VERIFY_MAC"
material = "{HMAC_MATERIAL}"

[[account]]
id = "{AWAY}"
root = {{ id = "{AWAY_ROOT["AccessKeyId"]}", secret = "{AWAY_ROOT["SecretAccessKey"]}" }}
"""


@pytest.fixture
def seeded(tmp_path):
    """A server with the seed; more of them by calling it."""
    servers = []

    def make(name="server", seed=SEED):
        file = tmp_path / f"{name}.toml"
        file.write_text(seed)
        servers.append(Server(tmp_path / name, "--seed", str(file), credentials=False))
        return servers[-1]

    yield make
    for server in servers:
        server.kill()


def refused_start(server, seed):
    """What a restart with another seed complains; the data is kept."""
    file = server.home.parent / "changed.toml"
    file.write_text(seed)
    done = subprocess.run(
        [str(binary()), "dev", "--data", str(server.data), "--listen", "127.0.0.1:0", "--seed", str(file)],
        env=clean_environment(server.home),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1 and "panicked" not in done.stderr
    assert not [secret for secret in SECRETS if secret in done.stderr + done.stdout]
    return done.stderr


def test_everyone_and_everything_is_there(seeded):
    server = seeded()
    told = server.client("sts", ALICE).get_caller_identity()
    assert told["Arn"] == f"arn:aws:iam::{HOME}:user/people/alice"
    assert f"AWS_ACCESS_KEY_ID={ROOT['AccessKeyId']}" in server.banner()

    iam = server.client("iam", ROOT)
    alice = iam.get_user(UserName="alice")["User"]
    assert (alice["Path"], alice["Tags"]) == ("/people/", [{"Key": "team", "Value": "red"}])
    assert [group["GroupName"] for group in iam.list_groups_for_user(UserName="alice")["Groups"]] == ["readers"]
    role = iam.get_role(RoleName="reader")["Role"]
    assert (role["Description"], role["MaxSessionDuration"]) == ("reads", 7200)
    assert role["PermissionsBoundary"]["PermissionsBoundaryArn"].endswith("/ReadOnlyAccess")

    kms = server.client("kms", ROOT)
    for name in (KEY, "alias/app", "alias/old"):
        metadata = kms.describe_key(KeyId=name)["KeyMetadata"]
        assert (metadata["KeyId"], metadata["Description"], metadata["Origin"]) == (KEY, "the app's", "AWS_KMS")
    assert kms.list_resource_tags(KeyId=KEY)["Tags"] == [{"TagKey": "team", "TagValue": "red"}]
    mac = kms.generate_mac(KeyId=HMAC, MacAlgorithm="HMAC_SHA_256", Message=b"m")["Mac"]
    assert mac == hmac.new(base64.b64decode(HMAC_MATERIAL), b"m", hashlib.sha256).digest()


def test_enforcement_binds_the_seeded(seeded):
    server = seeded()
    kms = server.client("kms", ALICE)
    sealed = kms.encrypt(KeyId="alias/app", Plaintext=b"p")["CiphertextBlob"]
    assert {key["KeyId"] for key in kms.list_keys()["Keys"]} == {KEY, HMAC}
    with refused("AccessDeniedException"):
        kms.decrypt(CiphertextBlob=sealed)
    with refused("AccessDenied"):
        server.client("iam", ALICE).create_user(UserName="mallory")
    # The key policy lets the other account decrypt, and nothing else.
    away = server.client("kms", AWAY_ROOT)
    assert away.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"p"
    with refused("AccessDeniedException"):
        away.encrypt(KeyId=f"arn:aws:kms:us-east-1:{HOME}:key/{KEY}", Plaintext=b"p")
    assumed = server.client("sts", ALICE).assume_role(
        RoleArn=f"arn:aws:iam::{HOME}:role/reader", RoleSessionName="session"
    )
    assert ":assumed-role/reader/" in assumed["AssumedRoleUser"]["Arn"]
    with refused("AccessDenied"):
        server.client("sts", AWAY_ROOT).assume_role(RoleArn=f"arn:aws:iam::{HOME}:role/reader", RoleSessionName="session")


def test_a_restart_changes_nothing(seeded):
    server = seeded()
    sealed = server.client("kms", ROOT).encrypt(KeyId=KEY, Plaintext=b"p")["CiphertextBlob"]
    identity = server.client("iam", ROOT).get_user(UserName="alice")["User"]["UserId"]
    server.client("iam", ROOT).create_user(UserName="made-by-hand")
    for end in (server.stop, server.kill):
        end()
        server.start()
        iam = server.client("iam", ROOT)
        assert iam.get_user(UserName="alice")["User"]["UserId"] == identity
        assert iam.get_user(UserName="made-by-hand")
        assert len(iam.list_access_keys(UserName="alice")["AccessKeyMetadata"]) == 1
        assert server.client("kms", ROOT).decrypt(CiphertextBlob=sealed)["Plaintext"] == b"p"
    server.stop()
    assert server.palisade("verify", "--data", server.data, credentials=ROOT).returncode == 0


def test_reset_sows_again(seeded):
    server = seeded()
    sealed = server.client("kms", ROOT).encrypt(KeyId=KEY, Plaintext=b"p")["CiphertextBlob"]
    server.client("iam", ROOT).create_user(UserName="made-by-hand")
    assert server.request("POST", "/_palisade/reset")[0] == 200
    with refused("NoSuchEntity"):
        server.client("iam", ROOT).get_user(UserName="made-by-hand")
    assert server.client("kms", ALICE).encrypt(KeyId="alias/app", Plaintext=b"p")
    # The material is given, so that even this one opens.
    assert server.client("kms", ROOT).decrypt(CiphertextBlob=sealed)["Plaintext"] == b"p"


def test_ciphertexts_of_one_server_open_in_another_of_the_same_seed(seeded):
    sealed = seeded("one").client("kms", ROOT).encrypt(KeyId=KEY, Plaintext=b"p")["CiphertextBlob"]
    assert seeded("two").client("kms", ROOT).decrypt(CiphertextBlob=sealed)["Plaintext"] == b"p"
    other = SEED.replace(MATERIAL, base64.b64encode(b"other material that nobody sees!").decode())
    with refused(("AccessDeniedException", "InvalidCiphertextException", "KMSInternalException")):
        seeded("three", other).client("kms", ROOT).decrypt(CiphertextBlob=sealed)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('path = "/people/"', 'path = "/others/"', "user alice"),
        ('description = "may encrypt"', 'description = "may"', "policy use"),
        ("kms:Encrypt", "kms:Decrypt", "policy use"),
        ('team = "red"', 'team = "blue"', "policy use"),
        ("max_session_seconds = 7200", "max_session_seconds = 3600", "role reader"),
        ('"Action": "sts:AssumeRole",\n', '"Action": "sts:*",\n', "role reader"),
        ("kms:ListKeys", "kms:ListAliases", "inline policy listing of group readers"),
        (ALICE["SecretAccessKey"], "quiteAnotherSecret", "an access key of user alice"),
        (MATERIAL, base64.b64encode(b"x" * 32).decode(), f"key {KEY}"),
        ("the app's", "another's", f"key {KEY}"),
        ('"Action": "kms:Decrypt"', '"Action": "kms:Encrypt"', f"key {KEY}"),
    ],
)
def test_what_contradicts_is_named(seeded, before, after, said):
    server = seeded()
    server.stop()
    assert before in SEED
    complaint = refused_start(server, SEED.replace(before, after))
    assert "changed.toml:" in complaint and said in complaint and "already" in complaint


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("description =", "discription =", "unknown field `discription`"),
        (ALLOW_USE, "{}", "MalformedPolicyDocument"),
        (KEY, KEY.upper(), "is not a UUID in lower case"),
        ("alias/app", "alias/aws/app", "CreateAlias refused it"),
        (f'"{MATERIAL}"', '"c2hvcnQ="', "the material is not a key of spec"),
        ("HMAC_256", "HMAC_255", "HMAC_255"),
        ('groups = ["readers"]', 'groups = ["nobody"]', "AddUserToGroup refused it: NoSuchEntity"),
        (ALICE["AccessKeyId"], ROOT["AccessKeyId"], "belongs to someone else"),
        (f'root = {{ id = "{AWAY_ROOT["AccessKeyId"]}", secret = "{AWAY_ROOT["SecretAccessKey"]}" }}', "", "--credential"),
    ],
)
def test_what_is_wrong_is_told_by_line(tmp_path, before, after, said):
    assert before in SEED
    server = Server.__new__(Server)
    server.home, server.data = tmp_path / "home", tmp_path / "data"
    server.home.mkdir()
    complaint = refused_start(server, SEED.replace(before, after))
    assert "changed.toml:" in complaint and said in complaint


def test_it_is_all_in_the_record_and_no_secret_is(seeded):
    server = seeded()
    server.stop()
    whole = b"".join(path.read_bytes() for path in (server.data / "journal").rglob("*") if path.is_file())
    for name in ("CreateUser", "CreateRole", "PutUserPolicy", "BootstrapAccessKey", "BootstrapKey", "PutKeyPolicy"):
        assert f'"eventName":"{name}"'.encode() in whole, name
    # What is printed for the user to paste is the one place where a secret belongs.
    files = [path for path in server.home.rglob("*") if path.is_file() and path.name != "banner"]
    everything = b"".join(path.read_bytes() for path in files)
    assert (server.home / "log") in files
    for secret in SECRETS:
        assert secret.encode() not in everything
    assert base64.b64decode(MATERIAL) not in everything
