// keras-vs-tfjs.js [--hone PROGRAM] [--runs N] [--rounds N] [--markdown] [--model NAME] [--latency 0|1|only] MODELS PHOTOS
// Keras models (MODELS/X.h5 and MODELS/X/model.json of the same network) against TensorFlow.js (wasm), the independent
// reference: the largest difference of outputs on all PHOTOS (JPEG, BMP), before and after optimization, as .hone and as
// ONNX; then latency, by turns in one run: hone before and after, TensorFlow.js, ONNX Runtime on our export.
// Needs, in the working folder or on NODE_PATH: npm install --ignore-scripts @tensorflow/tfjs@4.22.0
// @tensorflow/tfjs-backend-wasm@4.22.0 jpeg-js; for the last column onnxruntime-node.
const fs = require('fs'), os = require('os'), path = require('path'), { spawnSync } = require('child_process');
const from = { paths: [process.cwd(), ...(process.env.NODE_PATH || '').split(':')] };
function need(name, optional) {
  try {
    return require(require.resolve(name, from));
  } catch {
    if (optional) return null;
    console.log(`skipped: ${name} is not installed`);
    process.exit(0);
  }
}
const opt = { hone: 'build/release/hone', runs: '10', rounds: '3', latency: '1' }, rest = [];
let markdown = false;
for (const argv = process.argv.slice(2); argv.length;) {
  const a = argv.shift();
  if (a === '--markdown') markdown = true;
  else if (a.startsWith('--')) opt[a.slice(2)] = argv.shift();
  else rest.push(a);
}
const [models, photos] = rest;
if (!models || !fs.existsSync(models) || !photos || !fs.existsSync(photos)) {
  console.log('skipped: give the folder of Keras models and the folder of photographs');
  process.exit(0);
}
const tf = need('@tensorflow/tfjs'), wasm = need('@tensorflow/tfjs-backend-wasm'), jpeg = need('jpeg-js'), ort = need('onnxruntime-node', true);

function hone(...args) {
  const r = spawnSync(opt.hone, args, { encoding: 'utf8', maxBuffer: 1 << 26 });
  if (r.status !== 0) throw new Error((r.stderr || `${opt.hone}: ${r.error}`).trim().split('\n')[0]);
  return r.stdout;
}

function bmp(b) { // 24 bits a pixel, from the bottom up
  const at = b.readUInt32LE(10), width = b.readInt32LE(18), height = b.readInt32LE(22), bits = b.readUInt16LE(28), step = bits / 8;
  const row = Math.ceil(width * step / 4) * 4, data = new Uint8Array(width * height * 4);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (let c = 0; c < 3; c++) data[(y * width + x) * 4 + c] = b[at + (height - 1 - y) * row + x * step + 2 - c];
  return { width, height, data };
}

function picture(file, size) { // the nearest pixel, 0 to 1
  const raw = fs.readFileSync(file), p = file.endsWith('.bmp') ? bmp(raw) : jpeg.decode(raw, { useTArray: true });
  const x = new Float32Array(size * size * 3);
  for (let i = 0; i < size; i++)
    for (let j = 0; j < size; j++) {
      const from = (Math.floor(i * p.height / size) * p.width + Math.floor(j * p.width / size)) * 4;
      for (let c = 0; c < 3; c++) x[(i * size + j) * 3 + c] = p.data[from + c] / 255;
    }
  return x;
}

function writeNpy(file, shape, data) {
  let head = `{'descr': '<f4', 'fortran_order': False, 'shape': (${shape.join(', ')}), }`;
  head = head.padEnd(Math.ceil((head.length + 11) / 64) * 64 - 11) + '\n';
  const start = Buffer.alloc(10);
  start.write('\x93NUMPY\x01\x00', 'latin1');
  start.writeUInt16LE(head.length, 8);
  fs.writeFileSync(file, Buffer.concat([start, Buffer.from(head), Buffer.from(data.buffer)]));
}

function readNpy(file) {
  const b = fs.readFileSync(file);
  return new Float32Array(new Uint8Array(b.subarray(10 + b.readUInt16LE(8))).buffer);
}

async function load(dir) {
  const json = JSON.parse(fs.readFileSync(path.join(dir, 'model.json'))), group = json.weightsManifest[0];
  const raw = Buffer.concat(group.paths.map(p => fs.readFileSync(path.join(dir, p))));
  return tf.loadLayersModel({ load: async () => ({ modelTopology: json.modelTopology, weightSpecs: group.weights, weightData: new Uint8Array(raw).buffer }) });
}

const median = v => v.slice().sort((a, b) => a - b)[v.length >> 1];
const table = markdown ? c => `| ${c.join(' | ')} |` : c => c.map((x, i) => i ? String(x).padStart(16) : String(x).padEnd(24)).join('');
const heads = c => { console.log(table(c)); if (markdown) console.log('|' + '---|'.repeat(c.length)); };

