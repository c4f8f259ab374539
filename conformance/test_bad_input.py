"""Requests no SDK would send: each gets a clear AWS-style error, and the server answers the next one.

Everything here goes over plain sockets and `http.client`, so that nothing is
put right on the way.
"""

import datetime
import hashlib
import hmac
import http.client
import json
import re
import socket
import threading
import time
import urllib.parse

import pytest

from policies import allow, document
from server import ROOT_KEY, ROOT_SECRET, in_parallel

JSON = "application/x-amz-json-1.1"
FORM = "application/x-www-form-urlencoded; charset=utf-8"
UUID = r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}"


@pytest.fixture(autouse=True)
def still_well(palisade):
    """Whatever a test does, the server is whole afterwards."""
    yield
    assert palisade.client("kms").list_keys(Limit=1)["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert palisade.metric("palisade_panics_total") == 0
    assert palisade.process.poll() is None


class Request:
    """A request as a client would sign it, open to be spoiled before or after."""

    def __init__(self, palisade, service, body=b"{}", headers=(), method="POST", path="/", query=""):
        self.palisade = palisade
        self.service, self.region = service, "us-east-1"
        self.method, self.path, self.query = method, path, query
        self.body = body if isinstance(body, bytes) else body.encode()
        self.headers = [("host", f"127.0.0.1:{palisade.port}"), *headers]
        self.time = datetime.datetime.now(datetime.timezone.utc)
        self.key, self.secret = ROOT_KEY, ROOT_SECRET
        self.terminator = "aws4_request"

    def sign(self):
        """Adds X-Amz-Date and Authorization, as the SigV4 documentation says."""
        stamp = self.time.strftime("%Y%m%dT%H%M%SZ")
        self.headers = [*self.headers, ("x-amz-date", stamp)]
        names = sorted({name.lower() for name, _ in self.headers})
        lines = [
            f"{name}:{','.join(value.strip() for key, value in self.headers if key.lower() == name)}" for name in names
        ]
        canonical = "\n".join(
            [self.method, self.path, self.query, *lines, "", ";".join(names), hashlib.sha256(self.body).hexdigest()]
        )
        scope = f"{stamp[:8]}/{self.region}/{self.service}/{self.terminator}"
        text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        key = f"AWS4{self.secret}".encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        value = f"AWS4-HMAC-SHA256 Credential={self.key}/{scope}, SignedHeaders={';'.join(names)}, Signature={signature}"
        self.headers.append(("authorization", value))
        return self

    def without(self, name):
        self.headers = [header for header in self.headers if header[0] != name]
        return self

    def replacing(self, name, change):
        self.headers = [(key, change(value) if key == name else value) for key, value in self.headers]
        return self

    def send(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.palisade.port, timeout=60)
        target = self.path + (f"?{self.query}" if self.query else "")
        connection.putrequest(self.method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers:
            connection.putheader(name, value)
        if "content-length" not in dict(self.headers):
            connection.putheader("content-length", str(len(self.body)))
        connection.endheaders(self.body)
        answer = Answer(connection.getresponse())
        connection.close()
        return answer


class Answer:
    """Status, code and message, in whichever protocol they came."""

    def __init__(self, response):
        self.status, self.headers, self.body = response.status, response.headers, response.read()
        text = self.body.decode()
        if text.startswith("<"):
            assert response.headers["content-type"].startswith("text/xml"), response.headers["content-type"]
            assert "<ErrorResponse" in text or "Result>" in text, text
            self.code, self.message = (
                (re.search(f"<{tag}>([^<]*)</{tag}>", text) or ["", ""])[1] for tag in ("Code", "Message")
            )
            assert re.search(f"<RequestId>{UUID}</RequestId>", text), text
        else:
            told = json.loads(text)
            self.code, self.message = told.get("__type", told.get("code", "")), told.get("message", "")
        assert re.search(UUID, str(response.headers.get("x-amzn-requestid"))), "an answer without a request id"

    def __repr__(self):
        return f"{self.status} {self.code}: {self.message}"


def kms(palisade, operation="ListKeys", body=b"{}", headers=()):
    return Request(
        palisade, "kms", body, [("content-type", JSON), ("x-amz-target", f"TrentService.{operation}"), *headers]
    )


def query(palisade, service="sts", **parameters):
    version = {"sts": "2011-06-15", "iam": "2010-05-08"}.get(service, "2011-06-15")
    body = urllib.parse.urlencode({"Version": version, **parameters})
    return Request(palisade, service, body, [("content-type", FORM)])


def identity(palisade):
    return query(palisade, Action="GetCallerIdentity")


def refused(answer, status, code, message=None):
    assert (answer.status, answer.code) == (status, code), answer
    if message:
        assert re.search(message, answer.message), answer


def test_what_is_signed_right_is_accepted(palisade):
    assert kms(palisade).sign().send().status == 200
    assert identity(palisade).sign().send().status == 200


# Signatures.


def test_unsigned(palisade):
    refused(kms(palisade).send(), 400, "MissingAuthenticationTokenException", "Missing Authentication Token")
    refused(identity(palisade).send(), 403, "MissingAuthenticationToken", "^Request is missing Authentication Token$")


@pytest.mark.parametrize("make,status,code", [(kms, 400, "InvalidSignatureException"), (identity, 403, "SignatureDoesNotMatch")])
class TestTampered:
    MISMATCH = "^The request signature we calculated does not match the signature you provided"

    def test_signature(self, palisade, make, status, code):
        request = make(palisade).sign()
        request.replacing("authorization", lambda value: value[:-1] + ("0" if value[-1] != "0" else "1"))
        refused(request.send(), status, code, self.MISMATCH)

    def test_body(self, palisade, make, status, code):
        request = make(palisade).sign()
        request.body = request.body.replace(b"{}", b'{"Limit":1}').replace(b"GetCallerIdentity", b"GetSessionToken")
        refused(request.send(), status, code, self.MISMATCH)

    def test_signed_header(self, palisade, make, status, code):
        request = make(palisade).sign().replacing("content-type", lambda value: value + ";x=y")
        refused(request.send(), status, code, self.MISMATCH)

    def test_query(self, palisade, make, status, code):
        request = make(palisade).sign()
        request.query = "a=b"
        refused(request.send(), status, code, self.MISMATCH)

    def test_path(self, palisade, make, status, code):
        request = make(palisade).sign()
        request.path = "/x"
        answer = request.send()
        assert answer.status in (status, 404) and answer.code, answer

    def test_empty_signature(self, palisade, make, status, code):
        request = make(palisade).sign()
        request.replacing("authorization", lambda value: value.split("Signature=")[0] + "Signature=")
        assert request.send().status in (400, 403)

    def test_expired(self, palisade, make, status, code):
        request = make(palisade)
        request.time -= datetime.timedelta(minutes=6)
        refused(
            request.sign().send(), status, code,
            r"^Signature expired: \d{8}T\d{6}Z is now earlier than \d{8}T\d{6}Z \(\d{8}T\d{6}Z - 5 min\.\)",
        )

    def test_not_yet(self, palisade, make, status, code):
        request = make(palisade)
        request.time += datetime.timedelta(minutes=6)
        refused(request.sign().send(), status, code, r"^Signature not yet current: \d{8}T\d{6}Z is still later than")

    def test_a_few_minutes_are_forgiven(self, palisade, make, status, code):
        for minutes in (-4, 4):
            request = make(palisade)
            request.time += datetime.timedelta(minutes=minutes)
            assert request.sign().send().status == 200

    def test_another_service(self, palisade, make, status, code):
        request = make(palisade)
        request.service = "s3" if request.service != "s3" else "kms"
        answer = request.sign().send()
        assert 400 <= answer.status < 500 and answer.code, answer

    def test_wrong_terminator(self, palisade, make, status, code):
        request = make(palisade)
        request.terminator = "aws5_request"
        refused(request.sign().send(), status, code, "terminator")

    def test_date_of_another_day(self, palisade, make, status, code):
        request = make(palisade).sign()
        request.replacing("x-amz-date", lambda value: "20200101" + value[8:])
        assert request.send().status == status

    def test_a_header_is_signed_that_is_not_there(self, palisade, make, status, code):
        request = make(palisade)
        request.headers.append(("x-extra", "1"))
        request.sign().without("x-extra")
        assert request.send().status == status

    def test_host_is_not_signed(self, palisade, make, status, code):
        request = make(palisade)
        host = request.headers.pop(0)
        request.sign()
        request.headers.append(host)
        answer = request.send()
        assert (answer.status, answer.code) == (status, code), answer


def test_a_global_service_is_served_under_every_region(palisade):
    """SDKs sign for the client's region when they are given an endpoint."""
    for region in ("us-east-1", "eu-west-1"):
        request = query(palisade, "iam", Action="ListUsers")
        request.region = region
        assert request.sign().send().status == 200


def test_a_region_that_is_none(palisade):
    for request, status, code in (
        (kms(palisade), 400, "InvalidSignatureException"),
        (identity(palisade), 403, "SignatureDoesNotMatch"),
    ):
        request.region = "No_Region!"
        refused(request.sign().send(), status, code, "^Credential should be scoped to a valid region")


def test_a_target_of_another_service_than_the_scope(palisade):
    request = kms(palisade)
    request.service = "sts"
    answer = request.sign().send()
    assert 400 <= answer.status < 500 and answer.code, answer


@pytest.mark.parametrize(
    "authorization",
    [
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 ",
        "AWS4-HMAC-SHA256 Credential=",
        "AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=00",
        "AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/kms/aws4_request",
        "AWS4-HMAC-SHA256 Signature=00, Signature=11, SignedHeaders=host, Credential=A/20260101/us-east-1/kms/aws4_request",
        "AWS4-HMAC-MD5 Credential=A/20260101/us-east-1/kms/aws4_request, SignedHeaders=host, Signature=00",
        "Bearer eyJhbGciOiJub25lIn0.e30.",
        "Basic dXNlcjpwYXNz",
        "x" * 20000,
        "AWS4-HMAC-SHA256 Credential=" + "/" * 10000,
        "=,=,=,=",
        "AWS4-HMAC-SHA256 \u00ff=\u00ff",
    ],
)
def test_an_authorization_header_of_any_form(palisade, authorization):
    request = kms(palisade)
    request.headers += [("authorization", authorization), ("x-amz-date", request.time.strftime("%Y%m%dT%H%M%SZ"))]
    answer = request.send()
    assert answer.status in (400, 403) and answer.code.endswith("Exception"), answer


def test_two_authorization_headers(palisade):
    request = kms(palisade).sign()
    request.headers.append(("authorization", request.headers[-1][1]))
    answer = request.send()
    assert answer.status in (400, 403), answer


def test_a_date_that_is_none(palisade):
    for date in ("", "yesterday", "20269999T999999Z", "2026-01-01T00:00:00Z", "9" * 4000):
        request = kms(palisade).sign().replacing("x-amz-date", lambda _: date)
        answer = request.send()
        assert answer.status in (400, 403) and answer.code, answer


# Bodies.


def test_a_body_larger_than_any_request(palisade):
    request = kms(palisade, body=b'{"Limit":' + b" " * (2 << 20) + b"1}").sign()
    answer = request.send()
    assert answer.status == 413 and answer.code == "RequestEntityTooLarge", answer


def test_many_large_bodies_take_little_memory(palisade):
    """What is too large is thrown away as it comes, not kept until it is all there."""

    def resident():
        status = open(f"/proc/{palisade.process.pid}/status").read()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) // 1024

    before = resident()

    def send(_):
        body = b'{"Limit":' + b" " * (8 << 20) + b"1}"
        assert Request(palisade, "kms", body).send().status == 413

    in_parallel(32, send)
    # At most one MiB of each is kept, with as much again for growing.
    assert resident() - before < 128


def test_a_length_that_is_never_sent_in_full(palisade):
    with socket.create_connection(("127.0.0.1", palisade.port), timeout=10) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf")
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(4096)
    assert answer == b"" or b" 400 " in answer.split(b"\r\n")[0]


def test_a_huge_announced_length(palisade):
    with socket.create_connection(("127.0.0.1", palisade.port), timeout=10) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n")
        assert b" 400 " in connection.recv(4096).split(b"\r\n")[0]


@pytest.mark.parametrize("opening,closing", [(b'{"a":', b"}"), (b"[", b"]")])
def test_a_body_deeper_than_any_request(palisade, opening, closing):
    for depth in (101, 5000, 200000 // len(opening)):
        body = b'{"Tags":' + opening * depth + b"1" + closing * depth + b"}"
        answer = kms(palisade, "CreateKey", body).sign().send()
        assert (answer.status, answer.code) == (400, "SerializationException"), answer


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"[]",
        b"null",
        b'"text"',
        b"1",
        b"{",
        b'{"Limit":1',
        b'{"Limit":1}}',
        b'{"Limit":1} {}',
        b'{"Limit":"many"}',
        b'{"Limit":1.5}',
        b'{"Limit":1e400}',
        b'{"Limit":99999999999999999999}',
        b'{"Limit":true}',
        b'{"Limit":{}}',
        b'{"Marker":[]}',
        b'{"Marker":"\\ud800"}',
        b'{"Marker":"\xff\xfe"}',
        b"\xff\xfe{\x00}\x00",
        b"\xef\xbb\xbf{}",
        b'{"Limit":1,"Limit":2}',
        b"{'Limit':1}",
        b"\x00" * 100,
    ],
)
def test_json_of_any_form(palisade, body):
    answer = kms(palisade, "ListKeys", body).sign().send()
    if answer.status != 200:
        assert (answer.status, answer.code) in (
            (400, "SerializationException"),
            (400, "ValidationException"),
        ), answer


