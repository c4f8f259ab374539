"""`kill -9` in the middle of a key's life: whatever was sealed opens, unless its loss was acknowledged."""

import concurrent.futures
import contextlib
import json
import os
import threading

import botocore.exceptions
import pytest

from server import Server, in_parallel
from test_kms_import import give, wrap

ROUNDS = 8
# Keys that wait for their material when a round begins: making what it is wrapped with takes long.
WAITING = 6
HERE, THERE = "us-east-1", "eu-central-1"
GONE = (botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError)


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path / "server")
    yield server
    if server.process.poll() is None:
        server.stop()


class Told:
    """What one writer was told of one key: its sealed texts, and what became of it."""

    def __init__(self, key, material=None, parameters=None):
        self.key = key
        # Of a key that waits for its material: what GetParametersForImport gave.
        self.parameters = parameters
        # Of a key with imported material: all of it, in the order in which it was given.
        self.materials = [material] if material else []
        self.blobs = []
        # Operations that were asked for, and those that were answered too.
        self.asked = []
        self.done = []

    def seal(self, kms):
        text = os.urandom(16)
        blob = kms.encrypt(KeyId=self.key, Plaintext=text)["CiphertextBlob"]
        self.blobs.append((blob, text))

    @contextlib.contextmanager
    def asking(self, operation):
        self.asked.append(operation)
        yield
        self.done.append(operation)


def waiting(server):
    kms = server.client("kms")
    keys = []
    for _ in range(WAITING):
        key = kms.create_key(Origin="EXTERNAL")["KeyMetadata"]["KeyId"]
        parameters = kms.get_parameters_for_import(
            KeyId=key, WrappingAlgorithm="RSAES_OAEP_SHA_256", WrappingKeySpec="RSA_2048"
        )
        keys.append(Told(key, os.urandom(32), parameters))
    return keys


def rotated(server, all_told, _):
    """A key that rotates, and seals after each rotation."""
    kms = server.client("kms")
    while True:
        told = Told(kms.create_key()["KeyMetadata"]["KeyId"])
        all_told.append(told)
        told.seal(kms)
        for _ in range(10):
            with told.asking("rotate"):
                kms.rotate_key_on_demand(KeyId=told.key)
            told.seal(kms)


def imported(server, all_told, keys):
    """A key that is given material, rotates to more, and loses it again."""
    kms = server.client("kms")

    def import_material(told, **more):
        kms.import_key_material(
            KeyId=told.key,
            ImportToken=told.parameters["ImportToken"],
            EncryptedKeyMaterial=wrap(told.parameters["PublicKey"], "RSAES_OAEP_SHA_256", told.materials[-1]),
            ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE",
            **more,
        )

    for told in keys:
        all_told.append(told)
        with told.asking("import"):
            import_material(told)
        told.seal(kms)
        told.materials.append(os.urandom(32))
        with told.asking("import another"):
            import_material(told, ImportType="NEW_KEY_MATERIAL")
        with told.asking("rotate"):
            kms.rotate_key_on_demand(KeyId=told.key)
        told.seal(kms)
        with told.asking("delete material"):
            kms.delete_imported_key_material(KeyId=told.key)


def replicated(server, all_told, _):
    """A primary that seals, is replicated, rotates, and hands its place on."""
    here, there = server.client("kms", region=HERE), server.client("kms", region=THERE)
    while True:
        told = Told(here.create_key(MultiRegion=True)["KeyMetadata"]["KeyId"])
        all_told.append(told)
        told.seal(here)
        with told.asking("replicate"):
            here.replicate_key(KeyId=told.key, ReplicaRegion=THERE)
        told.seal(there)
        with told.asking("rotate"):
            here.rotate_key_on_demand(KeyId=told.key)
        told.seal(there)
        with told.asking("hand on"):
            here.update_primary_region(KeyId=told.key, PrimaryRegion=THERE)
        told.seal(here)


def scheduled(server, all_told, _):
    """A key whose deletion is scheduled, called back, and scheduled again."""
    kms = server.client("kms")
    while True:
        told = Told(kms.create_key()["KeyMetadata"]["KeyId"])
        all_told.append(told)
        told.seal(kms)
        with told.asking("schedule"):
            kms.schedule_key_deletion(KeyId=told.key, PendingWindowInDays=7)
        with told.asking("cancel"):
            kms.cancel_key_deletion(KeyId=told.key)
        with told.asking("enable"):
            kms.enable_key(KeyId=told.key)
        told.seal(kms)
        with told.asking("schedule"):
            kms.schedule_key_deletion(KeyId=told.key, PendingWindowInDays=7)


