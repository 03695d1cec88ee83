/**
 * Hours of mixed load on one `holdfast nbd`: several connections with many requests in flight, reads, writes, FUA, flushes, trims and
 * zeros, each byte compared with a model; clients that come and go; power cuts, after which the disks must hold what they may.
 *
 *   node tools/soak/soak.js --help
 *
 * Exit status 1 if a reply is lost, a byte is wrong, the server ends, or its memory grows.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { positiveNumber, toolCommand, wholeNumber } from '@holdfast/command-line';
import { createNbdControl } from '../../packages/nbd/dist/index.js';
import { createWorker, visit } from './load.js';

const NAMES = ['pmem0', 'sda'];
/** Of 4 KiB, for each worker of a disk. */
const NR_BLOCKS = 512;
const MAX_WORKERS = 16;

const options = toolCommand('soak', 'Loads one `holdfast nbd` for long, compares each byte, and cuts the power.')
  .option('--minutes <n>', 'minutes that it takes', positiveNumber, 30)
  .option('--workers <n>', `connections for each of two disks, at most ${MAX_WORKERS}`, wholeNumber(1, MAX_WORKERS), 3)
  .option('--cut-seconds <s>', 'seconds between power cuts', positiveNumber, 10)
  .option('--seed <n>', 'chooses the load', wholeNumber(0), 1)
  .option('--json', 'print JSON')
  .parse()
  .opts();

const SAMPLE_MS = 5000;
/** A reply that takes longer is lost. */
const LOST_MS = 120_000;
/** What the server may use more at the end than in the middle: a tenth, and what the host's allocator keeps. */
const SLACK_BYTES = 32 * 2 ** 20;

const folder = mkdtempSync(join(tmpdir(), 'holdfast-soak-'));
const path = join(folder, 'socket');
const random = randomOf(options.seed);
const counts = { sent: 0, answered: 0, cutOff: 0, reads: 0, writes: 0, flushes: 0, checks: 0, visits: 0, cuts: 0, states: 0, lost: 0, wrong: [] };
const end = Date.now() + options.minutes * 60_000;
let stop = false;
const isOver = () => stop || Date.now() > end;

const holdfast = join(dirname(fileURLToPath(import.meta.url)), '../../packages/cli/bin/holdfast.js');
const server = spawn(process.execPath, [
  holdfast, 'nbd', '--socket', path, '--keep-cuts', '3', '--nvdimm', `size=64M,image=${join(folder, 'pmem.img')}`, '--disk',
  `size=64M,image=${join(folder, 'disk.img')}`,
], { stdio: ['ignore', 'ignore', 'pipe'] });
let said = '';
server.stderr.on('data', (text) => (said += text));
const ended = once(server, 'exit');

const power = createPower();
const samples = [];
try {
  while (!existsSync(`${path}.ctl`)) {
    if (server.exitCode !== null) throw new Error(`holdfast nbd did not start: ${said}`);
    await pause(50);
  }
  const workers = NAMES.flatMap((name) =>
    Array.from({ length: options.workers }, (_, i) =>
      createWorker({ path, name, first: i * NR_BLOCKS, nrBlocks: NR_BLOCKS, power, random, counts, isOver }),
    ),
  );
  await Promise.all([...workers.map((worker) => worker.run()), cutPower(), comeAndGo(), watch(workers)]);
} finally {
  if (server.exitCode === null && server.signalCode === null) server.kill('SIGTERM');
  await ended;
  rmSync(folder, { recursive: true });
}
process.exitCode = report();

function createPower() {
  let waiting = [];
  return {
    isOn: true,
    on() {
      return this.isOn ? undefined : new Promise((resolve) => waiting.push(resolve));
    },
    set(isOn) {
      this.isOn = isOn;
      if (!isOn) return;
      for (const resolve of waiting) resolve();
      waiting = [];
    },
  };
}

async function cutPower() {
  const control = await createNbdControl(`${path}.ctl`);
  for (let i = 0; !isOver(); i++) {
    for (let waited = 0; waited < options.cutSeconds * 1000 && !isOver(); waited += 100) await pause(100);
    if (isOver()) break;
    await control.call('powercut', { keep: ['random', 'prefix', 'none', 'all'][i % 4], seed: i, onCut: i % 2 === 0 ? 'fail' : 'drop' });
    counts.cuts++;
    power.set(false);
    for (const name of NAMES) {
      const { names } = await control.call('states.sample', { export: name, count: 2, seed: i });
      for (const state of names) await visit({ path, name: state, random, counts });
      counts.states += names.length;
    }
    await control.call('restore', {});
    power.set(true);
  }
  control.close();
}

async function comeAndGo() {
  while (!isOver()) {
    await pause(200 * random());
    await visit({ path, name: NAMES[Math.floor(random() * NAMES.length)], random, counts });
  }
}

/** Memory over time, and replies that do not come. */
async function watch(workers) {
  for (let i = 0; !isOver(); i++) {
    await pause(SAMPLE_MS);
    if (server.exitCode !== null || server.signalCode !== null) {
      counts.wrong.push(`the server ended: ${server.exitCode ?? server.signalCode}: ${said}`);
      stop = true;
      return;
    }
    samples.push(Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))[1]) * 1024);
    if (workers.some((worker) => worker.oldestMs() > LOST_MS)) {
      counts.lost++;
      stop = true;
      workers.forEach((worker) => worker.abandon());
    }
    if (counts.wrong.length > 0) stop = true;
    if (i % 12 === 11) {
      process.stderr.write(
        `${(i + 1) / 12} min: RSS ${mib(samples.at(-1))} MiB, ${counts.answered} replies, ${counts.cuts} cuts, ${counts.wrong.length} wrong\n`,
      );
    }
  }
}

function report() {
  const third = Math.floor(samples.length / 3);
  const middle = Math.max(...samples.slice(third, 2 * third));
  const last = Math.max(...samples.slice(2 * third));
  const grew = third > 0 && last > middle * 1.1 + SLACK_BYTES;
  const lost = counts.lost + counts.sent - counts.answered - counts.cutOff;
  const result = { ...counts, lost, rssMiB: { first: mib(samples[0]), middle: mib(middle), last: mib(last) }, grew };
  if (options.json) console.log(JSON.stringify({ ...result, samples }));
  else {
    console.log(
      `${counts.answered} replies (${counts.reads} reads compared, ${counts.writes} writes, ${counts.flushes} flushes), ${counts.cutOff} cut off with their connection, ${lost} lost`,
    );
    console.log(`${counts.cuts} power cuts, ${counts.checks} checks after one, ${counts.states} other outcomes opened, ${counts.visits} visitors`);
    console.log(`RSS at most: ${mib(middle)} MiB in the middle third, ${mib(last)} MiB in the last${grew ? ': it grows' : ''}`);
    for (const wrong of counts.wrong.slice(0, 10)) console.log(`wrong: ${wrong}`);
  }
  return grew || lost > 0 || counts.wrong.length > 0 ? 1 : 0;
}

function mib(bytes) {
  return Math.round(bytes / 2 ** 20);
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** mulberry32: the load is the same for the same seed, as far as the host's timing lets it. */
function randomOf(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