def test_what_is_given_twice_is_refused(palisade, name):
    """What is weighed, recorded and done must be one and the same."""
    made = palisade.client("kms").create_key()["KeyMetadata"]["KeyId"]
    body = json.dumps({"KeyId": "alias/x", "Description": "y"})[:-1] + f', "KeyId": "{made}"}}'
    refused(kms(palisade, "UpdateKeyDescription", body).sign().send(), 400, "SerializationException")
    assert palisade.client("kms").describe_key(KeyId=made)["KeyMetadata"]["Description"] == ""
    request = query(palisade, "iam", Action="CreateUser", UserName=name)
    request.body += f"&UserName={name}-b".encode()
    answer = request.sign().send()
    assert 400 <= answer.status < 500 and answer.code, answer
    users = [user["UserName"] for user in palisade.client("iam").list_users(MaxItems=1000)["Users"]]
    assert name not in users and f"{name}-b" not in users
    for header in (("x-amz-target", "TrentService.CreateKey"), ("host", "elsewhere"), ("x-amz-date", "20260101T000000Z")):
        request = kms(palisade).sign()
        request.headers.append(header)
        answer = request.send()
        assert 400 <= answer.status < 500 and answer.code, answer


@pytest.mark.parametrize(
    "blob", ["not base64!", "====", "AAA", "A" * 5, "\u00e9", "QUJD\nQUJD", "QUJD QUJD"]
)
def test_base64_of_any_form(palisade, key, blob):
    body = json.dumps({"KeyId": key["KeyId"], "Plaintext": blob})
    answer = kms(palisade, "Encrypt", body).sign().send()
    assert answer.status == 200 or (answer.status, answer.code) == (400, "SerializationException"), answer


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"&&&&",
        b"=",
        b"Action",
        b"Action=",
        b"Action=GetCallerIdentity&Version=1999-01-01",
        b"Action=GetCallerIdentity",
        b"Action=Get%",
        b"Action=%ff%fe",
        b"\xff\xfe\xfd",
        b"Action=CreateUser&Version=2010-05-08&UserName=a&UserName=b",
        b"Action=AssumeRole&Version=2011-06-15&Tags.member.99999999999999999999.Key=a",
        b"Action=AssumeRole&Version=2011-06-15&Tags.member.-1.Key=a",
        b"Action=AssumeRole&Version=2011-06-15&Tags.member.1.Key=a&Tags.member.3000000.Key=b",
        b"Action=AssumeRole&Version=2011-06-15&RoleArn.RoleArn.RoleArn=x",
        b"Action=AssumeRole&Version=2011-06-15&DurationSeconds=many",
        b"Action=AssumeRole&Version=2011-06-15&" + b"a.b" * 3000 + b"=1",
        b"Action=GetCallerIdentity&Version=2011-06-15" + b"&a=b" * 20000,
    ],
)
def test_forms_of_any_form(palisade, body):
    request = Request(palisade, "sts", body, [("content-type", FORM)])
    answer = request.sign().send()
    assert answer.status == 200 or (400 <= answer.status < 500 and answer.code), answer


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/json", "application/xml", "multipart/form-data; boundary=x", "", "\u00ff", "x" * 5000]
)
def test_content_types_of_another_protocol(palisade, content_type):
    answer = kms(palisade).without("content-type")
    answer.headers.append(("content-type", content_type))
    answer = answer.sign().send()
    assert answer.status == 200 or (400 <= answer.status < 500 and answer.code), answer
    request = identity(palisade).without("content-type")
    request.headers.append(("content-type", content_type))
    answer = request.sign().send()
    assert answer.status == 200 or (400 <= answer.status < 500 and answer.code), answer


