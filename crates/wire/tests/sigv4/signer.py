"""Signs random requests with AWS's own signers and prints them, one JSON object a line.

Usage: signer.py SEED COUNT

Each line says how the request arrives at a server (method, raw path, raw query,
headers in order, body in base64) and with what it was signed. Everything but
the signatures of Version 4A, which are random by nature, follows from the seed.
"""

import base64
import datetime
import hashlib
import json
import random
import sys
import urllib.parse

import awscrt.auth
import awscrt.http
import botocore.auth
import botocore.awsrequest
import botocore.compat
import botocore.credentials
import botocore.utils

SERVICES = ["kms", "iam", "sts", "ssm", "secretsmanager", "lambda", "ec2", "guardduty", "events"]
REGIONS = ["us-east-1", "eu-central-1", "ap-southeast-12", "us-gov-west-1", "lab-west-1"]
METHODS = ["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH"]
TEXT = "abcXYZ019-_.~ /:@!$&'()*+,;=?#%\"<>[]{}|\\^`äß€日本𝄞"
HEADER_TEXT = "abcXYZ019-_.~ /:@!$&'()*+,;=?#%\"<>[]{}|\\^`\t  "


def text(rng, alphabet, longest):
    return "".join(rng.choice(alphabet) for _ in range(rng.randint(0, longest)))


def random_path(rng, service):
    if service == "s3":
        key = text(rng, TEXT, 24)
        return "/" + rng.choice(["bucket", "a.b-c"]) + "/" + urllib.parse.quote(key, safe="/-._~")
    if rng.random() < 0.4:
        return "/"
    segments = [rng.choice(["v1", "", ".", "..", "...", ".x", text(rng, TEXT, 8)]) for _ in range(rng.randint(1, 6))]
    return "/" + "/".join(urllib.parse.quote(segment, safe="-._~") for segment in segments)


def random_query(rng):
    if rng.random() < 0.4:
        return ""
    names = ["a", "A", "a-b", "a1", "acl", "prefix", "X-Other", text(rng, TEXT, 6) or "n"]
    pairs = [(rng.choice(names), text(rng, TEXT, 10)) for _ in range(rng.randint(1, 5))]
    return botocore.utils.percent_encode_sequence(pairs)


def random_headers(rng):
    headers = {}
    for _ in range(rng.randint(0, 4)):
        name = rng.choice(
            ["Content-Type", "X-Amz-Target", "x-amz-meta-Name", "X-Custom", "Accept", "x-amz-acl", "Range", "Content-MD5"]
        )
        headers[name] = (text(rng, HEADER_TEXT, 20)).strip()
    if rng.random() < 0.5:
        headers["User-Agent"] = "unsigned/1.0"
    return headers


def credentials(rng):
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    key_id = "AKIA" + "".join(rng.choice(letters) for _ in range(16))
    secret = base64.b64encode(rng.randbytes(30)).decode()
    token = None
    if rng.random() < 0.4:
        key_id = "ASIA" + key_id[4:]
        token = base64.b64encode(rng.randbytes(rng.randint(20, 300))).decode()
    return botocore.credentials.Credentials(key_id, secret, token)


def arrived(request, body, how):
    """The request as a server sees it: botocore's URL taken apart, header lines in order."""
    split = urllib.parse.urlsplit(request.url)
    headers = [[name, value] for name, value in request.headers.items()]
    if not any(name.lower() == "host" for name, _ in headers):
        headers.append(["Host", split.netloc])
    return {
        "method": request.method,
        "path": split.path or "/",
        "query": split.query,
        "headers": headers,
        "body": base64.b64encode(body).decode(),
        **how,
    }


