"""`palisade import`: keys made elsewhere, in the forms in which they leave there, and what still opens with them."""

import base64
import json
import os
import uuid

import pytest
from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from policies import allow, deny
from programs import recorded
from server import ACCOUNT, Server

OAEP = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)


def b64(data):
    return base64.b64encode(data).decode()


def pem(private, form=serialization.PrivateFormat.TraditionalOpenSSL):
    return private.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


@pytest.fixture
def write(tmp_path):
    def write(content, name="keys.json"):
        path = tmp_path / name
        if isinstance(content, dict):
            content = json.dumps(content)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(0o600)
        return path

    return write


@pytest.fixture
def bring(palisade):
    """Imports, and gives the rows that are told."""

    def bring(*arguments, failing=False, **more):
        done = palisade.palisade("import", "--json", *arguments, check=False, **more)
        assert done.returncode == (1 if failing else 0), done.stdout + done.stderr
        return json.loads(done.stdout)["keys"]

    return bring


def export(name, kind, *keys):
    """The answer of `transit/export/…`."""
    keys = {str(number): key for number, key in enumerate(keys, 1)}
    return {"request_id": str(uuid.uuid4()), "data": {"name": name, "type": kind, "keys": keys}}


def backup(name, kind, entries, **policy):
    """The answer of `transit/backup/…`: all versions archived, the last in use."""
    document = {
        "policy": {"name": name, "type": kind, "keys": {str(len(entries)): entries[-1]}, **policy},
        "archived_keys": {"keys": [{"key": None}, *entries]},
    }
    return {"data": {"backup": b64(json.dumps(document).encode())}}


def states(rows):
    return [row["state"] for row in rows]


def test_versions_of_a_transit_key_become_materials_of_one_key(palisade, kms, bring, write, new_user, name):
    materials = [os.urandom(32) for _ in range(3)]
    path = write(export(name, "aes256-gcm96", *map(b64, materials)))
    user = new_user(allow("kms:*"))
    (row,) = bring("--from", "transit", path, credentials=user.credentials)
    assert (row["state"], row["versions"], row["alias"]) == ("imported", "1,2,3", f"alias/imported/{name}")
    key = row["keyId"]
    assert kms.describe_key(KeyId=row["alias"])["KeyMetadata"]["Origin"] == "EXTERNAL"
    listed = kms.list_key_rotations(KeyId=key, IncludeKeyMaterial="ALL_KEY_MATERIAL")["Rotations"]
    assert [each["KeyMaterialDescription"] for each in listed] == ["version 1", "version 2", "version 3"]
    assert [each["KeyMaterialState"] for each in listed] == ["NON_CURRENT", "NON_CURRENT", "CURRENT"]
    blob = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=blob)["KeyMaterialId"] == listed[2]["KeyMaterialId"]
    did = {operation for operation, error in recorded(palisade, user.arn) if error is None}
    assert {"CreateKey", "CreateAlias", "GetParametersForImport", "ImportKeyMaterial", "RotateKeyOnDemand"} <= did

    # What is there already is left, and other material is not taken for it.
    assert states(bring("--from", "transit", path)) == ["already there"]
    assert len(kms.list_key_rotations(KeyId=key, IncludeKeyMaterial="ALL_KEY_MATERIAL")["Rotations"]) == 3
    other = write(export(name, "aes256-gcm96", *map(b64, [*materials[:2], os.urandom(32)])))
    (row,) = bring("--from", "transit", other, failing=True)
    assert "IncorrectKeyMaterialException" in row["reason"]
    # A fourth version is added.
    more = write(export(name, "aes256-gcm96", *map(b64, [*materials, os.urandom(32)])))
    assert states(bring("--from", "transit", more)) == ["imported"]
    assert len(kms.list_key_rotations(KeyId=key, IncludeKeyMaterial="ALL_KEY_MATERIAL")["Rotations"]) == 4
    # No file of it says so, but what is deleted comes back by the same command.
    kms.delete_imported_key_material(KeyId=key, KeyMaterialId=listed[0]["KeyMaterialId"])
    bring("--from", "transit", more)
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Enabled"
    log = palisade.log_text()
    assert all(b64(material) not in log and material.hex() not in log for material in materials)


