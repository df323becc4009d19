"""Keys and signatures on the development machine, and what OpenSSF's own tool says of them."""

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

import edgeonnx
from edgeonnx.errors import BundleError, InputError, OutputError, SignatureError


@pytest.fixture
def keys(tmp_path):
    return edgeonnx.keygen(tmp_path / "release")


@pytest.fixture
def bundle(fashion_bundle, tmp_path) -> Path:
    path = tmp_path / "shop.edge"
    path.write_bytes(fashion_bundle.read_bytes())
    return path


def model_signing(*words: object) -> subprocess.CompletedProcess[str]:
    """The command line of OpenSSF Model Signing."""
    command = [sys.executable, "-W", "ignore", "-m", "model_signing", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_sign_and_verify(bundle, keys):
    before = bundle.read_bytes()
    signed = edgeonnx.sign(bundle, keys.private)
    assert signed.signature == bundle.with_name("shop.edge.sig")
    assert bundle.read_bytes() == before
    assert edgeonnx.verify(bundle, keys.public) == signed
    assert signed.hint == keys.hint


def test_the_device_loads_what_is_signed_and_nothing_else(bundle, keys, tmp_path):
    with pytest.raises(SignatureError, match="is not signed"):
        edgeonnx.load(bundle, public_key=keys.public)
    edgeonnx.sign(bundle, keys.private)
    assert edgeonnx.load(bundle, public_key=keys.public).inputs
    with pytest.raises(SignatureError, match="not made by this key"):
        edgeonnx.load(bundle, public_key=edgeonnx.keygen(tmp_path / "other").public)


def test_the_same_key_and_bundle_give_the_same_signature(bundle, keys, tmp_path):
    one = edgeonnx.sign(bundle, keys.private).signature
    other = edgeonnx.sign(bundle, keys.private, tmp_path / "again.sig").signature
    assert one.read_bytes() == other.read_bytes()


def test_the_signature_may_lie_elsewhere(bundle, keys, tmp_path):
    elsewhere = tmp_path / "signatures"
    elsewhere.mkdir()
    signed = edgeonnx.sign(bundle, keys.private, elsewhere / "shop.sig")
    with pytest.raises(SignatureError, match=r"shop\.edge\.sig is missing"):
        edgeonnx.verify(bundle, keys.public)
    assert edgeonnx.verify(bundle, keys.public, signed.signature) == signed


def test_openssf_model_signing_accepts_ours(bundle, keys):
    signed = edgeonnx.sign(bundle, keys.private)
    words = ["verify", "key", bundle, "--signature", signed.signature, "--public_key", keys.public]
    assert model_signing(*words).returncode == 0
    bundle.write_bytes(bundle.read_bytes() + b"\0")
    assert model_signing(*words).returncode != 0


def test_we_accept_what_openssf_model_signing_makes(bundle, keys):
    path = bundle.with_name("shop.edge.sig")
    ran = model_signing("sign", "key", bundle, "--signature", path, "--private_key", keys.private)
    assert ran.returncode == 0, ran.stderr
    assert edgeonnx.verify(bundle, keys.public).hint == keys.hint
    bundle.write_bytes(bundle.read_bytes() + b"\0")
    with pytest.raises(SignatureError, match="not the file that was signed"):
        edgeonnx.verify(bundle, keys.public)


def test_its_signature_of_a_folder_is_not_one_of_a_bundle(bundle, keys, tmp_path):
    folder = tmp_path / "two"
    folder.mkdir()
    for name in ("one.edge", "other.edge"):
        (folder / name).write_bytes(bundle.read_bytes())
    path = tmp_path / "folder.sig"
    assert model_signing("sign", "key", folder, "--signature", path, "--private_key", keys.private).returncode == 0
    with pytest.raises(BundleError, match="it is for several files"):
        edgeonnx.verify(folder / "one.edge", keys.public, path)


def test_a_private_key_is_its_owners_alone_and_is_never_overwritten(keys, tmp_path):
    assert stat.S_IMODE(keys.private.stat().st_mode) == 0o600
    before = keys.private.read_bytes(), keys.public.read_bytes()
    with pytest.raises(OutputError, match=r"release\.private\.pem exists; a key is never overwritten"):
        edgeonnx.keygen(tmp_path / "release")
    assert (keys.private.read_bytes(), keys.public.read_bytes()) == before


def test_half_a_pair_is_not_left_behind(tmp_path):
    (tmp_path / "k.public.pem").write_text("somebody's")
    with pytest.raises(OutputError, match=r"k\.public\.pem exists"):
        edgeonnx.keygen(tmp_path / "k")
    assert [path.name for path in tmp_path.iterdir()] == ["k.public.pem"]


def test_what_is_no_private_key(bundle, keys, tmp_path):
    p256, path = ec.generate_private_key(ec.SECP256R1()), tmp_path / "wrong.pem"
    plain = Encoding.PEM, PrivateFormat.PKCS8
    wrong = {
        "expected a private key in PEM": [b"", b"text", keys.public.read_bytes()],
        "expected a key of ECDSA P-256": [
            ec.generate_private_key(ec.SECP384R1()).private_bytes(*plain, NoEncryption()),
            rsa.generate_private_key(65537, 2048).private_bytes(*plain, NoEncryption()),
        ],
        "the key is encrypted": [p256.private_bytes(*plain, BestAvailableEncryption(b"secret"))],
    }
    for message, contents in wrong.items():
        for content in contents:
            path.write_bytes(content)
            with pytest.raises(InputError, match=rf"wrong\.pem: {message}"):
                edgeonnx.sign(bundle, path)
    with pytest.raises(InputError, match="No such file"):
        edgeonnx.sign(bundle, tmp_path / "none.pem")
    assert not bundle.with_name("shop.edge.sig").exists()


def test_keys_of_other_tools(bundle, tmp_path):
    """`openssl ecparam -genkey` writes another form of PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    path = tmp_path / "openssl.pem"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    assert edgeonnx.sign(bundle, path).signature.is_file()


def test_a_damaged_bundle_is_not_signed(bundle, keys):
    bundle.write_bytes(bundle.read_bytes()[:-100])
    with pytest.raises(BundleError, match=r"shop\.edge"):
        edgeonnx.sign(bundle, keys.private)
    assert not bundle.with_name("shop.edge.sig").exists()


@pytest.mark.parametrize("victim", ["bundle", "private"])
def test_the_signature_never_replaces_what_it_is_made_from(bundle, keys, victim):
    with pytest.raises(OutputError, match="is the file to read from"):
        edgeonnx.sign(bundle, keys.private, bundle if victim == "bundle" else keys.private)


def test_without_the_package_it_says_what_to_install(bundle, keys, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(InputError, match=r"pip install 'edgeonnx\[sign\]'"):
        edgeonnx.sign(bundle, keys.private)
    with pytest.raises(InputError, match=r"pip install 'edgeonnx\[sign\]'"):
        edgeonnx.keygen(tmp_path / "another")


def test_what_is_written(bundle, keys):
    """The fields that the format asks for; the statement itself is compared by the tool's own verification above."""
    written = json.loads(edgeonnx.sign(bundle, keys.private).signature.read_text())
    assert written["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    assert written["verificationMaterial"] == {"publicKey": {"hint": keys.hint}, "tlogEntries": []}
    assert set(written["dsseEnvelope"]) == {"payload", "payloadType", "signatures"}
