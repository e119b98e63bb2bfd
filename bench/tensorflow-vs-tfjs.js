// tensorflow-vs-tfjs.js [--hone PROGRAM] [--markdown] MODEL ...
// What hone writes for TensorFlow, read and run by another: each MODEL is optimized and written as a SavedModel and as a
// frozen GraphDef; TensorFlow.js (its graph executor, wasm) runs both, hone the original; the largest difference, and what
// the graph is made of. Needs, in the working folder or on NODE_PATH: npm install --ignore-scripts @tensorflow/tfjs@4.22.0
// @tensorflow/tfjs-backend-wasm@4.22.0. Ends with status 1 if a difference is above 1e-4 of the largest value.
const fs = require('fs'), os = require('os'), path = require('path'), { spawnSync } = require('child_process');
const from = { paths: [process.cwd(), ...(process.env.NODE_PATH || '').split(':')] };
let tf;
try {
  tf = require(require.resolve('@tensorflow/tfjs', from));
  require(require.resolve('@tensorflow/tfjs-backend-wasm', from));
} catch {
  console.log('skipped: @tensorflow/tfjs and @tensorflow/tfjs-backend-wasm are not installed');
  process.exit(0);
}
const opt = { hone: 'build/release/hone' }, models = [], shapes = [];
let markdown = false;
for (const argv = process.argv.slice(2); argv.length;) {
  const a = argv.shift();
  if (a === '--markdown') markdown = true;
  else if (a === '--shape') shapes.push('--shape=' + argv.shift());
  else if (a.startsWith('--')) opt[a.slice(2)] = argv.shift();
  else models.push(a);
}
function hone(...args) {
  const r = spawnSync(opt.hone, args, { encoding: 'utf8', maxBuffer: 1 << 28 });
  if (r.status !== 0) throw new Error((r.stderr || `${opt.hone}: ${r.error}`).trim().split('\n')[0]);
  return r.stdout;
}

// ---- protobuf, as far as GraphDef and SavedModel need it: the public field numbers

function fields(b) {
  const out = [];
  for (let at = 0; at < b.length;) {
    const varint = () => {
      let v = 0n;
      for (let shift = 0n; ; shift += 7n) {
        const c = b[at++];
        v |= BigInt(c & 127) << shift;
        if (!(c & 128)) return BigInt.asIntN(64, v);
      }
    };
    const key = Number(varint()), wire = key & 7;
    let v;
    if (wire === 0) v = varint();
    else if (wire === 1) v = b.subarray(at, at += 8);
    else if (wire === 5) v = b.subarray(at, at += 4);
    else { const n = Number(varint()); v = b.subarray(at, at += n); }
    out.push([key >> 3, v]);
  }
  return out;
}
const all = (b, n) => fields(b).filter(f => f[0] === n).map(f => f[1]);
const one = (b, n) => { const v = all(b, n); return v[v.length - 1]; };
const text = b => b ? Buffer.from(b).toString() : '';
const numbers = v => v.flatMap(x => typeof x === 'bigint' ? [x] : (() => { const r = []; let i = 0n, s = 0n; for (const c of x) { i |= BigInt(c & 127) << s; s += 7n; if (!(c & 128)) { r.push(BigInt.asIntN(64, i)); i = 0n; s = 0n; } } return r; })());
const types = { 1: 'DT_FLOAT', 2: 'DT_DOUBLE', 3: 'DT_INT32', 4: 'DT_UINT8', 6: 'DT_INT8', 9: 'DT_INT64', 10: 'DT_BOOL' };
const shapeOf = b => ({ dim: all(b, 2).map(d => ({ size: String(one(d, 1) ?? 0n) })), unknownRank: !!one(b, 3) });

function attrOf(b) { // AttrValue to the JSON of TensorFlow.js
  for (const [n, v] of fields(b)) {
    if (n === 1) return { list: { i: numbers(all(v, 3)).map(String), s: all(v, 2).map(s => Buffer.from(s).toString('base64')), type: numbers(all(v, 6)).map(t => types[Number(t)]) } };
    if (n === 2) return { s: Buffer.from(v).toString('base64') };
    if (n === 3) return { i: String(v) };
    if (n === 4) return { f: Buffer.from(v).readFloatLE(0) };
    if (n === 5) return { b: v !== 0n };
    if (n === 6) return { type: types[Number(v)] };
    if (n === 7) return { shape: shapeOf(v) };
    if (n === 8) return { tensor: v };
  }
  return {};
}

// The model of TensorFlow.js: constants become weights; 64-bit integers, which it lacks, 32-bit ones.
function convert(graph) {
  const node = [], specs = [], raw = [];
  for (const b of all(graph, 1)) {
    const n = { name: text(one(b, 1)), op: text(one(b, 2)), input: all(b, 3).map(text), attr: {} };
    for (const e of all(b, 5)) n.attr[text(one(e, 1))] = attrOf(one(e, 2));
    if (n.op === 'Const') {
      const t = n.attr.value.tensor, dtype = Number(one(t, 1)), shape = all(one(t, 2) ?? new Uint8Array(), 2).map(d => Number(one(d, 1) ?? 0n));
      let bytes = Buffer.from(one(t, 4) ?? []), kind = 'float32';
      if (dtype === 3 || dtype === 9) {
        const count = bytes.length / (dtype === 9 ? 8 : 4), v = new Int32Array(count);
        for (let i = 0; i < count; i++) v[i] = dtype === 9 ? Number(bytes.readBigInt64LE(8 * i)) : bytes.readInt32LE(4 * i);
        bytes = Buffer.from(v.buffer);
        kind = 'int32';
      } else if (dtype === 10) kind = 'bool';
      else if (dtype !== 1) throw new Error(`constant '${n.name}' is of type ${types[dtype]}, which TensorFlow.js lacks`);
      specs.push({ name: n.name, shape, dtype: kind });
      raw.push(bytes);
      n.attr = { dtype: { type: kind === 'float32' ? 'DT_FLOAT' : kind === 'bool' ? 'DT_BOOL' : 'DT_INT32' } };
    }
    node.push(n);
  }
  const data = Buffer.concat(raw);
  return { modelTopology: { node, versions: {} }, weightSpecs: specs, weightData: data.buffer.slice(data.byteOffset, data.byteOffset + data.length) };
}