def test_it_goes_on_where_it_was_broken_off(kms, bring, write, new_user, name):
    path = write(export(name, "aes256-gcm96", *(b64(os.urandom(32)) for _ in range(3))))
    for denied, told in (
        ("kms:CreateAlias", "kms:CreateAlias"),
        ("kms:ImportKeyMaterial", "kms:ImportKeyMaterial"),
        ("kms:RotateKeyOnDemand", "kms:RotateKeyOnDemand"),
    ):
        user = new_user(allow("kms:*"), deny(denied))
        (row,) = bring("--from", "transit", path, credentials=user.credentials, failing=True)
        assert row["state"] == "REFUSED" and told in row["reason"]
    (row,) = bring("--from", "transit", path)
    assert row["state"] == "imported"
    listed = kms.list_key_rotations(KeyId=row["keyId"], IncludeKeyMaterial="ALL_KEY_MATERIAL")["Rotations"]
    assert [each["KeyMaterialState"] for each in listed] == ["NON_CURRENT", "NON_CURRENT", "CURRENT"]


def test_an_rsa_key_still_opens_what_the_engine_encrypted(kms, bring, write, name):
    old, new = (rsa.generate_private_key(65537, 2048) for _ in range(2))
    path = write(export(name, "rsa-2048", pem(old), pem(new)))
    (row,) = bring("--from", "transit", path, failing=True)
    assert "--usage" in row["reason"]
    rows = bring("--from", "transit", path, "--usage", "encrypt-decrypt")
    assert [row["alias"] for row in rows] == [f"alias/imported/{name}-v1", f"alias/imported/{name}"]
    for number, (private, row) in enumerate(zip((old, new), rows), 1):
        told = f"vault:v{number}:" + b64(private.public_key().encrypt(b"a secret", OAEP))
        blob = base64.b64decode(told.split(":")[2])
        opened = kms.decrypt(KeyId=row["alias"], CiphertextBlob=blob, EncryptionAlgorithm="RSAES_OAEP_SHA_256")
        assert opened["Plaintext"] == b"a secret"
    assert states(bring("--from", "transit", path, "--usage", "encrypt-decrypt")) == ["already there"] * 2


def test_an_hmac_key_makes_the_same_mac(kms, bring, write, name):
    material = os.urandom(32)
    # An export of type hmac-key names the type of the whole key.
    path = write(export(name, "aes256-gcm96", b64(material)))
    (row,) = bring("--from", "transit", path, "--usage", "generate-verify-mac")
    assert row["kind"] == "HMAC_256 GENERATE_VERIFY_MAC"
    mac = hmac.HMAC(material, hashes.SHA256())
    mac.update(b"message")
    made = kms.generate_mac(KeyId=row["keyId"], Message=b"message", MacAlgorithm="HMAC_SHA_256")["Mac"]
    assert made == mac.finalize()


CURVES = [("ecdsa-p256", 1, ec.SECP256R1()), ("ecdsa-p384", 6, ec.SECP384R1()), ("ecdsa-p521", 7, ec.SECP521R1())]


@pytest.mark.parametrize("kind, number, curve", CURVES)
def test_curves_by_export_and_by_backup(kms, bring, write, name, kind, number, curve):
    private = ec.generate_private_key(curve)
    numbers = private.private_numbers()
    point = numbers.public_numbers
    entry = {"key": None, "ec_x": point.x, "ec_y": point.y, "ec_d": numbers.private_value, "rsa_key": None}
    first = bring("--from", "transit", write(export(f"{name}-e", kind, pem(private))))
    second = bring("--from", "transit", write(backup(f"{name}-b", number, [entry])))
    for (row,) in (first, second):
        public = serialization.load_der_public_key(kms.get_public_key(KeyId=row["keyId"])["PublicKey"])
        assert public == private.public_key()
    digest = hashes.Hash(hashes.SHA256())
    digest.update(b"m")
    signature = private.sign(digest.finalize(), ec.ECDSA(Prehashed(hashes.SHA256())))
    if kind == "ecdsa-p256":
        verified = kms.verify(KeyId=row["keyId"], Message=b"m", Signature=signature, SigningAlgorithm="ECDSA_SHA_256")
        assert verified["SignatureValid"]


