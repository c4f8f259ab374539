"""SOPS, the real program: files whose values are encrypted under a data key that a KMS key keeps."""

import pathlib
import subprocess
import sys

import pytest

from policies import allow
from programs import recorded
from server import ROOT_KEY, ROOT_SECRET

PLAIN = "password: hunter2\nport: 5432\nlist:\n  - one\n  - two\n"
# The package that has the program puts it beside the interpreter.
SOPS = pathlib.Path(sys.executable).parent / "sops"


@pytest.fixture
def sops(palisade, tmp_path):
    """Runs SOPS in a directory of its own: `sops("decrypt", path)`."""

    def sops(*arguments, credentials=None, failing=False):
        done = subprocess.run(
            [str(SOPS), *map(str, arguments)],
            env=palisade.environment(credentials),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert (done.returncode != 0) == failing, done.stdout + done.stderr
        return done

    return sops


@pytest.fixture
def sealed(sops, key, tmp_path):
    """A file that was encrypted under the shared key."""
    plain = tmp_path / "plain.yaml"
    plain.write_text(PLAIN)
    path = tmp_path / "sealed.yaml"
    path.write_text(sops("encrypt", "--kms", key["Arn"], plain).stdout)
    return path


def test_a_file_makes_the_round_trip(palisade, sops, sealed, key, new_user):
    text = sealed.read_text()
    assert "hunter2" not in text and key["Arn"] in text and "password: ENC[" in text
    user = new_user(allow("kms:Decrypt", key["Arn"]))
    assert sops("decrypt", sealed, credentials=user.credentials).stdout.split() == PLAIN.split()
    assert ("Decrypt", None) in recorded(palisade, user.arn)


def test_who_may_not_does_not_read_it(palisade, sops, sealed, key, new_user, tmp_path):
    user = new_user(allow("kms:Encrypt", key["Arn"]))
    refused = sops("decrypt", sealed, credentials=user.credentials, failing=True)
    assert "hunter2" not in refused.stdout and "AccessDenied" in refused.stderr
    assert recorded(palisade, user.arn)[-1] == ("Decrypt", "AccessDeniedException")
    made = sops("encrypt", "--kms", key["Arn"], tmp_path / "plain.yaml", credentials=user.credentials)
    assert "ENC[" in made.stdout
    user.may(allow("kms:Decrypt", key["Arn"]))
    sops("encrypt", "--kms", key["Arn"], tmp_path / "plain.yaml", credentials=user.credentials, failing=True)


def test_what_was_changed_is_noticed(sops, sealed):
    text = sealed.read_text()
    lines = text.splitlines()
    one, two = (next(line for line in lines if line.strip().startswith(name)) for name in ("password:", "port:"))
    # A value in another's place, and a key that was changed on its way.
    swapped = text.replace(one, "PUT").replace(two, two.split(":")[0] + ":" + one.split(":", 1)[1])
    swapped = swapped.replace("PUT", one.split(":")[0] + ":" + two.split(":", 1)[1])
    sealed.write_text(swapped)
    sops("decrypt", sealed, failing=True)
    enc = next(line for line in lines if "enc:" in line)
    value = enc.split("enc:")[1].strip()
    middle = len(value) // 2
    other = value[:middle] + ("A" if value[middle] != "A" else "B") + value[middle + 1 :]
    sealed.write_text(text.replace(value, other))
    assert "InvalidCiphertextException" in sops("decrypt", sealed, failing=True).stderr
    sealed.write_text(text)
    sops("decrypt", sealed)


def test_the_encryption_context_decides(sops, key, new_user, tmp_path):
    plain = tmp_path / "plain.yaml"
    plain.write_text(PLAIN)
    path = tmp_path / "sealed.yaml"
    path.write_text(sops("encrypt", "--kms", key["Arn"], "--encryption-context", "app:shop", plain).stdout)
    may = lambda app: allow("kms:Decrypt", Condition={"StringEquals": {"kms:EncryptionContext:app": app}})  # noqa: E731
    user = new_user(may("shop"))
    sops("decrypt", path, credentials=user.credentials)
    user.may(may("other"))
    sops("decrypt", path, credentials=user.credentials, failing=True)
    user.may(may("shop"))
    path.write_text(path.read_text().replace("app: shop", "app: other"))
    sops("decrypt", path, credentials=user.credentials, failing=True)
    refused = sops("decrypt", path, credentials={"AccessKeyId": ROOT_KEY, "SecretAccessKey": ROOT_SECRET}, failing=True)
    assert "InvalidCiphertextException" in refused.stderr


def test_a_disabled_key_and_a_rotated_one(sops, kms, new_key, tmp_path):
    key = new_key()
    plain = tmp_path / "plain.yaml"
    plain.write_text(PLAIN)
    path = tmp_path / "sealed.yaml"
    path.write_text(sops("encrypt", "--kms", key["Arn"], plain).stdout)
    kms.rotate_key_on_demand(KeyId=key["KeyId"])
    sops("rotate", "--in-place", path)
    assert sops("decrypt", path).stdout.split() == PLAIN.split()
    kms.disable_key(KeyId=key["KeyId"])
    assert "DisabledException" in sops("decrypt", path, failing=True).stderr
