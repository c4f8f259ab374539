"""`kill -9` in the middle of work: nothing acknowledged is lost, and the record stays whole."""

import json
import threading

import botocore.exceptions
import pytest

from server import Server, in_parallel

ROUNDS = 5
WRITERS = 4


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path / "server")
    yield server
    if server.process.poll() is None:
        server.stop()


def verified(server):
    return json.loads(server.palisade("verify", "--data", server.data, "--json").stdout)


def test_nothing_acknowledged_is_lost(server):
    """Writers create and tag keys until the server dies under them; then everything they were told must be there."""
    acknowledged = {}
    lock = threading.Lock()

    def write(number):
        kms = server.client("kms")
        try:
            for count in range(10_000):
                made = kms.create_key(Description=f"{number}-{count}")["KeyMetadata"]["KeyId"]
                with lock:
                    acknowledged[made] = {"description": f"{number}-{count}", "tags": {}}
                blob = kms.encrypt(KeyId=made, Plaintext=made.encode())["CiphertextBlob"]
                kms.tag_resource(KeyId=made, Tags=[{"TagKey": "count", "TagValue": str(count)}])
                with lock:
                    acknowledged[made].update(tags={"count": str(count)}, blob=blob)
        except (botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError):
            pass  # the server is gone

    for round_number in range(ROUNDS):
        killer = threading.Timer(0.4 + 0.15 * round_number, server.process.kill)
        killer.start()
        in_parallel(WRITERS, write)
        killer.join()
        server.process.wait(30)
        # The record must be whole as it lies there, and after the next start.
        assert verified(server)["whole"] is True
        server.start()
        assert_all_is_there(server, acknowledged)
    assert len(acknowledged) > ROUNDS
    server.stop()
    assert verified(server)["whole"] is True


def assert_all_is_there(server, acknowledged):
    kms = server.client("kms")
    listed = {
        key["KeyId"] for page in kms.get_paginator("list_keys").paginate() for key in page["Keys"]
    }
    assert listed >= set(acknowledged)
    for made, told in acknowledged.items():
        assert kms.describe_key(KeyId=made)["KeyMetadata"]["Description"] == told["description"]
        tags = {tag["TagKey"]: tag["TagValue"] for tag in kms.list_resource_tags(KeyId=made)["Tags"]}
        # A tag whose answer was cut off may be there: it was never acknowledged, and never refused.
        assert tags.items() >= told["tags"].items()
        if "blob" in told:
            assert kms.decrypt(CiphertextBlob=told["blob"])["Plaintext"] == made.encode()


def test_every_acknowledged_call_is_in_the_record(server):
    kms = server.client("kms")
    ids = set()
    for _ in range(50):
        answer = kms.generate_random(NumberOfBytes=1)
        ids.add(answer["ResponseMetadata"]["RequestId"])
    ids.add(kms.create_key()["ResponseMetadata"]["RequestId"])
    server.kill()
    before = verified(server)["report"]
    assert before["position"] >= len(ids)
    server.start()
    for request_id in ids:
        assert request_id in server.palisade("why", request_id, "--json").stdout


def test_one_byte_changed_is_found(server):
    kms = server.client("kms")
    for _ in range(20):
        kms.generate_random(NumberOfBytes=8)
    server.stop()
    assert "The record is whole" in server.palisade("verify", "--data", server.data).stdout
    (segment,) = (server.data / "journal").glob("*.segment")
    whole = segment.read_bytes()
    at = whole.index(b"GenerateRandom")
    for position in (at, len(whole) // 2, 40):
        broken = bytearray(whole)
        broken[position] ^= 0x20
        segment.write_bytes(broken)
        done = server.palisade("verify", "--data", server.data, check=False)
        assert done.returncode == 2 and "NOT whole" in done.stdout, (position, done)
    segment.write_bytes(whole)
    assert json.loads(server.palisade("verify", "--data", server.data, "--json").stdout)["whole"] is True
    # A record taken from the end is missed too.
    segment.write_bytes(whole[: whole.rindex(b"GenerateRandom")])
    done = server.palisade("verify", "--data", server.data, check=False)
    assert done.returncode == 2, done
