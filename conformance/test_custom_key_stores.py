"""Custom key stores: external ones before a real proxy, and what there is of clusters."""

import base64
import datetime
import itertools
import json
import re
import subprocess
import time

import botocore.auth
import pytest

from programs import events
from refusals import refused
from server import ACCOUNT, Server
from xks_proxy import ACCESS_KEY, HOST, SECRET, XksProxy

CREDENTIAL = {"AccessKeyId": ACCESS_KEY, "RawSecretAccessKey": SECRET}
# An account has ten stores in a region, and those with keys stay a week: every test has a region of its own.
REGIONS = (f"eu-west-{number}" for number in itertools.count(1))


@pytest.fixture(scope="module")
def proxy(tmp_path_factory):
    proxy = XksProxy(tmp_path_factory.mktemp("xks"))
    yield proxy
    proxy.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory, proxy):
    home = tmp_path_factory.mktemp("key-stores")
    settings = home / "key-stores.toml"
    settings.write_text(proxy.settings())
    server = Server(home, "--key-stores", str(settings))
    yield server
    assert server.metric("palisade_panics_total") == 0
    server.stop()
    assert SECRET not in server.log_text()


@pytest.fixture
def kms(server):
    return server.client("kms", region=next(REGIONS))


@pytest.fixture(autouse=True)
def well(proxy):
    """Every test begins with a proxy that does everything right."""
    proxy.wrong, proxy.delay, proxy.managers, proxy.paths = {}, 0, ["ACTIVE"], None
    proxy.credentials = {ACCESS_KEY: SECRET}
    del proxy.asked[:]


def wanted(name, **more):
    return {
        "CustomKeyStoreName": name,
        "CustomKeyStoreType": "EXTERNAL_KEY_STORE",
        "XksProxyUriEndpoint": f"https://{HOST}",
        "XksProxyUriPath": f"/{name}/kms/xks/v1",
        "XksProxyConnectivity": "PUBLIC_ENDPOINT",
        "XksProxyAuthenticationCredential": CREDENTIAL,
    } | more


def described(kms, store):
    (entry,) = kms.describe_custom_key_stores(CustomKeyStoreId=store)["CustomKeyStores"]
    return entry


def settled(kms, store):
    """The state of a store once nothing is under way with it."""
    for _ in range(300):
        entry = described(kms, store)
        if entry["ConnectionState"] not in ("CONNECTING", "DISCONNECTING"):
            return entry
        time.sleep(0.1)
    raise AssertionError(entry)


def connect(kms, store):
    kms.connect_custom_key_store(CustomKeyStoreId=store)
    return settled(kms, store)


def disconnect(kms, store):
    kms.disconnect_custom_key_store(CustomKeyStoreId=store)
    return settled(kms, store)


@pytest.fixture
def store(kms, name):
    """A connected store."""
    store = kms.create_custom_key_store(**wanted(name))["CustomKeyStoreId"]
    assert connect(kms, store)["ConnectionState"] == "CONNECTED"
    return store


@pytest.fixture
def key(kms, proxy, store, name):
    external = proxy.add_key(f"key-{name}")
    made = kms.create_key(Origin="EXTERNAL_KEY_STORE", CustomKeyStoreId=store, XksKeyId=external)
    return made["KeyMetadata"]


def test_from_store_to_plaintext(kms, proxy, name):
    made = kms.create_custom_key_store(**wanted(name))
    store = made["CustomKeyStoreId"]
    entry = described(kms, store)
    assert entry["ConnectionState"] == "DISCONNECTED" and "ConnectionErrorCode" not in entry
    assert entry["XksProxyConfiguration"] == {
        "Connectivity": "PUBLIC_ENDPOINT",
        "AccessKeyId": ACCESS_KEY,
        "UriEndpoint": f"https://{HOST}",
        "UriPath": f"/{name}/kms/xks/v1",
    }
    assert SECRET not in json.dumps(entry, default=str)
    assert connect(kms, store)["ConnectionState"] == "CONNECTED"

    external = proxy.add_key(f"key.{name}_1")
    metadata = kms.create_key(Origin="EXTERNAL_KEY_STORE", CustomKeyStoreId=store, XksKeyId=external)["KeyMetadata"]
    assert metadata["Origin"] == "EXTERNAL_KEY_STORE" and metadata["KeyState"] == "Enabled"
    assert metadata["CustomKeyStoreId"] == store and metadata["XksKeyConfiguration"] == {"Id": external}
    assert "CurrentKeyMaterialId" not in metadata and "CloudHsmClusterId" not in metadata
    assert kms.describe_key(KeyId=metadata["KeyId"])["KeyMetadata"] == metadata

    context = {"project": "nile", "department": "marketing"}
    sealed = kms.encrypt(KeyId=metadata["KeyId"], Plaintext=b"hello", EncryptionContext=context)
    assert sealed["KeyId"] == metadata["Arn"] and "KeyMaterialId" not in sealed
    opened = kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"], EncryptionContext=context)
    assert opened["Plaintext"] == b"hello" and opened["KeyId"] == metadata["Arn"]

    # What the proxy was told, and what it was not.
    told = {operation: asked["requestMetadata"] for operation, _, asked in proxy.asked}
    assert told["health"].keys() == {"kmsOperation", "kmsRequestId"}
    assert told["metadata"]["kmsOperation"] == "CreateKey" and "kmsKeyArn" not in told["metadata"]
    for operation, kms_operation, answer in [("encrypt", "Encrypt", sealed), ("decrypt", "Decrypt", opened)]:
        assert told[operation] == {
            "awsPrincipalArn": f"arn:aws:iam::{ACCOUNT}:root",
            "kmsKeyArn": metadata["Arn"],
            "kmsOperation": kms_operation,
            "kmsRequestId": answer["ResponseMetadata"]["RequestId"],
        }
    seen = json.dumps([asked for _, _, asked in proxy.asked])
    assert "aGVsbG8" not in seen and "nile" not in seen


