"""Runs on a device, with the bundle on PYTHONPATH: `python device.py NAME.edge` prints the largest differences."""

import json
import sys

import edgeonnx_runtime as er
import numpy as np
import onnxruntime
from edgeonnx_runtime._bundle import open_bundle
from edgeonnx_runtime._selftest import golden_inputs, golden_outputs
from edgeonnx_runtime._variants import agrees

bundle = open_bundle(sys.argv[1])
reports = []
for variant in bundle.manifest.variants:
    found = {spec.name: {"name": spec.name, "difference": -1.0, "ok": True} for spec in bundle.manifest.outputs}
    with er.load(sys.argv[1], variant=variant.name) as model:
        for i in range(bundle.manifest.golden.samples):
            got = model.run(golden_inputs(bundle, i).inputs)
            for (name, one), expected in zip(found.items(), golden_outputs(bundle, i, variant), strict=True):
                tolerance = variant.tolerance[name]
                difference = np.abs(got[name].astype(np.float64) - expected.astype(np.float64))
                worst = np.argmax(difference)
                if difference.flat[worst] > one["difference"]:
                    one["difference"] = float(difference.flat[worst])
                    one["allowed"] = tolerance.atol + tolerance.rtol * float(np.abs(expected.flat[worst]))
                one["ok"] = one["ok"] and bool(agrees(got[name], expected, tolerance))
    reports.append({"variant": variant.name, "outputs": list(found.values())})
print(json.dumps({"onnxruntime": onnxruntime.__version__, "variants": reports}))
