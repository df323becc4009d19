"""Profiles load, resolve and say what is wrong with them; the facts behind them are well formed."""

import platform
import re
import tomllib
from itertools import pairwise
from pathlib import Path

import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from edgeonnx.data import folder
from edgeonnx.errors import TargetError
from edgeonnx.targets import (
    Caps,
    ModelFacts,
    caps,
    list_targets,
    load_target,
    oldest,
    refusals,
    runs_here,
    target_names,
)

EXAMPLE = re.search(
    r"```toml\n(.*?)```", (Path(__file__).parents[2] / "docs" / "targets.md").read_text("utf-8"), re.DOTALL
)[1]
FITS = ModelFacts(17, 8, frozenset({"", "com.microsoft"}), inputs_fixed=True, external_data=False, bytes=10_000)


@pytest.fixture
def profile(tmp_path: Path):
    """Writes the documentation's example with one piece replaced; gives the file's path."""

    def write(old: str = "", new: str = "") -> str:
        assert old in EXAMPLE
        path = tmp_path / "board.toml"
        path.write_text(EXAMPLE.replace(old, new, 1), "utf-8")
        return str(path)

    return write


def test_every_board_of_the_first_release_is_shipped():
    assert [target.name for target in list_targets()] == [
        "android-arm64",
        "apple-silicon",
        "arm64",
        "intel-openvino",
        "jetson-orin",
        "qualcomm-hexagon",
        "raspberrypi",
        "raspberrypi-32",
        "rk3588",
        "web",
        "x86-64",
        "x86-64-vnni",
    ]


@pytest.mark.parametrize("target", list_targets(), ids=lambda target: target.name)
def test_a_shipped_profile_is_named_as_its_file_and_says_what_is_not_proven(target):
    assert (folder("targets") / f"{target.name}.toml").is_file()
    assert "not" in target.proof or "othing" in target.proof
    assert (target.tier == "described") == target.proof.startswith("Nothing is tested")


def test_targets_hold_no_code():
    assert {path.suffix for path in folder("targets").rglob("*") if path.is_file()} == {".toml"}


@pytest.mark.parametrize("name", target_names())
def test_every_listed_name_loads(name):
    assert load_target(name).name == name


def test_a_member_is_its_family_with_its_own_facts():
    family, pi5, zero = (load_target(name) for name in ("raspberrypi", "raspberrypi-5", "raspberrypi-zero2w"))
    assert pi5.hardware.cpu == "Arm Cortex-A76 (BCM2712)"
    assert (family.arithmetic.isa, zero.arithmetic.isa, pi5.arithmetic.isa) == ("neon", "neon", "dotprod")
    assert pi5.providers == family.providers
    assert pi5.session == family.session
    assert pi5.members == {}
    assert zero.hardware.memory_mb == (512,)


def test_a_members_threads_replace_the_familys(profile):
    path = profile(
        "[[providers]]", '[members.big]\ntitle = "Big"\nintra_op_threads = 8\nhardware = {}\n\n[[providers]]'
    )
    family = load_target(path)
    assert (family.threads, family.member("big").threads) == (0, 8)


