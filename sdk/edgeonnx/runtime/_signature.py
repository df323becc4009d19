"""Checks a bundle's detached signature, NAME.edge.sig, with the standard library alone.

The file is an OpenSSF Model Signing signature, v1.0: a Sigstore bundle whose DSSE envelope holds an in-toto statement,
which names the SHA-256 of the whole `.edge` file. See docs/signing.md.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ._errors import BundleError, SignatureError, first_line

if TYPE_CHECKING:
    from ._ecdsa import PublicKey

SUFFIX = ".sig"
MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"

_LONGEST = 1 << 20
_CHUNK = 1 << 20


def check_signature(
    path: str | os.PathLike[str], public_key: str | os.PathLike[str], signature: str | os.PathLike[str] | None = None
) -> None:
    """See that a bundle is, byte for byte, one that the key's owner signed.

    Args:
        path: the `.edge` file.
        public_key: a PEM file, ECDSA P-256.
        signature: the signature file; None: NAME.edge.sig beside the bundle.

    Raises:
        SignatureError: the bundle is not signed, signed by another key, or was altered since.
        BundleError: a file can't be read, or is no key, no signature.
    """
    key = read_public_key(public_key)
    path = os.fspath(path)
    if signature is None:
        signature = path + SUFFIX
        if os.path.exists(path) and not os.path.exists(signature):
            raise SignatureError(
                f"{os.path.basename(path)} is not signed: {os.path.basename(signature)} is missing beside it; "
                "copy it too, or make it with `edgeonnx sign`"
            )
    expected, got = signed_digest(signature, key), file_digest(path)
    if got != expected:
        raise SignatureError(
            f"{os.path.basename(path)} is not the file that was signed: expected sha256 {expected[:12]}…, "
            f"got {got[:12]}…; copy the bundle and its signature again"
        )


def read_public_key(path: str | os.PathLike[str]) -> PublicKey:
    """Read a public key from its PEM file.

    Raises:
        BundleError: it can't be read, or is no public key of ECDSA P-256.
    """
    from ._ecdsa import PublicKey

    words = _read(path, "a public key in PEM").decode("latin-1").split()
    if words[:3] != ["-----BEGIN", "PUBLIC", "KEY-----"] or words[-3:] != ["-----END", "PUBLIC", "KEY-----"]:
        raise BundleError(f"{path}: expected a public key in PEM, as `edgeonnx keygen` makes it")
    try:
        return PublicKey.from_der(_base64("".join(words[3:-3])))
    except ValueError as error:
        raise BundleError(f"{path}: {error}; make one with `edgeonnx keygen`") from error


def key_hint(key: PublicKey) -> str:
    """What signatures call a key: the SHA-256 of its PEM file, lines of 64, hexadecimal."""
    from base64 import b64encode
    from hashlib import sha256

    text = b64encode(key.to_der()).decode()
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    pem = "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""])
    return sha256(pem.encode()).hexdigest()


def signed_digest(signature: str | os.PathLike[str], key: PublicKey) -> str:
    """SHA-256, hexadecimal, of the one file that a signature is for, once the key has verified it.

    Raises:
        SignatureError: another key made it, or it was altered.
        BundleError: it can't be read, or is no signature of one file.
    """
    import json

    text = _read(signature, "a signature")
    try:
        payload, made, hint = _open_envelope(json.loads(text))
        verified = key.verifies(encode_for_signing(payload), made)
        if not verified or hint not in ("", key_hint(key)):
            raise SignatureError(f"{signature}: not made by this key, or altered since; ask who signed for their key")
        return _read_statement(json.loads(payload))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        why = first_line(error) if isinstance(error, ValueError) else "a field is missing or of another type"
        raise BundleError(
            f"{signature}: expected an OpenSSF Model Signing signature of one file: {why}; sign the bundle again"
        ) from error


def encode_for_signing(payload: bytes) -> bytes:
    """What is signed: DSSE's pre-authentication encoding, v1, of an in-toto payload."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


def file_digest(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, hexadecimal. Raises BundleError where it can't be read."""
    from hashlib import sha256

    digest = sha256()
    try:
        with open(path, "rb") as file:
            for chunk in iter(lambda: file.read(_CHUNK), b""):
                digest.update(chunk)
    except OSError as error:
        raise BundleError(f"{os.path.basename(path)}: can't be read: {error.strerror or error}") from error
    return digest.hexdigest()


def _open_envelope(bundle: Any) -> tuple[bytes, bytes, str]:
    """Payload, signature and the key's hint of a Sigstore bundle."""
    if bundle["mediaType"] != MEDIA_TYPE:
        raise ValueError(f"media type {str(bundle['mediaType'])[:80]!r} in place of {MEDIA_TYPE}")
    envelope = bundle["dsseEnvelope"]
    if envelope["payloadType"] != PAYLOAD_TYPE:
        raise ValueError(f"payload type {str(envelope['payloadType'])[:80]!r} in place of {PAYLOAD_TYPE}")
    if len(envelope["signatures"]) != 1:
        raise ValueError("more than one signature, or none")
    hint = bundle["verificationMaterial"]["publicKey"].get("hint") or ""
    return _base64(envelope["payload"]), _base64(envelope["signatures"][0]["sig"]), hint


def _read_statement(statement: Any) -> str:
    """The digest of the one file that an in-toto statement is about."""
    if (statement["_type"], statement["predicateType"]) != (STATEMENT_TYPE, PREDICATE_TYPE):
        raise ValueError(f"a statement of another kind than {PREDICATE_TYPE}")
    predicate = statement["predicate"]
    if predicate["serialization"]["method"] != "files" or len(predicate["resources"]) != 1:
        raise ValueError("it is for several files or parts of files")
    resource = predicate["resources"][0]
    if (resource["name"], resource["algorithm"]) != (".", "sha256") or len(bytes.fromhex(resource["digest"])) != 32:
        raise ValueError("it does not give the SHA-256 of the file itself")
    return str(resource["digest"]).lower()


def _base64(text: str) -> bytes:
    from base64 import b64decode

    return b64decode(text, validate=True)  # binascii.Error is a ValueError


def _read(path: str | os.PathLike[str], what: str) -> bytes:
    try:
        with open(path, "rb") as file:
            text = file.read(_LONGEST + 1)
    except OSError as error:
        raise BundleError(f"{path}: can't be read: {error.strerror or error}; expected {what}") from error
    if len(text) > _LONGEST:
        raise BundleError(f"{path}: over {_LONGEST} bytes; expected {what}")
    return text
