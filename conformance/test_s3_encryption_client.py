"""Amazon's S3 Encryption Client: objects sealed before they leave, their data keys by KMS.

The objects lie on a shelf of the test's own, which knows nothing of keys: what is proven is the KMS.
"""

import http.server
import threading
import urllib.parse

import boto3
import botocore.config
import pytest
from s3_encryption import S3EncryptionClient, S3EncryptionClientConfig
from s3_encryption.exceptions import S3EncryptionClientError
from s3_encryption.materials.kms_keyring import KmsKeyring

from policies import allow
from programs import recorded
from server import REGION

CONTEXT = {"app": "shop"}


class Shelf(http.server.BaseHTTPRequestHandler):
    """Keeps bodies and `x-amz-meta-…` headers by path."""

    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        meta = {name: value for name, value in self.headers.items() if name.lower().startswith("x-amz-meta-")}
        self.server.objects[urllib.parse.urlsplit(self.path).path] = (meta, body)
        self.answer(200, {"etag": '"e"'}, b"")

    def do_GET(self):
        meta, body = self.server.objects[urllib.parse.urlsplit(self.path).path]
        self.answer(200, {**meta, "etag": '"e"'}, body)

    def answer(self, status, headers, body):
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def shelf():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Shelf)
    server.objects = {}
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def client_of(palisade, shelf):
    def client_of(key, credentials=None):
        s3 = boto3.client(
            "s3",
            region_name=REGION,
            endpoint_url=f"http://127.0.0.1:{shelf.server_address[1]}",
            aws_access_key_id="of",
            aws_secret_access_key="the shelf",
            config=botocore.config.Config(
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )
        keyring = KmsKeyring(palisade.client("kms", credentials), key)
        return S3EncryptionClient(s3, S3EncryptionClientConfig(keyring=keyring))

    return client_of


def put(client, body=b"an object"):
    client.put_object(Bucket="bucket", Key="object", Body=body, EncryptionContext=CONTEXT)


def get(client, context=CONTEXT):
    return client.get_object(Bucket="bucket", Key="object", EncryptionContext=context)["Body"].read()


def test_an_object_makes_the_round_trip(palisade, shelf, client_of, key, new_user):
    user = new_user(allow(["kms:GenerateDataKey", "kms:Decrypt"], key["Arn"]))
    client = client_of(key["Arn"], user.credentials)
    put(client)
    ((_, body),) = shelf.objects.values()
    assert b"an object" not in body
    assert get(client) == b"an object"
    assert recorded(palisade, user.arn) == [("GenerateDataKey", None), ("Decrypt", None)]


def test_what_was_changed_or_is_of_another_context_does_not_open(shelf, client_of, key, new_key):
    client = client_of(key["Arn"])
    put(client)
    ((path, (meta, body)),) = shelf.objects.items()
    assert get(client) == b"an object"
    with pytest.raises(S3EncryptionClientError):
        get(client, {"app": "other"})
    with pytest.raises(S3EncryptionClientError):
        get(client_of(new_key()["Arn"]))
    shelf.objects[path] = (meta, bytes([body[0] ^ 1]) + body[1:])
    with pytest.raises(S3EncryptionClientError):
        get(client)
    # The encrypted data key is the longest of the metadata.
    longest = max(meta, key=lambda name: len(meta[name]))
    middle = len(meta[longest]) // 2
    other = "A" if meta[longest][middle] != "A" else "B"
    changed = meta[longest][:middle] + other + meta[longest][middle + 1 :]
    shelf.objects[path] = ({**meta, longest: changed}, body)
    with pytest.raises(S3EncryptionClientError):
        get(client)


def test_who_may_not_neither_writes_nor_reads(palisade, client_of, key, new_user):
    user = new_user(allow("kms:GenerateDataKey", key["Arn"]))
    client = client_of(key["Arn"], user.credentials)
    put(client)
    with pytest.raises(S3EncryptionClientError, match="AccessDeniedException"):
        get(client)
    bound = {"StringEquals": {"kms:EncryptionContext:app": "shop"}}
    user.may(allow("kms:Decrypt", key["Arn"], Condition=bound))
    assert get(client) == b"an object"
    with pytest.raises(S3EncryptionClientError, match="AccessDeniedException"):
        put(client)
    assert ("Decrypt", "AccessDeniedException") in recorded(palisade, user.arn)