def sign_v4(rng, moment):
    s3 = rng.random() < 0.4
    service = "s3" if s3 else rng.choice(SERVICES)
    region = rng.choice(REGIONS)
    creds = credentials(rng)
    method = rng.choice(METHODS)
    presigned = rng.random() < 0.3
    body = b"" if method in ("GET", "HEAD") else rng.randbytes(rng.randint(0, 200))
    path = random_path(rng, service)
    query = random_query(rng)
    if presigned:
        # botocore folds the query into a dictionary when presigning.
        query = botocore.utils.percent_encode_sequence(dict(urllib.parse.parse_qsl(query, keep_blank_values=True)))
        if not s3:
            body = b""
    scheme = "http"
    headers = random_headers(rng)
    context = {}
    payload = "body"
    if s3 and not presigned:
        payload = rng.choice(["body", "UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"])
        if payload == "UNSIGNED-PAYLOAD":
            scheme = "https"
            context["client_config"] = type("Config", (), {"s3": {"payload_signing_enabled": False}})()
        elif payload == "STREAMING-UNSIGNED-PAYLOAD-TRAILER":
            context["checksum"] = {"request_algorithm": {"algorithm": "crc32", "in": "trailer"}}
            headers["x-amz-trailer"] = "x-amz-checksum-crc32"
            headers["x-amz-decoded-content-length"] = str(len(body))
    elif s3:
        payload = "UNSIGNED-PAYLOAD"
    elif not presigned and rng.random() < 0.2:
        headers["X-Amz-Content-SHA256"] = hashlib.sha256(body).hexdigest()
    if not presigned and rng.random() < 0.15:
        headers["Date"] = "to be set"
    host = rng.choice([f"{service}.{region}.amazonaws.com", "localhost:4566", "127.0.0.1:4566", "[::1]:4566"])
    request = botocore.awsrequest.AWSRequest(
        method=method,
        url=f"{scheme}://{host}{path}" + (f"?{query}" if query else ""),
        headers=headers,
        # A presigned body is sent later, by someone else.
        data=b"" if presigned else body,
    )
    request.context.update(context)
    request.context["timestamp"] = moment.strftime("%Y%m%dT%H%M%SZ")
    expires = rng.choice([1, 60, 3600, 604800])
    if presigned:
        kind = botocore.auth.S3SigV4QueryAuth if s3 else botocore.auth.SigV4QueryAuth
        kind(creds, service, region, expires=expires).add_auth(request)
    else:
        kind = botocore.auth.S3SigV4Auth if s3 else botocore.auth.SigV4Auth
        kind(creds, service, region).add_auth(request)
    how = described("AWS4-HMAC-SHA256", creds, service, region, moment, presigned, expires, payload)
    return arrived(request, body, how)


def sign_v4a(rng, moment):
    s3 = rng.random() < 0.4
    service = "s3" if s3 else rng.choice(SERVICES)
    region = rng.choice(["*", "us-east-1", "us-*", "eu-central-1,us-east-1"])
    creds = credentials(rng)
    method = rng.choice(["GET", "POST", "PUT"])
    presigned = rng.random() < 0.3
    body = b"" if method == "GET" or presigned else rng.randbytes(rng.randint(0, 200))
    path = random_path(rng, service)
    query = random_query(rng)
    expires = rng.choice([1, 60, 3600, 604800])
    payload = "UNSIGNED-PAYLOAD" if s3 and (presigned or rng.random() < 0.5) else "body"
    headers = [(name, value) for name, value in random_headers(rng).items() if name != "User-Agent"]
    headers.append(("Host", f"{service}.amazonaws.com"))
    request = awscrt.http.HttpRequest(method, path + (f"?{query}" if query else ""), awscrt.http.HttpHeaders(headers))
    query_kind = awscrt.auth.AwsSignatureType.HTTP_REQUEST_QUERY_PARAMS
    header_kind = awscrt.auth.AwsSignatureType.HTTP_REQUEST_HEADERS
    add_header = awscrt.auth.AwsSignedBodyHeaderType.X_AMZ_CONTENT_SHA_256
    config = awscrt.auth.AwsSigningConfig(
        algorithm=awscrt.auth.AwsSigningAlgorithm.V4_ASYMMETRIC,
        signature_type=query_kind if presigned else header_kind,
        credentials_provider=awscrt.auth.AwsCredentialsProvider.new_static(
            creds.access_key, creds.secret_key, creds.token
        ),
        region=region,
        service=service,
        date=moment,
        use_double_uri_encode=not s3,
        should_normalize_uri_path=not s3,
        signed_body_value=payload if payload != "body" else hashlib.sha256(body).hexdigest(),
        signed_body_header_type=add_header if s3 and not presigned else awscrt.auth.AwsSignedBodyHeaderType.NONE,
        expiration_in_seconds=expires if presigned else None,
    )
    awscrt.auth.aws_sign_request(request, config).result()
    path, _, query = request.path.partition("?")
    how = described("AWS4-ECDSA-P256-SHA256", creds, service, region, moment, presigned, expires, payload)
    return {
        "method": method,
        "path": path,
        "query": query,
        "headers": [[name, value] for name, value in request.headers],
        "body": base64.b64encode(body).decode(),
        **how,
    }


def described(algorithm, creds, service, region, moment, presigned, expires, payload):
    return {
        "algorithm": algorithm,
        "access_key_id": creds.access_key,
        "secret": creds.secret_key,
        "token": creds.token,
        "service": service,
        "region": region,
        "date": moment.strftime("%Y%m%dT%H%M%SZ"),
        "expires": expires if presigned else None,
        "payload": payload,
    }


def main():
    rng = random.Random(int(sys.argv[1]))
    for index in range(int(sys.argv[2])):
        moment = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc) + datetime.timedelta(
            seconds=rng.randint(0, 365 * 86400)
        )
        botocore.auth.get_current_datetime = lambda **_: moment.replace(tzinfo=None)
        sign = sign_v4a if index % 10 == 9 else sign_v4
        print(json.dumps(sign(rng, moment)))


if __name__ == "__main__":
    main()
