/**
 * The buddy allocator of @holdfast/mm against the same job in C (buddy.c): operations per second, and their ratio.
 * Both run the same seeded operations on one zone and must hand out the same frames, which a checksum shows.
 *
 * Struct pages that nobody has looked at have no bytes yet; `--made` makes them all first, as if somebody had. Times are of the processor.
 *
 *   node tools/bench/buddy.js --help
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { toolCommand, wholeNumber } from '@holdfast/command-line';
import { InvalidArgumentError } from 'commander';

const PAGES_PER_SECTION = 32768;

const { pages: nrPages, rounds, made, json } = toolCommand('buddy', 'Measures the buddy allocator of packages/mm beside the same job in C.')
  .option('--pages <n>', 'pages of the zone, of 4 KiB: a power of two', zonePages, 262144)
  .option('--rounds <n>', 'times that each workload runs; the fastest is shown', wholeNumber(), 7)
  .option('--made', 'give each struct page its bytes first')
  .option('--json', 'print JSON')
  .parse()
  .opts();

const here = dirname(fileURLToPath(import.meta.url));
const mm = await import(pathToFileURL(join(here, '../../packages/mm/dist/index.js')).href);
const { allocBlock, createBuddy, createVmemmap, freeListOwner, freeRange, putBlock, setSpan } = mm;

const SEED = 1;
const MOVABLE = 1;
const MAX_ORDER = 10;

const WORKLOADS = [
  { name: 'stack', operations: 4_194_304, what: 'order 0: 1024 taken, then given back' },
  { name: 'fill', operations: 4_194_304, what: 'order 0: half the zone taken, then given back' },
  { name: 'random', operations: 4_000_000, what: 'order 0: half the zone in use, frames at random' },
  { name: 'small', operations: 4_000_000, what: 'orders 0-10, each half as likely as the one below, three types' },
  { name: 'mixed', operations: 4_000_000, what: 'orders 0-10 alike, three types' },
];

/** The workloads draw slots with a mask, and a zone is whole sections. */
function zonePages(text) {
  const pages = wholeNumber(PAGES_PER_SECTION, 2 ** 24)(text);
  if (!Number.isInteger(Math.log2(pages))) throw new InvalidArgumentError(`Expected a power of two from ${PAGES_PER_SECTION} on.`);
  return pages;
}

// --- the workloads: the same as in buddy.c, line by line ---

let seed = SEED;
let sum = 0;

function rnd() {
  seed ^= seed << 13;
  seed ^= seed >>> 17;
  seed ^= seed << 5;
  return seed >>> 0;
}

function note(pfn) {
  sum = (Math.imul(sum, 31) + pfn) | 0;
}

function batches(buddy, operations, size) {
  const pfns = new Int32Array(size);
  for (let done = 0; done < operations; done += 2 * size) {
    for (let i = 0; i < size; i++) note((pfns[i] = allocBlock(buddy, 0, MOVABLE, false)));
    for (let i = 0; i < size; i++) putBlock(buddy, pfns[i], 0);
  }
}

function mixture(buddy, operations, nrSlots, maxOrder, nrTypes, geometric) {
  const pfns = new Int32Array(nrSlots).fill(-1);
  const orders = new Uint8Array(nrSlots);
  for (let done = 0; done < operations; done++) {
    const slot = rnd() & (nrSlots - 1);
    if (pfns[slot] >= 0) {
      putBlock(buddy, pfns[slot], orders[slot]);
      pfns[slot] = -1;
    } else {
      const dice = rnd();
      let order = geometric ? Math.clz32(dice | 1) : (dice >>> 8) % (maxOrder + 1);
      if (order > maxOrder) order = maxOrder;
      orders[slot] = order;
      note((pfns[slot] = allocBlock(buddy, order, nrTypes === 1 ? MOVABLE : (dice >>> 1) % nrTypes, false)));
    }
  }
  for (let slot = 0; slot < nrSlots; slot++) if (pfns[slot] >= 0) putBlock(buddy, pfns[slot], orders[slot]);
}

function runWorkload(buddy, name, operations) {
  if (name === 'stack') batches(buddy, operations, 1024);
  else if (name === 'fill') batches(buddy, operations, nrPages >>> 1);
  else if (name === 'random') mixture(buddy, operations, nrPages, 0, 1, false);
  else if (name === 'mixed') mixture(buddy, operations, nrPages >>> 8, MAX_ORDER, 3, false);
  else mixture(buddy, operations, nrPages >>> 2, MAX_ORDER, 3, true);
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

function measureOurs({ name, operations }) {
  const buddy = boot();
  seed = SEED;
  sum = 0;
  let best = Infinity;
  for (let round = 0; round < rounds; round++) {
    const from = process.cpuUsage();
    runWorkload(buddy, name, operations);
    best = Math.min(best, process.cpuUsage(from).user / 1e6);
  }
  return { checksum: sum >>> 0, seconds: best };
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

function measureTwin(binary, { name, operations }) {
  const [checksum, seconds] = execFileSync(binary, [nrPages, SEED, name, operations, rounds].map(String), { encoding: 'utf8' }).split(' ').map(Number);
  return { checksum, seconds };
}

const folder = mkdtempSync(join(tmpdir(), 'holdfast-bench-'));
const twin = compileTwin(folder);
const results = [];
try {
  for (const workload of WORKLOADS) {
    const ours = measureOurs(workload);
    const c = twin && measureTwin(twin, workload);
    if (c && c.checksum !== ours.checksum) throw new Error(`${workload.name}: the two hand out different frames: ${ours.checksum}, C ${c.checksum}`);
    results.push({ ...workload, opsPerSecond: workload.operations / ours.seconds, ...(c && { cOpsPerSecond: workload.operations / c.seconds, ratio: c.seconds / ours.seconds }) });
  }
} finally {
  rmSync(folder, { recursive: true });
}

if (json) console.log(JSON.stringify(results));
else {
  console.log(`buddy allocator, ${nrPages} pages, fastest of ${rounds} rounds, million operations per second`);
  for (const { name, what, opsPerSecond, cOpsPerSecond, ratio } of results) {
    const c = ratio === undefined ? '' : `   C ${(cOpsPerSecond / 1e6).toFixed(1).padStart(6)}   ratio ${ratio.toFixed(2)}`;
    console.log(`${name.padEnd(8)} ${(opsPerSecond / 1e6).toFixed(1).padStart(6)}${c}   ${what}`);
  }
}
