"""The other commands: what `dev` prints and keeps, `env`, `doctor`, `coverage`, `completions` and the operator's paths."""

import base64
import json
import re
import subprocess

import pytest

from refusals import refused
from server import ACCOUNT, Server, binary, clean_environment


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


def test_a_policy_is_generated_from_the_record_and_does_what_it_says(palisade, iam, kms, name):
    user = iam.create_user(UserName=name)["User"]
    everything = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
    iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=json.dumps(everything))
    made = iam.create_access_key(UserName=name)["AccessKey"]
    credentials = {key: made[key] for key in ("AccessKeyId", "SecretAccessKey")}
    key = kms.create_key()["KeyMetadata"]["Arn"]
    theirs = palisade.client("kms", credentials)
    red = {"KeyId": key, "Plaintext": b"plain", "EncryptionContext": {"team": "red"}}
    theirs.encrypt(**red)
    asked = ("policy", "generate", "--principal", user["Arn"], "--since", "1h")
    told = json.loads(palisade.palisade(*asked, "--json").stdout)
    assert told["newlyDenied"] == [] and told["complete"]
    policy = json.loads(palisade.palisade(*asked).stdout)
    assert policy == told["policy"]
    assert [statement["Action"] for statement in policy["Statement"]] == ["kms:Encrypt"]
    iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=json.dumps(policy))
    theirs.encrypt(**red)
    with refused("AccessDeniedException"):
        theirs.encrypt(KeyId=key, Plaintext=b"plain", EncryptionContext={"team": "blue"})
    with refused("AccessDeniedException"):
        theirs.describe_key(KeyId=key)
    # Who may not ask is told so.
    done = palisade.palisade(*asked, credentials=credentials, check=False)
    assert done.returncode == 1 and "palisade:GeneratePolicy" in done.stderr


def test_usage_is_told_with_what_it_would_have_cost(palisade, iam, kms, tmp_path):
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.encrypt(KeyId=key, Plaintext=b"priced")
    told = json.loads(palisade.palisade("usage", "kms", "--since", "1h", "--json").stdout)
    encrypts = [row for row in told["calls"] if row["operation"] == "Encrypt" and row["principal"].endswith(":root")]
    # Other tests encrypt on this server too, with keys of other kinds.
    assert any(row["class"] == "requests" and row["calls"] >= 1 for row in encrypts)
    assert {row["class"] for row in told["held"]} >= {"key"}
    assert told["cost"]["currency"] == "USD" and told["cost"]["unpriced"] == []
    human = palisade.palisade("usage", "kms", "--since", "1h").stdout
    assert "at AWS's prices" in human and "together" in human
    prices = tmp_path / "prices.toml"
    prices.write_text('currency = "EUR"\nhours_per_month = 1\nfree_calls_per_month = 0\n[held]\nkey = 2\n[calls]\n')
    dear = json.loads(palisade.palisade("usage", "kms", "--since", "1h", "--prices", str(prices), "--json").stdout)
    assert dear["cost"]["currency"] == "EUR" and "requests" in dear["cost"]["unpriced"]
    user = iam.create_user(UserName="curious")["User"]["UserName"]
    made = iam.create_access_key(UserName=user)["AccessKey"]
    credentials = {name: made[name] for name in ("AccessKeyId", "SecretAccessKey")}
    done = palisade.palisade("usage", "kms", credentials=credentials, check=False)
    assert done.returncode == 1 and "palisade:GetUsage" in done.stderr


def test_events_are_told_in_the_shape_of_eventbridge(palisade, kms, tmp_path):
    key = kms.create_key()["KeyMetadata"]
    place = json.loads(palisade.palisade("events", "--json").stdout)["next"]
    kms.rotate_key_on_demand(KeyId=key["KeyId"])
    told = json.loads(palisade.palisade("events", "--after", place, "--json").stdout)
    (event,) = [event for event in told["events"] if event["resources"] == [key["Arn"]]]
    assert event["source"] == "aws.kms" and event["detail-type"] == "KMS CMK Rotation"
    assert event["detail"]["rotation-type"] == "ON_DEMAND" and not told["more"]
    assert key["Arn"] in palisade.palisade("events").stdout
    wrong = palisade.palisade("events", "--after", "there", check=False)
    assert wrong.returncode == 1 and "after must be the `next`" in wrong.stderr


def test_clients_that_know_only_the_machines_time_are_let_in_under_a_virtual_clock(tmp_path):
    server = Server(tmp_path / "server", "--clock", "virtual")
    kms = server.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.enable_key_rotation(KeyId=key, RotationPeriodInDays=90)
    url = server.client("sts").generate_presigned_url("get_caller_identity", ExpiresIn=60, HttpMethod="GET")
    assert server.request("GET", url.removeprefix(server.url))[0] == 200
    server.advance(90 * 24 * 3600)
    (rotation,) = kms.list_key_rotations(KeyId=key)["Rotations"]
    assert rotation["RotationType"] == "AUTOMATIC"
    assert json.loads(server.palisade("events", "--json").stdout)["events"]
    # What expires does so by the server's time.
    status, _, body = server.request("GET", url.removeprefix(server.url))
    assert status == 403 and b"expired" in body.lower(), body
    server.stop()


def test_a_mistyped_credential_is_not_repeated(tmp_path):
    for typed in ("AKIAEXAMPLE:never-shown:12", "never-shown", "no:never-shown:111122223333"):
        done = run("dev", "--credential", typed, home=tmp_path, check=False)
        assert done.returncode == 2 and "KEY:SECRET:ACCOUNT" in done.stderr
        assert "never-shown" not in done.stdout + done.stderr


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


def test_a_store_that_is_older_than_its_record_is_not_served_without_a_word(tmp_path):
    server = Server(tmp_path / "server")
    server.client("kms").create_key()
    server.stop()
    store = server.data / "store.redb"
    older = store.read_bytes()
    server.start()
    server.client("kms").create_alias(
        AliasName="alias/later", TargetKeyId=server.client("kms").list_keys()["Keys"][0]["KeyId"]
    )
    server.stop()
    newer = store.read_bytes()
    store.write_bytes(older)
    with pytest.raises(RuntimeError, match="older than the record"):
        server.start()
    store.write_bytes(newer)
    server.start()
    assert "alias/later" in str(server.client("kms").list_aliases())
    server.stop()
    store.write_bytes(older)
    server.flags.append("--accept-older")
    server.start()
    assert "alias/later" not in str(server.client("kms").list_aliases())
    server.stop()
    assert server.palisade("verify", "--data", server.data).returncode == 0
