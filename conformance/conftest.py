"""What every test may ask for."""

import datetime
import itertools
import json

import botocore.auth
import pytest

from server import OTHER_ACCOUNT, ACCOUNT, Server

NUMBERS = itertools.count(1)


def pytest_collection_modifyitems(items):
    """Terraform waits much and works little: begun first, it ends with the others."""
    items.sort(key=lambda item: "terraform" not in item.nodeid)


@pytest.fixture(scope="session")
def palisade(tmp_path_factory):
    """One server for the tests that only add to it. At the end it must be unhurt."""
    server = Server(tmp_path_factory.mktemp("palisade"))
    yield server
    panics = server.metric("palisade_panics_total")
    server.stop()
    assert panics == 0, server.log_text()
    assert "panicked" not in server.log_text()


@pytest.fixture
def timed(tmp_path, monkeypatch):
    """A server whose clock moves only when told; clients sign with its time, not the machine's."""
    server = Server(tmp_path / "timed", "--clock", "virtual")
    machine_time = botocore.auth.get_current_datetime

    def server_time(*arguments, **named):
        return machine_time(*arguments, **named) + datetime.timedelta(seconds=server.ahead)

    monkeypatch.setattr(botocore.auth, "get_current_datetime", server_time)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def kms(palisade):
    return palisade.client("kms")


@pytest.fixture(scope="session")
def iam(palisade):
    return palisade.client("iam")


@pytest.fixture(scope="session")
def sts(palisade):
    return palisade.client("sts")


@pytest.fixture
def name():
    """A name nobody has."""
    return f"test-{next(NUMBERS)}"


@pytest.fixture
def new_key(kms):
    """Makes keys: `new_key()`, `new_key(KeySpec=…)`; gives the metadata."""

    def make(**arguments):
        return kms.create_key(**arguments)["KeyMetadata"]

    return make


@pytest.fixture(scope="session")
def key(kms):
    """An enabled symmetric key to be used, not changed."""
    return kms.create_key(Description="shared by tests that only use it")["KeyMetadata"]


class Person:
    """An IAM user with an access key."""

    def __init__(self, server, name):
        self.server, self.name = server, name
        self.iam = server.client("iam")
        self.arn = self.iam.create_user(UserName=name)["User"]["Arn"]
        self.credentials = self.iam.create_access_key(UserName=name)["AccessKey"]

    def may(self, *statements, policy="conformance"):
        """Replaces the user's policy."""
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        self.iam.put_user_policy(UserName=self.name, PolicyName=policy, PolicyDocument=document)

    def client(self, service, **more):
        return self.server.client(service, self.credentials, **more)


@pytest.fixture
def new_user(palisade):
    """Makes users: `new_user()` with no rights, `new_user(allow(…))` with some."""

    def make(*statements):
        person = Person(palisade, f"user-{next(NUMBERS)}")
        if statements:
            person.may(*statements)
        return person

    return make


@pytest.fixture
def new_role(palisade, iam, sts):
    """Makes roles of this account that its root's delegates may assume."""

    def make(*statements, trust=None, **arguments):
        role = f"role-{next(NUMBERS)}"
        trust = trust or {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": trust})
        made = iam.create_role(RoleName=role, AssumeRolePolicyDocument=document, **arguments)["Role"]
        if statements:
            policy = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
            iam.put_role_policy(RoleName=role, PolicyName="conformance", PolicyDocument=policy)
        return made

    return make


@pytest.fixture(scope="session")
def account():
    return ACCOUNT


@pytest.fixture(scope="session")
def other_account():
    return OTHER_ACCOUNT