def test_a_json_body_at_a_query_service(palisade):
    request = Request(palisade, "sts", b'{"Action":"GetCallerIdentity"}', [("content-type", JSON)])
    answer = request.sign().send()
    assert 400 <= answer.status < 500 and answer.code, answer


# Operations and services.


def test_operations_and_services_nobody_knows(palisade):
    refused(kms(palisade, "Conjure").sign().send(), 400, "UnknownOperationException")
    refused(
        query(palisade, Action="Conjure").sign().send(),
        400,
        "InvalidAction",
        "^Could not find operation Conjure for version 2011-06-15$",
    )
    for target in ("", ".", "TrentService", "TrentService.", "Nobody.ListKeys", "TrentService.ListKeys.More", "\u00ff"):
        request = kms(palisade).without("x-amz-target")
        request.headers.append(("x-amz-target", target))
        answer = request.sign().send()
        assert 400 <= answer.status < 500 and answer.code, answer
    request = kms(palisade)
    request.service = "no-such-service"
    answer = request.sign().send()
    assert 400 <= answer.status < 500 and answer.code, answer


def test_an_operation_that_is_not_implemented_says_so_and_does_nothing(palisade):
    target = "AWSOrganizationsV20161128.ListEffectivePolicyValidationErrors"
    request = Request(palisade, "organizations", headers=[("content-type", JSON), ("x-amz-target", target)])
    refused(request.sign().send(), 400, "UnknownOperationException", "not implemented")


