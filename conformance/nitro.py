"""A Nitro hypervisor of our own: certificates and attestation documents."""

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.x509.oid import NameOID

DER = serialization.Encoding.DER


def cbor(value):
    """As much of CBOR as documents need (RFC 8949)."""

    def head(major, number):
        if number < 24:
            return bytes([major << 5 | number])
        size = next(size for size in (1, 2, 4, 8) if number < 1 << 8 * size)
        return bytes([major << 5 | {1: 24, 2: 25, 4: 26, 8: 27}[size]]) + number.to_bytes(size, "big")

    if value is None:
        return b"\xf6"
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(cbor, value))
    return head(5, len(value)) + b"".join(cbor(key) + cbor(one) for key, one in value.items())


def certificate(name, key, issuer_name, issuer_key, is_authority):
    now = datetime.datetime.now(datetime.timezone.utc)

    def named(text):
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    return (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(issuer_name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=3))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .sign(issuer_key, hashes.SHA384())
    )


class Nitro:
    def __init__(self):
        root_key, self.key = (ec.generate_private_key(ec.SECP384R1()) for _ in range(2))
        self.root = certificate("root", root_key, "root", root_key, True)
        self.leaf = certificate("i-0123456789abcdef0", self.key, "root", root_key, False)

    def root_pem(self):
        return self.root.public_bytes(serialization.Encoding.PEM)

    def document(self, public_key, image=b"\xab" * 48):
        """A document for the holder of an RSA key, made now."""
        spki = public_key.public_bytes(DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        now = datetime.datetime.now(datetime.timezone.utc)
        payload = cbor(
            {
                "module_id": "i-0123456789abcdef0-enc0123456789abcdef",
                "digest": "SHA384",
                "timestamp": int(now.timestamp() * 1000),
                "pcrs": {0: image, 1: bytes(48)},
                "certificate": self.leaf.public_bytes(DER),
                "cabundle": [self.root.public_bytes(DER)],
                "public_key": spki,
                "user_data": None,
                "nonce": None,
            }
        )
        protected = cbor({1: -35})
        signed = cbor(["Signature1", protected, b"", payload])
        r, s = utils.decode_dss_signature(self.key.sign(signed, ec.ECDSA(hashes.SHA384())))
        signature = r.to_bytes(48, "big") + s.to_bytes(48, "big")
        return b"\xd2" + cbor([protected, {}, payload, signature])
