"""The AWS Encryption SDK: envelope encryption by a client that reads our errors and parses our ARNs."""

import aws_encryption_sdk
import pytest
from aws_encryption_sdk.exceptions import DecryptKeyError, GenerateKeyError

from policies import allow
from server import ROOT_KEY, ROOT_SECRET

CONTEXT = {"purpose": "conformance", "app": "shop"}


@pytest.fixture
def act_as(palisade, monkeypatch):
    """The SDK makes its own clients, so it is pointed here as a user points it: by the environment."""

    def act_as(credentials):
        for variable, value in {
            "AWS_ENDPOINT_URL": palisade.url,
            "AWS_ACCESS_KEY_ID": credentials["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            monkeypatch.setenv(variable, value)

    act_as({"AccessKeyId": ROOT_KEY, "SecretAccessKey": ROOT_SECRET})
    return act_as


def client():
    return aws_encryption_sdk.EncryptionSDKClient()


def keys(*arns):
    return aws_encryption_sdk.StrictAwsKmsMasterKeyProvider(key_ids=list(arns))


def test_a_message_makes_the_round_trip(act_as, key):
    sealed, header = client().encrypt(source=b"a message", key_provider=keys(key["Arn"]), encryption_context=CONTEXT)
    assert header.encryption_context.items() >= CONTEXT.items()
    opened, _ = client().decrypt(source=sealed, key_provider=keys(key["Arn"]))
    assert opened == b"a message"
    discovered, _ = client().decrypt(source=sealed, key_provider=aws_encryption_sdk.DiscoveryAwsKmsMasterKeyProvider())
    assert discovered == b"a message"


def test_any_of_several_keys_opens_it(act_as, kms, new_key):
    first, second, third = (new_key() for _ in range(3))
    sealed, _ = client().encrypt(source=b"m", key_provider=keys(first["Arn"], second["Arn"]))
    kms.disable_key(KeyId=first["KeyId"])
    assert client().decrypt(source=sealed, key_provider=keys(first["Arn"], second["Arn"]))[0] == b"m"
    with pytest.raises(aws_encryption_sdk.exceptions.AWSEncryptionSDKClientError):
        client().decrypt(source=sealed, key_provider=keys(third["Arn"]))


def test_who_may_not_is_refused(act_as, key, new_user):
    sealed, _ = client().encrypt(source=b"m", key_provider=keys(key["Arn"]), encryption_context=CONTEXT)
    user = new_user(
        allow("kms:Decrypt", key["Arn"], Condition={"StringEquals": {"kms:EncryptionContext:app": "shop"}})
    )
    act_as(user.credentials)
    assert client().decrypt(source=sealed, key_provider=keys(key["Arn"]))[0] == b"m"
    with pytest.raises(GenerateKeyError):
        client().encrypt(source=b"m", key_provider=keys(key["Arn"]))
    user.may(allow("kms:GenerateDataKey", key["Arn"]))
    client().encrypt(source=b"m", key_provider=keys(key["Arn"]))
    with pytest.raises((DecryptKeyError, aws_encryption_sdk.exceptions.AWSEncryptionSDKClientError)):
        client().decrypt(source=sealed, key_provider=keys(key["Arn"]))


def test_what_was_changed_or_is_of_another_context_does_not_open(act_as, key):
    sealed, _ = client().encrypt(source=b"a message", key_provider=keys(key["Arn"]), encryption_context=CONTEXT)
    # The header (whose context and data keys are authenticated), the body and the signature at its end.
    for place in (sealed.index(b"conformance"), len(sealed) // 3, len(sealed) // 2, len(sealed) - 1):
        changed = sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]
        with pytest.raises(Exception) as caught:
            client().decrypt(source=changed, key_provider=keys(key["Arn"]))
        assert b"a message" not in str(caught.value).encode()
    with pytest.raises(aws_encryption_sdk.exceptions.AWSEncryptionSDKClientError):
        client().decrypt(source=sealed[:-40], key_provider=keys(key["Arn"]))
    # A context that is told must be the message's.
    opened, header = client().decrypt(source=sealed, key_provider=keys(key["Arn"]))
    assert opened == b"a message" and header.encryption_context["app"] == "shop"
    other = sealed.replace(b"shop", b"shoq")
    with pytest.raises((DecryptKeyError, aws_encryption_sdk.exceptions.AWSEncryptionSDKClientError)):
        client().decrypt(source=other, key_provider=keys(key["Arn"]))