def test_data_keys_and_re_encryption(kms, proxy, key):
    data_key = kms.generate_data_key(KeyId=key["KeyId"], KeySpec="AES_256", EncryptionContext={"a": "b"})
    opened = kms.decrypt(CiphertextBlob=data_key["CiphertextBlob"], EncryptionContext={"a": "b"})
    assert opened["Plaintext"] == data_key["Plaintext"]
    hidden = kms.generate_data_key_without_plaintext(KeyId=key["Arn"], NumberOfBytes=7)
    assert len(kms.decrypt(CiphertextBlob=hidden["CiphertextBlob"])["Plaintext"]) == 7

    here = kms.create_key()["KeyMetadata"]["KeyId"]
    moved = kms.re_encrypt(
        CiphertextBlob=data_key["CiphertextBlob"], SourceEncryptionContext={"a": "b"}, DestinationKeyId=here
    )
    assert moved["SourceKeyId"] == key["Arn"]
    assert "SourceKeyMaterialId" not in moved and len(moved["DestinationKeyMaterialId"]) == 64
    back = kms.re_encrypt(CiphertextBlob=moved["CiphertextBlob"], DestinationKeyId=key["KeyId"])
    assert kms.decrypt(CiphertextBlob=back["CiphertextBlob"], KeyId=key["KeyId"])["Plaintext"] == data_key["Plaintext"]
    operations = {asked["requestMetadata"]["kmsOperation"] for _, _, asked in proxy.asked}
    assert operations >= {"GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "ReEncrypt", "Decrypt"}

    # As much as Encrypt takes is what a proxy must take, with what KMS puts around it.
    longest = kms.encrypt(KeyId=key["KeyId"], Plaintext=bytes(4096), EncryptionContext={"k": "v" * 8000})
    opened = kms.decrypt(CiphertextBlob=longest["CiphertextBlob"], EncryptionContext={"k": "v" * 8000})
    assert opened["Plaintext"] == bytes(4096)
    sizes = [len(asked["plaintext"]) for operation, _, asked in proxy.asked if operation == "encrypt"]
    assert max(sizes) <= 5736


def test_a_ciphertext_is_bound_to_its_key_and_context(kms, proxy, store, key, name):
    sealed = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"hello", EncryptionContext={"a": "b"})["CiphertextBlob"]
    for context in ({}, {"a": "c"}, {"a": "b", "c": "d"}):
        with refused("KMSInvalidStateException", "ciphertext or encryption context is corrupted"):
            kms.decrypt(CiphertextBlob=sealed, EncryptionContext=context)
    for at in range(60, len(sealed), 9):
        changed = bytearray(sealed)
        changed[at] ^= 1
        with pytest.raises(kms.exceptions.ClientError):
            kms.decrypt(CiphertextBlob=bytes(changed), EncryptionContext={"a": "b"})
    other = proxy.add_key(f"other-{name}")
    other = kms.create_key(Origin="EXTERNAL_KEY_STORE", CustomKeyStoreId=store, XksKeyId=other)["KeyMetadata"]
    with refused("IncorrectKeyException"):
        kms.decrypt(CiphertextBlob=sealed, EncryptionContext={"a": "b"}, KeyId=other["KeyId"])
    # Another key of the proxy under the same name opens nothing, nor does the proxy alone.
    proxy.add_key(f"key-{name}")
    with refused("KMSInvalidStateException"):
        kms.decrypt(CiphertextBlob=sealed, EncryptionContext={"a": "b"})


def spoiled(**parts):
    """An answer with other members than the proxy meant."""
    return lambda answer: json.dumps(answer | parts).encode()


@pytest.mark.parametrize(
    "wrong, words",
    [
        ("ValidationException", "cannot interpret the response"),
        ("InvalidStateException", "is not enabled in the external key manager"),
        ("InvalidKeyUsageException", "does not support the requested operation. Enable the operation"),
        ("AuthenticationFailedException", "could not authenticate AWS KMS"),
        ("AccessDeniedException", "denied access to the operation"),
        ("KeyNotFoundException", "was not found in its external key manager"),
        ("InvalidUriPathException", "invalid URI path"),
        ("ThrottlingException", "very high request rate"),
        ("UnsupportedOperationException", "does not support the requested operation. If you see"),
        ("DependencyTimeoutException", "did not respond to the request in the time allotted"),
        ("InternalException", "cannot communicate with the external key manager"),
        (lambda answer: b"<html>", "cannot interpret the response"),
        (spoiled(ciphertext="AAAA"), "cannot interpret the response"),
        (spoiled(ciphertextDataIntegrityValue=None), "cannot interpret the response"),
        (spoiled(initializationVector="AAAA"), "cannot interpret the response"),
        (lambda answer: b"x" * 300_000, "cannot interpret the response"),
    ],
)
def test_whatever_is_wrong_with_the_proxy_is_told_in_words(kms, proxy, key, wrong, words):
    proxy.wrong["encrypt"] = wrong
    for call in (
        lambda: kms.encrypt(KeyId=key["KeyId"], Plaintext=b"hello"),
        lambda: kms.generate_data_key(KeyId=key["KeyId"], KeySpec="AES_256"),
    ):
        with refused("KMSInvalidStateException", words, 400) as told:
            call()
        assert "administrator alone" not in told.message
    proxy.wrong.clear()
    assert kms.encrypt(KeyId=key["KeyId"], Plaintext=b"hello")["KeyId"] == key["Arn"]


