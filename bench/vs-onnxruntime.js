// vs-onnxruntime.js [--hone PROGRAM] [--threads N] [--batch N] [--tune off|quick|full] [--runs N] [--rounds N] [--dim NAME=N ...]
//   [--int NAME=N ...] [--fix] [--tactic-sources A,B] [--markdown] MODEL.onnx ...
// Latency of hone on the optimized model against ONNX Runtime on the original, by turns in one run: ROUNDS times
// RUNS runs of the one, then RUNS of the other, each after a warm-up; the medians of all runs, their ratio, and how near hone
// comes to what the machine can do at most (hone bench --limit).
// --int: what an integer input gets (default 1); --fix: hone's engine is made for those values; --tactic-sources: whose kernels
// hone's engine may hold (hone help optimize).
// Needs onnxruntime-node (npm install --ignore-scripts onnxruntime-node) in the working folder or on NODE_PATH.
const fs = require('fs'), os = require('os'), path = require('path'), { spawnSync } = require('child_process');
let ort;
try {
  ort = require(require.resolve('onnxruntime-node', { paths: [process.cwd(), ...(process.env.NODE_PATH || '').split(':')] }));
} catch {
  console.log('skipped: onnxruntime-node is not installed');
  process.exit(0);
}
const opt = { hone: 'build/release/hone', threads: '1', runs: '20', rounds: '3', batch: '1', tune: 'full' }, dims = {}, ints = {}, files = [];
let markdown = false, fix = false;
for (const argv = process.argv.slice(2); argv.length;) {
  const a = argv.shift();
  if (a === '--dim' || a === '--int') {
    const [k, v] = argv.shift().split('=');
    (a === '--dim' ? dims : ints)[k] = +v;
  } else if (a === '--fix') fix = true;
  else if (a === '--markdown') markdown = true;
  else if (a.startsWith('--')) opt[a.slice(2)] = argv.shift();
  else files.push(a);
}
const kinds = { float32: Float32Array, int64: BigInt64Array, int32: Int32Array, uint8: Uint8Array, int8: Int8Array, bool: Uint8Array };
const median = v => v.slice().sort((a, b) => a - b)[v.length >> 1];
const ms = v => v.toFixed(v < 10 ? 3 : 2);

function hone(...args) {
  const r = spawnSync(opt.hone, args, { encoding: 'utf8' });
  if (r.status) throw new Error(r.stderr.trim().split('\n')[0]);
  return r.stdout;
}

(async () => {
  const cpu = os.cpus()[0].model.trim();
  console.log(`${cpu}, ${opt.threads} thread(s), batch ${opt.batch}, float32; ${opt.rounds} x ${opt.runs} runs of each, by turns; ` +
              `ONNX Runtime ${require(path.join(path.dirname(require.resolve('onnxruntime-node/package.json', { paths: [process.cwd(), ...(process.env.NODE_PATH || '').split(':')] })), 'package.json')).version}; ${new Date().toISOString().slice(0, 10)}\n`);
  const row = markdown ? c => `| ${c.join(' | ')} |` : c => `${c[0].padEnd(44)}${c.slice(1).map(x => x.padStart(14)).join('')}`;
  console.log(row(['model', 'hone ms', 'ORT ms', 'ORT / hone', 'of the limit']));
  if (markdown) console.log('|---|---|---|---|---|');
  const ratios = [];
  for (const file of files) {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'bench-')), engine = path.join(dir, 'm.hone');
    try {
      const session = await ort.InferenceSession.create(file, { intraOpNumThreads: +opt.threads, interOpNumThreads: 1, graphOptimizationLevel: 'all', logSeverityLevel: 3 });
      const feeds = {}, shapes = [], values = [];
      for (const m of session.inputMetadata) {
        const shape = m.shape.map((d, i) => typeof d === 'number' && d > 0 ? d : dims[d] ?? dims[`${m.name}.${i}`] ?? (i === 0 ? +opt.batch : 1));
        const data = new kinds[m.type](shape.reduce((a, b) => a * b, 1));
        for (let i = 0; i < data.length; i++) data[i] = m.type === 'float32' ? Math.sin(i * 0.7) : m.type === 'int64' ? BigInt(ints[m.name] ?? 1) : ints[m.name] ?? 1;
        feeds[m.name] = new ort.Tensor(m.type, data, shape);
        if (m.name in ints) values.push(`${m.name}=${ints[m.name]}`);
        if (shape.length) shapes.push(`--shape=${m.name}=${shape.join('x')}`);
      }
      const made = values.map(v => fix ? `--fix=${v}` : `--input=${v}`), given = fix ? [] : made;
      hone('optimize', file, '-o', engine, '--no-verify', `--threads=${opt.threads}`, `--tune=${opt.tune}`,
           ...opt['tactic-sources'] ? [`--tactic-sources=${opt['tactic-sources']}`] : [], ...shapes, ...made);
      const ours = [], theirs = [];
      let limit;
      for (let round = 0; round < +opt.rounds; round++) {
        const out = JSON.parse(hone('bench', engine, '--json', '--quiet', `--threads=${opt.threads}`, '--warmup=5', `--runs=${opt.runs}`, ...round ? [] : ['--limit'], ...shapes, ...given));
        limit = limit || out.models[0].limit;
        ours.push(out.models[0].latency_ms.median);
        for (let i = 0; i < 5; i++) await session.run(feeds);
        const times = [];
        for (let i = 0; i < +opt.runs; i++) {
          const t = process.hrtime.bigint();
          await session.run(feeds);
          times.push(Number(process.hrtime.bigint() - t) / 1e6);
        }
        theirs.push(median(times));
      }
      ratios.push(median(ours) / median(theirs));
      console.log(row([path.basename(file, '.onnx'), ms(median(ours)), ms(median(theirs)), (median(theirs) / median(ours)).toFixed(2),
        `${(100 * Math.max(limit.arithmetic_ms, limit.memory_ms) / median(ours)).toFixed(0)} %`]));
    } catch (e) {
      console.log(row([path.basename(file, '.onnx'), 'FAILED', e.message.split('\n')[0].slice(0, 60), '']));
    }
    fs.rmSync(dir, { recursive: true });
  }
  if (ratios.length) console.log(`\ngeometric mean of hone / ORT: ${Math.exp(ratios.reduce((a, b) => a + Math.log(b), 0) / ratios.length).toFixed(3)}`);
})();
