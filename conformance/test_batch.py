"""Many calls in one request, as the documentation page shows it."""

import base64
import json

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
import pytest

from policies import allow
from server import REGION


def sent(palisade, person, body):
    """Signs a body as a batch for KMS, and gives status and answer."""
    request = AWSRequest("POST", f"{palisade.url}/_palisade/kms/batch", data=body)
    credentials = Credentials(person.credentials["AccessKeyId"], person.credentials["SecretAccessKey"])
    SigV4Auth(credentials, "kms", REGION).add_auth(request)
    status, _, answer = palisade.request("POST", "/_palisade/kms/batch", body, dict(request.headers))
    return status, answer


def batch(palisade, person, calls):
    """Signs the calls as one request to KMS and gives the answers."""
    status, answer = sent(palisade, person, json.dumps({"calls": calls}))
    assert status == 200, answer
    return json.loads(answer)["answers"]


def test_what_a_batch_encrypts_a_client_decrypts(palisade, kms, key, new_user):
    person = new_user(allow("kms:Encrypt", key["Arn"]))
    texts = [f"secret {number}".encode() for number in range(300)]
    context = {"purpose": "batch"}
    calls = [
        {
            "operation": "Encrypt",
            "input": {"KeyId": key["KeyId"], "Plaintext": base64.b64encode(text).decode(), "EncryptionContext": context},
        }
        for text in texts
    ]
    answers = batch(palisade, person, calls)
    assert [answer["status"] for answer in answers] == [200] * 300
    assert len({answer["requestId"] for answer in answers}) == 300
    for text, answer in list(zip(texts, answers))[::50]:
        blob = base64.b64decode(answer["body"]["CiphertextBlob"])
        assert kms.decrypt(CiphertextBlob=blob, EncryptionContext=context)["Plaintext"] == text


def test_each_call_is_authorized_by_itself_and_can_be_explained(palisade, key, new_key, new_user):
    other = new_key()
    person = new_user(allow("kms:Encrypt", key["Arn"]))
    calls = [
        {"operation": "Encrypt", "input": {"KeyId": which["KeyId"], "Plaintext": "eA=="}} for which in (key, other, key)
    ] + [{"operation": "DisableKey", "input": {"KeyId": key["KeyId"]}}]
    first, second, third, fourth = batch(palisade, person, calls)
    assert (first["status"], second["status"], third["status"], fourth["status"]) == (200, 400, 200, 400)
    assert second["body"]["__type"].endswith("AccessDeniedException")
    assert fourth["body"]["__type"].endswith("ValidationException")
    why = palisade.palisade("why", second["requestId"], "--json")
    assert json.loads(why.stdout)["decisions"][0]["allowed"] is False


def test_answers_have_a_bound_and_what_is_beyond_it_is_not_run(palisade, kms, new_key, new_user, account):
    """A thousand short questions can ask for as many long policies."""
    padding = [{"Sid": "x" * 500, "Effect": "Deny", "Principal": {"AWS": account}, "Action": "kms:ListKeys", "Resource": "*"}] * 40
    own = {"Effect": "Allow", "Principal": {"AWS": account}, "Action": "kms:*", "Resource": "*"}
    key = new_key(Policy=json.dumps({"Version": "2012-10-17", "Statement": [own, *padding]}))
    person = new_user(allow("kms:GetKeyPolicy", key["Arn"]))
    answers = batch(palisade, person, [{"operation": "GetKeyPolicy", "input": {"KeyId": key["KeyId"]}}] * 1000)
    statuses = [answer["status"] for answer in answers]
    fit = statuses.count(200)
    assert statuses == [200] * fit + [400] * (1000 - fit)
    assert 8 << 20 < sum(len(json.dumps(answer)) for answer in answers[:fit]) < 10 << 20
    assert all(answer["body"]["__type"] == "LimitExceededException" for answer in answers[fit:])
    assert "another batch" in answers[-1]["body"]["message"]


@pytest.mark.parametrize("operation", ["Encrypt", "Enc\\u0072ypt"])
def test_a_name_may_be_spelled_as_json_spells_it(palisade, key, new_user, operation):
    call = '{"operation":"%s","input":{"KeyId":"%s","Plaintext":"eA=="}}' % (operation, key["KeyId"])
    answer = sent(palisade, new_user(allow("kms:Encrypt", key["Arn"])), '{"calls":[%s]}' % call)
    assert [one["status"] for one in json.loads(answer[1])["answers"]] == [200]


def test_a_batch_that_is_too_long_is_told_so_as_other_batches_are(palisade, new_user):
    status, answer = sent(palisade, new_user(), " " * (1 << 20) + "{}")
    assert (status, json.loads(answer)["error"]["code"]) == (413, "RequestEntityTooLarge")


@pytest.mark.parametrize("body", ["", "{}", '{"calls":[]}', '{"calls":[{"operation":"Encrypt"}]}', "[" * 5000])
def test_what_is_no_batch_is_told_so(palisade, new_user, body):
    status, answer = sent(palisade, new_user(), body)
    assert (status, json.loads(answer)["error"]["code"]) == (400, "ValidationException")