def test_a_proxy_that_decrypts_to_something_else_is_found_out(kms, proxy, key):
    sealed = [kms.encrypt(KeyId=key["KeyId"], Plaintext=text)["CiphertextBlob"] for text in (b"one", b"two")]
    other = []
    proxy.wrong["decrypt"] = lambda answer: other.append(answer) or json.dumps(answer).encode()
    kms.decrypt(CiphertextBlob=sealed[1])
    # It gives for the one what is behind the other: for KMS an envelope of the same key. That opens, as what it is.
    proxy.wrong["decrypt"] = lambda answer: json.dumps(other[0]).encode()
    assert kms.decrypt(CiphertextBlob=sealed[0])["Plaintext"] == b"two"
    for wrong in (spoiled(plaintext="AAAA"), spoiled(plaintext=None)):
        proxy.wrong["decrypt"] = wrong
        with refused("KMSInvalidStateException", "cannot interpret the response"):
            kms.decrypt(CiphertextBlob=sealed[0])
    proxy.wrong["decrypt"] = lambda answer: json.dumps({"plaintext": "A" * len(answer["plaintext"])}).encode()
    with refused(("KMSInvalidStateException",), "submitted for decryption|cannot interpret"):
        kms.decrypt(CiphertextBlob=sealed[0])


@pytest.mark.parametrize(
    "wrong, code",
    [
        ("ValidationException", "CustomKeyStoreInvalidStateException"),
        ("InvalidStateException", "XksKeyInvalidConfigurationException"),
        ("AuthenticationFailedException", "CustomKeyStoreInvalidStateException"),
        ("AccessDeniedException", "KMSInvalidStateException"),
        ("KeyNotFoundException", "XksKeyNotFoundException"),
        ("InvalidUriPathException", "CustomKeyStoreInvalidStateException"),
        ("ThrottlingException", "CustomKeyStoreInvalidStateException"),
        ("InternalException", "CustomKeyStoreInvalidStateException"),
        (spoiled(keySpec="AES_128"), "XksKeyInvalidConfigurationException"),
        (spoiled(keyUsage=["ENCRYPT"]), "XksKeyInvalidConfigurationException"),
        (spoiled(keyStatus="DISABLED"), "XksKeyInvalidConfigurationException"),
        (spoiled(keyStatus=7), "CustomKeyStoreInvalidStateException"),
    ],
)
def test_a_key_is_made_only_over_a_good_external_key(kms, proxy, store, name, wrong, code):
    external = proxy.add_key(f"key-{name}")
    proxy.wrong["metadata"] = wrong
    with refused(code, status=400):
        kms.create_key(Origin="EXTERNAL_KEY_STORE", CustomKeyStoreId=store, XksKeyId=external)
    proxy.wrong.clear()
    kms.create_key(Origin="EXTERNAL_KEY_STORE", CustomKeyStoreId=store, XksKeyId=external)
    with refused("XksKeyAlreadyInUseException"):
        kms.create_key(Origin="EXTERNAL_KEY_STORE", CustomKeyStoreId=store, XksKeyId=external)
    with refused("XksKeyNotFoundException"):
        kms.create_key(Origin="EXTERNAL_KEY_STORE", CustomKeyStoreId=store, XksKeyId="no-such-key")


@pytest.mark.parametrize(
    "more, code",
    [
        ({"Origin": "EXTERNAL_KEY_STORE"}, "ValidationException"),
        ({"Origin": "EXTERNAL_KEY_STORE", "XksKeyId": "x"}, "ValidationException"),
        ({"Origin": "EXTERNAL_KEY_STORE", "CustomKeyStoreId": "{store}"}, "ValidationException"),
        ({"Origin": "AWS_CLOUDHSM"}, "ValidationException"),
        ({"Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": "{store}"}, "ValidationException"),
        ({"Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": "{store}", "XksKeyId": "x"}, "ValidationException"),
        ({"CustomKeyStoreId": "{store}"}, "ValidationException"),
        ({"Origin": "EXTERNAL", "CustomKeyStoreId": "{store}"}, "ValidationException"),
        ({"XksKeyId": "x"}, "ValidationException"),
        (
            {"Origin": "EXTERNAL_KEY_STORE", "CustomKeyStoreId": "cks-1234567890abcdef0", "XksKeyId": "x"},
            "CustomKeyStoreNotFoundException",
        ),
        (
            {"Origin": "EXTERNAL_KEY_STORE", "CustomKeyStoreId": "{store}", "XksKeyId": "x", "MultiRegion": True},
            "UnsupportedOperationException",
        ),
        (
            {
                "Origin": "EXTERNAL_KEY_STORE",
                "CustomKeyStoreId": "{store}",
                "XksKeyId": "x",
                "KeySpec": "RSA_2048",
                "KeyUsage": "ENCRYPT_DECRYPT",
            },
            "UnsupportedOperationException",
        ),
        (
            {
                "Origin": "EXTERNAL_KEY_STORE",
                "CustomKeyStoreId": "{store}",
                "XksKeyId": "x",
                "KeySpec": "HMAC_256",
                "KeyUsage": "GENERATE_VERIFY_MAC",
            },
            "UnsupportedOperationException",
        ),
    ],
)
def test_what_does_not_fit_together_makes_no_key(kms, store, more, code):
    more = {name: store if value == "{store}" else value for name, value in more.items()}
    with refused(code, status=400):
        kms.create_key(**more)
    assert kms.list_keys()["Keys"] == []