function readNpy(file) {
  const b = fs.readFileSync(file), head = b.toString('latin1', 10, 10 + b.readUInt16LE(8));
  if (!head.includes('<f4')) throw new Error('the output is not of 32-bit floats');
  return new Float32Array(new Uint8Array(b.subarray(10 + b.readUInt16LE(8))).buffer);
}
function writeNpy(file, shape, data) {
  let head = `{'descr': '<f4', 'fortran_order': False, 'shape': (${shape.join(', ')},), }`;
  head = head.padEnd(Math.ceil((head.length + 11) / 64) * 64 - 11) + '\n';
  const start = Buffer.alloc(10);
  start.write('\x93NUMPY\x01\x00', 'latin1');
  start.writeUInt16LE(head.length, 8);
  fs.writeFileSync(file, Buffer.concat([start, Buffer.from(head), Buffer.from(data.buffer)]));
}

const row = markdown ? c => `| ${c.join(' | ')} |` : c => c.map((x, i) => i ? String(x).padStart(14) : String(x).padEnd(42)).join('');
(async () => {
  const wasm = require(require.resolve('@tensorflow/tfjs-backend-wasm', from));
  wasm.setWasmPaths(path.dirname(require.resolve('@tensorflow/tfjs-backend-wasm', from)) + '/');
  await tf.setBackend(opt.backend || 'wasm');
  tf.env().set('PROD', true);
  console.warn = () => {}; // it says that execute() would do
  const tmp = fs.mkdtempSync(path.join(os.tmpdir(), 'tf-'));
  let failed = false;
  console.log(`TensorFlow.js ${tf.version.tfjs}\n`);
  console.log(row(['model', 'SavedModel', 'GraphDef', 'nodes', 'Transposes']));
  if (markdown) console.log('|---|---|---|---|---|');
  for (const model of models) {
    try {
      const info = JSON.parse(hone('show', model, '--json', ...shapes)), feeds = {};
      const given = info.inputs.map((t, k) => {
        const shape = t.shape.map(d => typeof d === 'number' && d >= 0 ? d : 1), x = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.cos(i * (k + 1) / 37) / 2 + 0.5);
        writeNpy(path.join(tmp, `in${k}.npy`), shape, x);
        feeds[t.name] = [x, shape];
        return `--input=${t.name}=${tmp}/in${k}.npy`;
      });
      fs.rmSync(path.join(tmp, 'out'), { recursive: true, force: true });
      hone('run', model, ...given, ...shapes, `--output-dir=${tmp}/out`, '--threads=1');
      hone('optimize', model, '-o', path.join(tmp, 'saved/'), '--no-verify', ...shapes);
      hone('optimize', model, '-o', path.join(tmp, 'frozen.pb'), '--no-verify', ...shapes);
      const meta = one(fs.readFileSync(path.join(tmp, 'saved/saved_model.pb')), 2), signature = one(one(meta, 5), 2);
      const named = n => Object.fromEntries(all(signature, n).map(e => [text(one(e, 1)), text(one(one(e, 2), 1))]));
      const ins = named(1), outs = named(2), worst = [];
      let nodes, transposes;
      for (const graph of [one(meta, 2), fs.readFileSync(path.join(tmp, 'frozen.pb'))]) {
        const artifacts = convert(graph), net = await tf.loadGraphModel({ load: async () => artifacts }), x = {};
        nodes = artifacts.modelTopology.node.filter(n => n.op !== 'Const').length;
        transposes = artifacts.modelTopology.node.filter(n => n.op === 'Transpose').length;
        for (const [key, tensor] of Object.entries(ins)) x[tensor.replace(/:0$/, '')] = tf.tensor(...feeds[key]);
        let apart = 0, scale = 0;
        for (const [key, tensor] of Object.entries(outs)) {
          const y = await net.executeAsync(x, tensor), got = y.dataSync();
          const want = readNpy(path.join(tmp, 'out', key.replace(/\//g, '_') + '.npy'));
          for (let i = 0; i < want.length; i++) { apart = Math.max(apart, Math.abs(want[i] - got[i])); scale = Math.max(scale, Math.abs(want[i])); }
          if (got.length !== want.length) apart = Infinity;
        }
        worst.push(apart);
        if (!(apart <= 1e-4 * Math.max(scale, 1))) failed = true;
        net.dispose();
      }
      console.log(row([path.basename(model), ...worst.map(d => d.toExponential(2)), nodes, transposes]));
    } catch (e) {
      failed = true;
      console.log(row([path.basename(model), 'FAILED', e.message.split('\n')[0].slice(0, 200)]));
    }
    fs.rmSync(path.join(tmp, 'saved'), { recursive: true, force: true });
  }
  fs.rmSync(tmp, { recursive: true });
  process.exit(failed ? 1 : 0);
})().catch(e => { console.error(e.message); process.exit(1); });
