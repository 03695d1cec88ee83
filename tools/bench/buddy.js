/**
 * The buddy allocator of @holdfast/mm against the same job in C (buddy.c): operations per second, and their ratio.
 * Both run the same list of operations on one zone, drawn by a seeded generator before the clock runs, and must hand out the same frames,
 * which a checksum shows after it has stopped.
 *
 * Struct pages that nobody has looked at have no bytes yet; `--made` makes them all first, as if somebody had. Shown are the fastest of many short rounds.
 *
 *   node tools/bench/buddy.js --help
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { toolCommand, wholeNumber } from '@holdfast/command-line';
import { InvalidArgumentError, Option } from 'commander';

const PAGES_PER_SECTION = 32768;
/** In a smaller zone some workloads find no memory. */
const LEAST_PAGES = 4 * PAGES_PER_SECTION;

const {
  pages: nrPages,
  rounds,
  turns,
  made,
  workload: only,
  json,
} = toolCommand('buddy', 'Measures the buddy allocator of packages/mm beside the same job in C.')
  .option('--pages <n>', 'pages of the zone, of 4 KiB: a power of two', zonePages, 262144)
  .option('--rounds <n>', 'times that each workload runs in a process', wholeNumber(), 5)
  .option('--turns <n>', 'processes for each, in turns; the fastest round is shown', wholeNumber(), 5)
  .option('--made', 'give each struct page its bytes first')
  .option('--json', 'print JSON')
  .addOption(new Option('--workload <name>', 'only ours of this workload: prints its checksum and operations per second').hideHelp())
  .parse()
  .opts();

const here = dirname(fileURLToPath(import.meta.url));
const mm = await import(pathToFileURL(join(here, '../../packages/mm/dist/index.js')).href);
const { allocBlock, createBuddy, createVmemmap, freeListOwner, freeRange, putBlock, setSpan } = mm;

const SEED = 1;
const MOVABLE = 1;

const OPERATIONS = 2 ** 22;

/** The same in buddy.c. */
const WORKLOADS = [
  { name: 'stack', batch: true, slots: 1024, what: 'order 0: 1024 taken, then given back' },
  { name: 'fill', batch: true, slots: nrPages / 2, what: 'order 0: half the zone taken, then given back' },
  { name: 'random', slots: nrPages, orders: 1, types: 1, what: 'order 0: half the zone in use, frames at random' },
  { name: 'small', slots: nrPages / 4, orders: 11, geometric: true, types: 3, what: 'orders 0-10, each half as likely as the one below, three types' },
  { name: 'mixed', slots: nrPages / 256, orders: 11, types: 3, what: 'orders 0-10 alike, three types' },
];

/** All workloads divide it. */
function zonePages(text) {
  const pages = wholeNumber(LEAST_PAGES, 2 ** 24)(text);
  if (!Number.isInteger(Math.log2(pages))) throw new InvalidArgumentError(`Expected a power of two from ${LEAST_PAGES} on.`);
  return pages;
}

// --- the workloads: the same as in buddy.c, line by line ---

/** Take `slots.length` blocks and give them back, in order, again and again. */
function runBatches(buddy, slots) {
  for (let done = 0; done < OPERATIONS; done += 2 * slots.length) {
    for (let i = 0; i < slots.length; i++) slots[i] = allocBlock(buddy, 0, MOVABLE, false);
    for (let i = 0; i < slots.length; i++) putBlock(buddy, slots[i], 0);
  }
}

/** An operation at random: its slot; from bit 24 on the order; from bit 28 on the type; in bit 31, whether the slot's block is given back. */
function drawOperations({ slots, orders, geometric, types }) {
  const operations = new Int32Array(OPERATIONS + slots);
  let seed = SEED;
  const rnd = () => {
    seed ^= seed << 13;
    seed ^= seed >>> 17;
    seed ^= seed << 5;
    return seed >>> 0;
  };
  const taken = new Int32Array(slots);
  let n = 0;
  while (n < OPERATIONS) {
    const slot = rnd() % slots;
    if (taken[slot] !== 0) {
      operations[n++] = taken[slot] | (1 << 31);
      taken[slot] = 0;
      continue;
    }
    const dice = rnd();
    const order = geometric ? Math.min(Math.clz32(dice | 1), orders - 1) : (dice >>> 8) % orders;
    const type = types === 1 ? MOVABLE : (dice >>> 1) % types;
    operations[n++] = taken[slot] = slot | (order << 24) | ((type + 4) << 28);
  }
  for (const operation of taken) if (operation !== 0) operations[n++] = operation | (1 << 31);
  return operations.subarray(0, n);
}

/** Run them all; `frames` gets the frame that each one took. */
function runOperations(buddy, slots, operations, frames) {
  for (let i = 0; i < operations.length; i++) {
    const operation = operations[i];
    const slot = operation & 0xffffff;
    const order = (operation >>> 24) & 15;
    if (operation < 0) putBlock(buddy, slots[slot], order);
    else frames[i] = slots[slot] = allocBlock(buddy, order, (operation >>> 28) & 3, false);
  }
}