def test_an_operation_that_nobody_signs(palisade):
    request = query(palisade, Action="AssumeRoleWithWebIdentity", RoleArn="arn:aws:iam::111122223333:role/x")
    refused(request.send(), 400, "ValidationError", "2 validation errors detected")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "BREW"])
def test_methods_of_any_kind(palisade, method):
    request = kms(palisade)
    request.method = method
    if method == "HEAD":
        connection = http.client.HTTPConnection("127.0.0.1", palisade.port, timeout=10)
        connection.request("HEAD", "/", headers=dict(request.sign().headers))
        assert connection.getresponse().status < 500
        return
    answer = request.sign().send()
    assert answer.status < 500, answer


@pytest.mark.parametrize("path", ["//", "/../../etc/passwd", "/%00", "/%", "/a/" + "b/" * 5000, "/\u00e9", "*", "http://x/"])
def test_paths_of_any_kind(palisade, path):
    with socket.create_connection(("127.0.0.1", palisade.port), timeout=10) as connection:
        connection.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 4")


def test_operator_paths_take_no_nonsense(palisade):
    for path in ("/_palisade/", "/_palisade/nothing", "/_palisade/why/", "/_palisade/why/../../etc/passwd", "/_palisade/why/%00"):
        assert palisade.request("GET", path)[0] in (400, 403, 404)
    for body in ("", "{}", '{"advance_seconds":-1}', '{"advance_seconds":1e99}', '{"advance_seconds":1,"more":2}', "["):
        assert palisade.request("POST", "/_palisade/clock", body)[0] in (400, 409)
    # This server's clock is the machine's.
    assert palisade.request("POST", "/_palisade/clock", '{"advance_seconds":1}')[0] == 409


