"""A disk that is really full: calls are refused, none is dropped, and all is well again when there is room."""

import collections
import json
import os
import pathlib
import shutil
import subprocess
import time

import botocore.exceptions
import pytest

from refusals import refused
from server import Server

DISK_MIB = 48
# One step of the journal's space holds about four thousand records.
CALLS_MAX = 6_000
FILLINGS_MAX = 10
# Longer than the journal waits before it asks for space again.
PROBE_SECONDS = 0.4
MOUNT = f'mount -t tmpfs -o size={DISK_MIB}m none "$0"'


def namespace(directory):
    """How to get a mount namespace here: as root, or in a user namespace."""
    for flags in (["--mount"], ["--user", "--map-root-user", "--mount"]):
        tried = subprocess.run(["unshare", *flags, "sh", "-c", MOUNT, str(directory)], capture_output=True)
        if tried.returncode == 0:
            return ["unshare", *flags]
    pytest.fail("a full disk needs a small file system: run as root, or allow user namespaces")


class OnASmallDisk(Server):
    """A server whose data directory is a small file system that vanishes with it."""

    def start(self):
        self.data.mkdir(parents=True, exist_ok=True)
        self.wrapper = (*namespace(self.data), "sh", "-c", f'{MOUNT} && exec "$@"', self.data)
        super().start()

    @property
    def disk(self):
        """The small file system as seen from outside its namespace."""
        return pathlib.Path(f"/proc/{self.process.pid}/root{self.data}")


@pytest.fixture
def server(tmp_path):
    server = OnASmallDisk(tmp_path / "server")
    yield server
    if server.process.poll() is None:
        server.stop()


def take_the_rest(path):
    """Takes every byte that the file system still gives."""
    with open(path, "wb", buffering=0) as ballast:
        for size in (1 << 16, 1 << 12):
            try:
                while True:
                    ballast.write(b"x" * size)
            except OSError:
                continue


def test_a_full_disk_refuses_and_loses_nothing(server, tmp_path):
    kms = server.client("kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    outcomes = []

    def is_answered():
        try:
            kms.generate_random(NumberOfBytes=8)
            outcomes.append(True)
        except botocore.exceptions.ClientError as error:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 503, error
            outcomes.append(False)
        return outcomes[-1]

    # The store may give a page back that it no longer needs: then that is taken as well.
    for filling in range(FILLINGS_MAX):
        take_the_rest(server.disk / f"ballast-{filling}")
        assert not all(is_answered() for _ in range(CALLS_MAX)), "the disk is not full"
        time.sleep(PROBE_SECONDS)
        if not is_answered():
            break
    else:
        pytest.fail("the disk does not stay full")
    with refused("ServiceUnavailable", "cannot be recorded", 503):
        kms.generate_random(NumberOfBytes=8)
    with refused("ServiceUnavailable", "cannot be recorded", 503):
        kms.create_key()
    assert server.get("/_palisade/health")["status"] == "ok"
    assert server.metric("palisade_refused_total") >= 3

    for ballast in server.disk.glob("ballast-*"):
        os.remove(ballast)
    deadline = time.monotonic() + 15
    while True:
        try:
            kms.describe_key(KeyId=key)
            break
        except botocore.exceptions.ClientError:
            assert time.monotonic() < deadline, "it does not come back"
            time.sleep(0.1)
    kms.create_key()

    copied = tmp_path / "copied"
    shutil.copytree(server.disk / "journal", copied / "journal")
    assert json.loads(server.palisade("verify", "--data", copied, "--json").stdout)["whole"]
    records = server.palisade("verify", "--data", copied, "--records").stdout.splitlines()
    names = collections.Counter(json.loads(record)["eventName"] for record in records)
    assert names["GenerateRandom"] == outcomes.count(True)
    # Once each time that the disk became full: at a refusal after an answer.
    became_full = [now for before, now in zip([True, *outcomes], outcomes) if before and not now]
    assert names["RecordingSuspended"] == len(became_full)
    assert names["CreateKey"] == 2