function checksum(frames) {
  let sum = 0;
  for (const pfn of frames) sum = (Math.imul(sum, 31) + pfn) | 0;
  return sum >>> 0;
}

/** A zone of `nrPages` free pages; its memmap is one buffer, so that both allocators ask the host for memory in one piece. */
function boot() {
  const memory = new Uint8Array((nrPages / PAGES_PER_SECTION) * 2 ** 21);
  const vmemmap = createVmemmap({
    memory: { chunk: (nr) => memory.subarray(nr * 2 ** 21, (nr + 1) * 2 ** 21) },
    memmapPhys: (sectionNr) => sectionNr * 2 ** 21,
  });
  const buddy = createBuddy(vmemmap, 0, 2);
  setSpan(buddy, 0, nrPages);
  vmemmap.initRange(0, nrPages, 0, 2, 'used');
  vmemmap.addFreeListOwner(0, 2, freeListOwner(buddy));
  freeRange(buddy, 0, nrPages);
  if (made) for (let nr = 0; nr < nrPages / PAGES_PER_SECTION; nr++) vmemmap.memmap(nr);
  return buddy;
}

/** A workload on a zone of its own: what the last round handed out, and operations per second of the fastest one. */
function measureOurs(workload) {
  const buddy = boot();
  const slots = new Int32Array(workload.slots);
  const operations = workload.batch ? undefined : drawOperations(workload);
  const frames = workload.batch ? slots : new Int32Array(operations.length);
  let best = Infinity;
  for (let round = 0; round < rounds; round++) {
    const from = process.hrtime.bigint();
    if (workload.batch) runBatches(buddy, slots);
    else runOperations(buddy, slots, operations, frames);
    best = Math.min(best, Number(process.hrtime.bigint() - from) / 1e9);
  }
  return { checksum: checksum(frames), opsPerSecond: (operations?.length ?? OPERATIONS) / best };
}

// --- the C twin ---

function compileTwin(folder) {
  const binary = join(folder, 'buddy');
  try {
    execFileSync('cc', ['-O2', '-o', binary, join(here, 'buddy.c')], { stdio: 'pipe' });
    return binary;
  } catch (error) {
    console.error(`buddy: no C twin, the ratio is skipped: ${error.code === 'ENOENT' ? 'cc is not here' : error.message}`);
    return undefined;
  }
}

/** Run a program that prints what measureOurs returns, as two numbers. */
function runProgram(file, args) {
  const [checksum, opsPerSecond] = execFileSync(file, args.map(String), { encoding: 'utf8' }).split(' ').map(Number);
  return { checksum, opsPerSecond };
}

const runOurs = (name) => runProgram(
  process.execPath, [fileURLToPath(import.meta.url), '--pages', nrPages, '--rounds', rounds, ...(made ? ['--made'] : []), '--workload', name],
);
const runTwin = (binary, name) => runProgram(binary, [nrPages, SEED, name, rounds]);

/**
 * Each in a process of its own, in turns: how the host lays out a process' memory, and who else uses the core meanwhile, decides more than a
 * tenth of the figures. The fastest of each counts.
 */
function measure({ name, what }, twin) {
  let opsPerSecond = 0;
  let cOpsPerSecond = 0;
  for (let turn = 0; turn < turns; turn++) {
    const ours = runOurs(name);
    opsPerSecond = Math.max(opsPerSecond, ours.opsPerSecond);
    if (twin === undefined) continue;
    const c = runTwin(twin, name);
    if (c.checksum !== ours.checksum) throw new Error(`${name}: the two hand out different frames: ${ours.checksum}, C ${c.checksum}`);
    cOpsPerSecond = Math.max(cOpsPerSecond, c.opsPerSecond);
  }
  return { name, what, opsPerSecond, ...(twin && { cOpsPerSecond, ratio: opsPerSecond / cOpsPerSecond }) };
}

function measureAll() {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-bench-'));
  try {
    const twin = compileTwin(folder);
    return WORKLOADS.map((workload) => measure(workload, twin));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function print(results) {
  console.log(`buddy allocator, ${nrPages} pages, fastest of ${turns} runs of ${rounds} rounds, million operations per second`);
  for (const { name, what, opsPerSecond, cOpsPerSecond, ratio } of results) {
    const c = ratio === undefined ? '' : `   C ${(cOpsPerSecond / 1e6).toFixed(1).padStart(6)}   ratio ${ratio.toFixed(2)}`;
    console.log(`${name.padEnd(8)} ${(opsPerSecond / 1e6).toFixed(1).padStart(6)}${c}   ${what}`);
  }
}

if (only !== undefined) {
  const { checksum, opsPerSecond } = measureOurs(WORKLOADS.find(({ name }) => name === only));
  console.log(`${checksum} ${opsPerSecond}`);
} else {
  const results = measureAll();
  if (json) console.log(JSON.stringify(results));
  else print(results);
}
