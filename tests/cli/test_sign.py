"""`keygen`, `sign` and `verify` as a person types them."""

import json

import pytest


@pytest.fixture
def bundle(fashion_bundle, out):
    path = out / "shop.edge"
    path.write_bytes(fashion_bundle.read_bytes())
    return path


def test_keygen_sign_verify(edgeonnx, bundle, out):
    assert edgeonnx("keygen", "-o", out / "release").code == 0
    assert "keep it secret" in edgeonnx("keygen", "-o", out / "second").out
    assert edgeonnx("sign", bundle, "--key", out / "release.private.pem").code == 0
    ran = edgeonnx("verify", bundle, "--key", out / "release.public.pem")
    assert (ran.code, ran.err) == (0, "")
    assert "shop.edge by" in ran.out


def test_as_json(edgeonnx, bundle, out):
    pair = json.loads(edgeonnx("keygen", "-o", out / "k", "--json").out)
    signed = json.loads(edgeonnx("sign", bundle, "--key", pair["private"], "--json").out)
    assert json.loads(edgeonnx("verify", bundle, "--key", pair["public"], "--json").out) == signed
    assert signed["signature"] == f"{bundle}.sig"


def test_exit_code_1_where_it_is_not_so(edgeonnx, bundle, out):
    edgeonnx("keygen", "-o", out / "k")
    words = ["verify", bundle, "--key", out / "k.public.pem"]
    ran = edgeonnx(*words)
    assert (ran.code, ran.out) == (1, "")
    assert "is not signed" in ran.err
    edgeonnx("sign", bundle, "--key", out / "k.private.pem")
    bundle.write_bytes(bundle.read_bytes() + b"\0")
    assert edgeonnx(*words).code == 1
    edgeonnx("keygen", "-o", out / "other")
    assert edgeonnx("verify", bundle, "--key", out / "other.public.pem").code == 1


def test_bad_input(edgeonnx, bundle, out):
    edgeonnx("keygen", "-o", out / "k")
    edgeonnx("sign", bundle, "--key", out / "k.private.pem")
    assert "never overwritten" in edgeonnx("keygen", "-o", out / "k").complains()
    assert "expected a private key" in edgeonnx("sign", bundle, "--key", out / "k.public.pem").complains()
    assert "expected a public key" in edgeonnx("verify", bundle, "--key", out / "k.private.pem").complains()
    none = ["verify", bundle, "--key", out / "k.public.pem", "--signature", out / "none.sig"]
    assert "No such file" in edgeonnx(*none).complains()
    assert "No such file" in edgeonnx("verify", out / "none.edge", "--key", out / "k.public.pem").err
    assert edgeonnx("sign", out / "none.edge", "--key", out / "k.private.pem").code == 2