def test_what_keys_in_a_store_cannot_do(kms, key):
    named = {"KeyId": key["KeyId"]}
    wrapping = {"WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"}
    for call, more in [
        (kms.enable_key_rotation, {}),
        (kms.disable_key_rotation, {}),
        (kms.get_key_rotation_status, {}),
        (kms.rotate_key_on_demand, {}),
        (kms.list_key_rotations, {}),
        (kms.get_parameters_for_import, wrapping),
        (kms.delete_imported_key_material, {}),
        (kms.replicate_key, {"ReplicaRegion": "eu-central-1"}),
        (kms.update_primary_region, {"PrimaryRegion": "eu-central-1"}),
        (kms.generate_data_key_pair, {"KeyPairSpec": "ECC_NIST_P256"}),
        (kms.generate_data_key_pair_without_plaintext, {"KeyPairSpec": "ECC_NIST_P256"}),
        (kms.get_public_key, {}),
    ]:
        with refused("UnsupportedOperationException", status=400):
            call(**named, **more)
    with refused("UnsupportedOperationException"):
        kms.generate_random(NumberOfBytes=8, CustomKeyStoreId=key["CustomKeyStoreId"])
    with refused("CustomKeyStoreNotFoundException"):
        kms.generate_random(NumberOfBytes=8, CustomKeyStoreId="cks-none")


def test_a_disconnected_store_makes_its_keys_unavailable(kms, proxy, store, key):
    named = {"KeyId": key["KeyId"]}
    sealed = kms.encrypt(**named, Plaintext=b"hello")["CiphertextBlob"]
    dying = proxy.add_key("dying")
    dying = kms.create_key(Origin="EXTERNAL_KEY_STORE", CustomKeyStoreId=store, XksKeyId=dying)["KeyMetadata"]
    kms.schedule_key_deletion(KeyId=dying["KeyId"])
    assert disconnect(kms, store)["ConnectionState"] == "DISCONNECTED"

    told = kms.describe_key(**named)["KeyMetadata"]
    assert told["KeyState"] == "Unavailable" and told["Enabled"] is False
    assert kms.describe_key(KeyId=dying["KeyId"])["KeyMetadata"]["KeyState"] == "PendingDeletion"
    before = len(proxy.asked)
    for call in (
        lambda: kms.encrypt(**named, Plaintext=b"hello"),
        lambda: kms.decrypt(CiphertextBlob=sealed),
        lambda: kms.generate_data_key(**named, KeySpec="AES_128"),
        lambda: kms.re_encrypt(CiphertextBlob=sealed, DestinationKeyId=key["KeyId"]),
    ):
        with refused("KMSInvalidStateException", "is not connected to its external key store proxy"):
            call()
    assert len(proxy.asked) == before
    with refused("CustomKeyStoreInvalidStateException"):
        kms.create_key(Origin="EXTERNAL_KEY_STORE", CustomKeyStoreId=store, XksKeyId="x")
    # It is managed all the same, and what is done to it shows when the store is back.
    kms.update_key_description(**named, Description="still here")
    kms.tag_resource(**named, Tags=[{"TagKey": "a", "TagValue": "b"}])
    kms.create_grant(**named, GranteePrincipal=f"arn:aws:iam::{ACCOUNT}:root", Operations=["Decrypt"])
    kms.disable_key(**named)
    assert kms.describe_key(**named)["KeyMetadata"]["KeyState"] == "Unavailable"
    kms.cancel_key_deletion(KeyId=dying["KeyId"])
    assert kms.describe_key(KeyId=dying["KeyId"])["KeyMetadata"]["KeyState"] == "Unavailable"

    assert connect(kms, store)["ConnectionState"] == "CONNECTED"
    assert kms.describe_key(**named)["KeyMetadata"]["KeyState"] == "Disabled"
    with refused("DisabledException"):
        kms.decrypt(CiphertextBlob=sealed)
    kms.enable_key(**named)
    assert kms.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"hello"


def test_what_each_state_of_a_store_admits(kms, proxy, name):
    store = kms.create_custom_key_store(**wanted(name))["CustomKeyStoreId"]
    named = {"CustomKeyStoreId": store}
    with refused("CustomKeyStoreInvalidStateException"):
        kms.disconnect_custom_key_store(**named)
    assert connect(kms, store)["ConnectionState"] == "CONNECTED"
    kms.connect_custom_key_store(**named)
    assert described(kms, store)["ConnectionState"] == "CONNECTED"
    with refused("CustomKeyStoreInvalidStateException"):
        kms.delete_custom_key_store(**named)
    proxy.managers = ["UNAVAILABLE"]
    assert disconnect(kms, store)["ConnectionState"] == "DISCONNECTED"
    failed = connect(kms, store)
    assert (failed["ConnectionState"], failed["ConnectionErrorCode"]) == ("FAILED", "XKS_PROXY_NOT_REACHABLE")
    for call in (kms.connect_custom_key_store, kms.delete_custom_key_store):
        with refused("CustomKeyStoreInvalidStateException"):
            call(**named)
    with refused("CustomKeyStoreInvalidStateException"):
        kms.update_custom_key_store(**named, NewCustomKeyStoreName=f"{name}-new")
    assert disconnect(kms, store)["ConnectionState"] == "DISCONNECTED"
    kms.delete_custom_key_store(**named)
    for call in (kms.connect_custom_key_store, kms.disconnect_custom_key_store, kms.delete_custom_key_store):
        with refused("CustomKeyStoreNotFoundException"):
            call(**named)
    with refused("CustomKeyStoreNotFoundException"):
        kms.describe_custom_key_stores(**named)


