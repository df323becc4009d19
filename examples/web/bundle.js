// Opens a bundle, in a page or in node: its entries and its arrays. See docs/bundle.md.

const text = new TextDecoder();
const TYPED = {
  "|b1": ["bool", Uint8Array], "|u1": ["uint8", Uint8Array], "|i1": ["int8", Int8Array],
  "<u2": ["uint16", Uint16Array], "<i2": ["int16", Int16Array], "<u4": ["uint32", Uint32Array],
  "<i4": ["int32", Int32Array], "<u8": ["uint64", BigUint64Array], "<i8": ["int64", BigInt64Array],
  "<f4": ["float32", Float32Array], "<f8": ["float64", Float64Array],
};

export class Bundle {
  #entries;

  constructor(entries, manifest) {
    this.#entries = entries;
    this.manifest = manifest;
  }

  /** Opens the bytes of an .edge file, an ArrayBuffer, and holds every entry against its SHA-256. */
  static async open(buffer) {
    const entries = stored(buffer);
    if (!entries["manifest.json"]) throw new Error("no manifest.json: not made by `edgeonnx package`");
    const manifest = JSON.parse(text.decode(entries["manifest.json"]));
    if (manifest.schema !== 2) throw new Error(`expected schema 2, got ${manifest.schema}: package the model again`);
    if (manifest.custom_ops) {
      const names = manifest.custom_ops.operators.join(", ");
      throw new Error(`${names}: custom operators are native code, which does not run here: use another model`);
    }
    if (!globalThis.crypto?.subtle) throw new Error("hashes need https or localhost: serve the page from there");
    for (const [name, { sha256 }] of Object.entries(manifest.files)) {
      const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", entries[name] ?? new Uint8Array()));
      const got = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
      if (got !== sha256) throw new Error(`${name} does not match its hash: fetch the bundle again`);
    }
    return new Bundle(entries, manifest);
  }

  /** The bytes of an entry. */
  read(name) {
    const bytes = this.#entries[name];
    if (!bytes) throw new Error(`there is no entry ${name}: package the model again`);
    return bytes;
  }

  /** The lines of an entry. */
  lines(name) {
    return text.decode(this.read(name)).split("\n").slice(0, -1);
  }

  /** An .npy entry as {type, data, dims}, what onnxruntime's Tensor is made of. */
  array(name) {
    return npy(this.read(name), name);
  }

  /** A variant by name; the manifest's first without one. */
  variant(name) {
    const found = this.manifest.variants.find((each) => !name || each.name === name);
    if (!found) throw new Error(`no variant ${name}: there are ${this.manifest.variants.map((v) => v.name)}`);
    return found;
  }
}

/** The entries of a zip of stored entries: name -> bytes, a view into the buffer. */
function stored(buffer) {
  const view = new DataView(buffer);
  const end = buffer.byteLength - 22; // a bundle has no comment, so its directory's end record stands last
  if (end < 0 || view.getUint32(end, true) !== 0x06054b50) throw new Error("not a bundle, or cut short");
  const entries = {};
  let at = view.getUint32(end + 16, true);
  const before = end - view.getUint32(end + 12, true) - at; // bytes that someone put before the archive
  at += before;
  for (let left = view.getUint16(end + 10, true); left > 0; left--) {
    const [method, size] = [view.getUint16(at + 10, true), view.getUint32(at + 24, true)];
    const [name, extra, comment] = [28, 30, 32].map((offset) => view.getUint16(at + offset, true));
    const key = text.decode(new Uint8Array(buffer, at + 46, name));
    if (method !== 0) throw new Error(`${key} is compressed: not made by \`edgeonnx package\``);
    const local = before + view.getUint32(at + 42, true);
    const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    entries[key] = new Uint8Array(buffer, start, size);
    at += 46 + name + extra + comment;
  }
  return entries;
}

/** numpy's format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html */
function npy(bytes, name) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const wide = bytes[6] > 1;
  const start = (wide ? 12 : 10) + (wide ? view.getUint32(8, true) : view.getUint16(8, true));
  const header = text.decode(bytes.subarray(10, start));
  const [, descr] = header.match(/'descr': '([^']*)'/);
  const [, shape] = header.match(/'shape': \(([^)]*)\)/);
  if (!TYPED[descr]) throw new Error(`${name}: numpy's ${descr} is not read here`);
  const [type, Typed] = TYPED[descr];
  const dims = shape.split(",").filter((size) => size.trim()).map(Number);
  return { type, data: new Typed(bytes.slice(start).buffer), dims };
}