# Policies.


def test_policies_of_ten_thousand_statements(palisade, key, name):
    statements = [allow("s3:GetObject", f"arn:aws:s3:::b{number}") for number in range(10_000)]
    text = document(*statements)
    assert len(text) > 131_072
    answer = query(palisade, "iam", Action="CreatePolicy", PolicyName=name, PolicyDocument=text).sign().send()
    assert (answer.status, answer.code) in ((400, "ValidationError"), (413, "RequestEntityTooLarge")), answer
    tiny = '{"Statement":[' + ",".join(["{}"] * 10_000) + "]}"
    answer = query(palisade, "iam", Action="CreatePolicy", PolicyName=name, PolicyDocument=tiny).sign().send()
    refused(answer, 409, "LimitExceeded", "PolicySize: 6144")
    # A key policy may be longer.
    assert len(tiny) < 32_768
    answer = kms(palisade, "PutKeyPolicy", json.dumps({"KeyId": key["KeyId"], "Policy": tiny})).sign().send()
    refused(answer, 400, "MalformedPolicyDocumentException")
    answer = kms(palisade, "PutKeyPolicy", json.dumps({"KeyId": key["KeyId"], "Policy": text})).sign().send()
    assert answer.status in (400, 413) and answer.code, answer


def test_a_policy_of_many_statements_is_over_its_quota(palisade, name):
    text = document(*[allow("s3:GetObject", f"arn:aws:s3:::b{number}") for number in range(1400)])
    assert len(text) < 131_072
    answer = query(palisade, "iam", Action="CreatePolicy", PolicyName=name, PolicyDocument=text).sign().send()
    refused(answer, 409, "LimitExceeded", "PolicySize: 6144")