def test_ed25519_and_rsa_by_backup(kms, bring, write, name):
    edwards = ed25519.Ed25519PrivateKey.generate()
    raw = edwards.private_bytes_raw() + edwards.public_key().public_bytes_raw()
    (row,) = bring("--from", "transit", write(backup(f"{name}-ed", 2, [{"key": b64(raw)}])))
    public = serialization.load_der_public_key(kms.get_public_key(KeyId=row["keyId"])["PublicKey"])
    assert public == edwards.public_key()
    (row,) = bring("--from", "transit", write(export(f"{name}-ed2", "ed25519", b64(raw))))
    assert row["kind"] == "ECC_NIST_EDWARDS25519 SIGN_VERIFY"

    private = rsa.generate_private_key(65537, 3072)
    numbers = private.private_numbers()
    entry = {
        "key": None,
        "rsa_key": {
            "N": numbers.public_numbers.n,
            "E": numbers.public_numbers.e,
            "D": numbers.d,
            "Primes": [numbers.p, numbers.q],
            "Precomputed": {"Dp": numbers.dmp1, "Dq": numbers.dmq1, "Qinv": numbers.iqmp, "CRTValues": []},
        },
    }
    (row,) = bring("--from", "transit", write(backup(f"{name}-rsa", 9, [entry])), "--usage", "sign-verify")
    public = serialization.load_der_public_key(kms.get_public_key(KeyId=row["keyId"])["PublicKey"])
    assert public == private.public_key()


def test_a_symmetric_backup(kms, bring, write, name):
    entries = [{"key": b64(os.urandom(32))} for _ in range(2)]
    (row,) = bring("--from", "transit", write(backup(name, 0, entries)))
    assert (row["state"], row["versions"]) == ("imported", "1,2")
    (row,) = bring("--from", "transit", write(backup(f"{name}-d", 0, entries, derived=True)), failing=True)
    assert "derived" in row["reason"]


def test_keys_in_files_of_their_own(kms, bring, write, name):
    private = ec.generate_private_key(ec.SECP256K1())
    path = write(pem(private, serialization.PrivateFormat.PKCS8), f"{name}-coin.pem")
    (row,) = bring("--from", "pkcs8", path)
    assert row["alias"] == f"alias/imported/{name}-coin" and row["kind"] == "ECC_SECG_P256K1 SIGN_VERIFY"
    (row,) = bring("--from", "raw", write(os.urandom(32), "key.bin"), "--name", f"{name}-raw", "--alias-prefix", "mine/")
    assert row["alias"] == f"alias/mine/{name}-raw"
    material = os.urandom(48)
    jwk = {"kty": "oct", "kid": f"{name}-jwk", "k": base64.urlsafe_b64encode(material).decode().rstrip("=")}
    (row,) = bring("--from", "jwk", write(jwk), "--usage", "generate-verify-mac")
    assert row["kind"] == "HMAC_384 GENERATE_VERIFY_MAC" and kms.describe_key(KeyId=row["alias"])


