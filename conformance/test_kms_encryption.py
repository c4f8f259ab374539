"""Encrypt, Decrypt, ReEncrypt, data keys and random bytes."""

import base64
import os
import subprocess

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

from refusals import refused
from server import REGION, UNCHECKED

CONTEXT = {"department": "finance", "case": "Größe/42"}

# Plaintext that fits each RSA key: modulus − 2 × hash − 2.
OAEP_LIMITS = {
    ("RSA_2048", "RSAES_OAEP_SHA_1"): 214,
    ("RSA_2048", "RSAES_OAEP_SHA_256"): 190,
    ("RSA_3072", "RSAES_OAEP_SHA_1"): 342,
    ("RSA_3072", "RSAES_OAEP_SHA_256"): 318,
    ("RSA_4096", "RSAES_OAEP_SHA_1"): 470,
    ("RSA_4096", "RSAES_OAEP_SHA_256"): 446,
}


@pytest.fixture(scope="module")
def rsa_keys(kms):
    return {
        spec: kms.create_key(KeySpec=spec, KeyUsage="ENCRYPT_DECRYPT")["KeyMetadata"]["KeyId"]
        for spec in ("RSA_2048", "RSA_3072", "RSA_4096")
    }


def test_what_is_encrypted_is_decrypted(kms, key):
    sealed = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"hello")
    assert sealed["KeyId"] == key["Arn"]
    assert sealed["EncryptionAlgorithm"] == "SYMMETRIC_DEFAULT"
    opened = kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"])
    assert opened["Plaintext"] == b"hello"
    assert opened["KeyId"] == key["Arn"]
    assert opened["EncryptionAlgorithm"] == "SYMMETRIC_DEFAULT"
    assert len(opened["KeyMaterialId"]) == 64


def test_decrypt_takes_the_key_too(kms, key):
    blob = kms.encrypt(KeyId=key["Arn"], Plaintext=b"x")["CiphertextBlob"]
    for named in (key["KeyId"], key["Arn"]):
        assert kms.decrypt(CiphertextBlob=blob, KeyId=named)["Plaintext"] == b"x"


def test_the_same_plaintext_never_gives_the_same_ciphertext(kms, key):
    blobs = {kms.encrypt(KeyId=key["KeyId"], Plaintext=b"same")["CiphertextBlob"] for _ in range(20)}
    assert len(blobs) == 20
    assert all(b"same" not in blob for blob in blobs)


def test_the_context_must_be_given_again_exactly(kms, key):
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x", EncryptionContext=CONTEXT)["CiphertextBlob"]
    reordered = dict(reversed(CONTEXT.items()))
    assert kms.decrypt(CiphertextBlob=blob, EncryptionContext=reordered)["Plaintext"] == b"x"
    for wrong in (
        {},
        {"department": "finance"},
        {**CONTEXT, "more": ""},
        {**CONTEXT, "department": "Finance"},
        {"Department": "finance", "case": CONTEXT["case"]},
    ):
        with refused("InvalidCiphertextException", status=400) as told:
            kms.decrypt(CiphertextBlob=blob, EncryptionContext=wrong)
        assert told.message == ""


def test_a_ciphertext_without_context_opens_without_context_only(kms, key):
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x", EncryptionContext={})["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
    with refused("InvalidCiphertextException"):
        kms.decrypt(CiphertextBlob=blob, EncryptionContext=CONTEXT)


def test_a_changed_ciphertext_does_not_open(kms, key):
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x" * 32)["CiphertextBlob"]
    for at in (0, len(blob) // 2, len(blob) - 1):
        broken = bytearray(blob)
        broken[at] ^= 1
        with refused("InvalidCiphertextException"):
            kms.decrypt(CiphertextBlob=bytes(broken))
    for cut in (b"\x00", blob[:-1], blob + b"\x00", os.urandom(200), os.urandom(6144)):
        with refused("InvalidCiphertextException"):
            kms.decrypt(CiphertextBlob=cut)


def test_another_key_does_not_open_it(kms, key, new_key):
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x")["CiphertextBlob"]
    with refused("IncorrectKeyException"):
        kms.decrypt(CiphertextBlob=blob, KeyId=new_key()["KeyId"])


def test_plaintext_is_1_to_4096_bytes(palisade, kms, key):
    for size in (1, 4096):
        plaintext = os.urandom(size)
        blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=plaintext)["CiphertextBlob"]
        assert len(blob) <= 6144
        assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == plaintext
    with refused("ValidationException", "at 'plaintext' failed to satisfy constraint: .*less than or equal to 4096"):
        kms.encrypt(KeyId=key["KeyId"], Plaintext=bytes(4097))
    with refused("ValidationException"):
        palisade.client("kms", config=UNCHECKED).encrypt(KeyId=key["KeyId"], Plaintext=b"")


