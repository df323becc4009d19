"""Signatures on the device: ECDSA P-256 in Python, and the envelope around it."""

import base64
import json
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from edgeonnx.bundle.signing import sign_file
from edgeonnx.runtime.__main__ import main
from edgeonnx.runtime._ecdsa import _N, _P, PublicKey
from edgeonnx.runtime._errors import BundleError, SignatureError
from edgeonnx.runtime._signature import check_signature, encode_for_signing, file_digest, key_hint, read_public_key

MESSAGE = b"what is signed"


def der_of(key) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def pem_of(key) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def sequence(*parts: bytes) -> bytes:
    body = b"".join(parts)
    return bytes([0x30, len(body)]) + body


def integer(digits: bytes, size: int | None = None) -> bytes:
    return bytes([2, len(digits) if size is None else size]) + digits


@pytest.fixture(scope="module")
def key():
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def public(key) -> PublicKey:
    return PublicKey.from_der(der_of(key))


@pytest.fixture(scope="module")
def made(key) -> bytes:
    return key.sign(MESSAGE, ec.ECDSA(hashes.SHA256()))


class TestEcdsa:
    # RFC 6979, appendix A.2.5: P-256, SHA-256.
    X = 0x60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6
    Y = 0x7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299
    VECTORS = (
        (
            b"sample",
            0xEFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716,
            0xF7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8,
        ),
        (
            b"test",
            0xF1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367,
            0x019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083,
        ),
    )

    @pytest.mark.parametrize(("message", "r", "s"), VECTORS)
    def test_published_signatures(self, message, r, s):
        key = PublicKey.from_der(PublicKey(self.X, self.Y).to_der())
        assert key.verifies(message, encode_dss_signature(r, s))
        assert key.verifies(message, encode_dss_signature(r, _N - s))  # both are valid in ECDSA
        assert not key.verifies(message + b".", encode_dss_signature(r, s))

    def test_agrees_with_cryptography_on_what_many_keys_sign(self):
        for number in range(40):
            key, message = ec.generate_private_key(ec.SECP256R1()), bytes(number)
            signature = key.sign(message, ec.ECDSA(hashes.SHA256()))
            public = PublicKey.from_der(der_of(key))
            assert public.verifies(message, signature)
            assert not public.verifies(message + b"\0", signature)

    @pytest.mark.parametrize("secret", [1, 2, 3, 4, _N - 1, _N - 2, 2**255])
    def test_keys_near_the_generator(self, secret):
        """Their sums with G meet equal and opposite points, which the formulas of addition leave out."""
        key = ec.derive_private_key(secret, ec.SECP256R1())
        signature = key.sign(MESSAGE, ec.ECDSA(hashes.SHA256()))
        assert PublicKey.from_der(der_of(key)).verifies(MESSAGE, signature)

    def test_no_bit_can_be_flipped(self, public, made):
        for bit in range(8 * len(made)):
            flipped = bytearray(made)
            flipped[bit // 8] ^= 1 << bit % 8
            assert not public.verifies(MESSAGE, bytes(flipped)), bit

    def test_what_is_added_or_cut_off_is_seen(self, public, made):
        assert not any(public.verifies(MESSAGE, made[:size]) for size in range(len(made)))
        assert not public.verifies(MESSAGE, made + b"\0")
        r, s = decode_dss_signature(made)
        body = encode_dss_signature(r, s)[2:]
        assert not public.verifies(MESSAGE, bytes([0x30, len(body) + 2]) + body + b"\5\0")

    def test_numbers_out_of_range(self, public, made):
        r, s = decode_dss_signature(made)
        pairs = [(0, s), (r, 0), (0, 0), (_N, s), (r, _N), (r + _N, s), (r, s + _N), (_P, s), (1, 1), (r, 1 << 600)]
        for pair in pairs:
            assert not public.verifies(MESSAGE, encode_dss_signature(*pair)), pair
        negative = integer(b"\x80" + bytes(31))
        assert not public.verifies(MESSAGE, sequence(negative, integer(b"\1")))

    def test_der_has_one_form(self, public):
        """A key and message are searched whose r and s need no leading zero, then written in forms that BER allows."""
        key = ec.derive_private_key(7, ec.SECP256R1())
        public = PublicKey.from_der(der_of(key))
        message = next(
            message
            for message in (bytes([number]) for number in range(256))
            if max(decode_dss_signature(sign(key, message))) < 1 << 255
            and min(decode_dss_signature(sign(key, message))) >= 1 << 248
        )
        r, s = (number.to_bytes(32, "big") for number in decode_dss_signature(sign(key, message)))
        assert public.verifies(message, sequence(integer(r), integer(s)))
        wrong = [
            sequence(integer(b"\0" + r), integer(s)),  # a zero that is not needed
            sequence(integer(r), integer(b"\0" + s)),
            b"\x30\x81" + sequence(integer(r), integer(s))[1:],  # a length in the long form
            sequence(b"\2\x81\x20" + r, integer(s)),
            b"\x30\x80" + integer(r) + integer(s) + b"\0\0",  # of indefinite length
            b"\x31" + sequence(integer(r), integer(s))[1:],  # a set
            sequence(b"\3" + integer(r)[1:], integer(s)),  # a bit string
            sequence(integer(r), integer(s, 33)),
            sequence(integer(r, 33), integer(s)),
            sequence(integer(b""), integer(s)),
            sequence(integer(r)),
            b"",
            b"\x30\0",
            r + s,
        ]
        assert [form.hex() for form in wrong if public.verifies(message, form)] == []

    def test_a_point_must_be_on_the_curve(self, public):
        der = public.to_der()
        assert PublicKey.from_der(der) == public
        for wrong in (
            der[:-1] + bytes([der[-1] ^ 1]),
            PublicKey(0, 0).to_der(),
            PublicKey(_P, public.y).to_der(),
            PublicKey(public.x, 0).to_der(),
        ):
            with pytest.raises(ValueError, match="not on the curve"):
                PublicKey.from_der(wrong)
        for wrong in (der[:-1], der + b"\0", b"", der[:26] + b"\2" + der[27:], der[:26] + b"\2" + der[27:59]):
            with pytest.raises(ValueError, match="P-256"):
                PublicKey.from_der(wrong)


def sign(key, message: bytes) -> bytes:
    return key.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))


