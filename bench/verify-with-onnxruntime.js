// verify-with-onnxruntime.js [--hone PROGRAM] [--dim NAME=N ...] [--int NAME=N ...] MODEL.onnx ...
// Is a model still right after optimization? For each model: outputs of ONNX Runtime on the original against hone on
// the original's optimized engine, and against ONNX Runtime on the optimized model that hone wrote back as ONNX.
// Needs onnxruntime-node (npm install --ignore-scripts onnxruntime-node) in the working folder or on NODE_PATH.
const fs = require('fs'), os = require('os'), path = require('path'), { spawnSync } = require('child_process');
let ort;
try {
  ort = require(require.resolve('onnxruntime-node', { paths: [process.cwd(), ...(process.env.NODE_PATH || '').split(':')] }));
} catch {
  console.log('skipped: onnxruntime-node is not installed');
  process.exit(0);
}
const opt = { hone: 'build/release/hone', tolerance: 1e-3 }, dims = {}, ints = {}, files = [];
for (const argv = process.argv.slice(2); argv.length;) {
  const a = argv.shift();
  if (a === '--dim' || a === '--int') {
    const [k, v] = argv.shift().split('=');
    (a === '--dim' ? dims : ints)[k] = +v;
  } else if (a.startsWith('--')) opt[a.slice(2)] = argv.shift();
  else files.push(a);
}
const kinds = { float32: [Float32Array, '<f4'], int64: [BigInt64Array, '<i8'], int32: [Int32Array, '<i4'], uint8: [Uint8Array, '|u1'], int8: [Int8Array, '|i1'], bool: [Uint8Array, '|b1'], float64: [Float64Array, '<f8'] };

function writeNpy(file, tensor) {
  const shape = tensor.dims.length === 1 ? `${tensor.dims[0]},` : tensor.dims.join(', ');
  let head = `{'descr': '${kinds[tensor.type][1]}', 'fortran_order': False, 'shape': (${shape}), }`;
  head = head.padEnd(Math.ceil((head.length + 11) / 64) * 64 - 11) + '\n';
  const prefix = Buffer.from([0x93, 78, 85, 77, 80, 89, 1, 0, head.length & 255, head.length >> 8]);
  fs.writeFileSync(file, Buffer.concat([prefix, Buffer.from(head), Buffer.from(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength)]));
}
function readNpy(file) {
  const b = fs.readFileSync(file), n = b.readUInt16LE(8), head = b.subarray(10, 10 + n).toString();
  const kind = Object.values(kinds).find(k => head.includes(`'${k[1]}'`)), raw = b.subarray(10 + n);
  return new kind[0](raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.byteLength));
}
function difference(a, b) { // the largest, and relative to the largest value
  let worst = a.length === b.length ? 0 : Infinity, largest = 0;
  for (let i = 0; i < a.length && worst !== Infinity; i++) {
    const x = Number(a[i]), y = Number(b[i]);
    if (!(Number.isNaN(x) && Number.isNaN(y))) worst = Math.max(worst, Math.abs(x - y));
    largest = Math.max(largest, Math.abs(x));
  }
  return { worst, relative: worst < 1e-5 ? 0 : largest ? worst / largest : worst }; // below 1e-5 it is rounding
}
const hone = (...args) => spawnSync(opt.hone, args, { encoding: 'utf8' });
const show = d => `${d.worst.toExponential(2)}` + (d.relative ? ` (${d.relative.toExponential(2)} of the largest value)` : '');

(async () => {
  let failed = 0;
  for (const file of files) {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'verify-')), say = text => console.log(`${path.basename(file)}: ${text}`);
    try {
      const session = await ort.InferenceSession.create(file, { intraOpNumThreads: 1, logSeverityLevel: 3 });
      const feeds = {}, inputs = [];
      for (const m of session.inputMetadata) {
        const shape = m.shape.map((d, i) => typeof d === 'number' && d > 0 ? d : dims[d] ?? dims[`${m.name}.${i}`] ?? 1);
        const data = new kinds[m.type][0](shape.reduce((a, b) => a * b, 1));
        for (let i = 0; i < data.length; i++) data[i] = m.type.startsWith('float') ? Math.sin(i * 0.7) : m.type === 'int64' ? BigInt(ints[m.name] ?? 1) : ints[m.name] ?? 1;
        feeds[m.name] = new ort.Tensor(m.type, data, shape);
        writeNpy(path.join(dir, `in${inputs.length}.npy`), feeds[m.name]);
        inputs.push(`--input=${m.name}=${path.join(dir, `in${inputs.length}.npy`)}`);
      }
      const want = await session.run(feeds), engine = path.join(dir, 'm.hone'), onnx = path.join(dir, 'm.onnx');
      let r = hone('optimize', file, '-o', engine, '--no-verify');
      if (!r.status) r = hone('run', engine, ...inputs, '--output-dir', dir);
      if (r.status) throw new Error(r.stderr.trim());
      let worst = 0;
      session.outputNames.forEach((name) => {
        const d = difference(want[name].data, readNpy(path.join(dir, name.replace(/\//g, '_') + '.npy')));
        worst = Math.max(worst, d.relative);
        say(`${name}: hone differs by ${show(d)}`);
      });
      r = hone('optimize', file, '-o', onnx, '--no-verify');
      if (r.status) throw new Error(r.stderr.trim());
      const again = await ort.InferenceSession.create(onnx, { intraOpNumThreads: 1, logSeverityLevel: 3 }), got = await again.run(feeds);
      for (const name of session.outputNames) {
        const d = difference(want[name].data, got[name].data);
        worst = Math.max(worst, d.relative);
        say(`${name}: ONNX Runtime on the optimized model differs by ${show(d)}`);
      }
      if (!(worst <= +opt.tolerance)) throw new Error(`differs by more than ${opt.tolerance} of the largest value`);
    } catch (e) {
      failed++;
      say(`FAILED: ${e.message.split('\n')[0]}`);
    }
    fs.rmSync(dir, { recursive: true });
  }
  process.exit(failed ? 1 : 0);
})();