def test_the_refusal_of_a_long_plaintext_does_not_repeat_it(kms, key):
    with refused("ValidationException") as told:
        kms.encrypt(KeyId=key["KeyId"], Plaintext=b"hunter2" * 1000)
    assert base64.b64encode(b"hunter2hunter2hun").decode() not in told.message
    assert "hunter2" not in told.message


def test_a_context_of_8192_characters_is_the_longest(kms, key):
    whole = {"n": "v" * 8191}
    kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x", EncryptionContext=whole)
    with refused("ValidationException"):
        kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x", EncryptionContext={"n": "v" * 8192})


def test_a_ciphertext_of_another_region_is_not_found_here(palisade, kms):
    elsewhere = palisade.client("kms", region="eu-west-1")
    foreign = elsewhere.create_key()["KeyMetadata"]
    assert ":eu-west-1:" in foreign["Arn"]
    blob = elsewhere.encrypt(KeyId=foreign["KeyId"], Plaintext=b"x")["CiphertextBlob"]
    with refused("AccessDeniedException"):
        kms.decrypt(CiphertextBlob=blob)
    with refused("NotFoundException"):
        kms.describe_key(KeyId=foreign["KeyId"])
    with refused("NotFoundException"):
        kms.describe_key(KeyId=foreign["Arn"])


def test_reencrypt_moves_a_ciphertext_to_another_key_and_context(kms, key, new_key):
    other = new_key()
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"secret", EncryptionContext={"a": "1"})["CiphertextBlob"]
    moved = kms.re_encrypt(
        CiphertextBlob=blob,
        SourceEncryptionContext={"a": "1"},
        DestinationKeyId=other["KeyId"],
        DestinationEncryptionContext={"b": "2"},
    )
    assert moved["SourceKeyId"] == key["Arn"]
    assert moved["KeyId"] == other["Arn"]
    assert moved["SourceEncryptionAlgorithm"] == moved["DestinationEncryptionAlgorithm"] == "SYMMETRIC_DEFAULT"
    assert moved["SourceKeyMaterialId"] != moved["DestinationKeyMaterialId"]
    opened = kms.decrypt(CiphertextBlob=moved["CiphertextBlob"], EncryptionContext={"b": "2"})
    assert opened["Plaintext"] == b"secret" and opened["KeyId"] == other["Arn"]
    with refused("InvalidCiphertextException"):
        kms.re_encrypt(CiphertextBlob=blob, DestinationKeyId=other["KeyId"])
    with refused("IncorrectKeyException"):
        kms.re_encrypt(
            CiphertextBlob=blob,
            SourceEncryptionContext={"a": "1"},
            SourceKeyId=other["KeyId"],
            DestinationKeyId=other["KeyId"],
        )


def test_reencrypt_between_symmetric_and_rsa(kms, key, rsa_keys):
    rsa = rsa_keys["RSA_2048"]
    blob = kms.encrypt(KeyId=key["KeyId"], Plaintext=b"s")["CiphertextBlob"]
    to_rsa = kms.re_encrypt(
        CiphertextBlob=blob, DestinationKeyId=rsa, DestinationEncryptionAlgorithm="RSAES_OAEP_SHA_256"
    )
    back = kms.re_encrypt(
        CiphertextBlob=to_rsa["CiphertextBlob"],
        SourceKeyId=rsa,
        SourceEncryptionAlgorithm="RSAES_OAEP_SHA_256",
        DestinationKeyId=key["KeyId"],
    )
    assert kms.decrypt(CiphertextBlob=back["CiphertextBlob"])["Plaintext"] == b"s"


