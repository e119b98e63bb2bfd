// vs-onnxruntime-int8.js [--hone PROGRAM] [--threads N] [--runs N] [--rounds N] [--calibrate SOURCE] [--shape NAME=DIMS] [--markdown] MODEL.onnx ...
// 8 bits against 8 bits, by turns in one run. hone quantizes the model twice: once as it is best for itself, and once
// with every activation quantized and nothing fused (QuantizeLinear and DequantizeLinear around each layer, weights per
// channel), the form ONNX Runtime's own tool makes and its optimizer expects. ONNX Runtime runs the second, the same in its
// operator form (QLinearConv and so on, by bench/qoperator.py, which needs /usr/bin/python3 with onnx) and, to see
// that it means the same, the first. Also timed: hone in bfloat16 and in 32-bit floats, these once more without products by bfloat16 parts.
// Needs onnxruntime-node (npm install --ignore-scripts onnxruntime-node) in the working folder or on NODE_PATH.
const fs = require('fs'), os = require('os'), path = require('path'), { spawnSync } = require('child_process');
const paths = [process.cwd(), ...(process.env.NODE_PATH || '').split(':')];
let ort;
try {
  ort = require(require.resolve('onnxruntime-node', { paths }));
} catch {
  console.log('skipped: onnxruntime-node is not installed');
  process.exit(0);
}
const opt = { hone: 'build/release/hone', threads: '1', runs: '20', rounds: '3', calibrate: 'random' }, shapes = [], files = [];
let markdown = false;
for (const argv = process.argv.slice(2); argv.length;) {
  const a = argv.shift();
  if (a === '--markdown') markdown = true;
  else if (a === '--shape') shapes.push(`--shape=${argv.shift()}`);
  else if (a.startsWith('--')) opt[a.slice(2)] = argv.shift();
  else files.push(a);
}
const UNFUSED = 'dead,fold-constants,simplify,merge-equal,recognize-pool,algebra,fold-batchnorm,fold-scale,dead';
const median = v => v.slice().sort((a, b) => a - b)[v.length >> 1];
const ms = v => v.toFixed(v < 10 ? 3 : 2);

function hone(...args) {
  const r = spawnSync(opt.hone, args, { encoding: 'utf8' });
  if (r.status) throw new Error(r.stderr.trim().split('\n')[0]);
  return r.stdout;
}

const timeOurs = file => JSON.parse(hone('bench', file, '--json', '--quiet', `--threads=${opt.threads}`, '--warmup=5', `--runs=${opt.runs}`, ...shapes)).models[0].latency_ms.median;

async function timeTheirs(session, feeds) {
  for (let i = 0; i < 5; i++) await session.run(feeds);
  const times = [];
  for (let i = 0; i < +opt.runs; i++) {
    const t = process.hrtime.bigint();
    await session.run(feeds);
    times.push(Number(process.hrtime.bigint() - t) / 1e6);
  }
  return median(times);
}

function readNpy(file) { // float32, C order
  const b = fs.readFileSync(file), header = b.readUInt16LE(8), text = b.toString('latin1', 10, 10 + header);
  const shape = text.match(/\(([^)]*)\)/)[1].split(',').filter(s => s.trim()).map(Number);
  const at = b.buffer.slice(b.byteOffset + 10 + header, b.byteOffset + b.length);
  return { shape, data: new Float32Array(at) };
}

function writeNpy(file, shape, data) {
  let h = `{'descr': '<f4', 'fortran_order': False, 'shape': (${shape.join(', ')},), }`;
  h = h.padEnd(Math.ceil((10 + h.length + 1) / 64) * 64 - 11) + '\n';
  const head = Buffer.alloc(10);
  head.write('\x93NUMPY\x01\x00', 'latin1');
  head.writeUInt16LE(h.length, 8);
  fs.writeFileSync(file, Buffer.concat([head, Buffer.from(h, 'latin1'), Buffer.from(data.buffer)]));
}

/* The largest distance of two arrays by the largest value. */
function apart(a, b) {
  let d = 0, m = 0;
  for (let i = 0; i < a.length; i++) {
    d = Math.max(d, Math.abs(a[i] - b[i]));
    m = Math.max(m, Math.abs(b[i]));
  }
  return m ? d / m : 0;
}