@pytest.mark.parametrize(
    "policy",
    [
        '{"Statement":' * 5000,
        '{"Statement":' + "[" * 100_000,
        '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"' + "*" * 5000 + '"}}',
        '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"' + "*a" * 2500 + '","Resource":"*"}}',
        '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"StringLike":{"aws:username":"'
        + "${" * 500
        + '"}}}}',
    ],
)
def test_policies_made_to_be_costly(palisade, name, policy):
    started = time.monotonic()
    answer = query(palisade, "iam", Action="CreatePolicy", PolicyName=name, PolicyDocument=policy).sign().send()
    assert answer.status < 500, answer
    assert time.monotonic() - started < 5


def test_a_pattern_made_to_be_costly_is_weighed_quickly(palisade, new_user, key):
    user = new_user(
        allow("kms:Encrypt", Condition={"StringLike": {"kms:EncryptionContext:a": "*a" * 500 + "b"}})
    )
    kms_of_user = user.client("kms")
    started = time.monotonic()
    with pytest.raises(kms_of_user.exceptions.ClientError):
        kms_of_user.encrypt(KeyId=key["KeyId"], Plaintext=b"x", EncryptionContext={"a": "a" * 8000})
    assert time.monotonic() - started < 5


# Connections.


def test_headers_beyond_their_limits(palisade):
    many = "".join(f"x-{number}: y\r\n" for number in range(500))
    large = "x-large: " + "y" * (1 << 20) + "\r\n"
    for headers in (many, large, "no colon\r\n", " folded\r\n", "x: \x00\r\n", "\xff: y\r\n"):
        with socket.create_connection(("127.0.0.1", palisade.port), timeout=10) as connection:
            try:
                connection.sendall(f"POST / HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: 0\r\n\r\n".encode("latin-1"))
                answer = connection.recv(4096)
            except ConnectionError:
                answer = b""
            assert answer == b"" or re.match(rb"HTTP/1.1 (400|403|431)", answer), answer


def test_what_is_not_http(palisade):
    for garbage in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500, b"\x00" * 4096, b"GET\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnonsense"):
        with socket.create_connection(("127.0.0.1", palisade.port), timeout=10) as connection:
            try:
                connection.sendall(garbage)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(4096):
                    pass
            except OSError:
                pass  # it may hang up at once


def test_a_half_closed_connection_is_answered(palisade):
    request = identity(palisade).sign()
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers)
    wire = f"POST / HTTP/1.1\r\n{head}content-length: {len(request.body)}\r\nconnection: close\r\n\r\n".encode() + request.body
    with socket.create_connection(("127.0.0.1", palisade.port), timeout=10) as connection:
        connection.sendall(wire)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := connection.recv(4096):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 200"), answer[:200]


def test_slow_headers_hold_up_nobody(palisade):
    slow = [socket.create_connection(("127.0.0.1", palisade.port), timeout=10) for _ in range(200)]
    try:
        for connection in slow:
            connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        started = time.monotonic()
        for _ in range(10):
            assert identity(palisade).sign().send().status == 200
        assert time.monotonic() - started < 5
    finally:
        for connection in slow:
            connection.close()


