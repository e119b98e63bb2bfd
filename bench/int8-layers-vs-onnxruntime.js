// int8-layers-vs-onnxruntime.js [--hone PROGRAM] [--input 'NAME=SOURCE'] [--option OPT ...] MODEL.onnx ...
// Does a quantized model mean the same in hone and in ONNX Runtime, layer by layer? Each MODEL, quantized first unless it is already, is cut
// at every tensor of integers: what lies between two such tensors gets the very same integers in both programs (ONNX
// Runtime's own, its optimizations off, so that it computes what the file says), and what comes out is compared in steps.
// Needs onnxruntime-node in the working folder or on NODE_PATH, and python3-onnx (/usr/bin/python3) to add the outputs.
const fs = require('fs'), os = require('os'), path = require('path'), { spawnSync } = require('child_process');
const paths = [process.cwd(), ...(process.env.NODE_PATH || '').split(':')];
let ort;
try {
  ort = require(require.resolve('onnxruntime-node', { paths }));
} catch {
  console.log('skipped: onnxruntime-node is not installed');
  process.exit(0);
}
const opt = { hone: 'build/release/hone', input: 'random' }, extra = [], files = [];
for (const argv = process.argv.slice(2); argv.length;) {
  const a = argv.shift();
  if (a === '--option') extra.push(argv.shift());
  else if (a.startsWith('--')) opt[a.slice(2)] = argv.shift();
  else files.push(a);
}
function run(program, ...args) {
  const r = spawnSync(program, args, { encoding: 'utf8', maxBuffer: 1 << 28 });
  if (r.status) throw new Error((r.stderr || r.stdout).trim().split('\n').pop());
  return r.stdout;
}
// Writes the model with every tensor of 8-bit integers as an output, and the same cut there: such a tensor is an input of its own to
// the layers that read it, so that each layer between gets exactly the integers it is fed with.
const PY = `
import sys, json, onnx
from onnx import helper, shape_inference, TensorProto as T
m = onnx.load(sys.argv[1])
inferred = {v.name: v.type.tensor_type.elem_type for v in shape_inference.infer_shapes(m).graph.value_info}
initial = {i.name for i in m.graph.initializer}
own = {o.name for o in m.graph.output}
made = [{'name': o, 'type': inferred.get(o), 'node': n.name} for n in m.graph.node for o in n.output if inferred.get(o) in (T.UINT8, T.INT8)]
full = onnx.ModelProto(); full.CopyFrom(m)
for t in made:
    if t['name'] not in own: full.graph.output.append(helper.make_tensor_value_info(t['name'], t['type'], None))
onnx.save(full, sys.argv[2])
cut = {t['name']: 'cut%d' % i for i, t in enumerate(made)}
for n in full.graph.node:
    for k, name in enumerate(n.input):
        if name in cut: n.input[k] = cut[name]
shapes = json.loads(sys.argv[4]) if len(sys.argv) > 4 else {}
for t in made:
    t['input'] = cut[t['name']]
    full.graph.input.append(helper.make_tensor_value_info(cut[t['name']], t['type'], None))
del full.graph.value_info[:]
onnx.save(full, sys.argv[3])
x = next(i for i in m.graph.input if i.name not in initial)
print(json.dumps({'made': made, 'input': x.name, 'outputs': sorted(own), 'shape': [d.dim_value or 1 for d in x.type.tensor_type.shape.dim]}))
`;
function readNpy(file) {
  const b = fs.readFileSync(file), header = b.readUInt16LE(8), text = b.toString('latin1', 10, 10 + header);
  const type = text.match(/'descr': '.(..)'/)[1], at = b.buffer.slice(b.byteOffset + 10 + header, b.byteOffset + b.length);
  return type === 'u1' ? new Uint8Array(at) : type === 'i1' ? new Int8Array(at) : new Float32Array(at);
}
function writeNpy(file, shape, data) {
  const type = data instanceof Uint8Array ? '|u1' : data instanceof Int8Array ? '|i1' : '<f4';
  let h = `{'descr': '${type}', 'fortran_order': False, 'shape': (${shape.map(d => d + ',').join(' ')}), }`;
  h = h.padEnd(Math.ceil((10 + h.length + 1) / 64) * 64 - 11) + '\n';
  const head = Buffer.alloc(10);
  head.write('\x93NUMPY\x01\x00', 'latin1');
  head.writeUInt16LE(h.length, 8);
  fs.writeFileSync(file, Buffer.concat([head, Buffer.from(h, 'latin1'), Buffer.from(data.buffer, data.byteOffset, data.byteLength)]));
}
/* Largest difference in steps and share of numbers that differ. */
function compare(a, b) {
  let most = 0, n = 0;
  for (let i = 0; i < a.length; i++) {
    const d = Math.abs(a[i] - b[i]);
    if (d) n++;
    if (d > most) most = d;
  }
  return { most, share: n / a.length };
}
/* Largest difference by the largest value. */
function relative(a, b) {
  let d = 0, m = 0;
  for (let i = 0; i < a.length; i++) d = Math.max(d, Math.abs(a[i] - b[i])), m = Math.max(m, Math.abs(b[i]));
  return m ? d / m : 0;
}

