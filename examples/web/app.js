// Classifies a dropped picture; a dropped .edge file takes the place of model.edge. `?bundle=URL` opens another,
// `?variant=NAME` takes another form of the model than the first, `?selftest` runs the golden samples of all forms.
import * as ort from "onnxruntime-web";
import { Bundle } from "./bundle.js";

const at = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
let bundle, session;

async function open(buffer) {
  bundle = await Bundle.open(buffer);
  at("name").textContent = `${bundle.manifest.name} ${bundle.manifest.version}`;
  session = await load(bundle.variant(query.get("variant")));
}

function load({ file, weights, graph_optimization }) {
  const externalData = weights.map((path) => ({ path, data: bundle.read(path) }));
  const options = { executionProviders: ["wasm"], graphOptimizationLevel: graph_optimization, externalData };
  return ort.InferenceSession.create(bundle.read(file), options);
}

/** A picture as the input takes it: height x width x channels, uint8. */
async function pixels(file, { name, media, shape }) {
  if (media?.type !== "image" || media.encoded) throw new Error(`input ${name} takes no pixels of a picture`);
  const picture = await createImageBitmap(file, { colorSpaceConversion: "none" });
  const { width, height } = Object.assign(at("picture"), { width: picture.width, height: picture.height });
  const fits = [height, width].every((size, axis) => typeof shape[axis] === "string" || shape[axis] === size);
  if (!fits) throw new Error(`expected a picture of ${shape[1]} x ${shape[0]} pixels, got ${width} x ${height}`);
  const context = at("picture").getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  const rgba = context.getImageData(0, 0, width, height).data;
  const luma = (r, g, b) => (r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16; // in integers, as Pillow does
  const colors = { grey: (...rgb) => [luma(...rgb)], rgb: (r, g, b) => [r, g, b], bgr: (r, g, b) => [b, g, r] };
  const data = new Uint8Array(width * height * shape[2]);
  const pick = colors[media.color];
  for (let i = 0; i < width * height; i++) data.set(pick(...rgba.subarray(4 * i, 4 * i + 3)), i * shape[2]);
  return new ort.Tensor("uint8", data, [height, width, shape[2]]);
}

async function classify(file) {
  const { inputs, result } = bundle.manifest;
  if (result?.type !== "classification") throw new Error("this page shows classifications only");
  const outputs = await session.run({ [inputs[0].name]: await pixels(file, inputs[0]) });
  const labels = result.labels && bundle.lines(result.labels);
  const guesses = Array.from(outputs[result.outputs.scores].data, (score, i) => [Number(score), labels?.[i] ?? i]);
  const best = guesses.sort(([a], [b]) => b - a).slice(0, result.top_k);
  const sure = best.filter(([score]) => result.threshold === null || score > result.threshold);
  at("result").textContent = sure.map(([score, label]) => `${label} ${score.toFixed(2)}`).join("\n");
}

/** Does it, and says on the page what went wrong. */
const attempt = (action) => action().catch((error) => { at("result").textContent = error.message; });
const take = ([file]) =>
  attempt(async () => (file.name.endsWith(".edge") ? open(await file.arrayBuffer()) : classify(file)));

document.ondragover = (event) => event.preventDefault();
document.ondrop = (event) => { event.preventDefault(); take(event.dataTransfer.files); };
at("file").onchange = ({ target }) => take(target.files);
await attempt(async () => {
  const url = query.get("bundle") ?? "model.edge";
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status} ${response.statusText}; drop a bundle here`);
  await open(await response.arrayBuffer());
  const golden = query.has("selftest") && (await import("./golden.js"));
  if (golden) at("result").textContent = JSON.stringify(await golden.selftest(ort, bundle, load), null, 2);
});
at("result").dataset.ready = "";
