/**
 * `holdfast nbd` against nbdkit's memory plugin and qemu-nbd, driven by the same fio (ioengine=nbd) and nbdcopy over Unix sockets.
 *
 * The servers run one at a time and take turns within a round, so that what else the machine does hits all of them; each figure is the
 * median of the rounds. All disks are in memory and written once before anything is measured.
 *
 *   node tools/bench/nbd.js [--size 1G] [--rounds 3] [--seconds 3] [--only randread] [--json]
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values: options } = parseArgs({
  options: {
    size: { type: 'string', default: '1G' },
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '3' },
    only: { type: 'string', default: '' },
    json: { type: 'boolean', default: false },
  },
});
const here = dirname(fileURLToPath(import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'holdfast-nbd-'));
const socket = join(folder, 'socket');
const uri = (name = '') => `nbd+unix:///${name}?socket=${socket}`;

const SERVERS = [
  { name: 'holdfast', needs: 'node', command: [process.execPath, join(here, '../../packages/cli/bin/holdfast.js'), 'nbd', '--cmdline', 'pmem.mapping=wb', '--size', options.size, '--socket', socket] },
  { name: 'nbdkit', needs: 'nbdkit', command: ['nbdkit', '-f', '-U', socket, 'memory', options.size] },
  { name: 'qemu-nbd', needs: 'qemu-nbd', command: ['qemu-nbd', '-t', '-e', '8', '-f', 'raw', '-k', socket, '--cache=none', join(folder, 'qemu.img')] },
];

const JOBS = [1, 4].flatMap((connections) => [
  ...[[32, 'randread'], [32, 'randwrite'], [1, 'randread'], [1, 'randwrite']].map(([depth, rw]) => ({ rw, block: '4k', depth, connections })),
  ...['128k', '256k'].flatMap((block) => ['read', 'write'].map((rw) => ({ rw, block, depth: 8, connections }))),
]).filter(({ rw, block }) => `${block} ${rw}`.includes(options.only));

function has(program) {
  return program === 'node' || spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;
}

async function started({ command }) {
  rmSync(socket, { force: true });
  const server = spawn(command[0], command.slice(1), { stdio: ['ignore', 'ignore', 'inherit'] });
  for (let tries = 0; !existsSync(socket); tries++) {
    if (tries > 200 || server.exitCode !== null) throw new Error(`${command[0]} did not start`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return server;
}

async function stopped(server) {
  const gone = new Promise((resolve) => server.once('exit', resolve));
  server.kill('SIGTERM');
  await gone;
}

/** I/O operations per second of one job. */
function fio({ rw, block, depth, connections }) {
  const out = execFileSync('fio', [
    '--name=job', '--ioengine=nbd', `--uri=${uri()}`, `--rw=${rw}`, `--bs=${block}`, `--iodepth=${depth}`, `--numjobs=${connections}`, `--size=${options.size}`,
    '--time_based', `--runtime=${options.seconds}`, '--randrepeat=1', '--group_reporting', '--output-format=json',
  ], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  const [{ read, write }] = JSON.parse(out.slice(out.indexOf('{'))).jobs;
  return read.iops + write.iops;
}

/** Bytes per second of nbdcopy, to the disk and back. */
function nbdcopy(image) {
  const timed = (args) => {
    const from = process.hrtime.bigint();
    execFileSync('nbdcopy', args, { stdio: 'ignore' });
    return 1e9 / Number(process.hrtime.bigint() - from);
  };
  return [['nbdcopy to', timed([image, uri()])], ['nbdcopy from', timed([uri(), 'null:'])]];
}

function median(values) {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}

const nameOf = ({ rw, block, depth, connections }) => `${block} ${rw} QD${depth} x${connections}`;

const missing = ['fio', 'nbdcopy', 'nbdkit'].filter((program) => !has(program));
if (missing.length > 0) {
  console.log(`nbd: skipped, for want of ${missing.join(' and ')} (Debian: fio libnbd-bin nbdkit qemu-utils)`);
  process.exit(0);
}
const servers = SERVERS.filter(({ needs }) => has(needs));
const image = join(folder, 'source.img');
execFileSync('dd', ['if=/dev/urandom', `of=${image}`, 'bs=1M', `count=${parseSize(options.size) / 2 ** 20}`], { stdio: 'ignore' });
execFileSync('truncate', ['-s', options.size, join(folder, 'qemu.img')]);
const samples = new Map();
try {
  for (let round = 0; round < Number(options.rounds); round++) {
    for (const spec of servers) {
      const server = await started(spec);
      execFileSync('nbdcopy', [image, uri()], { stdio: 'ignore' });
      const note = (job, value) => samples.set(`${job}|${spec.name}`, [...(samples.get(`${job}|${spec.name}`) ?? []), value]);
      if (options.only === '') for (const [job, value] of nbdcopy(image)) note(job, value);
      for (const job of JOBS) note(nameOf(job), fio(job));
      await stopped(server);
      process.stderr.write(`round ${round + 1}: ${spec.name}\n`);
    }
  }
} finally {
  rmSync(folder, { recursive: true });
}

const rows = [...(options.only === '' ? ['nbdcopy to', 'nbdcopy from'] : []), ...JOBS.map(nameOf)].map((job) => {
  const figures = Object.fromEntries(servers.map(({ name }) => [name, median(samples.get(`${job}|${name}`))]));
  const ratios = Object.fromEntries(Object.keys(figures).filter((name) => name !== 'holdfast').map((name) => [name, figures.holdfast / figures[name]]));
  return { job, perSecond: figures, ratios };
});

if (options.json) console.log(JSON.stringify(rows));
else {
  const others = servers.map(({ name }) => name).filter((name) => name !== 'holdfast');
  console.log(`| job | holdfast/s | ${others.map((name) => `${name}/s | ratio`).join(' | ')} |\n|---|---|${others.map(() => '---|---').join('|')}|`);
  for (const { job, perSecond, ratios } of rows) {
    const figure = (value) => (value < 100 ? value.toFixed(2) : String(Math.round(value)));
    console.log(`| ${job} | ${figure(perSecond.holdfast)} | ${others.map((name) => `${figure(perSecond[name])} | ${ratios[name].toFixed(2)}`).join(' | ')} |`);
  }
}

function parseSize(text) {
  const [, number, unit] = /^(\d+)([KMGT]?)$/i.exec(text);
  return Number(number) * 1024 ** ' KMGT'.indexOf(unit.toUpperCase() || ' ');
}