@pytest.mark.parametrize("spec,size", [("AES_128", 16), ("AES_256", 32)])
def test_data_keys(kms, key, spec, size):
    made = kms.generate_data_key(KeyId=key["KeyId"], KeySpec=spec, EncryptionContext=CONTEXT)
    assert len(made["Plaintext"]) == size and made["KeyId"] == key["Arn"]
    opened = kms.decrypt(CiphertextBlob=made["CiphertextBlob"], EncryptionContext=CONTEXT)
    assert opened["Plaintext"] == made["Plaintext"]
    hidden = kms.generate_data_key_without_plaintext(KeyId=key["KeyId"], KeySpec=spec)
    assert "Plaintext" not in hidden
    assert len(kms.decrypt(CiphertextBlob=hidden["CiphertextBlob"])["Plaintext"]) == size


def test_data_keys_have_a_spec_or_a_length(palisade, kms, key):
    for size in (1, 64, 1024):
        assert len(kms.generate_data_key(KeyId=key["KeyId"], NumberOfBytes=size)["Plaintext"]) == size
    with refused("ValidationException"):
        kms.generate_data_key(KeyId=key["KeyId"])
    with refused("ValidationException"):
        kms.generate_data_key(KeyId=key["KeyId"], KeySpec="AES_256", NumberOfBytes=32)
    with refused("ValidationException", "less than or equal to 1024"):
        kms.generate_data_key(KeyId=key["KeyId"], NumberOfBytes=1025)


def test_asymmetric_and_mac_keys_make_no_data_keys(kms, rsa_keys, new_key):
    mac = new_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")["KeyId"]
    for wrong in (rsa_keys["RSA_2048"], mac):
        with refused("InvalidKeyUsageException"):
            kms.generate_data_key(KeyId=wrong, KeySpec="AES_256")


def test_random_bytes(kms):
    assert len(kms.generate_random(NumberOfBytes=1)["Plaintext"]) == 1
    longest = kms.generate_random(NumberOfBytes=1024)["Plaintext"]
    assert len(longest) == 1024 and longest != kms.generate_random(NumberOfBytes=1024)["Plaintext"]
    with refused("ValidationException"):
        kms.generate_random(NumberOfBytes=1025)
    with refused("ValidationException"):
        kms.generate_random()


@pytest.mark.parametrize("spec,algorithm", OAEP_LIMITS)
def test_rsa_takes_exactly_what_fits(kms, rsa_keys, spec, algorithm):
    longest = OAEP_LIMITS[spec, algorithm]
    plaintext = os.urandom(longest)
    sealed = kms.encrypt(KeyId=rsa_keys[spec], Plaintext=plaintext, EncryptionAlgorithm=algorithm)
    assert len(sealed["CiphertextBlob"]) == int(spec[4:]) // 8
    opened = kms.decrypt(
        KeyId=rsa_keys[spec], CiphertextBlob=sealed["CiphertextBlob"], EncryptionAlgorithm=algorithm
    )
    assert opened["Plaintext"] == plaintext
    assert opened["EncryptionAlgorithm"] == algorithm
    assert "KeyMaterialId" not in opened
    with refused("ValidationException"):
        kms.encrypt(KeyId=rsa_keys[spec], Plaintext=plaintext + b"x", EncryptionAlgorithm=algorithm)


@pytest.mark.parametrize("algorithm,digest", [("RSAES_OAEP_SHA_1", hashes.SHA1), ("RSAES_OAEP_SHA_256", hashes.SHA256)])
@pytest.mark.parametrize("spec", ["RSA_2048", "RSA_3072", "RSA_4096"])
def test_rsa_ciphertext_made_outside_decrypts(kms, rsa_keys, spec, algorithm, digest):
    public = serialization.load_der_public_key(kms.get_public_key(KeyId=rsa_keys[spec])["PublicKey"])
    oaep = padding.OAEP(mgf=padding.MGF1(digest()), algorithm=digest(), label=None)
    blob = public.encrypt(b"made outside", oaep)
    opened = kms.decrypt(KeyId=rsa_keys[spec], CiphertextBlob=blob, EncryptionAlgorithm=algorithm)
    assert opened["Plaintext"] == b"made outside"


