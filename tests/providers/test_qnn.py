"""Qualcomm's NPU on its simulator, in the environment that `make qnn` builds: compile, compare, run bundles there."""

import subprocess
import zipfile

import numpy as np
import onnx
import pytest

import edgeonnx
from edgeonnx import data
from edgeonnx.errors import TargetError
from edgeonnx.model import Model
from edgeonnx.providers import Setting, find_runner, variable
from edgeonnx.providers.qnn import Chip, compiled_for
from edgeonnx.targets import load_target
from tests.providers.conftest import interpreter
from tests.unit.fashion import fashion_model, pictures
from tests.unit.models import build, noise

pytestmark = pytest.mark.slow

PROVIDER, FAMILY = "QNNExecutionProvider", "qualcomm-hexagon"
MEMBERS = sorted(load_target(FAMILY).members)


@pytest.fixture(autouse=True, scope="module")
def python():
    """The interpreter with onnxruntime-qnn; skips where there is none, unless it is required."""
    named = interpreter(PROVIDER)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(variable(PROVIDER), str(named))
        yield named


@pytest.fixture(scope="module")
def quantized(tmp_path_factory, examples):
    """Makes the INT8 model for the NPU of `mobilenetv1`, which is the example's, `mobilenetv3` or `resnet8`."""
    made = {}

    def quantized(name):
        if name not in made:
            source = examples / "mobilenetv1.onnx" if name == "mobilenetv1" else fashion_model(name)
            images, labels = pictures("test", 400)
            made[name] = edgeonnx.quantize(
                source,
                {"input": pictures("calibration", 64)[0]},
                output=tmp_path_factory.mktemp("qnn") / f"{name}.onnx",
                target=FAMILY,
                eval_data={"input": images, "labels": labels},
                max_drop=0.05,
            )
        return made[name].model

    return quantized


def entry(path, name):
    with zipfile.ZipFile(path) as archive:
        return onnx.load_from_string(archive.read(name))


@pytest.mark.parametrize("member", MEMBERS)
def test_every_member_gets_code_for_its_chip(quantized, tmp_path, member):
    result = edgeonnx.package(quantized("mobilenetv1"), f"{FAMILY}-{member}", tmp_path / "m.edge")
    compiled, cpu = result.manifest.variants
    assert [provider.name for provider in compiled.providers] == [PROVIDER]
    assert [provider.name for provider in cpu.providers] == ["CPUExecutionProvider"]
    proto = entry(result.path, compiled.file)
    assert [node.op_type for node in proto.graph.node] == ["EPContext"]
    wanted = load_target(f"{FAMILY}-{member}").compilation
    assert compiled_for(Model.from_proto(proto)) == Chip(wanted.chip, wanted.options["htp_arch"])
    assert result.notes[0].startswith(f"compiled for {wanted.chip}: no node of the model is left to the CPU; outputs ")


@pytest.mark.parametrize("name", ["mobilenetv1", "mobilenetv3", "resnet8"])
def test_accuracy_is_that_of_the_cpu(quantized, tmp_path, name):
    result = edgeonnx.package(quantized(name), FAMILY, tmp_path / "m.edge", data={"input": pictures("test", 8)[0]})
    setting = Setting(PROVIDER, {"backend_type": "htp"}, config={"session.disable_cpu_ep_fallback": "1"})
    runner = find_runner(setting)
    predict = runner.load(Model.from_proto(entry(result.path, result.manifest.variants[0].file)))
    session = quantized(name).session()
    images, labels = pictures("test", 200)
    there = np.stack([next(iter(predict({"input": image[None]}).values()))[0] for image in images])
    here = np.stack([session.run(None, {"input": image[None]})[0][0] for image in images])
    runner.close()
    assert (there.argmax(1) == labels).mean() > (here.argmax(1) == labels).mean() - 0.015
    assert (there.argmax(1) == here.argmax(1)).mean() > 0.97


