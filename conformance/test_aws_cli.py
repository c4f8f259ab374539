"""The command line as a user types it."""

import base64
import json
import os
import pathlib
import subprocess
import sys

import pytest

from policies import allow, document
from server import ACCOUNT

AWS = pathlib.Path(sys.executable).with_name("aws")


class Shell:
    """A directory and an environment to type commands in."""

    def __init__(self, palisade, directory, credentials=None):
        self.directory = directory
        self.variables = palisade.environment(credentials)
        self.variables.update(AWS_PAGER="", PATH=f"{AWS.parent}{os.pathsep}{self.variables['PATH']}")

    def type(self, line, fails=False):
        """Runs a line; gives what it printed, or what it complained of if it is to fail."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", line],
            cwd=self.directory,
            env=self.variables,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert (done.returncode != 0) == fails, f"{line}\n{done.stdout}{done.stderr}"
        return (done.stderr if fails else done.stdout).strip()


@pytest.fixture
def shell(palisade, tmp_path):
    return Shell(palisade, tmp_path)


def test_a_key_is_made_named_and_used(shell, name):
    made = json.loads(shell.type("aws kms create-key --description 'made by hand' --tags TagKey=Team,TagValue=red"))
    key = made["KeyMetadata"]["KeyId"]
    assert shell.type(f"aws kms create-alias --alias-name alias/{name} --target-key-id {key}") == ""
    shell.type("printf 'attack at dawn' > plain")
    shell.type(
        f"aws kms encrypt --key-id alias/{name} --plaintext fileb://plain --encryption-context app=shop,stage=test "
        "--query CiphertextBlob --output text | base64 -d > cipher"
    )
    opened = shell.type(
        "aws kms decrypt --ciphertext-blob fileb://cipher --encryption-context app=shop,stage=test "
        "--query Plaintext --output text | base64 -d"
    )
    assert opened == "attack at dawn"
    said = shell.type("aws kms decrypt --ciphertext-blob fileb://cipher --encryption-context app=shop", fails=True)
    assert "(InvalidCiphertextException)" in said
    shell.type(f"aws kms disable-key --key-id {key}")
    said = shell.type(f"aws kms encrypt --key-id {key} --plaintext fileb://plain", fails=True)
    assert f"An error occurred (DisabledException) when calling the Encrypt operation: arn:aws:kms:us-east-1:{ACCOUNT}:key/{key} is disabled." in said
    state = shell.type(f"aws kms describe-key --key-id {key} --query KeyMetadata.KeyState --output text")
    assert state == "Disabled"


def test_a_signature_is_checked_by_openssl(shell):
    key = shell.type(
        "aws kms create-key --key-spec ECC_NIST_P256 --key-usage SIGN_VERIFY --query KeyMetadata.KeyId --output text"
    )
    shell.type("echo 'release 1.0' > artefact")
    shell.type("openssl dgst -sha256 -binary artefact > digest")
    shell.type(
        f"aws kms sign --key-id {key} --message fileb://digest --message-type DIGEST --signing-algorithm ECDSA_SHA_256 "
        "--query Signature --output text | base64 -d > signature"
    )
    shell.type(f"aws kms get-public-key --key-id {key} --query PublicKey --output text | base64 -d > public.der")
    shell.type("openssl pkey -pubin -inform DER -in public.der -out public.pem")
    assert shell.type("openssl dgst -sha256 -verify public.pem -signature signature artefact") == "Verified OK"


def test_envelope_encryption_by_hand(shell, key):
    shell.type(f"aws kms generate-data-key --key-id {key['KeyId']} --key-spec AES_256 > data-key.json")
    shell.type("echo secret > file")
    made = json.loads((shell.directory / "data-key.json").read_text())
    assert len(base64.b64decode(made["Plaintext"])) == 32
    (shell.directory / "wrapped").write_bytes(base64.b64decode(made["CiphertextBlob"]))
    again = shell.type("aws kms decrypt --ciphertext-blob fileb://wrapped --query Plaintext --output text")
    assert again == made["Plaintext"]


def test_outputs_of_every_form(shell, key):
    for form in ("json", "text", "table"):
        assert key["KeyId"] in shell.type(f"aws kms describe-key --key-id {key['KeyId']} --output {form}")
    assert int(shell.type("aws kms list-keys --query 'length(Keys)'")) >= 1
    assert key["KeyId"] in shell.type("aws kms list-keys --page-size 2 --query 'Keys[].KeyId' --output text")


def test_a_new_hand_is_denied_told_why_and_let_in(shell, palisade, name, key, tmp_path):
    shell.type(f"aws iam create-user --user-name {name}")
    made = json.loads(shell.type(f"aws iam create-access-key --user-name {name}"))["AccessKey"]
    new = Shell(palisade, tmp_path, made)
    assert json.loads(new.type("aws sts get-caller-identity"))["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/{name}"
    said = new.type(f"echo hi > plain; aws kms encrypt --key-id {key['KeyId']} --plaintext fileb://plain", fails=True)
    assert (
        f"An error occurred (AccessDeniedException) when calling the Encrypt operation: User: arn:aws:iam::{ACCOUNT}:"
        f"user/{name} is not authorized to perform: kms:Encrypt on resource: {key['Arn']} because no identity-based "
        "policy allows the kms:Encrypt action"
    ) in said
    debug = new.type(f"aws --debug kms encrypt --key-id {key['KeyId']} --plaintext fileb://plain", fails=True)
    request_id = debug.lower().split("'x-amzn-requestid': '")[1].split("'")[0]
    assert "to allow it" in shell.type(f"palisade why {request_id}")
    (tmp_path / "policy.json").write_text(document(allow("kms:Encrypt", key["Arn"])))
    shell.type(f"aws iam put-user-policy --user-name {name} --policy-name use --policy-document file://policy.json")
    new.type(f"aws kms encrypt --key-id {key['KeyId']} --plaintext fileb://plain")


def test_a_profile_that_assumes_a_role(shell, palisade, name, new_user, new_role, tmp_path):
    role = new_role(allow("kms:ListKeys"))
    user = new_user(allow("sts:AssumeRole", role["Arn"]))
    (tmp_path / "aws-config").write_text(
        f"[profile base]\naws_access_key_id = {user.credentials['AccessKeyId']}\n"
        f"aws_secret_access_key = {user.credentials['SecretAccessKey']}\n"
        f"[profile app]\nrole_arn = {role['Arn']}\nsource_profile = base\nrole_session_name = shell\n"
    )
    shell.variables["AWS_CONFIG_FILE"] = str(tmp_path / "aws-config")
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        del shell.variables[variable]
    arn = shell.type("aws --profile app sts get-caller-identity --query Arn --output text")
    assert arn == f"arn:aws:sts::{ACCOUNT}:assumed-role/{role['RoleName']}/shell"
    shell.type("aws --profile app kms list-keys")
    assert "AccessDenied" in shell.type("aws --profile base kms list-keys", fails=True)


def test_waiters(shell, name):
    shell.type(f"aws iam create-user --user-name {name} && aws iam wait user-exists --user-name {name}")


def test_what_palisade_env_prints_is_enough(palisade, tmp_path):
    shell = Shell(palisade, tmp_path)
    for variable in list(shell.variables):
        if variable.startswith("AWS_") and variable not in ("AWS_PAGER", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            del shell.variables[variable]
    arn = shell.type(
        f'eval "$(palisade env --port {palisade.port})"; aws sts get-caller-identity --query Arn --output text'
    )
    assert arn == f"arn:aws:iam::{ACCOUNT}:root"
