"""boto3 where a service's model names rpcv2Cbor, which it then prefers.

No service here names it yet; so KMS is made to, by a model that differs in that alone.
"""

import json

import botocore
import botocore.session
import pytest
from botocore.loaders import Loader

from server import REGION, ROOT_KEY, ROOT_SECRET


@pytest.fixture(scope="module")
def cbor(palisade, tmp_path_factory):
    """A KMS client that speaks rpcv2Cbor."""
    data = tmp_path_factory.mktemp("models")
    loader = Loader()
    model = loader.load_service_model("kms", "service-2")
    model["metadata"]["protocols"] = ["smithy-rpc-v2-cbor"]
    model["metadata"]["protocol"] = "smithy-rpc-v2-cbor"
    version = loader.determine_latest_version("kms", "service-2")
    (data / "kms" / version).mkdir(parents=True)
    (data / "kms" / version / "service-2.json").write_text(json.dumps(model))
    session = botocore.session.Session()
    session.get_component("data_loader").search_paths.insert(0, str(data))
    client = session.create_client(
        "kms",
        region_name=REGION,
        endpoint_url=palisade.url,
        aws_access_key_id=ROOT_KEY,
        aws_secret_access_key=ROOT_SECRET,
    )
    assert client.meta.service_model.metadata["protocol"] == "smithy-rpc-v2-cbor"
    return client


def test_it_says_what_json_says(cbor, kms):
    made = cbor.create_key(Description="made in CBOR", Tags=[{"TagKey": "a", "TagValue": "b"}])
    assert made["ResponseMetadata"]["HTTPHeaders"]["smithy-protocol"] == "rpc-v2-cbor"
    key = made["KeyMetadata"]["KeyId"]
    assert cbor.describe_key(KeyId=key)["KeyMetadata"] == kms.describe_key(KeyId=key)["KeyMetadata"]
    sealed = cbor.encrypt(KeyId=key, Plaintext=b"\0\xff text", EncryptionContext={"a": "b"})
    opened = kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"], EncryptionContext={"a": "b"})
    assert opened["Plaintext"] == b"\0\xff text"
    # An operation that answers nothing.
    assert cbor.disable_key(KeyId=key)["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_it_fails_as_json_fails(cbor, kms, new_user, palisade):
    missing = "1234abcd-12ab-34cd-56ef-1234567890ab"
    told = []
    for client in (cbor, kms):
        with pytest.raises(client.exceptions.NotFoundException) as failed:
            client.describe_key(KeyId=missing)
        told.append(failed.value.response["Error"])
    assert told[0]["Message"] == told[1]["Message"]


def test_who_signed_wrong_is_told_in_cbor(palisade):
    status, headers, body = palisade.request(
        "POST",
        "/service/TrentService/operation/ListKeys",
        b"\xa0",
        {"smithy-protocol": "rpc-v2-cbor", "content-type": "application/cbor"},
    )
    assert (status, headers["content-type"]) == (400, "application/cbor")
    assert b"MissingAuthenticationToken" in body