def test_rsa_ciphertext_made_by_openssl_decrypts(kms, rsa_keys, tmp_path):
    (tmp_path / "public.der").write_bytes(kms.get_public_key(KeyId=rsa_keys["RSA_3072"])["PublicKey"])
    command = (
        "openssl pkeyutl -encrypt -pubin -keyform DER -inkey public.der -in plain -out cipher "
        "-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256"
    )
    (tmp_path / "plain").write_bytes(b"from the command line")
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    opened = kms.decrypt(
        KeyId=rsa_keys["RSA_3072"],
        CiphertextBlob=(tmp_path / "cipher").read_bytes(),
        EncryptionAlgorithm="RSAES_OAEP_SHA_256",
    )
    assert opened["Plaintext"] == b"from the command line"


def test_a_broken_rsa_ciphertext_does_not_open(kms, rsa_keys):
    for blob in (os.urandom(256), b"\x00", bytes(256), b"\xff" * 256, os.urandom(257)):
        with refused("InvalidCiphertextException"):
            kms.decrypt(
                KeyId=rsa_keys["RSA_2048"], CiphertextBlob=blob, EncryptionAlgorithm="RSAES_OAEP_SHA_256"
            )


def test_rsa_wants_its_own_algorithms_and_no_context(kms, key, rsa_keys):
    rsa = rsa_keys["RSA_2048"]
    with refused("InvalidKeyUsageException"):
        kms.encrypt(KeyId=rsa, Plaintext=b"x")  # the default is SYMMETRIC_DEFAULT
    with refused("InvalidKeyUsageException"):
        kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x", EncryptionAlgorithm="RSAES_OAEP_SHA_256")
    with refused("ValidationException"):
        kms.encrypt(
            KeyId=rsa, Plaintext=b"x", EncryptionAlgorithm="RSAES_OAEP_SHA_256", EncryptionContext=CONTEXT
        )


def test_a_signing_or_mac_key_does_not_encrypt(kms, new_key):
    for arguments in (
        {"KeySpec": "RSA_2048", "KeyUsage": "SIGN_VERIFY"},
        {"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"},
        {"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"},
    ):
        with refused("InvalidKeyUsageException"):
            kms.encrypt(KeyId=new_key(**arguments)["KeyId"], Plaintext=b"x")


def test_dry_run_says_that_it_would_have_worked(kms, key):
    with refused("DryRunOperationException"):
        kms.encrypt(KeyId=key["KeyId"], Plaintext=b"x", DryRun=True)
    with refused("DryRunOperationException"):
        kms.generate_data_key(KeyId=key["KeyId"], KeySpec="AES_256", DryRun=True)
    with refused("NotFoundException"):
        kms.encrypt(KeyId="00000000-0000-0000-0000-000000000000", Plaintext=b"x", DryRun=True)


def test_what_is_not_supported_is_refused_not_ignored(kms, key):
    with refused("UnsupportedOperationException"):
        kms.generate_data_key(
            KeyId=key["KeyId"],
            KeySpec="AES_256",
            Recipient={"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256", "AttestationDocument": b"x"},
        )


def test_keys_are_named_in_every_way(kms, key, name):
    alias = f"alias/{name}"
    kms.create_alias(AliasName=alias, TargetKeyId=key["KeyId"])
    alias_arn = f"arn:aws:kms:{REGION}:{key['AWSAccountId']}:{alias}"
    for named in (key["KeyId"], key["Arn"], alias, alias_arn):
        sealed = kms.encrypt(KeyId=named, Plaintext=b"x")
        assert sealed["KeyId"] == key["Arn"]
        assert kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"], KeyId=named)["Plaintext"] == b"x"
        assert kms.describe_key(KeyId=named)["KeyMetadata"]["Arn"] == key["Arn"]


@pytest.mark.parametrize(
    "named,message",
    [
        ("00000000-0000-0000-0000-000000000000", r"^Key 'arn:aws:kms:us-east-1:111122223333:key/0{8}.*' does not exist$"),
        ("alias/nobody", r"^Alias arn:aws:kms:us-east-1:111122223333:alias/nobody is not found\.$"),
        ("not-a-key", r"^Invalid keyId 'not-a-key'$"),
        ("mrk-" + "0" * 32, r"^Key 'arn:aws:kms:us-east-1:111122223333:key/mrk-0{32}' does not exist$"),
    ],
)
def test_unknown_keys_are_not_found_in_aws_words(kms, named, message):
    with refused("NotFoundException", message, status=400):
        kms.encrypt(KeyId=named, Plaintext=b"x")
