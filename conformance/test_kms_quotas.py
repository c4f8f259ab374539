"""Request quotas, met by a client that does not retry."""

import pytest

from refusals import refused
from server import Server


@pytest.fixture
def hurried(tmp_path):
    server = Server(tmp_path / "hurried", "--clock", "virtual", "--kms-request-quotas")
    yield server
    server.stop()


def test_throttled_until_the_next_second(hurried):
    kms = hurried.client("kms")
    for _ in range(5):
        kms.create_key()
    with refused("ThrottlingException", "exceeded the rate", status=400):
        kms.create_key()
    kms.list_keys()
    hurried.advance(1)
    kms.create_key()
