"""Roles for people and programs of other systems: OpenID Connect and SAML.

The issuer and the SAML provider are real: keys of their own, an https server
on the loopback interface, XML signatures by signxml.
"""

import base64
import datetime
import http.server
import ipaddress
import json
import ssl
import threading

import pytest
from botocore import UNSIGNED
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from lxml import etree
from signxml import XMLSigner, methods

from refusals import refused
from server import ACCOUNT, CONFIG, REGION, SESSION, Server

SIGN_IN = "https://signin.aws.amazon.com/saml"
ATTRIBUTES = "https://aws.amazon.com/SAML/Attributes/"


def moment(seconds=0):
    return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)


def certified(key, name):
    """A certificate of this key for itself."""
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment(-3600))
        .not_valid_after(moment(86400))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )


def pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def unpadded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Issuer:
    """An OpenID Connect issuer that signs with RS256."""

    def __init__(self, directory):
        self.key = rsa.generate_private_key(65537, 2048)
        certificate = certified(self.key, "issuer")
        self.thumbprint = certificate.fingerprint(hashes.SHA1()).hex()
        chain = directory / "issuer.pem"
        chain.write_bytes(pem(self.key) + certificate.public_bytes(serialization.Encoding.PEM))
        answers = {}

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = answers.get(self.path, b"")
                self.send_response(200 if body else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.bare = f"localhost:{self.server.server_port}"
        self.url = f"https://{self.bare}"
        numbers = self.key.public_key().public_numbers()
        jwk = {"kty": "RSA", "kid": "one", "use": "sig", "alg": "RS256"}
        jwk["n"], jwk["e"] = (unpadded(number.to_bytes(size, "big")) for number, size in ((numbers.n, 256), (numbers.e, 3)))
        self.keys = json.dumps({"keys": [jwk]})
        answers["/keys"] = self.keys.encode()
        configuration = {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        answers["/.well-known/openid-configuration"] = json.dumps(configuration).encode()
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def token(self, **changes):
        now = int(moment().timestamp())
        claims = {"iss": self.url, "sub": "repo:me/app", "aud": "sts.amazonaws.com", "iat": now, "exp": now + 600}
        claims.update(changes)
        head = unpadded(json.dumps({"alg": "RS256", "kid": "one", "typ": "JWT"}).encode())
        signed = f"{head}.{unpadded(json.dumps(claims).encode())}"
        return f"{signed}.{unpadded(self.key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


@pytest.fixture(scope="module")
def issuer(tmp_path_factory):
    issuer = Issuer(tmp_path_factory.mktemp("issuer"))
    yield issuer
    issuer.server.shutdown()


@pytest.fixture(scope="module")
def inside(tmp_path_factory):
    """A server that may reach issuers on this machine."""
    home = tmp_path_factory.mktemp("inside")
    (home / "federation.toml").write_text('networks = ["127.0.0.0/8"]\n')
    server = Server(home, "--federation", str(home / "federation.toml"))
    yield server
    server.stop()


def unsigned(server):
    """STS for those who have no credentials."""
    config = CONFIG.merge(type(CONFIG)(signature_version=UNSIGNED))
    return SESSION.client("sts", region_name=REGION, endpoint_url=server.url, config=config)


def trusting_provider(iam, name, provider, action, condition):
    statement = {"Effect": "Allow", "Principal": {"Federated": provider}, "Action": action, "Condition": condition}
    document = json.dumps({"Version": "2012-10-17", "Statement": statement})
    return iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]


def provided(server, issuer, thumbprints):
    iam = server.client("iam")
    arn = iam.create_open_id_connect_provider(
        Url=issuer.url, ClientIDList=["sts.amazonaws.com"], ThumbprintList=thumbprints
    )["OpenIDConnectProviderArn"]
    assert arn == f"arn:aws:iam::{ACCOUNT}:oidc-provider/{issuer.bare}"
    condition = {"StringLike": {f"{issuer.bare}:sub": "repo:me/*"}}
    return arn, trusting_provider(iam, "deploy", arn, "sts:AssumeRoleWithWebIdentity", condition)


def test_a_token_opens_a_role(inside, issuer):
    provider, role = provided(inside, issuer, [issuer.thumbprint])
    told = inside.client("iam").get_open_id_connect_provider(OpenIDConnectProviderArn=provider)
    assert (told["Url"], told["ThumbprintList"]) == (issuer.bare, [issuer.thumbprint])
    sts = unsigned(inside)
    answer = sts.assume_role_with_web_identity(
        RoleArn=role, RoleSessionName="ci", WebIdentityToken=issuer.token(), DurationSeconds=900
    )
    assert answer["SubjectFromWebIdentityToken"] == "repo:me/app"
    assert (answer["Audience"], answer["Provider"]) == ("sts.amazonaws.com", provider)
    session = inside.client("sts", answer["Credentials"])
    assert session.get_caller_identity()["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/ci"

    def assume(token):
        return sts.assume_role_with_web_identity(RoleArn=role, RoleSessionName="ci", WebIdentityToken=token)

    with refused("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity"):
        assume(issuer.token(sub="repo:other/app"))
    with refused("InvalidIdentityToken", "Incorrect token audience"):
        assume(issuer.token(aud="other"))
    with refused("ExpiredTokenException"):
        assume(issuer.token(exp=int(moment(-1).timestamp())))
    head, _, signature = issuer.token().split(".")
    with refused("InvalidIdentityToken", "signature"):
        assume(".".join([head, issuer.token(sub="repo:me/evil").split(".")[1], signature]))


def test_nothing_inside_is_reached_unless_permitted(palisade, issuer):
    _, role = provided(palisade, issuer, [issuer.thumbprint])
    with refused("InvalidIdentityToken", "Couldn't retrieve verification key"):
        unsigned(palisade).assume_role_with_web_identity(
            RoleArn=role, RoleSessionName="ci", WebIdentityToken=issuer.token()
        )


def test_given_keys_need_no_network(tmp_path, issuer):
    (tmp_path / "jwks.json").write_text(issuer.keys)
    settings = f'offline = true\n[[issuer]]\nurl = "{issuer.url}"\nkeys = "{tmp_path}/jwks.json"\n'
    (tmp_path / "federation.toml").write_text(settings)
    server = Server(tmp_path / "offline", "--federation", str(tmp_path / "federation.toml"))
    try:
        _, role = provided(server, issuer, [])
        arguments = {"RoleArn": role, "RoleSessionName": "ci", "WebIdentityToken": issuer.token()}
        assert "Credentials" in unsigned(server).assume_role_with_web_identity(**arguments)
    finally:
        server.stop()


METADATA = """<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" entityID="{entity}">
  <!-- as exported -->
  <md:IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">
    <md:KeyDescriptor use="signing">
      <ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#">
        <ds:X509Data><ds:X509Certificate>
{certificate}</ds:X509Certificate></ds:X509Data>
      </ds:KeyInfo>
    </md:KeyDescriptor>
    <md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="{entity}/sso"/>
  </md:IDPSSODescriptor>
</md:EntityDescriptor>"""

RESPONSE = """<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol"
    xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_response" Version="2.0" IssueInstant="{now}">
  <saml:Issuer>{entity}</saml:Issuer>
  <samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></samlp:Status>
  <saml:Assertion ID="_assertion" Version="2.0" IssueInstant="{now}">
    <saml:Issuer>{entity}</saml:Issuer>
    <saml:Subject>
      <saml:NameID Format="urn:oasis:names:tc:SAML:2.0:nameid-format:persistent">alice</saml:NameID>
      <saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer">
        <saml:SubjectConfirmationData NotOnOrAfter="{end}" Recipient="{recipient}"/>
      </saml:SubjectConfirmation>
    </saml:Subject>
    <saml:Conditions NotBefore="{now}" NotOnOrAfter="{end}">
      <saml:AudienceRestriction><saml:Audience>{audience}</saml:Audience></saml:AudienceRestriction>
    </saml:Conditions>
    <saml:AttributeStatement>
      <saml:Attribute Name="{attributes}Role"><saml:AttributeValue>{role},{provider}</saml:AttributeValue></saml:Attribute>
      <saml:Attribute Name="{attributes}RoleSessionName"><saml:AttributeValue>alice</saml:AttributeValue></saml:Attribute>
      <saml:Attribute Name="{attributes}PrincipalTag:Team"><saml:AttributeValue>blue</saml:AttributeValue></saml:Attribute>
    </saml:AttributeStatement>
  </saml:Assertion>
</samlp:Response>"""


class Idp:
    """A SAML provider that signs with signxml."""

    entity = "https://idp.example.com/saml"

    def __init__(self):
        self.key = rsa.generate_private_key(65537, 2048)
        self.certificate = certified(self.key, "idp")

    def metadata(self):
        der = self.certificate.public_bytes(serialization.Encoding.DER)
        lines = base64.encodebytes(der).decode()
        return METADATA.format(entity=self.entity, certificate=lines)

    def respond(self, role, provider, signed="Assertion", **changes):
        values = {"recipient": SIGN_IN, "audience": "urn:amazon:webservices"}
        values.update(changes)
        text = RESPONSE.format(
            entity=self.entity,
            attributes=ATTRIBUTES,
            role=role,
            provider=provider,
            now=moment().strftime("%Y-%m-%dT%H:%M:%SZ"),
            end=moment(300).strftime("%Y-%m-%dT%H:%M:%SZ"),
            **values,
        )
        root = etree.fromstring(text)
        signer = XMLSigner(
            method=methods.enveloped,
            signature_algorithm="rsa-sha256",
            digest_algorithm="sha256",
            c14n_algorithm="http://www.w3.org/2001/10/xml-exc-c14n#",
        )
        element = root if signed == "Response" else root.find(".//{*}Assertion")
        done = signer.sign(element, key=pem(self.key), cert=[self.certificate], reference_uri=element.get("ID"))
        if signed == "Assertion":
            root.replace(element, done)
            done = root
        return etree.tostring(done)


@pytest.fixture(scope="module")
def idp():
    return Idp()


def test_a_saml_response_opens_a_role(palisade, idp):
    iam = palisade.client("iam")
    provider = iam.create_saml_provider(Name="Idp", SAMLMetadataDocument=idp.metadata())["SAMLProviderArn"]
    assert iam.get_saml_provider(SAMLProviderArn=provider)["SAMLMetadataDocument"] == idp.metadata()
    condition = {"StringEquals": {"saml:aud": SIGN_IN, "saml:iss": idp.entity}}
    actions = ["sts:AssumeRoleWithSAML", "sts:TagSession"]
    role = trusting_provider(iam, "staff", provider, actions, condition)
    sts = unsigned(palisade)

    def assume(xml):
        return sts.assume_role_with_saml(
            RoleArn=role, PrincipalArn=provider, SAMLAssertion=base64.b64encode(xml).decode()
        )

    for signed in ("Assertion", "Response"):
        answer = assume(idp.respond(role, provider, signed))
        assert (answer["Subject"], answer["SubjectType"], answer["Issuer"]) == ("alice", "persistent", idp.entity)
        session = palisade.client("sts", answer["Credentials"])
        assert session.get_caller_identity()["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/staff/alice"
    with refused("InvalidIdentityToken", "Response signature invalid"):
        assume(idp.respond(role, provider).replace(b">alice<", b">mallory<"))
    with refused("InvalidIdentityToken", "Response signature invalid"):
        assume(Idp().respond(role, provider))
    with refused("InvalidIdentityToken", "not for AWS"):
        assume(idp.respond(role, provider, audience="https://other.example.com"))
    with refused("AccessDenied", "Not authorized to perform sts:AssumeRoleWithSAML"):
        assume(idp.respond(role + "x", provider))
    with refused("InvalidIdentityToken", "Invalid base64"):
        sts.assume_role_with_saml(RoleArn=role, PrincipalArn=provider, SAMLAssertion="no base64!")