def state(kms, key):
    return kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"]


def opens(kms, told):
    for blob, text in told.blobs:
        assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == text, vars(told)


def check_rotated(server, told):
    kms = server.client("kms")
    made = len(kms.list_key_rotations(KeyId=told.key)["Rotations"])
    assert len(told.done) <= made <= len(told.asked), vars(told)
    opens(kms, told)


def check_imported(server, told):
    kms = server.client("kms")
    found = state(kms, told.key)
    if "delete material" in told.done:
        # The one loss that was acknowledged; and it is total until the material is given again.
        assert found == "PendingImport", vars(told)
    elif "import" in told.done and "delete material" not in told.asked:
        assert found == "Enabled", vars(told)
    else:
        assert found in ("Enabled", "PendingImport"), vars(told)
    if found == "PendingImport":
        for blob, _ in told.blobs:
            with pytest.raises(kms.exceptions.KMSInvalidStateException):
                kms.decrypt(CiphertextBlob=blob)
        # Whatever was sealed opens once the same material is there again.
        current = told.materials[1 if "rotate" in told.asked else 0]
        give(kms, told.key, current)
        assert state(kms, told.key) == "Enabled", vars(told)
    opens(kms, told)


def check_replicated(server, told):
    here, there = server.client("kms", region=HERE), server.client("kms", region=THERE)
    opens(here, told)
    if "replicate" in told.done:
        opens(there, told)
    elif "replicate" in told.asked:
        # There whole or not at all.
        with contextlib.suppress(there.exceptions.NotFoundException):
            there.describe_key(KeyId=told.key)
            opens(there, told)
    if "replicate" not in told.done:
        return
    # Both say the same of who is the primary, and one is.
    primaries = set()
    for kms in (here, there):
        primaries.add(kms.describe_key(KeyId=told.key)["KeyMetadata"]["MultiRegionConfiguration"]["PrimaryKey"]["Region"])
    assert len(primaries) == 1, (primaries, vars(told))
    if "hand on" in told.done:
        assert primaries == {THERE}, vars(told)
    if "hand on" not in told.asked:
        assert primaries == {HERE}, vars(told)


def check_scheduled(server, told):
    kms = server.client("kms")
    found = state(kms, told.key)
    after = {"schedule": "PendingDeletion", "cancel": "Disabled", "enable": "Enabled"}
    possible = {after[told.done[-1]] if told.done else "Enabled"}
    if len(told.asked) > len(told.done):
        possible.add(after[told.asked[-1]])
    assert found in possible, (found, vars(told))
    if found == "PendingDeletion":
        kms.cancel_key_deletion(KeyId=told.key)
        found = "Disabled"
    if found == "Disabled":
        kms.enable_key(KeyId=told.key)
    opens(kms, told)


LIVES = [
    (rotated, check_rotated),
    (imported, check_imported),
    (replicated, check_replicated),
    (scheduled, check_scheduled),
]


def test_whatever_was_sealed_opens(server):
    seen = {check: [] for _, check in LIVES}
    for round_number in range(ROUNDS):
        keys = waiting(server)
        killer = threading.Timer(0.1 + 0.13 * round_number, server.process.kill)
        killer.start()
        all_told = [[] for _ in LIVES]

        def live(number):
            with contextlib.suppress(*GONE):
                LIVES[number][0](server, all_told[number], keys)

        in_parallel(len(LIVES), live)
        killer.join()
        server.process.wait(30)
        assert '"whole": true' in server.palisade("verify", "--data", server.data, "--json").stdout.replace('":t', '": t')
        server.start()
        with concurrent.futures.ThreadPoolExecutor(len(LIVES)) as pool:
            checks = []
            for (_, check), told in zip(LIVES, all_told):
                seen[check] += told
                # Of each life the one that was cut off and what went shortly before it.
                checks += [pool.submit(check, server, one) for one in told[-8:]]
            for one in checks:
                one.result()
    done = {operation for told in seen.values() for one in told for operation in one.done}
    assert done >= {"rotate", "import", "delete material", "replicate", "hand on", "schedule", "cancel"}
    cut_off = [one for told in seen.values() for one in told if len(one.asked) > len(one.done)]
    assert cut_off, "no operation was cut off: nothing was tested"