def test_a_body_that_trickles_is_given_up(palisade):
    with socket.create_connection(("127.0.0.1", palisade.port), timeout=60) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
        connection.settimeout(1)
        deadline = time.monotonic() + 60
        answer = b""
        while not answer and time.monotonic() < deadline:
            try:
                connection.sendall(b"x")
                answer = connection.recv(4096)
            except TimeoutError:
                continue
    assert b" 408 " in answer.split(b"\r\n")[0], answer


def test_connections_that_vanish_half_way(palisade):
    request = kms(palisade, "CreateKey").sign()
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers)
    wire = f"POST / HTTP/1.1\r\n{head}content-length: 2\r\n\r\n{{}}".encode()
    stop = threading.Event()

    def vanish(number):
        for cut in range(number, len(wire), 37):
            if stop.is_set():
                return
            with socket.create_connection(("127.0.0.1", palisade.port), timeout=10) as connection:
                connection.sendall(wire[:cut])

    in_parallel(4, vanish)
    assert identity(palisade).sign().send().status == 200


def test_a_body_in_chunks_is_read(palisade):
    request = identity(palisade).sign()
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers)
    chunks = b"".join(b"%x\r\n%s\r\n" % (1, request.body[at : at + 1]) for at in range(len(request.body)))
    wire = f"POST / HTTP/1.1\r\n{head}transfer-encoding: chunked\r\nconnection: close\r\n\r\n".encode() + chunks
    for ending, status in ((b"0\r\n\r\n", b"200"), (b"zz\r\n\r\n", b"400"), (b"ffffffffffffffffff\r\n", b"400")):
        with socket.create_connection(("127.0.0.1", palisade.port), timeout=10) as connection:
            connection.sendall(wire + ending)
            answer = connection.recv(65536)
        assert answer == b"" or answer.split()[1] == status, (ending, answer)
        assert answer or status != b"200"


def test_a_client_that_asks_before_it_sends_is_told_to_go_on(palisade):
    request = identity(palisade).sign()
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers)
    with socket.create_connection(("127.0.0.1", palisade.port), timeout=10) as connection:
        connection.sendall(
            f"POST / HTTP/1.1\r\n{head}expect: 100-continue\r\ncontent-length: {len(request.body)}\r\n\r\n".encode()
        )
        assert connection.recv(4096).startswith(b"HTTP/1.1 100")
        connection.sendall(request.body)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def test_pipelined_requests_are_answered_in_order(palisade):
    good, bad = identity(palisade).sign(), identity(palisade)
    wire = b""
    for request in (good, bad, good):
        head = "".join(f"{name}: {value}\r\n" for name, value in request.headers)
        wire += f"POST / HTTP/1.1\r\n{head}content-length: {len(request.body)}\r\n\r\n".encode() + request.body
    with socket.create_connection(("127.0.0.1", palisade.port), timeout=10) as connection:
        connection.sendall(wire)
        answer = b""
        while answer.count(b"HTTP/1.1 ") < 3 or not answer.endswith(b">"):
            answer += connection.recv(65536)
    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"200", b"403", b"200"]


def test_two_lengths_and_a_chunked_body_are_not_believed(palisade):
    """Request smuggling needs a server that guesses."""
    for lines in (
        "Content-Length: 5\r\nContent-Length: 0\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x10\r\n",
        "Transfer-Encoding: xchunked\r\n",
    ):
        with socket.create_connection(("127.0.0.1", palisade.port), timeout=10) as connection:
            connection.sendall(f"POST / HTTP/1.1\r\nHost: x\r\n{lines}\r\nhello".encode())
            answer = connection.recv(4096)
            assert answer == b"" or answer.startswith(b"HTTP/1.1 400"), (lines, answer)


def test_secrets_are_not_echoed(palisade):
    """No error repeats what was to be encrypted, nor the caller's secret."""
    body = json.dumps({"KeyId": "alias/nobody", "Plaintext": "c2VjcmV0LXBsYWludGV4dA=="})
    answer = kms(palisade, "Encrypt", body).sign().send()
    assert b"c2VjcmV0" not in answer.body and ROOT_SECRET.encode() not in answer.body
    assert "c2VjcmV0" not in palisade.log_text() and ROOT_SECRET not in palisade.log_text()