(async () => {
  let wrong = 0;
  for (const file of files) {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'layers-')), at = n => path.join(dir, n);
    try {
      let model = file;
      if (!/QuantizeLinear|QLinear/.test(fs.readFileSync(file, 'latin1'))) {
        model = at('q.onnx');
        run(opt.hone, 'optimize', file, '-o', model, '--precision=int8', `--calibrate=${opt.input}`, '--threads=1', '--no-verify', '--no-mixed', ...extra);
      }
      const info = JSON.parse(run('/usr/bin/python3', '-c', PY, model, at('all.onnx'), at('cut.onnx')));
      const plain = { graphOptimizationLevel: 'disabled', logSeverityLevel: 3 };
      const whole = await ort.InferenceSession.create(at('all.onnx'), plain), cut = await ort.InferenceSession.create(at('cut.onnx'), plain);
      const data = new Float32Array(info.shape.reduce((a, b) => a * b, 1));
      for (let i = 0; i < data.length; i++) data[i] = (Math.imul(i, 2654435761) >>> 8) % 1000 / 1000;
      const feeds = { [info.input]: new ort.Tensor('float32', data, info.shape) }, there = await whole.run(feeds), inputs = [];
      for (const t of info.made) feeds[t.input] = there[t.name];
      for (const [name, v] of Object.entries(feeds)) {
        writeNpy(at(`${inputs.length}.npy`), v.dims, v.data);
        inputs.push(`--input=${name}=${at(`${inputs.length}.npy`)}`);
      }
      const theirs = await cut.run(feeds);
      run(opt.hone, 'run', at('cut.onnx'), ...inputs, `--output-dir=${at('out')}`, '--threads=1');
      const file_of = name => path.join(at('out'), `${name.replace(/[\/]/g, '_')}.npy`), rows = [];
      for (const t of info.made) rows.push({ ...t, ...compare(readNpy(file_of(t.name)), theirs[t.name].data) });
      const beyond = rows.filter(t => t.most > 1), equal = rows.filter(t => !t.most).length;
      const share = rows.reduce((s, t) => s + t.share, 0) / Math.max(1, rows.length), most = rows.reduce((a, b) => b.share > a.share ? b : a, rows[0]);
      const real = info.outputs.filter(o => theirs[o].type === 'float32').map(o => relative(readNpy(file_of(o)), theirs[o].data));
      console.log(`${path.basename(file)}: ${rows.length} tensors of integers, each made from the same integers: ${equal} equal, ${rows.length - equal - beyond.length} one step apart in ` +
        `places, ${beyond.length} further; ${(100 * share).toFixed(4)} % of the numbers differ, at most ${(100 * most.share).toFixed(3)} % of one tensor's; outputs in floats apart by ${Math.max(0, ...real).toExponential(1)}`);
      for (const t of beyond) console.log(`  ${t.node || t.name}: ${t.most} steps, ${(100 * t.share).toFixed(2)} % of its numbers`);
      wrong += beyond.length > 0;
    } catch (e) {
      wrong++;
      console.log(`${path.basename(file)}: FAILED: ${e.message.slice(0, 200)}`);
    }
    fs.rmSync(dir, { recursive: true });
  }
  process.exit(wrong ? 1 : 0);
})();