def test_the_documented_example_loads_with_the_documented_defaults(profile):
    target = load_target(profile())
    assert (target.dialect, target.threads, target.requires.fixed_shapes) == ("cpu", 0, False)
    assert target.caps == caps("1.22")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("raspberypi", "Near: raspberrypi"),
        ("raspberrypi-6", "raspberrypi-5"),
        ("x86-64-vnnii", "x86-64-vnni"),
        ("raspberrypi-", "raspberrypi"),
        ("toaster", "Known: android-arm64"),
        ("boards/none.toml", "expected a file"),
    ],
)
def test_an_unknown_name_is_told_the_near_ones(name, said):
    with pytest.raises(TargetError, match=re.escape(said)) as caught:
        load_target(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('title = "My board"\n', "", "title: expected a value, got none"),
        ('title = "My board"', 'titel = "My board"', "title: expected a value"),
        ('proof = "', 'speed = 1\nproof = "', "speed: expected a field of the schema"),
        (
            '"described"',
            '"proven"',
            "tier: expected 'measured', 'emulated', 'simulated', 'compiled' or 'described', got 'proven'",
        ),
        ('minimum = "1.22"', "minimum = 1.22", "onnxruntime.minimum: expected a valid string, got 1.22"),
        ('minimum = "1.22"', 'minimum = "1.2"', "onnxruntime.minimum: expected a release whose highest opset"),
        (
            "[arithmetic]",
            "[session]\nintra_op_threads = true\n[arithmetic]",
            "intra_op_threads: expected a valid integer",
        ),
        (
            "[arithmetic]",
            "[session]\nintra_op_threads = -1\n[arithmetic]",
            "expected greater than or equal to 0, got -1",
        ),
        ('name = "CPUExecutionProvider"', "", "providers.0.name: expected a value"),
        ("https://onnxruntime.ai/", "http://onnxruntime.ai/", "sources.0.url: "),
        ("https://onnxruntime.ai/", "https://pypi.example/", "expected documentation, not a package registry"),
        ('os = "linux"', "os = linux", "expected TOML, got: "),
        ('os = "linux"', "os = linux", "line 7"),
    ],
)
def test_a_broken_profile_is_told_file_field_expected_and_got(profile, old, new, said):
    path = profile(old, new)
    with pytest.raises(TargetError, match=re.escape(said)) as caught:
        load_target(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_profile_in_another_encoding_is_told_so(tmp_path):
    path = tmp_path / "board.toml"
    path.write_bytes(EXAMPLE.replace("My board", "Meine Gerät").encode("latin-1"))
    with pytest.raises(TargetError, match="expected UTF-8"):
        load_target(str(path))


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        ("1.16", Caps(19, 9)),
        ("1.18", Caps(21, 10)),
        ("1.20", Caps(21, 10)),
        ("1.22", Caps(22, 10)),
        ("1.22.1", Caps(22, 10)),
        ("1.23", Caps(23, 11)),
        ("1.25", Caps(26, 13)),
        ("1.28.0", Caps(26, 13)),
        ("1.32.0", Caps(28, 14)),
        ("1.99", Caps(28, 14)),
    ],
)
def test_caps_of_a_release(release, expected):
    assert caps(release) == expected


@pytest.mark.parametrize("release", ["1.15", "0.5", "new", "", "1", "v1.22"])
def test_a_release_without_known_caps_is_an_error(release):
    with pytest.raises(TargetError, match="expected"):
        caps(release)


@pytest.mark.parametrize(
    ("opset", "ir_version", "release"),
    [(13, 7, "1.16"), (19, 9, "1.16"), (17, 10, "1.18"), (22, 8, "1.21"), (24, 10, "1.24"), (27, 10, "1.32")],
)
def test_the_oldest_release_that_loads_a_model(opset, ir_version, release):
    assert oldest(opset, ir_version) == release


def test_a_model_that_no_known_release_loads_is_an_error():
    with pytest.raises(TargetError, match="expected opset at most 28 and IR version at most 14"):
        oldest(99, 8)


def test_caps_only_rise_and_each_row_says_where_it_is_from():
    rows = tomllib.loads((folder("targets") / "facts" / "onnxruntime.toml").read_text("utf-8"))["releases"]
    assert [row["from"] for row in rows if row["from"] not in {"documented", "measured"}] == []
    limits = [(row["opset"], row["ir_version"]) for row in rows]
    assert all(
        before != after and before[0] <= after[0] and before[1] <= after[1] for before, after in pairwise(limits)
    )


