"""Requests that were signed into a URL: how EKS and Vault prove who calls."""

import base64
import datetime
import http.client
import json
import subprocess
import urllib.parse
import urllib.request

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from server import ACCOUNT, REGION, ROOT_KEY, ROOT_SECRET


def presigned(palisade, headers=None, expires=60, key=ROOT_KEY, secret=ROOT_SECRET, token=None):
    url = f"{palisade.url}/?Action=GetCallerIdentity&Version=2011-06-15"
    request = AWSRequest("GET", url, headers=headers or {})
    botocore.auth.SigV4QueryAuth(Credentials(key, secret, token), "sts", REGION, expires=expires).add_auth(request)
    return request.url


def fetch(palisade, url, headers=None, method="GET"):
    split = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection("127.0.0.1", palisade.port, timeout=10)
    connection.request(method, f"{split.path}?{split.query}", headers=headers or {})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_boto3_makes_a_url_that_works(palisade, sts):
    url = sts.generate_presigned_url("get_caller_identity", ExpiresIn=60, HttpMethod="GET")
    status, body = fetch(palisade, url)
    assert status == 200 and f"<Arn>arn:aws:iam::{ACCOUNT}:root</Arn>" in body


def test_the_answer_is_json_for_those_who_accept_it(palisade):
    """What Vault's agents and EKS's authenticator ask for; XML is right for everybody else."""
    status, body = fetch(palisade, presigned(palisade), {"Accept": "application/json"})
    assert status == 200
    if body.startswith("{"):
        assert json.loads(body)["GetCallerIdentityResponse"]["GetCallerIdentityResult"]["Account"] == ACCOUNT
    else:
        assert f"<Account>{ACCOUNT}</Account>" in body


def test_an_eks_token(palisade, new_user):
    """`k8s-aws-v1.` and a URL that signs the name of the cluster."""
    user = new_user()
    url = presigned(
        palisade,
        {"x-k8s-aws-id": "my-cluster"},
        key=user.credentials["AccessKeyId"],
        secret=user.credentials["SecretAccessKey"],
    )
    token = "k8s-aws-v1." + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")
    encoded = token.removeprefix("k8s-aws-v1.")
    decoded = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    status, body = fetch(palisade, decoded, {"x-k8s-aws-id": "my-cluster"})
    assert status == 200 and user.arn in body
    for headers in ({}, {"x-k8s-aws-id": "another-cluster"}):
        status, body = fetch(palisade, decoded, headers)
        assert status == 403 and "SignatureDoesNotMatch" in body


def test_a_vault_login(palisade, new_user):
    """A signed POST, taken apart and sent by somebody else."""
    user = new_user()
    request = AWSRequest(
        "POST",
        palisade.url + "/",
        data="Action=GetCallerIdentity&Version=2011-06-15",
        headers={
            "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
            "X-Vault-AWS-IAM-Server-ID": "vault.example.com",
        },
    )
    secret = Credentials(user.credentials["AccessKeyId"], user.credentials["SecretAccessKey"])
    botocore.auth.SigV4Auth(secret, "sts", REGION).add_auth(request)
    prepared = request.prepare()
    sent = urllib.request.Request(palisade.url + "/", request.data.encode(), dict(prepared.headers))
    with urllib.request.urlopen(sent, timeout=10) as answer:
        assert user.arn in answer.read().decode()


def test_curl_signs_too(palisade):
    command = ["curl", "-sS", palisade.url, "--aws-sigv4", f"aws:amz:{REGION}:sts", "--user", f"{ROOT_KEY}:{ROOT_SECRET}"]
    form = "Action=GetCallerIdentity&Version=2011-06-15"
    done = subprocess.run([*command, "-d", form], check=True, capture_output=True, text=True, timeout=30)
    assert f"<Arn>arn:aws:iam::{ACCOUNT}:root</Arn>" in done.stdout
    command[4] = f"aws:amz:{REGION}:kms"
    headers = ["-H", "Content-Type: application/x-amz-json-1.1", "-H", "X-Amz-Target: TrentService.ListKeys"]
    done = subprocess.run([*command, *headers, "-d", "{}"], check=True, capture_output=True, text=True, timeout=30)
    assert "Keys" in json.loads(done.stdout)


def test_a_session_is_presigned_with_its_token(palisade, new_user):
    session = new_user().client("sts").get_session_token()["Credentials"]
    url = presigned(palisade, key=session["AccessKeyId"], secret=session["SecretAccessKey"], token=session["SessionToken"])
    assert fetch(palisade, url)[0] == 200
    bare = url.split("&X-Amz-Security-Token=")[0] + "&" + url.split("&X-Amz-Security-Token=")[1].split("&", 1)[1]
    assert fetch(palisade, bare)[0] == 403


def test_a_changed_url_is_refused(palisade):
    url = presigned(palisade)
    for changed in (
        url.replace("GetCallerIdentity", "GetSessionToken"),
        url.replace("X-Amz-Expires=60", "X-Amz-Expires=600"),
        url + "&More=1",
        url[:-1] + ("0" if url[-1] != "0" else "1"),
    ):
        status, body = fetch(palisade, changed)
        assert status == 403 and "SignatureDoesNotMatch" in body, body
    status, body = fetch(palisade, url, method="POST")
    assert status == 403, body


@pytest.mark.parametrize("expires", [-1, 0, 604801, 10**12, "many"])
def test_lives_that_no_url_has(palisade, expires):
    status, body = fetch(palisade, presigned(palisade, expires=expires))
    assert status in (400, 403) and "<Code>" in body


def test_an_expired_url_is_refused(timed):
    url = presigned(timed, expires=60)
    assert fetch(timed, url)[0] == 200
    timed.advance(120)
    status, body = fetch(timed, url)
    assert status == 403 and "expired" in body.lower()


def test_a_url_of_the_future_is_refused(palisade, monkeypatch):
    now = botocore.auth.get_current_datetime
    monkeypatch.setattr(
        botocore.auth, "get_current_datetime", lambda *given, **named: now(*given, **named) + datetime.timedelta(hours=1)
    )
    status, body = fetch(palisade, presigned(palisade, expires=7200))
    assert status == 403 and "SignatureDoesNotMatch" in body
