"""Keys and detached signatures in the format of OpenSSF Model Signing v1.0; `runtime/_signature.py` reads them.

The signature is over the in-toto statement that `model_signing sign key` makes for one file: its SHA-256.
"""

import hashlib
import json
import os
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeonnx.errors import InputError, OutputError
from edgeonnx.runtime._ecdsa import PublicKey
from edgeonnx.runtime._signature import (
    MEDIA_TYPE,
    PAYLOAD_TYPE,
    PREDICATE_TYPE,
    STATEMENT_TYPE,
    encode_for_signing,
    key_hint,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

_OWNER_ALONE = 0o600
_ANYBODY = 0o644


def generate_keys() -> tuple[bytes, bytes]:
    """A new key pair of ECDSA P-256, as PEM: private (PKCS #8, not encrypted) and public (SubjectPublicKeyInfo)."""
    _need_cryptography()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return private, key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)


def write_new(files: dict[Path, tuple[bytes, bool]]) -> None:
    """Write files that are not there yet, all or none.

    Args:
        files: path -> content, and whether it is for its owner's eyes alone.

    Raises:
        OutputError: one is there already, or the place can't be written.
    """
    written: list[Path] = []
    try:
        for path, (content, secret) in files.items():
            mode = _OWNER_ALONE if secret else _ANYBODY
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                written.append(path)
                file.write(content)
    except OSError as error:
        for done in written:
            done.unlink()
        if isinstance(error, FileExistsError):
            raise OutputError(f"{path} exists; a key is never overwritten: choose another name with -o") from error
        raise OutputError(f"{path} can't be written: {error.strerror or error}") from error


def sign_file(name: str, digest: str, private_key: Path) -> tuple[str, PublicKey]:
    """The signature of one file, as JSON, and the public key that verifies it.

    The same file and key give the same signature (RFC 6979).

    Args:
        name: the file's.
        digest: its SHA-256, hexadecimal.
        private_key: a PEM file.

    Raises:
        InputError: the key can't be read, or is no private key of ECDSA P-256.
    """
    key = _read_private_key(private_key)
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    payload = json.dumps(_statement(name, digest)).encode()
    made = key.sign(encode_for_signing(payload), ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    public = PublicKey.from_der(
        key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return json.dumps(_envelope(payload, made, key_hint(public))) + "\n", public


def _statement(name: str, digest: str) -> dict[str, Any]:
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": hashlib.sha256(bytes.fromhex(digest)).hexdigest()}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": False},
            "resources": [{"name": ".", "algorithm": "sha256", "digest": digest}],
        },
    }


def _envelope(payload: bytes, made: bytes, hint: str) -> dict[str, Any]:
    return {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {"hint": hint}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": b64encode(payload).decode(),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": b64encode(made).decode(), "keyid": ""}],
        },
    }


def _read_private_key(path: Path) -> "EllipticCurvePrivateKey":
    _need_cryptography()
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror or error}; expected a private key in PEM") from error
    except TypeError as error:
        raise InputError(f"{path}: the key is encrypted; decrypt a copy with `openssl pkey -in {path}`") from error
    except Exception as error:  # ValueError, UnsupportedAlgorithm, and others from release to release
        raise InputError(f"{path}: expected a private key in PEM, as `edgeonnx keygen` makes it") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise InputError(f"{path}: expected a key of ECDSA P-256; make one with `edgeonnx keygen`")
    return key


def _need_cryptography() -> None:
    try:
        import cryptography  # noqa: F401  whether it is there
    except ImportError as error:
        raise InputError("signing needs the package cryptography; install it: pip install 'edgeonnx[sign]'") from error
