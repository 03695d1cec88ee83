/**
 * `holdfast nbd` against nbdkit's memory plugin and qemu-nbd, driven by the same fio (ioengine=nbd) and nbdcopy over Unix sockets.
 *
 * All servers run throughout, and idle but for the one that is measured: each job goes to one after the other, so that what else the
 * machine does hits all of them. Figures are medians over the rounds, ratios the medians of each round's ratio. CPU is what the server used
 * for one operation, which a busy machine leaves alone. All disks are in memory and written once before anything is measured.
 *
 *   node tools/bench/nbd.js --help
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { positiveNumber, toolCommand, wholeNumber } from '@holdfast/command-line';
import { InvalidArgumentError } from 'commander';

const options = toolCommand('nbd', "Measures `holdfast nbd` beside nbdkit's memory plugin and qemu-nbd under the same fio and nbdcopy.")
  .option('--size <size>', 'of each disk: bytes, or with K, M, G or T; whole MiB', wholeMiB, '1G')
  .option('--rounds <n>', 'times that each job runs on each server; shown are medians', wholeNumber(), 3)
  .option('--seconds <s>', 'seconds that fio runs each job', positiveNumber, 3)
  .option('--only <text>', 'only the jobs with this in their name')
  .option('--json', 'print JSON')
  .option('--readme', 'put the table where the README has its place')
  .parse()
  .opts();
const here = dirname(fileURLToPath(import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'holdfast-nbd-'));
const socketOf = (name) => join(folder, name, 'socket');
const uri = (name) => `nbd+unix:///?socket=${socketOf(name)}`;
/** Of /proc/PID/stat, which counts CPU time in these. */
const TICKS_PER_SECOND = 100;

const SERVERS = [
  {
    name: 'holdfast',
    needs: 'node',
    command: (at) => [
      process.execPath, join(here, '../../packages/cli/bin/holdfast.js'), 'nbd', '--cmdline', 'pmem.mapping=wb', '--size', options.size, '--socket', at,
    ],
  },
  { name: 'nbdkit', needs: 'nbdkit', command: (at) => ['nbdkit', '-f', '-U', at, 'memory', options.size] },
  { name: 'qemu-nbd', needs: 'qemu-nbd', command: (at) => ['qemu-nbd', '-t', '-e', '8', '-f', 'raw', '-k', at, '--cache=none', join(folder, 'qemu.img')] },
];

const FIO_JOBS = [1, 4].flatMap((connections) => [
  ...[[32, 'randread'], [32, 'randwrite'], [1, 'randread'], [1, 'randwrite']].map(([depth, rw]) => ({ rw, block: '4k', depth, connections })),
  ...['128k', '256k'].flatMap((block) => ['read', 'write'].map((rw) => ({ rw, block, depth: 8, connections }))),
]);
const image = join(folder, 'source.img');
const JOBS = [
  { name: 'nbdcopy to', run: (name) => nbdcopy(image, uri(name)) },
  { name: 'nbdcopy from', run: (name) => nbdcopy(uri(name), 'null:') },
  ...FIO_JOBS.map((job) => ({ name: `${job.block} ${job.rw} QD${job.depth} x${job.connections}`, run: (name) => fio(name, job) })),
].filter(({ name }) => name.includes(options.only ?? ''));

function has(program) {
  return program === 'node' || spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;
}

