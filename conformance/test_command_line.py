"""The other commands: what `dev` keeps, `init` and `serve`, `doctor`, `coverage` and their kin."""

import base64
import json
import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from refusals import refused
from server import ACCOUNT, CONFIG, SESSION, Server, binary, clean_environment, free_port


def run(*arguments, home, check=True, text_in=None, **variables):
    done = subprocess.run(
        [str(binary()), *map(str, arguments)],
        env={**clean_environment(home), **variables},
        input=text_in,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def test_dev_prints_what_to_paste(tmp_path):
    server = Server(tmp_path / "server", credentials=False)
    try:
        banner = server.banner()
        assert server.url in banner and "Enforcement is on" in banner
        exports = dict(re.findall(r"export (AWS_\w+)=(\S+)", banner))
        assert exports["AWS_ENDPOINT_URL"] == server.url
        credentials = {
            "AccessKeyId": exports["AWS_ACCESS_KEY_ID"],
            "SecretAccessKey": exports["AWS_SECRET_ACCESS_KEY"],
        }
        told = server.client("sts", credentials).get_caller_identity()
        assert told["Account"] == "123456789012"
        key = server.client("kms", credentials).create_key()["KeyMetadata"]["KeyId"]
        # Its directory keeps key and credential.
        server.stop()
        server.start()
        assert server.client("kms", credentials).describe_key(KeyId=key)["KeyMetadata"]["KeyId"] == key
        asked = server.palisade("env", "--port", server.port, "--json", credentials=credentials)
        assert json.loads(asked.stdout)["endpoint"] == server.url
    finally:
        server.stop()
    assert run("env", "--port", server.port, home=tmp_path / "server", check=False).returncode != 0


def test_the_address_in_use_is_told(palisade, tmp_path):
    done = run("dev", "--listen", f"127.0.0.1:{palisade.port}", home=tmp_path, check=False)
    assert done.returncode != 0 and "--listen" in done.stderr


def test_wrong_arguments_are_told(tmp_path):
    for arguments in (("dev", "--credential", "nonsense"), ("dev", "--account", "12"), ("conjure",), ("verify",)):
        done = run(*arguments, home=tmp_path, check=False)
        assert done.returncode != 0 and done.stderr.strip() and "panicked" not in done.stderr


def test_health_and_metrics(palisade):
    health = palisade.get("/_palisade/health")
    assert (health["status"], health["mode"], health["enforcement"]) == ("ok", "dev", "on")
    assert {"kms", "iam", "sts"} <= set(health["services"])
    assert "kms" in palisade.get("/_localstack/health")["services"]
    assert palisade.metric("palisade_panics_total") == 0


def test_reset_empties_every_account_and_keeps_the_credentials(tmp_path):
    server = Server(tmp_path / "server")
    try:
        kms, iam, other = server.client("kms"), server.client("iam"), server.other_client("kms")
        key = kms.create_key()["KeyMetadata"]["KeyId"]
        other.create_key()
        iam.create_user(UserName="u")
        user = iam.create_access_key(UserName="u")["AccessKey"]
        server.client("sts", user).get_caller_identity()
        assert server.request("POST", "/_palisade/reset")[0] == 200
        assert kms.list_keys()["Keys"] == other.list_keys()["Keys"] == iam.list_users()["Users"] == []
        with refused("NotFoundException"):
            kms.describe_key(KeyId=key)
        with refused("InvalidClientTokenId"):
            server.client("sts", user).get_caller_identity()
        kms.create_key()
    finally:
        server.stop()


def test_the_virtual_clock_dates_what_is_made(timed):
    before = timed.client("kms").create_key()["KeyMetadata"]["CreationDate"]
    timed.advance(3600)
    after = timed.client("kms").create_key()["KeyMetadata"]["CreationDate"]
    assert 3599 <= (after - before).total_seconds() <= 3661


def test_init_and_serve(tmp_path):
    data, passphrase = tmp_path / "data", tmp_path / "passphrase"
    passphrase.write_text("correct horse battery staple\n")
    passphrase.chmod(0o600)
    home = tmp_path / "home"
    home.mkdir()
    port = free_port()
    # Nothing is served that was not prepared.
    done = run("serve", "--data", data, "--listen", f"127.0.0.1:{port}", home=home, check=False)
    assert done.returncode != 0 and "palisade init" in done.stderr
    made = initialised(data, passphrase, home)
    assert run("init", "--data", data, home=home, check=False).returncode != 0
    # The wrong passphrase opens nothing.
    wrong = tmp_path / "wrong"
    wrong.write_text("wrong horse\n")
    wrong.chmod(0o600)
    done = run("serve", "--data", data, "--passphrase-file", wrong, "--listen", f"127.0.0.1:{port}", home=home, check=False)
    assert done.returncode != 0 and "panicked" not in done.stderr

    key = None
    for _ in range(2):  # and again after a kill
        served = subprocess.Popen(
            [str(binary()), "serve", "--data", str(data), "--passphrase-file", str(passphrase), "--listen", f"127.0.0.1:{port}"],
            env=clean_environment(home),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_for(port)
            url = f"http://127.0.0.1:{port}"
            assert json.load(urllib.request.urlopen(f"{url}/_palisade/health", timeout=5))["mode"] == "serve"
            kms = SESSION.client(
                "kms",
                region_name="us-east-1",
                endpoint_url=url,
                aws_access_key_id=made["access_key_id"],
                aws_secret_access_key=made["secret_access_key"],
                config=CONFIG,
            )
            key = key or kms.create_key()["KeyMetadata"]["KeyId"]
            assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyId"] == key
            # What belongs to dev alone does not exist here.
            for path in ("/_palisade/reset", "/_palisade/clock"):
                with pytest.raises(urllib.error.HTTPError) as caught:
                    urllib.request.urlopen(url + path, b"{}", timeout=5)
                assert caught.value.code == 404
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(f"{url}/_palisade/metrics", timeout=5)
            assert caught.value.code in (401, 403)
        finally:
            served.send_signal(signal.SIGKILL)
            served.wait(30)
    # Keys are not in the files in clear, and a file of dev is not served.
    secret = made["secret_access_key"].encode()
    for path in data.rglob("*"):
        if path.is_file():
            assert secret not in path.read_bytes(), path
    assert run("dev", "--data", data, home=home, check=False).returncode != 0
    assert run("verify", "--data", data, home=home).stdout.startswith("The record is whole")


def initialised(data, passphrase, home):
    shares = home / "shares"
    done = run(
        "init", "--data", data, "--slot", "passphrase", "--new-passphrase-file", passphrase,
        "--shares-file", shares, "--json", home=home,
    )
    assert len(shares.read_text().splitlines()) == 3
    assert os.stat(shares).st_mode & 0o077 == 0
    return json.loads(done.stdout)


def wait_for(port):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/_palisade/health", timeout=1)
            return
        except OSError:
            time.sleep(0.02)
    pytest.fail("serve did not start")


def test_coverage_lists_what_is_and_what_is_not(tmp_path):
    text = run("coverage", "kms", home=tmp_path).stdout
    assert "Encrypt" in text and "CreateGrant" in text
    told = json.loads(run("coverage", "--json", home=tmp_path).stdout)
    assert told


def test_doctor_and_completions(palisade, tmp_path):
    palisade.palisade("doctor")
    assert "palisade" in run("completions", "bash", home=tmp_path).stdout
    assert re.match(r"palisade \d", run("--version", home=tmp_path).stdout)
    assert "palisade dev" in run("--help", home=tmp_path).stdout


def test_no_secret_reaches_disk_in_clear(tmp_path):
    """Neither plaintexts nor credentials nor data keys are in the store, the record or the log."""
    server = Server(tmp_path / "server")
    kms, iam, sts = server.client("kms"), server.client("iam"), server.client("sts")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.encrypt(KeyId=key, Plaintext=b"plaintext-never-written")
    data_key = kms.generate_data_key(KeyId=key, KeySpec="AES_256")["Plaintext"]
    iam.create_user(UserName="u")
    secret = iam.create_access_key(UserName="u")["AccessKey"]["SecretAccessKey"]
    session = sts.get_session_token()["Credentials"]
    server.stop()
    needles = [
        b"plaintext-never-written",
        base64.b64encode(b"plaintext-never-written"),
        data_key,
        base64.b64encode(data_key),
        secret.encode(),
        session["SecretAccessKey"].encode(),
        session["SessionToken"].encode(),
    ]
    for path in [*server.data.rglob("*"), server.home / "log"]:
        if path.is_file():
            content = path.read_bytes()
            assert not [needle for needle in needles if needle in content], path
    account = ACCOUNT.encode()
    assert any(account in path.read_bytes() for path in server.data.rglob("*") if path.is_file())