@pytest.mark.parametrize(
    "wrong, code",
    [
        ("AuthenticationFailedException", "INVALID_CREDENTIALS"),
        ("AccessDeniedException", "XKS_PROXY_ACCESS_DENIED"),
        ("InvalidUriPathException", "XKS_PROXY_INVALID_CONFIGURATION"),
        ("DependencyTimeoutException", "XKS_PROXY_TIMED_OUT"),
        ("InternalException", "XKS_PROXY_NOT_REACHABLE"),
        (lambda answer: b"{}", "XKS_PROXY_INVALID_RESPONSE"),
    ],
)
def test_why_a_store_cannot_be_connected(kms, proxy, name, wrong, code):
    store = kms.create_custom_key_store(**wanted(name))["CustomKeyStoreId"]
    proxy.wrong["health"] = wrong
    failed = connect(kms, store)
    assert (failed["ConnectionState"], failed["ConnectionErrorCode"]) == ("FAILED", code)


@pytest.mark.parametrize(
    "wrong, code",
    [
        ("AuthenticationFailedException", "XksProxyIncorrectAuthenticationCredentialException"),
        ("InvalidUriPathException", "XksProxyInvalidConfigurationException"),
        ("DependencyTimeoutException", "XksProxyUriUnreachableException"),
        ("ThrottlingException", "XksProxyUriUnreachableException"),
        ("InternalException", "XksProxyInvalidResponseException"),
        ("ValidationException", "XksProxyInvalidResponseException"),
        (lambda answer: b"{}", "XksProxyInvalidResponseException"),
        (spoiled(xksProxyFleetSize=0), "XksProxyInvalidResponseException"),
        (spoiled(ekmFleetDetails=[]), "XksProxyInvalidResponseException"),
    ],
)
def test_a_store_is_made_only_before_a_proxy_that_is_well(kms, proxy, name, wrong, code):
    proxy.wrong["health"] = wrong
    with refused(code, status=400):
        kms.create_custom_key_store(**wanted(name))
    assert kms.describe_custom_key_stores()["CustomKeyStores"] == []


def test_a_proxy_that_is_not_there(kms, proxy, name):
    with refused("XksProxyUriUnreachableException", "cannot communicate"):
        kms.create_custom_key_store(**wanted(name, XksProxyUriEndpoint="https://nobody.invalid"))
    # Loopback is inside, and only the name that the operator gave is found there.
    with refused("XksProxyUriUnreachableException", "cannot communicate"):
        kms.create_custom_key_store(**wanted(name, XksProxyUriEndpoint="https://localhost"))
    proxy.managers = ["UNAVAILABLE", "UNAVAILABLE"]
    with refused("XksProxyUriUnreachableException", "unavailable"):
        kms.create_custom_key_store(**wanted(name))
    proxy.managers = ["UNAVAILABLE", "DEGRADED"]
    proxy.credentials = {ACCESS_KEY: "another" + SECRET[7:]}
    with refused("XksProxyIncorrectAuthenticationCredentialException"):
        kms.create_custom_key_store(**wanted(name))


@pytest.mark.parametrize(
    "change, code",
    [
        ({"XksProxyUriEndpoint": None}, "ValidationException"),
        ({"XksProxyUriPath": None}, "ValidationException"),
        ({"XksProxyConnectivity": None}, "ValidationException"),
        ({"XksProxyAuthenticationCredential": None}, "ValidationException"),
        ({"XksProxyUriEndpoint": f"http://{HOST}"}, "ValidationException"),
        ({"XksProxyUriEndpoint": f"https://{HOST}:8443"}, "ValidationException"),
        ({"XksProxyUriPath": "/kms/xks/v1/"}, "ValidationException"),
        ({"CloudHsmClusterId": "cluster-234abcdefgh"}, "ValidationException"),
        ({"KeyStorePassword": "password"}, "ValidationException"),
        ({"XksProxyVpcEndpointServiceOwner": ACCOUNT}, "ValidationException"),
        ({"XksProxyConnectivity": "VPC_ENDPOINT_SERVICE"}, "ValidationException"),
        (
            {
                "XksProxyConnectivity": "VPC_ENDPOINT_SERVICE",
                "XksProxyVpcEndpointServiceName": "com.amazonaws.vpce.us-east-1.vpce-svc-0123456789abcdef0",
            },
            "XksProxyVpcEndpointServiceNotFoundException",
        ),
        ({"CustomKeyStoreType": "AWS_CLOUDHSM"}, "ValidationException"),
        ({"CustomKeyStoreType": None}, "ValidationException"),
    ],
)
def test_what_does_not_fit_together_makes_no_store(kms, proxy, name, change, code):
    given = {name: value for name, value in (wanted(name) | change).items() if value is not None}
    with refused(code, status=400):
        kms.create_custom_key_store(**given)
    assert proxy.asked == [] and kms.describe_custom_key_stores()["CustomKeyStores"] == []


