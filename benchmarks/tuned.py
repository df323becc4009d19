"""What `edgeonnx tune` buys: each model tuned, against onnxruntime's defaults, in turns in one process.

The first figure is against the float model in a plain onnxruntime session, as most people run it; the second against
the bundle's own settings. The bundle holds the INT8 model and the float one. With `--provider-python` both run in that
interpreter, whose onnxruntime may have more providers.

    python benchmarks/tuned.py [--policy battery] [--budget 60] [--provider-python PYTHON] [MODEL.onnx DATA ...]
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

EXAMPLE = Path(__file__).parent.parent / "examples" / "fashion_mnist"
ROUNDS = 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="*", type=Path, metavar="MODEL DATA", help="a float model and samples for it")
    parser.add_argument("--target", default="x86-64-vnni")
    parser.add_argument("--policy", default="latency")
    parser.add_argument("--budget", type=float, default=60.0)
    parser.add_argument("--provider-python", type=Path, default=Path(sys.executable))
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(*arguments.measure)))
        return
    with tempfile.TemporaryDirectory() as folder:
        models = arguments.models or example(Path(folder))
        for model, data in zip(models[::2], models[1::2], strict=True):
            report(model, data, Path(folder), arguments)


def example(folder: Path) -> list[Path]:
    """The example's model and pictures as it takes them."""
    import numpy as np

    with np.load(EXAMPLE / "calibration.npz") as data:
        pictures, labels = data["input"].transpose(0, 3, 1, 2).astype(np.float32) / 255, data["labels"]
    np.savez(folder / "pictures.npz", input=pictures, labels=labels)
    return [EXAMPLE / "mobilenetv1.onnx", folder / "pictures.npz"]


def report(model: Path, data: Path, folder: Path, arguments: argparse.Namespace) -> None:
    """Quantize, package, tune, and compare."""
    import edgeonnx

    int8, bundle = folder / f"{model.stem}.int8.onnx", folder / f"{model.stem}.edge"
    edgeonnx.quantize(model, data, target=arguments.target, recipe="fast", force=True, output=int8)
    edgeonnx.package(int8, arguments.target, bundle, variants=[model], data=data, keep_qdq=True)
    python = arguments.provider_python
    tuned = edgeonnx.tune(bundle, arguments.policy, budget=arguments.budget, python=python)
    command = [python, __file__, "--measure", bundle, model, arguments.policy]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    print(f"{model.stem}, {arguments.policy}: {tuned.winner or 'the bundle as it is'}")
    for against, (ratio, low, high) in found.items():
        print(f"  {ratio:.2f}x ({low:.2f} to {high:.2f}) of {against}")
    for note in tuned.notes:
        print(f"  note: {note}")


def measure(bundle: str, model: str, policy: str) -> dict[str, tuple[float, float, float]]:
    """Gain over each of two others, with its interval; by the bundle's own runtime, which is all that is needed."""
    sys.path.insert(0, bundle)
    import edgeonnx_runtime as er
    import numpy as np
    import onnxruntime as ort
    from edgeonnx_runtime._bundle import open_bundle
    from edgeonnx_runtime._contest import Contender, Golden
    from edgeonnx_runtime._significance import interval
    from edgeonnx_runtime._tuned import Setup, read_tuned

    opened = open_bundle(bundle)
    with er.load(bundle, tuned=False) as plain:
        own = Setup(plain.variant.name, opened.manifest.session.providers)
    best = read_tuned(opened, bundle + ".tuned").setup or own
    contenders = [Contender(opened, setup, policy, Golden(opened)) for setup in (best, own, own)]
    assert all(each.open() for each in contenders), [each.fault for each in contenders]
    # The third becomes what a person writes who has not read about sessions.
    contenders[2]._sessions = [ort.InferenceSession(model, providers=["CPUExecutionProvider"])]
    for _ in range(ROUNDS):
        tuned, *others = [each.turn() for each in contenders]
        for each, turn in zip(contenders[1:], others, strict=True):
            gain = turn.cpu / tuned.cpu if policy == "battery" else turn.seconds / tuned.seconds
            each.ratios.append(gain)
    gains = [(float(np.median(each.ratios)), *interval(each.ratios)) for each in contenders[1:]]
    return {"the bundle's own settings": gains[0], "the float model in a plain session": gains[1]}


if __name__ == "__main__":
    main()