@pytest.fixture(scope="module")
def bundle(tmp_path_factory, examples):
    """The example with its pipeline around the compiled model: a picture in, ten labelled classes out."""
    folder = tmp_path_factory.mktemp("bundle")
    with np.load(examples / "test.npz") as test:
        evaluation = {name: test[name][:200] for name in test}
    edgeonnx.quantize(
        examples / "mobilenetv1.onnx",
        examples / "calibration.npz",
        output=folder / "fashion.onnx",
        target=FAMILY,
        eval_data=evaluation,
        pipeline=examples / "pipeline.toml",
        max_drop=0.05,
    )
    shared = {
        "pipeline": examples / "pipeline.toml",
        "labels": examples / "labels.txt",
        "data": examples / "test.npz",
    }
    return [edgeonnx.package(folder / "fashion.onnx", FAMILY, folder / f"{i}.edge", **shared) for i in range(2)]


def test_a_bundle_with_its_pipeline_runs_on_the_simulator(bundle, python, examples):
    path = bundle[0].path
    said = subprocess.run([python, "-I", path, "selftest"], capture_output=True, text=True, check=False)
    assert (said.returncode, "ok (3 golden samples)" in said.stdout) == (0, True), said.stdout + said.stderr
    assert f"placement: {PROVIDER} 1, " in said.stdout
    run = [python, "-I", path, "run", examples / "shirt.png"]
    assert "Shirt" in subprocess.run(run, capture_output=True, text=True, check=True).stdout
    graph = entry(path, bundle[0].manifest.variants[0].file).graph
    assert [node.op_type for node in graph.node].count("EPContext") == 1
    assert len(graph.node) > 1


def test_a_bundle_falls_back_with_a_warning_where_the_provider_is_missing(bundle, shirt_png):
    with pytest.warns(RuntimeWarning, match=r"int8-qnn: .*int8-cpu runs in its place"):
        model = edgeonnx.load(bundle[0].path)
    assert model(str(shirt_png)).label == "Shirt"


def test_the_same_model_gives_the_same_bytes(bundle):
    first, second = (entry(one.path, one.manifest.variants[0].file) for one in bundle)
    assert first == second


def test_float_is_left_to_the_cpu_where_the_chip_has_integers_alone(tmp_path):
    with pytest.raises(TargetError, match=r"can't run the whole model: it leaves Conv .* and \d+ more to the CPU"):
        edgeonnx.package(fashion_model("resnet8"), f"{FAMILY}-qcs6490", tmp_path / "m.edge")
    compiled, _ = edgeonnx.package(fashion_model("resnet8"), FAMILY, tmp_path / "m.edge").manifest.variants
    assert (compiled.name, compiled.precision) == ("float32-qnn", "float32")


def test_a_node_that_the_npu_lacks_is_named(tmp_path):
    model = build("(float[1,4,4] x) => (float[1,4,4] y, float[1] d) { y = Relu(x) d = Det(x) }")
    with pytest.raises(TargetError, match=r"leaves Det .* to the CPU"):
        edgeonnx.package(model, FAMILY, tmp_path / "m.edge")


@pytest.mark.parametrize(
    ("model", "arch", "said"),
    [
        ("57", "75", "expected a model compiled for SC8380XP, got one for SM8650, HTP 75; correct compilation"),
        ("9999", "73", "can't run the whole model: .*QNN_DEVICE_ERROR_INVALID_CONFIG"),
    ],
)
def test_a_profile_whose_chip_and_options_do_not_agree_is_refused(tmp_path, model, arch, said):
    profile = (data.folder("targets") / f"{FAMILY}.toml").read_text("utf-8")
    right = 'soc_model = "60", htp_arch = "73"'
    assert right in profile
    path = tmp_path / "wrong.toml"
    path.write_text(profile.replace(right, f'soc_model = "{model}", htp_arch = "{arch}"'), "utf-8")
    with pytest.raises(TargetError, match=said):
        edgeonnx.package(fashion_model("resnet8"), str(path), tmp_path / "m.edge")


def test_a_free_batch_is_made_one_and_the_cpu_variant_agrees(tmp_path):
    model = build("(float[N,4,8,8] x) => (float[N,4,8,8] y) { y = Relu(x) }")
    result = edgeonnx.package(model, FAMILY, tmp_path / "m.edge", data={"x": noise(2, 4, 8, 8)})
    assert [spec.shape for spec in result.manifest.inputs] == [(1, 4, 8, 8)]