def test_there_are_no_clusters_unless_somebody_brings_them(kms, name):
    given = {
        "CustomKeyStoreName": name,
        "CloudHsmClusterId": "cluster-234abcdefgh",
        "KeyStorePassword": "password",
        "TrustAnchorCertificate": "-----BEGIN CERTIFICATE-----",
    }
    for more in ({}, {"CustomKeyStoreType": "AWS_CLOUDHSM"}):
        with refused("CloudHsmClusterNotFoundException"):
            kms.create_custom_key_store(**given, **more)
    for left_out in list(given)[1:]:
        with refused("ValidationException"):
            kms.create_custom_key_store(**{name: value for name, value in given.items() if name != left_out})


def test_names_and_proxies_are_unique_and_stores_are_ten(server, kms, proxy, name):
    first = kms.create_custom_key_store(**wanted(name))["CustomKeyStoreId"]
    with refused("CustomKeyStoreNameInUseException"):
        kms.create_custom_key_store(**wanted(name, XksProxyUriPath="/other/kms/xks/v1"))
    with refused("XksProxyUriInUseException"):
        kms.create_custom_key_store(**wanted(f"{name}-b", XksProxyUriPath=f"/{name}/kms/xks/v1"))
    others = [kms.create_custom_key_store(**wanted(f"{name}-{at}"))["CustomKeyStoreId"] for at in range(9)]
    with refused("LimitExceededException"):
        kms.create_custom_key_store(**wanted(f"{name}-9"))
    with refused("CustomKeyStoreNameInUseException"):
        kms.update_custom_key_store(CustomKeyStoreId=first, NewCustomKeyStoreName=f"{name}-0")
    with refused("XksProxyUriInUseException"):
        kms.update_custom_key_store(CustomKeyStoreId=first, XksProxyUriPath=f"/{name}-0/kms/xks/v1")

    pages = kms.get_paginator("describe_custom_key_stores").paginate(PaginationConfig={"PageSize": 3})
    seen = [entry["CustomKeyStoreId"] for page in pages for entry in page["CustomKeyStores"]]
    assert seen == sorted([first, *others])
    (found,) = kms.describe_custom_key_stores(CustomKeyStoreName=name)["CustomKeyStores"]
    assert found["CustomKeyStoreId"] == first
    with refused("CustomKeyStoreNotFoundException"):
        kms.describe_custom_key_stores(CustomKeyStoreName="nobody")
    with refused("ValidationException"):
        kms.describe_custom_key_stores(CustomKeyStoreName=name, CustomKeyStoreId=first)
    with refused("InvalidMarkerException"):
        kms.describe_custom_key_stores(Marker="AAAA")
    # Another account and another region see nothing of them, and may have the same.
    region = kms.meta.region_name
    assert server.other_client("kms", region=region).describe_custom_key_stores()["CustomKeyStores"] == []
    elsewhere = server.client("kms", region="ca-central-1")
    with refused("CustomKeyStoreNotFoundException"):
        elsewhere.describe_custom_key_stores(CustomKeyStoreId=first)
    made = server.other_client("kms", region=region).create_custom_key_store(**wanted(name))
    assert made["CustomKeyStoreId"] != first
    for store in [first, *others]:
        kms.delete_custom_key_store(CustomKeyStoreId=store)


def test_what_may_be_changed_and_when(kms, proxy, store, key, name):
    named = {"CustomKeyStoreId": store}
    sealed = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"hello")["CiphertextBlob"]
    kms.update_custom_key_store(**named, NewCustomKeyStoreName=f"{name}-new")
    # A rotated credential is told to KMS while the store is connected.
    rotated = {"AccessKeyId": "ABCDEFGHIJKLMNOPQRST", "RawSecretAccessKey": "n" + SECRET[1:]}
    proxy.credentials[rotated["AccessKeyId"]] = rotated["RawSecretAccessKey"]
    kms.update_custom_key_store(**named, XksProxyAuthenticationCredential=rotated)
    del proxy.credentials[ACCESS_KEY]
    kms.update_custom_key_store(**named, XksProxyUriPath=f"/{name}/second/kms/xks/v1")
    proxy.paths = [f"/{name}/second/kms/xks/v1"]
    assert kms.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"hello"
    entry = described(kms, store)
    assert entry["CustomKeyStoreName"] == f"{name}-new" and entry["ConnectionState"] == "CONNECTED"
    assert entry["XksProxyConfiguration"]["AccessKeyId"] == rotated["AccessKeyId"]

    # What does not work is not taken over.
    for change, code in [
        ({"XksProxyUriPath": "/nowhere/kms/xks/v1"}, "XksProxyInvalidConfigurationException"),
        (
            {"XksProxyAuthenticationCredential": CREDENTIAL},
            "XksProxyIncorrectAuthenticationCredentialException",
        ),
        ({"XksProxyUriEndpoint": f"https://{HOST}"}, "CustomKeyStoreInvalidStateException"),
        ({"XksProxyConnectivity": "PUBLIC_ENDPOINT"}, "CustomKeyStoreInvalidStateException"),
        ({"KeyStorePassword": "password"}, "ValidationException"),
        ({"CloudHsmClusterId": "cluster-234abcdefgh"}, "ValidationException"),
    ]:
        with refused(code):
            kms.update_custom_key_store(**named, **change)
    assert described(kms, store) == entry
    assert kms.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"hello"
    disconnect(kms, store)
    kms.update_custom_key_store(**named, XksProxyUriEndpoint=f"https://{HOST}")
    with refused("XksProxyUriUnreachableException"):
        kms.update_custom_key_store(**named, XksProxyUriEndpoint="https://nobody.invalid")
    with refused("CustomKeyStoreHasCMKsException"):
        kms.delete_custom_key_store(**named)


