"""Runs on a device, with the bundle on PYTHONPATH: `python device.py NAME.edge` prints the largest differences.

`python device.py NAME.edge OTHER.edge` compares with the golden outputs of another bundle, of the same model, and
allows what this one does.
"""

import json
import sys

import edgeonnx_runtime as er
import numpy as np
import onnxruntime
from edgeonnx_runtime._bundle import open_bundle
from edgeonnx_runtime._selftest import golden_inputs, golden_outputs
from edgeonnx_runtime._variants import agrees

bundle, golden = open_bundle(sys.argv[1]), open_bundle(sys.argv[-1])
reports = []
for expectation in golden.manifest.variants:
    variant = next(one for one in bundle.manifest.variants if one.precision == expectation.precision)
    found = {spec.name: {"name": spec.name, "difference": -1.0, "ok": True} for spec in bundle.manifest.outputs}
    with er.load(sys.argv[1], variant=variant.name) as model:
        for i in range(golden.manifest.golden.samples):
            got = model.run(golden_inputs(golden, i).inputs)
            for (name, one), expected in zip(found.items(), golden_outputs(golden, i, expectation), strict=True):
                tolerance = variant.tolerance[name]
                difference = np.abs(got[name].astype(np.float64) - expected.astype(np.float64))
                worst = np.argmax(difference)
                if difference.flat[worst] > one["difference"]:
                    one["difference"] = float(difference.flat[worst])
                    one["allowed"] = tolerance.atol + tolerance.rtol * float(np.abs(expected.flat[worst]))
                one["ok"] = one["ok"] and bool(agrees(got[name], expected, tolerance))
    reports.append({"variant": expectation.name, "outputs": list(found.values())})
print(json.dumps({"onnxruntime": onnxruntime.__version__, "variants": reports}))
