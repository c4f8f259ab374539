"""An external key store proxy after the XKS Proxy API, for tests.

https with a certificate of its own, signatures checked by botocore, AES-GCM by
`cryptography`. What it should do wrong, a test tells it.
"""

import base64
import datetime
import hashlib
import http.server
import json
import os
import re
import ssl
import threading
import time

import botocore.auth
import botocore.awsrequest
import botocore.credentials
from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import aead

HOST = "xks.example"
ACCESS_KEY = "MUBSXM6K3KMXHN6RRCXI7TWQ"
SECRET = "VU6W2byoiBrhDqNGbx703oL0syCAmhlQgwNUT123456"
STATUS = {
    "ValidationException": 400,
    "InvalidStateException": 400,
    "InvalidCiphertextException": 400,
    "InvalidKeyUsageException": 400,
    "AuthenticationFailedException": 401,
    "AccessDeniedException": 403,
    "KeyNotFoundException": 404,
    "InvalidUriPathException": 404,
    "ThrottlingException": 429,
    "UnsupportedOperationException": 501,
    "DependencyTimeoutException": 503,
    "InternalException": 500,
}
PATH = re.compile(r"((?:/[\w-]+)*/kms/xks/v1)(/health|/keys/([\w.-]+)/(metadata|encrypt|decrypt))")


class Refusal(Exception):
    """An answer by the name of its error."""


def certify(directory, name=HOST):
    """A certificate of an authority of its own, for one host; gives (authority, chain, key) as files."""
    directory.mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now(datetime.timezone.utc)

    def made(subject, issuer, key, by, extension):
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(extension, critical=True)
            .sign(by, hashes.SHA256())
        )

    def named(text):
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = made(
        named("authority"), named("authority"), authority_key, authority_key, x509.BasicConstraints(True, None)
    )
    names = x509.SubjectAlternativeName([x509.DNSName(name)])
    leaf = made(named(name), named("authority"), key, authority_key, names)
    pem = serialization.Encoding.PEM
    files = [directory / file for file in ("authority.pem", "chain.pem", "key.pem")]
    files[0].write_bytes(authority.public_bytes(pem))
    files[1].write_bytes(leaf.public_bytes(pem))
    files[2].write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