def test_a_store_keeps_its_connections(kms, proxy, key):
    kms.encrypt(KeyId=key["KeyId"], Plaintext=b"hello")
    before = proxy.connections
    for _ in range(20):
        kms.encrypt(KeyId=key["KeyId"], Plaintext=b"hello")
    assert proxy.connections - before <= 1


def test_who_may_manage_stores(server, kms, iam_user, name):
    nobody = iam_user([])
    for call, arguments in [
        ("create_custom_key_store", wanted(name)),
        ("describe_custom_key_stores", {}),
        ("connect_custom_key_store", {"CustomKeyStoreId": "cks-1234567890abcdef0"}),
        ("disconnect_custom_key_store", {"CustomKeyStoreId": "cks-1234567890abcdef0"}),
        ("update_custom_key_store", {"CustomKeyStoreId": "cks-1234567890abcdef0"}),
        ("delete_custom_key_store", {"CustomKeyStoreId": "cks-1234567890abcdef0"}),
    ]:
        with refused("AccessDeniedException", "kms:"):
            getattr(nobody, call)(**arguments)
    # The operations name no resource: `*` is all that lets one in.
    for resource, answer in [("*", None), ("arn:aws:kms:*:*:key/*", "AccessDeniedException")]:
        somebody = iam_user([{"Effect": "Allow", "Action": "kms:*CustomKeyStore*", "Resource": resource}])
        if answer is None:
            assert somebody.describe_custom_key_stores()["CustomKeyStores"] == []
        else:
            with refused(answer):
                somebody.describe_custom_key_stores()


@pytest.fixture
def iam_user(server, kms):
    """Makes users of these statements; gives their clients."""
    iam = server.client("iam")
    numbers = itertools.count()

    def make(statements):
        user = f"stores-{kms.meta.region_name}-{next(numbers)}"
        iam.create_user(UserName=user)
        if statements:
            document = json.dumps({"Version": "2012-10-17", "Statement": statements})
            iam.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=document)
        made = iam.create_access_key(UserName=user)["AccessKey"]
        return server.client("kms", made, region=kms.meta.region_name)

    return make


def test_aws_cli(server, proxy, name):
    environment = server.environment() | {"AWS_REGION": "eu-south-1", "AWS_DEFAULT_REGION": "eu-south-1"}
    # Version 1 would fetch what the address of the proxy leads to.
    (server.home / "config").write_text("[default]\ncli_follow_urlparam = false\n")

    def aws(*arguments):
        done = subprocess.run(
            ["aws", "kms", *arguments, "--output", "json"], env=environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout or "{}")

    store = aws(
        "create-custom-key-store", "--custom-key-store-name", name, "--custom-key-store-type", "EXTERNAL_KEY_STORE",
        "--xks-proxy-uri-endpoint", f"https://{HOST}", "--xks-proxy-uri-path", f"/{name}/kms/xks/v1",
        "--xks-proxy-connectivity", "PUBLIC_ENDPOINT", "--xks-proxy-authentication-credential",
        f"AccessKeyId={ACCESS_KEY},RawSecretAccessKey={SECRET}",
    )["CustomKeyStoreId"]  # fmt: skip
    aws("connect-custom-key-store", "--custom-key-store-id", store)
    settled(server.client("kms", region="eu-south-1"), store)
    (entry,) = aws("describe-custom-key-stores", "--custom-key-store-id", store)["CustomKeyStores"]
    assert entry["ConnectionState"] == "CONNECTED"
    external = proxy.add_key(f"cli-{name}")
    made = aws("create-key", "--origin", "EXTERNAL_KEY_STORE", "--custom-key-store-id", store, "--xks-key-id", external)
    sealed = aws("encrypt", "--key-id", made["KeyMetadata"]["KeyId"], "--plaintext", "aGVsbG8=")["CiphertextBlob"]
    (server.home / "sealed").write_bytes(base64.b64decode(sealed))
    opened = aws("decrypt", "--ciphertext-blob", f"fileb://{server.home / 'sealed'}")
    assert base64.b64decode(opened["Plaintext"])


def test_stores_outlive_a_kill(tmp_path, proxy, name):
    settings = tmp_path / "key-stores.toml"
    settings.write_text(proxy.settings())
    server = Server(tmp_path / "kept", "--key-stores", str(settings))
    kms = server.client("kms")
    store = kms.create_custom_key_store(**wanted(name))["CustomKeyStoreId"]
    connect(kms, store)
    external = proxy.add_key(f"kept-{name}")
    key = kms.create_key(Origin="EXTERNAL_KEY_STORE", CustomKeyStoreId=store, XksKeyId=external)["KeyMetadata"]
    sealed = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"hello")["CiphertextBlob"]
    server.kill()
    server.start()
    kms = server.client("kms")
    assert kms.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"hello"
    server.stop()
    for path in server.data.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path