class TestBundle:
    @pytest.fixture
    def signed(self, tmp_path, key):
        """A file and its signature; keys beside them."""
        path = tmp_path / "shop.edge"
        path.write_bytes(bytes(range(256)) * 20)
        private, public = tmp_path / "k.private.pem", tmp_path / "k.public.pem"
        private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        public.write_bytes(pem_of(key))
        text, _ = sign_file(path.name, file_digest(path), private)
        (tmp_path / "shop.edge.sig").write_text(text)
        return path, public

    def test_a_signed_bundle_passes(self, signed):
        check_signature(*signed)
        check_signature(str(signed[0]), str(signed[1]), f"{signed[0]}.sig")

    def test_the_file_may_be_renamed(self, signed):
        moved = signed[0].rename(signed[0].with_name("other.edge"))
        check_signature(moved, signed[1], f"{signed[0]}.sig")

    def test_no_byte_of_the_bundle_can_be_altered(self, signed):
        path, public = signed
        whole = path.read_bytes()
        for altered in (whole[:-1], whole + b"\0", b"", whole[:100] + b"!" + whole[101:]):
            path.write_bytes(altered)
            with pytest.raises(SignatureError, match="not the file that was signed: expected sha256"):
                check_signature(path, public)

    def test_an_unsigned_bundle(self, signed):
        signed[0].with_name("shop.edge.sig").unlink()
        with pytest.raises(SignatureError, match=r"shop\.edge\.sig is missing beside it; copy it too"):
            check_signature(*signed)

    def test_no_bundle(self, signed):
        with pytest.raises(BundleError, match="can't be read"):
            check_signature(signed[0].with_name("none.edge"), signed[1])

    def test_another_key(self, signed, tmp_path):
        other = tmp_path / "other.pem"
        other.write_bytes(pem_of(ec.generate_private_key(ec.SECP256R1())))
        with pytest.raises(SignatureError, match="not made by this key"):
            check_signature(signed[0], other)

    def test_no_field_of_the_signature_can_be_altered(self, signed):
        """Each string and number in it, and each of what it signs, in turn."""
        path = signed[0].with_name("shop.edge.sig")
        whole = json.loads(path.read_text())
        statement = json.loads(base64.b64decode(whole["dsseEnvelope"]["payload"]))
        assert len(list(altered(statement))) >= 8
        for changed in altered(statement):
            envelope = {**whole["dsseEnvelope"], "payload": base64.b64encode(json.dumps(changed).encode()).decode()}
            path.write_text(json.dumps({**whole, "dsseEnvelope": envelope}))
            with pytest.raises(SignatureError):
                check_signature(*signed)
        for changed in altered(whole):
            path.write_text(json.dumps(changed))
            if changed["dsseEnvelope"]["signatures"][0]["keyid"]:  # a note of the signer's, which nobody relies on
                check_signature(*signed)
            else:
                with pytest.raises(BundleError):
                    check_signature(*signed)

    @pytest.mark.parametrize(
        "text",
        ["", "{", "[]", "null", "7", '"text"', "{}", "[" * 100_000, "\xff", '{"mediaType": 1e999}', " " * (2 << 20)],
    )
    def test_what_is_no_signature(self, signed, text):
        signed[0].with_name("shop.edge.sig").write_bytes(text.encode("latin-1"))
        with pytest.raises(BundleError, match=r"shop\.edge\.sig: ") as caught:
            check_signature(*signed)
        assert not isinstance(caught.value, SignatureError)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        "change",
        [
            {"_type": "https://in-toto.io/Statement/v0.1"},
            {"predicateType": "https://slsa.dev/provenance/v1"},
            {"predicate": {"serialization": {"method": "shards"}, "resources": []}},
            {"predicate": {"serialization": {"method": "files"}, "resources": []}},
            {"predicate": {"serialization": {"method": "files"}, "resources": [{"name": ".", "algorithm": "blake3"}]}},
            {
                "predicate": {
                    "serialization": {"method": "files"},
                    "resources": [{"name": ".", "algorithm": "sha256", "digest": "00"}],
                }
            },
        ],
    )
    def test_what_the_key_signed_for_another_purpose(self, signed, key, change):
        """Its owner signs other things too: those are not taken for a bundle's."""
        path = signed[0].with_name("shop.edge.sig")
        whole = json.loads(path.read_text())
        statement = {**json.loads(base64.b64decode(whole["dsseEnvelope"]["payload"])), **change}
        payload = json.dumps(statement).encode()
        whole["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
        whole["dsseEnvelope"]["signatures"][0]["sig"] = base64.b64encode(
            sign(key, encode_for_signing(payload))
        ).decode()
        path.write_text(json.dumps(whole))
        with pytest.raises(BundleError, match="expected an OpenSSF Model Signing signature of one file"):
            check_signature(*signed)

    def test_what_is_no_public_key(self, signed, tmp_path):
        p384 = pem_of(ec.generate_private_key(ec.SECP384R1()))
        rsa_key = pem_of(rsa.generate_private_key(65537, 2048))
        good = signed[1].read_bytes()
        private = signed[1].with_name("k.private.pem").read_bytes()
        path = tmp_path / "wrong.pem"
        for wrong in (b"", b"text", private, p384, rsa_key, good[:-30], good.replace(b"M", b"!", 1), good * 2):
            path.write_bytes(wrong)
            with pytest.raises(BundleError, match=r"wrong\.pem: .*keygen"):
                check_signature(signed[0], path)
        with pytest.raises(BundleError, match="can't be read: No such file"):
            check_signature(signed[0], tmp_path / "none.pem")

    def test_line_ends_of_another_system_do_not_matter(self, signed):
        hint = key_hint(read_public_key(signed[1]))
        signed[1].write_bytes(signed[1].read_bytes().replace(b"\n", b"\r\n"))
        check_signature(*signed)
        assert key_hint(read_public_key(signed[1])) == hint

    def test_nothing_beyond_the_standard_library_is_imported(self, signed):
        code = f"""
import sys
from edgeonnx.runtime._signature import check_signature
check_signature({str(signed[0])!r}, {str(signed[1])!r})
assert not {{"cryptography", "OpenSSL", "model_signing"}} & set(sys.modules)
"""
        subprocess.run([sys.executable, "-c", code], check=True)


def altered(value, whole=None, path=()):
    """Copies of a JSON value, each with one string or number changed."""
    whole = value if whole is None else whole
    if isinstance(value, (dict, list)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for name, item in items:
            yield from altered(item, whole, (*path, name))
    else:
        copy = json.loads(json.dumps(whole))
        place = copy
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = other(value)
        yield copy


def other(value):
    if isinstance(value, bool) or not isinstance(value, str):
        return not value
    # The first character, so that base64 stays base64: the last carries bits that do not count.
    return ("B" if value[:1] == "A" else "A") + value[1:]


class TestShell:
    @pytest.fixture
    def keys(self, tmp_path, key):
        (tmp_path / "private.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        (tmp_path / "public.pem").write_bytes(pem_of(key))
        return tmp_path

    def test_the_public_key_is_asked_for_its_signature(self, add_bundle, keys, capsys):
        path = keys / "add.edge"
        path.write_bytes(add_bundle.read_bytes())
        for verb in (["info"], ["selftest"], ["bench", "--runs", "1"]):
            words = [str(path), *verb, "--public-key", str(keys / "public.pem")]
            assert main(words) == 1
            assert "add.edge is not signed" in capsys.readouterr().err
        text, _ = sign_file(path.name, file_digest(path), keys / "private.pem")
        (keys / "add.edge.sig").write_text(text)
        assert main([str(path), "selftest", "--public-key", str(keys / "public.pem")]) == 0

    def test_a_bundle_that_runs_itself_does_not_vouch_for_itself(self, add_bundle, keys, capsys):
        """Its code may be somebody else's, who would let it say yes."""
        assert main(["selftest", "--public-key", str(keys / "public.pem")], bundle=str(add_bundle)) == 2
        assert "--public-key" in capsys.readouterr().err