(async () => {
  wasm.setWasmPaths(path.dirname(require.resolve('@tensorflow/tfjs-backend-wasm', from)) + '/');
  if (wasm.setThreadsCount) wasm.setThreadsCount(1);
  await tf.setBackend('wasm');
  const tmp = fs.mkdtempSync(path.join(os.tmpdir(), 'keras-')), files = fs.readdirSync(photos).filter(f => /\.(jpe?g|bmp)$/.test(f));
  const names = fs.readdirSync(models).filter(n => fs.existsSync(path.join(models, n, 'model.json')) && (!opt.model || n === opt.model));
  console.log(`${os.cpus()[0].model.trim()}, one thread, float32; TensorFlow.js ${tf.version.tfjs} (wasm); ${new Date().toISOString().slice(0, 10)}\n`);
  if (opt.latency === 'only') files.length = 1;
  console.log(`Largest difference from TensorFlow.js on ${files.length} photograph(s):\n`);
  heads(['model', 'as read', 'optimized .hone', 'optimized .onnx']);
  const nets = [];
  let failed = false;
  for (const name of names) {
    const reference = await load(path.join(models, name)), size = reference.inputs[0].shape[1], shape = [1, size, size, 3];
    const want = files.map((f, i) => {
      const x = picture(path.join(photos, f), size), t = tf.tensor(x, shape), y = reference.predict(t), v = y.dataSync();
      writeNpy(path.join(tmp, `${name}-${i}.npy`), shape, x);
      t.dispose();
      y.dispose();
      return v;
    });
    for (const model of [path.join(models, name + '.h5'), path.join(models, name, 'model.json')]) {
      if (!fs.existsSync(model) || (opt.latency === 'only' && !model.endsWith('.h5'))) continue;
      const tag = `${name}${model.endsWith('.h5') ? '.h5' : ' (tfjs)'}`, base = path.join(tmp, tag.replace(/\W/g, '_'));
      hone('optimize', model, '-o', base + '.hone', '--threads=1');
      hone('optimize', model, '-o', base + '.onnx');
      const apart = [model, base + '.hone', base + '.onnx'].map(m => Math.max(...files.map((f, i) => {
        hone('run', m, `--input=${path.join(tmp, `${name}-${i}.npy`)}`, `--output-dir=${tmp}/out`, '--threads=1');
        const got = readNpy(path.join(tmp, 'out', fs.readdirSync(path.join(tmp, 'out'))[0]));
        return Math.max(...got.map((v, k) => Math.abs(v - want[i][k])));
      })));
      if (!(Math.max(...apart) <= 1e-4)) failed = true;
      console.log(table([tag, ...apart.map(d => d.toExponential(2))]));
      if (model.endsWith('.h5')) nets.push({ name, model, base, reference, shape, x: readNpy(path.join(tmp, `${name}-0.npy`)) });
    }
  }
  if (opt.latency === '0') nets.length = 0;
  else console.log(`\nLatency in ms, batch 1, median of ${opt.rounds} x ${opt.runs} runs by turns:\n`);
  if (nets.length) heads(['model', 'hone, as read', 'hone, optimized', 'TensorFlow.js', 'ONNX Runtime', 'TF.js / hone', 'ORT / hone']);
  for (const n of nets) {
    const times = { before: [], after: [], tfjs: [], ort: [] }, runs = +opt.runs;
    const session = ort && await ort.InferenceSession.create(n.base + '.onnx', { intraOpNumThreads: 1, interOpNumThreads: 1, graphOptimizationLevel: 'all', logSeverityLevel: 3 });
    const bench = m => JSON.parse(hone('bench', m, '--json', '--quiet', '--threads=1', '--warmup=3', `--runs=${runs}`)).models[0].latency_ms.median;
    const timed = async f => {
      const v = [];
      for (let i = -2; i < runs; i++) {
        const t = process.hrtime.bigint();
        await f();
        if (i >= 0) v.push(Number(process.hrtime.bigint() - t) / 1e6);
      }
      return median(v);
    };
    for (let round = 0; round < +opt.rounds; round++) {
      times.before.push(bench(n.model));
      times.after.push(bench(n.base + '.hone'));
      const t = tf.tensor(n.x, n.shape);
      times.tfjs.push(await timed(() => { const y = n.reference.predict(t); y.dataSync(); y.dispose(); }));
      if (session) times.ort.push(await timed(() => session.run({ [session.inputNames[0]]: new ort.Tensor('float32', n.x, n.shape) })));
    }
    const [b, a, t] = [times.before, times.after, times.tfjs].map(median), o = session ? median(times.ort) : NaN;
    console.log(table([n.name, b.toFixed(2), a.toFixed(2), t.toFixed(2), session ? o.toFixed(2) : '-', (t / a).toFixed(2), session ? (o / a).toFixed(2) : '-']));
  }
  fs.rmSync(tmp, { recursive: true });
  if (failed) console.log('\nFAILED: a difference is above 1e-4');
  process.exit(failed ? 1 : 0);
})().catch(e => { console.error(e.message); process.exit(1); });