def test_what_cannot_be_imported_is_told_and_the_rest_is(kms, bring, palisade, write, name):
    keys = [
        {"kty": "oct", "kid": f"{name}-good", "k": base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")},
        {"kty": "oct", "kid": f"{name}-short", "k": "AAAA"},
        {"kty": "EC", "kid": f"{name}-curve", "crv": "P-192", "d": "AA", "x": "AA", "y": "AA"},
        {"kty": "oct", "kid": "not an alias", "k": "A" * 43},
    ]
    path = write({"keys": keys})
    planned = bring("--from", "jwk", path, "--dry-run", failing=True)
    assert states(planned).count("would be imported") == 1 and len(planned) == 4
    with pytest.raises(kms.exceptions.NotFoundException):
        kms.describe_key(KeyId=f"alias/imported/{name}-good")
    rows = bring("--from", "jwk", path, failing=True)
    assert {row["name"]: row["state"] for row in rows} == {
        f"{name}-good": "imported", f"{name}-short": "REFUSED", f"{name}-curve": "REFUSED", "not an alias": "REFUSED",
    }  # fmt: skip
    table = palisade.palisade("import", "--from", "jwk", path, check=False).stdout
    assert "NAME" in table and "REFUSED: KMS has no curve P-192" in table and "already there" in table


def test_names_that_are_taken_and_files_that_are_none(kms, new_key, bring, palisade, write, name):
    kms.create_alias(AliasName=f"alias/imported/{name}", TargetKeyId=new_key()["KeyId"])
    path = write(export(name, "aes256-gcm96", b64(os.urandom(32))))
    (row,) = bring("--from", "transit", path, failing=True)
    assert "another key" in row["reason"]
    for form, content, saying in (
        ("transit", "{}", "transit"),
        ("jwk", "[]", "JSON Web Key"),
        ("pkcs8", "nothing", "private key"),
    ):
        done = palisade.palisade("import", "--from", form, write(content), check=False)
        assert done.returncode == 1 and saying in done.stderr
    path = write(os.urandom(32), "open.bin")
    path.chmod(0o644)
    done = palisade.palisade("import", "--from", "raw", path, check=False)
    assert done.returncode == 1 and "chmod 600" in done.stderr
    # Of several files the others are brought in all the same, and what is mended comes later.
    good = write(os.urandom(32), f"{name}-good")
    several = ("--from", "raw", path, good)
    rows = bring(*several, failing=True)
    assert {row["name"]: row["state"] for row in rows} == {str(path): "REFUSED", f"{name}-good": "imported"}
    path.chmod(0o600)
    path.write_bytes(os.urandom(32))
    assert sorted(states(bring(*several))) == ["already there", "imported"]


def test_a_seed_of_local_kms_keeps_its_ids(palisade, tmp_path, write):
    first, second, third = (str(uuid.uuid4()) for _ in range(3))
    material = os.urandom(32)
    private = rsa.generate_private_key(65537, 2048)
    indented = pem(private, serialization.PrivateFormat.PKCS8).replace("\n", "\n          ")
    path = write(
        f"""
Keys:
  Symmetric:
    Aes:
      - Metadata:
          KeyId: {first}
          Description: the first
        BackingKeys:
          - {material.hex()}
      - Metadata:
          KeyId: {third}
        BackingKeys:
          - {os.urandom(32).hex()}
          - {os.urandom(32).hex()}
  Asymmetric:
    Rsa:
      - Metadata:
          KeyId: {second}
          KeyUsage: SIGN_VERIFY
        PrivateKeyPem: |
          {indented}
Aliases:
  - AliasName: alias/testing
    TargetKeyId: {first}
""",
        "seed.yaml",
    )
    done = palisade.palisade("import", "--from", "local-kms", path, check=False)
    assert done.returncode == 1 and "--to-seed" in done.stderr
    seed = tmp_path / "seed.toml"
    done = palisade.palisade("import", "--json", "--from", "local-kms", path, "--to-seed", seed, "--account", ACCOUNT, check=False)
    rows = {row["name"]: row for row in json.loads(done.stdout)["keys"]}
    assert {key: row["state"] for key, row in rows.items()} == {first: "written", second: "written", third: "REFUSED"}
    assert done.returncode == 1 and "one material" in rows[third]["reason"]
    assert (rows[first]["alias"], rows[second]["alias"]) == ("alias/testing", "")
    assert seed.stat().st_mode & 0o777 == 0o600
    server = Server(tmp_path / "seeded", "--seed", seed)
    try:
        kms = server.client("kms")
        assert kms.describe_key(KeyId="alias/testing")["KeyMetadata"]["KeyId"] == first
        blob = kms.encrypt(KeyId=first, Plaintext=b"x")["CiphertextBlob"]
        assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
        public = serialization.load_der_public_key(kms.get_public_key(KeyId=second)["PublicKey"])
        assert public == private.public_key()
    finally:
        server.stop()
