// Runs a bundle's golden samples, in a page or in node, and times its variants side by side.

const TURNS = 21;
const TURN_MS = 20; // much longer than the steps of a page's clock

/**
 * The golden samples of every variant, and the time that one run of it takes.
 *
 * @param ort onnxruntime-web or onnxruntime-node
 * @param load (variant) => session
 */
export async function selftest(ort, bundle, load) {
  const sessions = [];
  for (const variant of bundle.manifest.variants) sessions.push([variant, await load(variant)]);
  const told = [];
  for (const [variant, session] of sessions) told.push(await compare(ort, bundle, variant, session));
  const times = await shortest(feeds(ort, bundle, 0), sessions.map(([, session]) => session));
  return {
    onnxruntime: Object.values(ort.env.versions).at(-1),
    variants: told.map((one, i) => ({ ...one, shortest_ms: times[i] })),
  };
}

/**
 * The time of a run of each session, in milliseconds: the mean of the shortest turn, as what else the machine does only
 * ever adds to it. They take turns, so that each meets as much of that.
 */
async function shortest(sample, sessions) {
  const runs = sessions.map(() => 1); // the first turn, one run, tells how many the others take
  const times = sessions.map(() => Infinity);
  for (let turn = 0; turn < TURNS; turn++)
    for (const [i, session] of sessions.entries()) {
      const start = performance.now();
      for (let run = 0; run < runs[i]; run++) await session.run(sample);
      const spent = performance.now() - start;
      if (turn > 0) times[i] = Math.min(times[i], spent / runs[i]);
      else runs[i] = Math.ceil(TURN_MS / Math.max(spent, 0.1));
    }
  return times;
}

/** Golden sample i as what a session takes. */
function feeds(ort, bundle, i) {
  const tensors = bundle.manifest.inputs.map(({ name }, j) => {
    const { type, data, dims } = bundle.array(`golden/${i}/input${j}.npy`);
    return [name, new ort.Tensor(type, data, dims)];
  });
  return Object.fromEntries(tensors);
}

/** Runs a variant's golden samples: for every output its largest difference, and what is allowed at that element. */
async function compare(ort, bundle, variant, session) {
  const { outputs, golden } = bundle.manifest;
  const found = outputs.map(({ name }) => ({ name, difference: -1, allowed: 0, ok: true }));
  for (let i = 0; i < golden.samples; i++) {
    const got = await session.run(feeds(ort, bundle, i));
    for (const [j, one] of found.entries()) {
      const expected = bundle.array(`golden/${i}/${variant.name}/output${j}.npy`);
      for (const [difference, allowed] of differences(got[one.name], expected, variant.tolerance[one.name])) {
        one.ok &&= difference <= allowed;
        if (difference > one.difference) Object.assign(one, { difference, allowed });
      }
    }
  }
  return { variant: variant.name, samples: golden.samples, ok: found.every((one) => one.ok), outputs: found };
}

/** Of every element the difference and the tolerance. */
function* differences(got, expected, { atol, rtol }) {
  if (got.type !== expected.type || got.dims.join() !== expected.dims.join()) yield [Infinity, atol];
  else
    for (const [i, value] of expected.data.entries()) {
      const [one, other] = [Number(got.data[i]), Number(value)];
      const same = got.data[i] === value || (Number.isNaN(one) && Number.isNaN(other));
      const gap = same ? 0 : Math.abs(one - other);
      yield [Number.isNaN(gap) ? Infinity : gap, Number.isFinite(other) ? atol + rtol * Math.abs(other) : atol];
    }
}
