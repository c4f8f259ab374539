"""Outbound federation: tokens that other services believe, by what the issuer publishes alone."""

import base64
import json
import time
import urllib.request

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from policies import allow
from refusals import refused
from server import ACCOUNT, OTHER_ACCOUNT, Server

AUDIENCE = "https://api.example.com"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("outbound"))
    yield server
    assert server.metric("palisade_panics_total") == 0
    server.stop()


@pytest.fixture(scope="module")
def issuer(server):
    return server.client("iam").enable_outbound_web_identity_federation()["IssuerIdentifier"]


def decoded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def number(text):
    return int.from_bytes(decoded(text), "big")


def fetched(url):
    with urllib.request.urlopen(url, timeout=60) as answer:
        assert answer.headers["Content-Type"] == "application/json"
        return json.loads(answer.read())


def believed(token, issuer):
    """The claims, as a relying party reads them that knows the issuer's address and nothing else."""
    discovered = fetched(issuer + "/.well-known/openid-configuration")
    assert discovered["issuer"] == issuer
    head, claims, signature = token.split(".")
    signed = f"{head}.{claims}".encode()
    head, claims, signature = json.loads(decoded(head)), json.loads(decoded(claims)), decoded(signature)
    (key,) = [key for key in fetched(discovered["jwks_uri"])["keys"] if key["kid"] == head["kid"]]
    assert head["alg"] == key["alg"] and head["alg"] in discovered["id_token_signing_alg_values_supported"]
    if key["kty"] == "RSA":
        public = rsa.RSAPublicNumbers(number(key["e"]), number(key["n"])).public_key()
        public.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
    else:
        public = ec.EllipticCurvePublicNumbers(number(key["x"]), number(key["y"]), ec.SECP384R1()).public_key()
        r, s = (int.from_bytes(half, "big") for half in (signature[:48], signature[48:]))
        public.verify(encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA384()))
    assert claims["iss"] == issuer
    return claims


@pytest.mark.parametrize("algorithm", ["RS256", "ES384"])
def test_a_token_is_believed(server, issuer, algorithm):
    told = server.client("sts").get_web_identity_token(
        Audience=[AUDIENCE], SigningAlgorithm=algorithm, Tags=[{"Key": "job-id", "Value": "7"}]
    )
    claims = believed(told["WebIdentityToken"], issuer)
    assert claims["sub"] == f"arn:aws:iam::{ACCOUNT}:root" and claims["aud"] == AUDIENCE
    assert claims["exp"] - claims["iat"] == 300 and abs(claims["iat"] - time.time()) < 60
    assert int(told["Expiration"].timestamp()) == claims["exp"]
    own = claims["https://sts.amazonaws.com/"]
    assert (own["aws_account"], own["source_region"], own["request_tags"]) == (ACCOUNT, "us-east-1", {"job-id": "7"})


def test_a_changed_token_is_not_believed(server, issuer):
    token = server.client("sts").get_web_identity_token(Audience=[AUDIENCE], SigningAlgorithm="ES384")["WebIdentityToken"]
    head, claims, signature = token.split(".")
    claims = json.loads(decoded(claims)) | {"sub": f"arn:aws:iam::{OTHER_ACCOUNT}:root"}
    claims = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    with pytest.raises(InvalidSignature):
        believed(f"{head}.{claims}.{signature}", issuer)


def test_the_feature_is_the_accounts_own(server, issuer):
    iam, other = server.client("iam"), server.other_client("iam")
    told = iam.get_outbound_web_identity_federation_info()
    assert (told["IssuerIdentifier"], told["JwtVendingEnabled"]) == (issuer, True)
    with refused("FeatureEnabled", status=409):
        iam.enable_outbound_web_identity_federation()
    with refused("FeatureDisabled", status=404):
        other.get_outbound_web_identity_federation_info()
    with refused("OutboundWebIdentityFederationDisabledException", status=403):
        server.other_client("sts").get_web_identity_token(Audience=[AUDIENCE], SigningAlgorithm="RS256")
    others = other.enable_outbound_web_identity_federation()["IssuerIdentifier"]
    assert others != issuer
    other.disable_outbound_web_identity_federation()
    with refused("FeatureDisabled", status=404):
        other.disable_outbound_web_identity_federation()


def test_who_may_not_gets_no_token(palisade, new_user):
    palisade.client("iam").enable_outbound_web_identity_federation()
    asked = {"Audience": [AUDIENCE], "SigningAlgorithm": "ES384"}
    with refused("AccessDenied", r"not authorized to perform: sts:GetWebIdentityToken", status=403):
        new_user(allow("iam:*")).client("sts").get_web_identity_token(**asked)
    only = {"ForAllValues:StringEquals": {"sts:IdentityTokenAudience": [AUDIENCE]}}
    bob = new_user(allow("sts:GetWebIdentityToken", Condition=only)).client("sts")
    bob.get_web_identity_token(**asked)
    with refused("AccessDenied", status=403):
        bob.get_web_identity_token(Audience=["elsewhere"], SigningAlgorithm="ES384")
    with refused("AccessDenied", r"sts:TagGetWebIdentityToken", status=403):
        bob.get_web_identity_token(**asked, Tags=[{"Key": "k", "Value": "v"}])


def test_a_restart_changes_neither_address_nor_keys(server, issuer):
    token = server.client("sts").get_web_identity_token(Audience=[AUDIENCE], SigningAlgorithm="RS256")["WebIdentityToken"]
    server.kill()
    server.start()
    assert believed(token, issuer)["aud"] == AUDIENCE
