"""`edgeonnx keygen`, `sign` and `verify`: keys, a detached signature of a bundle, and its check."""

from dataclasses import dataclass
from pathlib import Path

from edgeonnx.bundle.signing import generate_keys, sign_file, write_new
from edgeonnx.files import check_writable, replacing
from edgeonnx.runtime._bundle import open_bundle
from edgeonnx.runtime._signature import SUFFIX, check_signature, file_digest, key_hint, read_public_key


@dataclass(frozen=True)
class KeyPair:
    """Two files, ECDSA P-256 in PEM.

    Attributes:
        private: NAME.private.pem, readable by its owner alone; whoever has it can sign.
        public: NAME.public.pem, for devices.
        hint: what signatures call the key: SHA-256 of the public file.
    """

    private: Path
    public: Path
    hint: str


@dataclass(frozen=True)
class Signature:
    """A bundle and its signature.

    Attributes:
        bundle: the `.edge` file.
        signature: the file with the signature.
        sha256: of the bundle's bytes.
        hint: the key's; see `KeyPair`.
    """

    bundle: Path
    signature: Path
    sha256: str
    hint: str


def keygen(name: str | Path) -> KeyPair:
    """Make a key pair, NAME.private.pem and NAME.public.pem.

    Raises:
        OutputError: one of the files exists, or the place can't be written.
        InputError: the package `cryptography` is not installed.
    """
    private, public = Path(f"{name}.private.pem"), Path(f"{name}.public.pem")
    for path in (private, public):
        check_writable(path)
    secret, published = generate_keys()
    write_new({private: (secret, True), public: (published, False)})
    return KeyPair(private, public, key_hint(read_public_key(public)))


def sign(bundle: str | Path, key: str | Path, output: str | Path | None = None) -> Signature:
    """Sign a bundle. Its bytes stay as they are: the signature is a file of its own.

    Args:
        bundle: the `.edge` file; a damaged one is refused.
        key: the private key's PEM file.
        output: the signature file to write; None: NAME.edge.sig beside the bundle, where `load` looks for it.

    Raises:
        BundleError: not a bundle, damaged or altered.
        InputError: no private key of ECDSA P-256, or the package `cryptography` is not installed.
        OutputError: the place can't be written.
    """
    bundle, key = Path(bundle), Path(key)
    output = Path(output) if output is not None else Path(f"{bundle}{SUFFIX}")
    for source in (bundle, key):
        check_writable(output, source)
    open_bundle(bundle)
    digest = file_digest(bundle)
    text, public = sign_file(bundle.name, digest, key)
    with replacing(output) as temporary:
        temporary.write_text(text, "utf-8")
    return Signature(bundle, output, digest, key_hint(public))


def verify(bundle: str | Path, key: str | Path, signature: str | Path | None = None) -> Signature:
    """See that a bundle is, byte for byte, one that the key's owner signed, as a device does.

    Args:
        bundle: the `.edge` file.
        key: the public key's PEM file.
        signature: the signature file; None: NAME.edge.sig beside the bundle.

    Raises:
        SignatureError: not signed, signed with another key, or altered since.
        BundleError: a file can't be read, or is no key, no signature.
    """
    check_signature(bundle, key, signature)
    where = Path(signature) if signature is not None else Path(f"{bundle}{SUFFIX}")
    return Signature(Path(bundle), where, file_digest(bundle), key_hint(read_public_key(key)))