async function started({ name, command }) {
  mkdirSync(join(folder, name));
  const [program, ...args] = command(socketOf(name));
  const server = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  server.stderr.on('data', (text) => (said += text));
  for (let tries = 0; !existsSync(socketOf(name)); tries++) {
    if (tries > 400 || server.exitCode !== null) throw new Error(`${name} did not start: ${said}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return server;
}

async function stopped(server) {
  const gone = new Promise((resolve) => server.once('exit', resolve));
  server.kill('SIGTERM');
  await gone;
}

/** CPU seconds that a process used, with its threads. */
function cpuSeconds({ pid }) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').replace(/^.*\) /s, '').split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** I/O operations per second, and how many there were. */
function fio(name, { rw, block, depth, connections }) {
  const out = execFileSync('fio', [
    '--name=job', '--ioengine=nbd', `--uri=${uri(name)}`, `--rw=${rw}`, `--bs=${block}`, `--iodepth=${depth}`, `--numjobs=${connections}`,
    `--size=${options.size}`,
    '--time_based', `--runtime=${options.seconds}`, '--randrepeat=1', '--group_reporting', '--output-format=json',
  ], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], cwd: folder });
  const [{ read, write }] = JSON.parse(out.slice(out.indexOf('{'))).jobs;
  return { perSecond: read.iops + write.iops, count: read.total_ios + write.total_ios };
}

/** Whole copies per second. */
function nbdcopy(from, to) {
  const begin = process.hrtime.bigint();
  execFileSync('nbdcopy', [from, to], { stdio: 'ignore' });
  return { perSecond: 1e9 / Number(process.hrtime.bigint() - begin), count: 1 };
}

function median(values) {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}

/** By job, by server: `{ perSecond, micros }` of each round. */
async function measure(servers) {
  const samples = new Map(JOBS.map(({ name }) => [name, new Map(servers.map((server) => [server.name, []]))]));
  const running = [];
  try {
    for (const server of servers) running.push({ name: server.name, process: await started(server) });
    for (const { name } of running) execFileSync('nbdcopy', [image, uri(name)], { stdio: 'ignore' });
    for (let round = 0; round < options.rounds; round++) {
      for (const job of JOBS) {
        for (const server of round % 2 === 0 ? running : [...running].reverse()) {
          const before = cpuSeconds(server.process);
          const { perSecond, count } = job.run(server.name);
          samples.get(job.name).get(server.name).push({ perSecond, micros: ((cpuSeconds(server.process) - before) / count) * 1e6 });
        }
      }
      process.stderr.write(`round ${round + 1} of ${options.rounds}\n`);
    }
  } finally {
    for (const server of running) await stopped(server.process);
  }
  return samples;
}

function rowOf(job, ofServers) {
  const of = (field) => Object.fromEntries([...ofServers].map(([name, rounds]) => [name, median(rounds.map((round) => round[field]))]));
  const ours = ofServers.get('holdfast');
  const ratios = [...ofServers]
    .filter(([name]) => name !== 'holdfast')
    .map(([name, rounds]) => [name, median(rounds.map(({ perSecond }, i) => ours[i].perSecond / perSecond))]);
  return { job, perSecond: of('perSecond'), cpuMicros: of('micros'), ratios: Object.fromEntries(ratios) };
}

function tableOf(rows, others) {
  const figure = (value) => (value < 100 ? value.toFixed(2) : String(Math.round(value)));
  const head = ['job', 'holdfast/s', ...others.flatMap((name) => [`${name}/s`, 'ratio']), 'CPU µs: holdfast', ...others];
  const lines = rows.map(({ job, perSecond, cpuMicros, ratios }) => [
    job, figure(perSecond.holdfast), ...others.flatMap((name) => [figure(perSecond[name]), ratios[name].toFixed(2)]),
    ...['holdfast', ...others].map((name) => cpuMicros[name].toFixed(cpuMicros[name] < 1000 ? 1 : 0)),
  ]);
  return [head, head.map(() => '---'), ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

/** @throws if the README has no place for a table */
function writeReadme(table) {
  const readme = join(here, '../../README.md');
  const place = /(<!-- tools\/bench\/nbd\.js -->\n)[^]*(<!-- \/tools\/bench\/nbd\.js -->)/;
  const text = readFileSync(readme, 'utf8');
  if (!place.test(text)) throw new Error(`${readme} has no place for the table`);
  writeFileSync(readme, text.replace(place, (_, begin, end) => `${begin}\n${table}\n\n${end}`));
}

const missing = ['fio', 'nbdcopy', 'nbdkit'].filter((program) => !has(program));
if (missing.length > 0) {
  console.log(`nbd: skipped, for want of ${missing.join(' and ')} (Debian: fio libnbd-bin nbdkit qemu-utils)`);
  rmSync(folder, { recursive: true });
  process.exit(0);
}
const servers = SERVERS.filter(({ needs }) => has(needs));
try {
  execFileSync('dd', ['if=/dev/urandom', `of=${image}`, 'bs=1M', `count=${parseSize(options.size) / 2 ** 20}`], { stdio: 'ignore' });
  execFileSync('truncate', ['-s', options.size, join(folder, 'qemu.img')]);
  const samples = await measure(servers);
  const rows = [...samples].map(([job, ofServers]) => rowOf(job, ofServers));
  const table = tableOf(rows, servers.map(({ name }) => name).filter((name) => name !== 'holdfast'));
  if (options.readme) writeReadme(table);
  console.log(options.json ? JSON.stringify(rows) : table);
} finally {
  rmSync(folder, { recursive: true });
}

function wholeMiB(text) {
  if (!/^\d+[KMGT]?$/i.test(text) || parseSize(text) === 0 || parseSize(text) % 2 ** 20 !== 0) {
    throw new InvalidArgumentError('Expected a size in whole MiB, such as 512M.');
  }
  return text;
}

function parseSize(text) {
  const [, number, unit] = /^(\d+)([KMGT]?)$/i.exec(text);
  return Number(number) * 1024 ** ' KMGT'.indexOf(unit.toUpperCase() || ' ');
}
