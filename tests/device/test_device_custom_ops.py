"""A bundle with a library of custom operators on emulated boards: compiled for them, registered there."""

import pytest

import edgeonnx
from tests import native
from tests.device import lab
from tests.unit.models import build, noise, weight

GRAPH = f"""(float[N,4,8,8] x) => (float[N,6,8,8] y) {{
    m = {native.DOMAIN}.MedianFilter(x) y = Conv<pads = [1,1,1,1]>(m, w)
}}"""


def packaged(folder, target, *libraries):
    model = build(GRAPH, domains=[native.DOMAIN], w=weight(6, 4, 3, 3))
    with edgeonnx.custom_ops(*libraries):
        return edgeonnx.package(model, target, folder / "clean.edge", data={"x": noise(2, 4, 8, 8)}).path


def test_on_a_64_bit_board(pi, median, tmp_path):
    board = native.median_filter(tmp_path / "arm64", "aarch64-linux-gnu-g++", "g++-aarch64-linux-gnu")
    ran = pi.python(packaged(tmp_path, "raspberrypi", median, board), "selftest")
    assert ran.returncode == 0, ran.stderr
    assert "ok (2 golden samples)" in ran.stdout


def test_a_library_for_another_machine_is_refused_there(pi, median, tmp_path):
    ran = pi.python(packaged(tmp_path, "x86-64", median), "selftest")
    assert ran.returncode == 2
    assert f"{native.OPERATOR}: expected a library of custom operators for linux-aarch64, got those for" in ran.stderr


@pytest.mark.slow  # it downloads another system
def test_on_a_32_bit_board(median, tmp_path):
    board = native.median_filter(tmp_path / "armhf", "arm-linux-gnueabihf-g++", "g++-arm-linux-gnueabihf")
    bundle = packaged(tmp_path, "raspberrypi-32", median, board)
    ran = lab.board("armhf", cpu="cortex-a7").python(bundle, "selftest")
    assert ran.returncode == 0, ran.stderr