(async () => {
  const version = require(require.resolve('onnxruntime-node/package.json', { paths })).version;
  console.log(`${os.cpus()[0].model.trim()}, ${opt.threads} thread(s), batch 1; ${opt.rounds} x ${opt.runs} runs of each, by turns; ONNX Runtime ${version}; ${new Date().toISOString().slice(0, 10)}\n`);
  const row = markdown ? c => `| ${c.join(' | ')} |` : c => `${c[0].padEnd(28)}${c.slice(1).map(x => x.padStart(16)).join('')}`;
  console.log(row(['model', 'int8 ms', 'bf16 ms', 'f32 ms', 'no parts ms', 'ORT QDQ ms', 'ORT QOp ms', 'ORT / int8', 'f32 / int8', 'no parts / int8', 'f32 / bf16', 'no parts / bf16', 'apart']));
  if (markdown) console.log(`|${'---|'.repeat(13)}`);
  for (const file of files) {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'bench-')), at = n => path.join(dir, n);
    try {
      const int8 = ['--precision=int8', '--no-mixed', `--calibrate=${opt.calibrate}`, `--threads=${opt.threads}`, '--no-verify', ...shapes];
      hone('optimize', file, '-o', at('f32.hone'), '--no-verify', `--threads=${opt.threads}`, ...shapes);
      hone('optimize', file, '-o', at('whole.hone'), '--no-verify', `--threads=${opt.threads}`, '--tactic-sources=hone,onednn', ...shapes);
      hone('optimize', file, '-o', at('ours.hone'), ...int8);
      hone('optimize', file, '-o', at('ours.onnx'), ...int8);
      hone('optimize', file, '-o', at('theirs.onnx'), `--passes=${UNFUSED}`, ...int8);
      hone('optimize', file, '-o', at('bf16.hone'), '--precision=bf16', '--no-verify', `--threads=${opt.threads}`, ...shapes);
      const operators = spawnSync('/usr/bin/python3', [path.join(__dirname, 'qoperator.py'), at('theirs.onnx'), at('operators.onnx')], { encoding: 'utf8' });
      if (operators.status && operators.status !== 3) throw new Error(`qoperator.py: ${operators.stderr.trim().split('\n').pop()}`);
      const options = { intraOpNumThreads: +opt.threads, interOpNumThreads: 1, graphOptimizationLevel: 'all', logSeverityLevel: 3 };
      const theirs = await ort.InferenceSession.create(at('theirs.onnx'), options), ours = await ort.InferenceSession.create(at('ours.onnx'), options);
      const other = operators.status ? null : await ort.InferenceSession.create(at('operators.onnx'), options);
      const m = theirs.inputMetadata[0], shape = m.shape.map(d => typeof d === 'number' && d > 0 ? d : 1), data = new Float32Array(shape.reduce((a, b) => a * b, 1));
      for (let i = 0; i < data.length; i++) data[i] = Math.sin(i * 0.7);
      writeNpy(at('x.npy'), shape, data);
      const feeds = { [m.name]: new ort.Tensor('float32', data, shape) };
      hone('run', at('ours.onnx'), `--input=${m.name}=${at('x.npy')}`, `--output-dir=${at('out')}`);
      const there = await ours.run(feeds), name = ours.outputNames[0];
      const difference = apart(readNpy(path.join(at('out'), fs.readdirSync(at('out')).find(f => f === `${name}.npy`) || fs.readdirSync(at('out'))[0])).data, there[name].data);
      const t = [[], [], [], [], [], []];
      for (let round = 0; round < +opt.rounds; round++) {
        t[0].push(timeOurs(at('ours.hone')));
        t[1].push(timeOurs(at('bf16.hone')));
        t[2].push(timeOurs(at('f32.hone')));
        t[3].push(Math.min(await timeTheirs(theirs, feeds), await timeTheirs(ours, feeds)));
        t[4].push(other ? await timeTheirs(other, feeds) : Infinity);
        t[5].push(timeOurs(at('whole.hone')));
      }
      const [a, h, b, c, d, w] = t.map(median);
      console.log(row([path.basename(file, '.onnx'), ms(a), ms(h), ms(b), ms(w), ms(c), other ? ms(d) : 'none', (Math.min(c, d) / a).toFixed(2), (b / a).toFixed(2), (w / a).toFixed(2), (b / h).toFixed(2), (w / h).toFixed(2), difference.toExponential(1)]));
    } catch (e) {
      console.log(row([path.basename(file, '.onnx'), 'FAILED', e.message.split('\n')[0].slice(0, 90)]));
    }
    fs.rmSync(dir, { recursive: true });
  }
})();