def _loads(opset: int, ir_version: int) -> bool:
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "relu", value[:1], value[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception:  # onnxruntime raises a class of its own per status, most of them Fail
        return False
    return True


def test_the_onnxruntime_installed_here_loads_what_its_row_says():
    limit = caps(onnxruntime.__version__)
    assert _loads(limit.opset, 8)
    assert _loads(13, limit.ir_version)


def test_a_model_that_fits_is_not_refused():
    assert [target.name for target in list_targets() if refusals(target, FITS)] == []


def _with(**changes) -> ModelFacts:
    return ModelFacts(**{**FITS.__dict__, **changes})


@pytest.mark.parametrize(
    ("name", "facts", "said"),
    [
        ("raspberrypi", _with(opset=24), "opset: expected at most 22, the highest of onnxruntime 1.22, got 24"),
        ("raspberrypi", _with(opset=24, ir_version=14), "or put onnxruntime 1.24 on the device"),
        ("raspberrypi", _with(opset=99), "got 99; export"),
        ("raspberrypi", _with(domains=frozenset({"", "my.ops"})), "ai.onnx.contrib, got my.ops"),
        ("qualcomm-hexagon", _with(domains=frozenset({"ai.onnx.ml"})), "got ai.onnx.ml"),
        ("qualcomm-hexagon", _with(inputs_fixed=False), "input shapes: expected numbers"),
        ("raspberrypi", _with(bytes=2**31, external_data=True), "got 2147483648, external data included"),
    ],
)
def test_a_refusal_says_expected_got_and_the_fix(name, facts, said):
    (line,) = refusals(load_target(name), facts)
    assert said in line
    assert ";" in line
    assert "\n" not in line


@pytest.mark.parametrize("facts", [_with(ir_version=14), _with(inputs_fixed=False), _with(external_data=True)])
def test_what_packaging_mends_or_the_board_takes_is_no_refusal(facts):
    assert refusals(load_target("raspberrypi"), facts) == []


def test_the_suggested_way_to_fix_shapes_exists():
    from onnxruntime.tools import make_dynamic_shape_fixed

    assert make_dynamic_shape_fixed.make_dynamic_shape_fixed_helper


def test_the_suggested_way_to_lower_the_opset_exists():
    assert onnx.version_converter.convert_version


VNNI = "flags\t: fpu avx2 avx512f avx512_vnni\n"
AVX2 = "flags\t: fpu avx2\n"


@pytest.mark.skipif((platform.system(), platform.machine()) != ("Linux", "x86_64"), reason="needs Linux on x86-64")
@pytest.mark.parametrize(
    ("name", "cpuinfo", "here"),
    [
        ("x86-64-vnni", VNNI, True),
        ("x86-64-vnni", "flags\t: fpu avx2 avx_vnni\n", True),
        ("x86-64-vnni", AVX2, False),
        ("x86-64", AVX2, True),
        ("x86-64", VNNI, False),
        ("x86-64", "flags\t: fpu\n", False),
        ("x86-64", "no flags\n", False),
        ("raspberrypi", VNNI, False),
        ("web", VNNI, False),
        ("qualcomm-hexagon", VNNI, False),
    ],
)
def test_whether_this_machine_is_of_a_targets_kind(tmp_path, name, cpuinfo, here):
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    assert runs_here(load_target(name), tmp_path / "cpuinfo") is here


@pytest.mark.parametrize(("name", "here"), [("arm64", True), ("raspberrypi-4", True), ("raspberrypi-5", False)])
def test_an_arm_board_without_dot_product_is_no_raspberry_pi_5(tmp_path, name, here):
    (tmp_path / "cpuinfo").write_text("Features\t: fp asimd evtstrm crc32 cpuid\n")
    target = load_target(name)
    system = {"os": platform.system().lower().replace("darwin", "macos"), "machine": platform.machine()}
    on_this = target.model_copy(update={"platform": target.platform.model_copy(update=system)})
    assert runs_here(on_this, tmp_path / "cpuinfo") is here
