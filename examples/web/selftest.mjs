// Runs a bundle's golden samples with onnxruntime-node: `node selftest.mjs NAME.edge`. Prints JSON; 1 when one differs.
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import * as ort from "onnxruntime-node";
import { Bundle } from "./bundle.js";
import { selftest } from "./golden.js";

const file = await readFile(process.argv[2]);
const bundle = await Bundle.open(file.buffer.slice(file.byteOffset, file.byteOffset + file.byteLength));
const folder = await mkdtemp(join(tmpdir(), "edgeonnx-")); // onnxruntime-node takes external weights from files alone

async function load(variant) {
  for (const name of [variant.file, ...variant.weights]) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), bundle.read(name));
  }
  const options = { executionProviders: ["cpu"], graphOptimizationLevel: variant.graph_optimization };
  return ort.InferenceSession.create(join(folder, variant.file), options);
}

try {
  const report = await selftest(ort, bundle, load);
  console.log(JSON.stringify(report, null, 2));
  process.exitCode = report.variants.every(({ ok }) => ok) ? 0 : 1;
} finally {
  await rm(folder, { recursive: true });
}