class XksProxy:
    """A proxy with keys, on a free loopback port."""

    def __init__(self, directory):
        directory.mkdir(parents=True, exist_ok=True)
        self.authority, chain, key = certify(directory)
        self.credentials = {ACCESS_KEY: SECRET}
        self.keys = {}
        # What goes wrong: by operation, the name of an error or a function of the answer.
        self.wrong = {}
        self.delay = 0
        self.managers = ["ACTIVE"]
        self.asked = []
        self.connections = 0
        self.paths = None
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Small answers are not to wait for each other.
            disable_nagle_algorithm = True

            def setup(self):
                proxy.connections += 1
                super().setup()

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = proxy.answer(self.path, self.headers, body)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain, key)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def settings(self, milliseconds=10_000):
        """What `palisade dev --key-stores` is told of it: a busy machine needs more time than AWS gives."""
        return (
            f'authorities = "{self.authority}"\nmilliseconds = {milliseconds}\n'
            f'[[proxy]]\nhost = "{HOST}"\naddress = "127.0.0.1:{self.port}"\n'
        )

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def add_key(self, name, **properties):
        self.keys[name] = {
            "material": aead.AESGCM.generate_key(256),
            "spec": "AES_256",
            "usage": ["ENCRYPT", "DECRYPT"],
            "status": "ENABLED",
        } | properties
        return name

    def answer(self, path, headers, body):
        if self.delay:
            time.sleep(self.delay)
        try:
            return 200, self.perform(path, headers, body)
        except Refusal as refusal:
            name = str(refusal)
            told = {"errorName": name, "errorMessage": "for the administrator alone"}
            return STATUS[name], json.dumps(told).encode()

    def perform(self, path, headers, body):
        found = PATH.fullmatch(path)
        if not found or (self.paths and found[1] not in self.paths):
            raise Refusal("InvalidUriPathException")
        self.check_signature(path, headers, body)
        asked = json.loads(body)
        operation = found[4] or "health"
        self.asked.append((operation, found[3], asked))
        wrong = self.wrong.get(operation)
        if isinstance(wrong, str):
            raise Refusal(wrong)
        if operation == "health":
            answer = self.health()
        else:
            key = self.keys.get(found[3])
            if key is None:
                raise Refusal("KeyNotFoundException")
            answer = getattr(self, operation)(key, asked)
        if wrong:
            return wrong(answer)
        return json.dumps(answer).encode()

    def check_signature(self, path, headers, body):
        given = re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=([A-Z2-7]{20,30})/(\d{8})/([\w-]+)/kms-xks-proxy/aws4_request, ?"
            r"SignedHeaders=host;x-amz-date, ?Signature=([0-9a-f]{64})",
            headers.get("Authorization", ""),
        )
        if not given or given[1] not in self.credentials:
            raise Refusal("AuthenticationFailedException")
        moment = headers["X-Amz-Date"]
        sent = datetime.datetime.strptime(moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
        if abs((datetime.datetime.now(datetime.timezone.utc) - sent).total_seconds()) > 300:
            raise Refusal("AuthenticationFailedException")
        request = botocore.awsrequest.AWSRequest(
            method="POST",
            url=f"https://{headers['Host']}{path}",
            headers={"Host": headers["Host"], "X-Amz-Date": moment},
            data=body,
        )
        request.context["timestamp"] = moment
        credentials = botocore.credentials.Credentials(given[1], self.credentials[given[1]])
        auth = botocore.auth.SigV4Auth(credentials, "kms-xks-proxy", given[3])
        to_sign = auth.string_to_sign(request, auth.canonical_request(request))
        if auth.signature(to_sign, request) != given[4]:
            raise Refusal("AuthenticationFailedException")

    def health(self):
        return {
            "xksProxyFleetSize": 1,
            "xksProxyVendor": "Test",
            "xksProxyModel": "Test Proxy 1.0",
            "ekmVendor": "Test",
            "ekmFleetDetails": [
                {"id": f"manager-{at}", "model": "Test 1.0", "healthStatus": status}
                for at, status in enumerate(self.managers)
            ],
        }

    def metadata(self, key, _asked):
        return {"keySpec": key["spec"], "keyUsage": key["usage"], "keyStatus": key["status"]}

    def encrypt(self, key, asked):
        associated, metadata = base64.b64decode(asked["additionalAuthenticatedData"]), b"version=1"
        assert asked["encryptionAlgorithm"] == "AES_GCM"
        plaintext, vector = base64.b64decode(asked["plaintext"]), os.urandom(12)
        sealed = self.cipher(key, plaintext).encrypt(vector, plaintext, self.bound(associated, metadata))
        ciphertext, tag = sealed[:-16], sealed[-16:]
        digest = hashlib.sha256(associated + metadata + vector + ciphertext + tag).digest()
        assert asked["ciphertextDataIntegrityValueAlgorithm"] == "SHA_256"
        parts = {
            "ciphertext": ciphertext,
            "ciphertextMetadata": metadata,
            "initializationVector": vector,
            "authenticationTag": tag,
            "ciphertextDataIntegrityValue": digest,
        }
        return {name: base64.b64encode(part).decode() for name, part in parts.items()}

    def decrypt(self, key, asked):
        part = {
            name: base64.b64decode(asked[name])
            for name in ("additionalAuthenticatedData", "ciphertext", "initializationVector", "authenticationTag")
        }
        metadata = base64.b64decode(asked.get("ciphertextMetadata", ""))
        bound = self.bound(part["additionalAuthenticatedData"], metadata)
        sealed = part["ciphertext"] + part["authenticationTag"]
        try:
            plaintext = self.cipher(key, sealed).decrypt(part["initializationVector"], sealed, bound)
        except InvalidTag:
            raise Refusal("InvalidCiphertextException") from None
        return {"plaintext": base64.b64encode(plaintext).decode()}

    @staticmethod
    def cipher(key, _data):
        if key["status"] != "ENABLED":
            raise Refusal("InvalidStateException")
        return aead.AESGCM(key["material"])

    @staticmethod
    def bound(associated, metadata):
        return len(associated).to_bytes(2, "big") + associated + len(metadata).to_bytes(1, "big") + metadata