def test_a_slow_proxy_has_the_time_that_it_is_given_and_no_more(tmp_path, proxy, name):
    settings = tmp_path / "key-stores.toml"
    settings.write_text(proxy.settings(milliseconds=1_500))
    server = Server(tmp_path / "slow", "--key-stores", str(settings))
    kms = server.client("kms")
    store = kms.create_custom_key_store(**wanted(name))["CustomKeyStoreId"]
    assert connect(kms, store)["ConnectionState"] == "CONNECTED"
    external = proxy.add_key(f"slow-{name}")
    key = kms.create_key(Origin="EXTERNAL_KEY_STORE", CustomKeyStoreId=store, XksKeyId=external)["KeyMetadata"]
    proxy.delay = 3
    begun = time.monotonic()
    with refused("KMSInvalidStateException", "did not respond in time"):
        kms.encrypt(KeyId=key["KeyId"], Plaintext=b"hello")
    assert time.monotonic() - begun < 3
    disconnect(kms, store)
    failed = connect(kms, store)
    assert (failed["ConnectionState"], failed["ConnectionErrorCode"]) == ("FAILED", "XKS_PROXY_TIMED_OUT")
    server.stop()


def test_a_proxy_with_a_bad_certificate_is_not_believed(tmp_path, proxy, name):
    stranger = XksProxy(tmp_path / "stranger")
    settings = tmp_path / "key-stores.toml"
    # The stranger listens where the operator says the proxy is, with a certificate of another authority.
    settings.write_text(proxy.settings().replace(str(proxy.port), str(stranger.port)))
    server = Server(tmp_path / "server", "--key-stores", str(settings))
    with refused("XksProxyUriUnreachableException", "cannot establish a TLS connection"):
        server.client("kms").create_custom_key_store(**wanted(name))
    assert stranger.asked == []
    server.stop()
    stranger.stop()


@pytest.fixture
def timed(tmp_path, proxy, monkeypatch):
    """A server whose clock moves only when told; clients sign with its time, not the machine's."""
    settings = tmp_path / "key-stores.toml"
    settings.write_text(proxy.settings())
    server = Server(tmp_path / "timed", "--clock", "virtual", "--key-stores", str(settings))
    machine_time = botocore.auth.get_current_datetime

    def server_time(*arguments, **named):
        return machine_time(*arguments, **named) + datetime.timedelta(seconds=server.ahead)

    monkeypatch.setattr(botocore.auth, "get_current_datetime", server_time)
    yield server
    server.stop()


def test_a_proxy_that_fails_is_noticed_by_itself(timed, proxy):
    kms = timed.client("kms")
    store = kms.create_custom_key_store(**wanted("watched"))["CustomKeyStoreId"]

    def up():
        text = timed.request("GET", "/_palisade/metrics")[2].decode()
        assert text.endswith("# EOF\n") and text.count("# EOF") == 1
        told = r'^palisade_up\{kind="external-key-store",account="(\d+)",region="([\w-]+)",id="([\w-]+)"\} (\d)$'
        return [(found[0], found[2], found[3]) for found in re.findall(told, text, re.MULTILINE)]

    def changes():
        all_of = [event for event in events(timed) if event["eventName"] == "CustomKeyStoreHealthChange"]
        assert all(event["eventType"] == "AwsServiceEvent" for event in all_of)
        return [event["serviceEventDetails"] for event in all_of]

    assert up() == []
    assert connect(kms, store)["ConnectionState"] == "CONNECTED"
    assert up() == [(ACCOUNT, store, "1")]
    # While it is well it is asked, and nothing is written.
    del proxy.asked[:]
    timed.advance(301)
    (asked,) = proxy.asked
    assert asked[0] == "health" and asked[2]["requestMetadata"]["kmsOperation"] == "KmsHealthCheck"
    timed.advance(100)
    assert len(proxy.asked) == 1
    assert changes() == [] and up() == [(ACCOUNT, store, "1")]

    # It fails: that is recorded once, and once more when it fails otherwise. Its store stays connected.
    proxy.managers = ["UNAVAILABLE"]
    timed.advance(300)
    assert up() == [(ACCOUNT, store, "0")] and described(kms, store)["ConnectionState"] == "CONNECTED"
    timed.advance(300)
    proxy.managers, proxy.credentials = ["ACTIVE"], {}
    timed.advance(300)
    first, second = changes()
    assert not first["healthy"] and first["customKeyStoreId"] == store
    assert first["connectionErrorCode"] == "XKS_PROXY_NOT_REACHABLE" and first["previousConnectionErrorCode"] is None
    assert second["previousConnectionErrorCode"] == "XKS_PROXY_NOT_REACHABLE"
    assert second["connectionErrorCode"] == "INVALID_CREDENTIALS"
    assert second["unhealthySince"] == first["unhealthySince"]

    # It is well again; and one that is disconnected is nobody's business.
    proxy.credentials = {ACCESS_KEY: SECRET}
    timed.advance(300)
    assert up() == [(ACCOUNT, store, "1")] and changes()[2]["healthy"]
    proxy.managers = ["UNAVAILABLE"]
    timed.advance(300)
    assert up() == [(ACCOUNT, store, "0")]
    disconnect(kms, store)
    assert up() == []
    timed.advance(300)
    assert len(changes()) == 4
    assert SECRET not in timed.log_text()
