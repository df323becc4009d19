"""ECDSA over NIST P-256 with SHA-256: verification alone, so nothing here is secret or needs constant time.

FIPS 186-5, section 6.4.2; the curve's parameters from SEC 2, section 2.4.2; keys as SubjectPublicKeyInfo (RFC 5480),
signatures as DER (RFC 3279, section 2.2.3).
"""

from __future__ import annotations

from typing import NamedTuple

_P = 2**256 - 2**224 + 2**192 + 2**96 - 1
_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_GX = 0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296
_GY = 0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5

_HEADER = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
"""What every SubjectPublicKeyInfo of an uncompressed point of P-256 begins with; the point's 65 bytes follow."""

_UNCOMPRESSED = 4


class _Point(NamedTuple):
    """A point in Jacobian coordinates, (x / z^2, y / z^3); z = 0 is the point at infinity."""

    x: int
    y: int
    z: int


_INFINITY = _Point(1, 1, 0)
_G = _Point(_GX, _GY, 1)


class PublicKey(NamedTuple):
    """A point of the curve, checked to be one."""

    x: int
    y: int

    @classmethod
    def from_der(cls, der: bytes) -> PublicKey:
        """Read a SubjectPublicKeyInfo.

        Raises:
            ValueError: another kind of key, or a point that is not on the curve.
        """
        point = der[len(_HEADER) :]
        if not der.startswith(_HEADER) or len(point) != 65 or point[0] != _UNCOMPRESSED:
            raise ValueError("expected an ECDSA P-256 public key with an uncompressed point")
        x, y = int.from_bytes(point[1:33], "big"), int.from_bytes(point[33:], "big")
        if max(x, y) >= _P or (y * y - (x * x * x - 3 * x + _B)) % _P:
            raise ValueError("the key's point is not on the curve P-256")
        return cls(x, y)

    def to_der(self) -> bytes:
        """The SubjectPublicKeyInfo."""
        return _HEADER + bytes([_UNCOMPRESSED]) + self.x.to_bytes(32, "big") + self.y.to_bytes(32, "big")

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Whether `signature`, the DER of r and s, was made over `message` with this key's private part."""
        from hashlib import sha256

        try:
            r, s = _read_signature(signature)
        except ValueError:
            return False
        if not (0 < r < _N and 0 < s < _N):
            return False
        inverse = pow(s, -1, _N)
        digest = int.from_bytes(sha256(message).digest(), "big")
        x, _, z = _sum_of_products(digest * inverse % _N, r * inverse % _N, _Point(self.x, self.y, 1))
        return z != 0 and (x * pow(z, -2, _P) % _P) % _N == r


def _read_signature(der: bytes) -> tuple[int, int]:
    """Two integers, r and s. Raises ValueError where the encoding is not the only one that DER allows."""
    if len(der) < 2 or der[0] != 0x30 or der[1] != len(der) - 2 or der[1] > 127:
        raise ValueError("expected one DER sequence")
    r, rest = _read_integer(der[2:])
    s, rest = _read_integer(rest)
    if rest:
        raise ValueError("expected two integers")
    return r, s


def _read_integer(der: bytes) -> tuple[int, bytes]:
    """A non-negative integer and what follows it."""
    size = der[1] if len(der) > 1 else 0
    digits = der[2 : 2 + size]
    if not digits or der[0] != 2 or len(digits) != size or digits[0] > 127:
        raise ValueError("expected a DER integer, not negative")
    if size > 1 and digits[0] == 0 and digits[1] < 128:
        raise ValueError("expected the shortest form of an integer")
    return int.from_bytes(digits, "big"), der[2 + size :]


def _sum_of_products(u: int, v: int, q: _Point) -> _Point:
    """The point u * G + v * q, both products at once (Shamir's trick)."""
    table = (_INFINITY, _G, q, _add(_G, q))
    total = _INFINITY
    for bit in range(255, -1, -1):
        total = _double(total)
        total = _add(total, table[(u >> bit & 1) + 2 * (v >> bit & 1)])
    return total


def _double(point: _Point) -> _Point:
    """Formulas dbl-2001-b of the Explicit-Formulas Database, for a = -3."""
    x, y, z = point
    delta, gamma = z * z % _P, y * y % _P
    beta = x * gamma % _P
    alpha = 3 * (x - delta) * (x + delta) % _P
    x3 = (alpha * alpha - 8 * beta) % _P
    return _Point(x3, (alpha * (4 * beta - x3) - 8 * gamma * gamma) % _P, 2 * y * z % _P)


def _add(a: _Point, b: _Point) -> _Point:
    """Formulas add-1998-cmo-2 of the same; equal and opposite points and infinity, which they leave out, apart."""
    if a.z == 0 or b.z == 0:
        return b if a.z == 0 else a
    za, zb = a.z * a.z % _P, b.z * b.z % _P
    u, s = a.x * zb % _P, a.y * zb * b.z % _P
    h, r = (b.x * za - u) % _P, (b.y * za * a.z - s) % _P
    if h == 0:
        return _double(a) if r == 0 else _INFINITY
    h2 = h * h % _P
    h3, v = h * h2 % _P, u * h2 % _P
    x = (r * r - h3 - 2 * v) % _P
    return _Point(x, (r * (v - x) - s * h3) % _P, a.z * b.z * h % _P)
