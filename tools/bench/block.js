/**
 * The way through block and pmem, against a bare Uint8Array.set of the same bytes: 4 KiB random and 128 KiB sequential, reads and writes,
 * through submitBio, for the mappings wb and pages. Both move the same bytes between the same frames and chunks once a round; a ratio of 1
 * would mean that bio, driver, mapping and cache model cost nothing. The bare copy knows chunk and offset beforehand; its callers' buffers are
 * views that were made beforehand, and to copy out of a chunk it makes the subarray that set() needs.
 *
 * The two take turns every 1 MiB, half a round apart: a busy host slows both alike, and neither finds its bytes in a cache because the other
 * has just been there. Shown are medians over all turns, and of the ratios of adjacent ones; a turn is long enough to hold what the path
 * does only now and then (old bytes kept, counts settled, flushes), and short enough that few are interrupted.
 *
 * The rows `by PFN` run the same bios over frames that have no struct page; their ratio is to the same I/O over pages, not to a bare copy.
 *
 *   node tools/bench/block.js --help
 */
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { toolCommand, wholeNumber } from '@holdfast/command-line';
import { InvalidArgumentError } from 'commander';

const { device, rounds, flushEvery, json } = toolCommand('block', 'Measures I/O through block and pmem as a ratio to a bare copy of the same bytes.')
  .option('--device <MiB>', 'MiB of the pmem device, an even number', wholeChunks, 512)
  .option('--rounds <n>', 'times that each workload runs; shown are medians', wholeNumber(), 25)
  .option('--flush-every <n>', 'writes before each flush, in the workloads that flush', wholeNumber(), 32)
  .option('--json', 'print JSON')
  .parse()
  .opts();

const here = dirname(fileURLToPath(import.meta.url));
const load = (name) => import(pathToFileURL(join(here, `../../packages/${name}/dist/index.js`)).href);
const [lib, hardware, core, block, nvdimm, pmem] = await Promise.all(['lib', 'machine', 'driver-core', 'block', 'nvdimm', 'pmem'].map(load));
const { PFN, REQ, REQ_OP, allocBio, bioAddPage, bioAddPfn, createBlock, resetBio, submitBio } = block;

const deviceSize = device * lib.MIB;

const PAGE = 4096;
const KIB_128 = 32 * PAGE;
const DEVICE_START = 4 * lib.GIB;
/** Frames that hold the callers' buffers. */
const POOL_START = 16 * lib.MIB;
const POOL_FRAMES = 256;
const OPERATIONS_4K = 8192;
const OPERATIONS_128K = 1024;
const WARM_UP_ROUNDS = 3;
const TURN_BYTES = lib.MIB;

/** Memory comes in chunks of 2 MiB. */
function wholeChunks(text) {
  const mib = wholeNumber(2)(text);
  if (mib % 2 !== 0) throw new InvalidArgumentError('Expected an even number.');
  return mib;
}

function attach(mapping) {
  const machine = hardware.createMachine({
    media: [
      { start: 0, medium: hardware.createDram(64 * lib.MIB) },
      { start: DEVICE_START, medium: hardware.createNvdimm({ sizeBytes: deviceSize }) },
    ],
  });
  const iomem = lib.createIomem();
  const layer = createBlock({
    printk: lib.silentPrintk,
    memory: machine.memory,
    clock: machine.clock,
    pages: { allocPages: () => lib.pfn(1), freePages() {} },
  });
  const nvdimms = nvdimm.createNvdimms({ iomem, printk: lib.silentPrintk, memregions: lib.createIda() });
  nvdimms.registerDriver(pmem.createNdPmemDriver({
    nvdimms,
    cpu: machine.cpu,
    memory: machine.memory,
    iomem,
    block: layer,
    printk: lib.silentPrintk,
    release: lib.DEFAULT_RELEASE,
    config: { defaultMapping: mapping },
    // What the design that Linux has asks for: struct pages, of which I/O touches none.
    pageHost: {
      cpu: machine.cpu, memory: machine.memory, clock: machine.clock, iomem, printk: lib.silentPrintk, release: lib.DEFAULT_RELEASE,
      memremapPages: () => () => undefined,
    },
  }));
  const bus = nvdimms.registerBus({ provider: 'bench', parent: core.createRootDevice('bench') });
  nvdimms.registerRegion(bus, { start: DEVICE_START, sizeBytes: deviceSize, numaNode: 0, targetNode: 0, pageMapAllowed: true });
  return { machine, bdev: layer.disks[0].part0 };
}

/** One workload: the same bytes moved `bare` and through bios. */
function workloads({ machine, bdev }) {
  const { memory } = machine;
  const random = lib.seededRandom(1);
  const poolPfn = POOL_START / PAGE;
  for (let i = 0; i < POOL_FRAMES; i++) random.fill(memory.frame(poolPfn + i));
  // A disk holds data: pages that were never written would all be the host's one zero page, and reads of them cost nothing.
  for (let at = 0; at < deviceSize; at += hardware.CHUNK_SIZE) memory.chunk((DEVICE_START + at) / hardware.CHUNK_SIZE).fill(at / hardware.CHUNK_SIZE);
  const bio = allocBio(bdev, 1, REQ_OP.READ);
  const flush = allocBio(bdev, 0, REQ_OP.WRITE);

  const run = (op, sector, frame, length) => {
    resetBio(bio, bdev, op);
    bio.sector = sector;
    bioAddPage(bio, frame, length, 0);
    submitBio(bio);
    if (bio.status !== 0) throw new Error(`I/O at sector ${sector} ended with status ${bio.status}`);
  };
  const runByPfn = (op, sector, frame, length) => {
    resetBio(bio, bdev, op);
    bio.sector = sector;
    bioAddPfn(bio, frame, PFN.DEV, length, 0);
    submitBio(bio);
    if (bio.status !== 0) throw new Error(`I/O by PFN at sector ${sector} ended with status ${bio.status}`);
  };
  const runFlush = () => {
    resetBio(flush, bdev, REQ_OP.WRITE | REQ.PREFLUSH | REQ.SYNC);
    submitBio(flush);
  };

  const nrFrames = deviceSize / PAGE;
  const view = (start, length) => {
    const chunk = memory.chunk(Math.floor(start / hardware.CHUNK_SIZE));
    return chunk.subarray(start % hardware.CHUNK_SIZE, (start % hardware.CHUNK_SIZE) + length);
  };
  const make = (name, length, count, targets, write, flushes) => {
    const chunks = targets.map((at) => memory.chunk(Math.floor((DEVICE_START + at) / hardware.CHUNK_SIZE)));
    const within = targets.map((at) => (DEVICE_START + at) % hardware.CHUNK_SIZE);
    const sectors = targets.map((at) => at / 512);
    const perBuffer = length / PAGE;
    const frames = targets.map((_, i) => poolPfn + ((i * perBuffer) % POOL_FRAMES));
    const buffers = frames.map((frame) => view(frame * PAGE, length));
    return {
      name,
      length,
      count,
      sectors,
      frames,
      bare(start, end) {
        if (write) for (let i = start; i < end; i++) chunks[i].set(buffers[i], within[i]);
        else for (let i = start; i < end; i++) buffers[i].set(chunks[i].subarray(within[i], within[i] + length));
      },
      bios(start, end) {
        const op = write ? REQ_OP.WRITE : REQ_OP.READ;
        for (let i = start; i < end; i++) {
          run(op, sectors[i], frames[i], length);
          if (flushes && i % flushEvery === flushEvery - 1) runFlush();
        }
      },
    };
  };
  /** The same I/O over frames without struct pages, against the path over pages. */
  const byPfn = (pages, write) => ({
    ...pages,
    name: `${pages.name}, by PFN`,
    bare: pages.bios,
    bios(start, end) {
      const op = write ? REQ_OP.WRITE : REQ_OP.READ;
      for (let i = start; i < end; i++) runByPfn(op, pages.sectors[i], pages.frames[i], pages.length);
    },
  });
  const randomTargets = Array.from({ length: OPERATIONS_4K }, () => random.below(nrFrames) * PAGE);
  const inOrder = Array.from({ length: OPERATIONS_128K }, (_, i) => (i * KIB_128) % deviceSize);
  const read4K = make('4 KiB random read', PAGE, OPERATIONS_4K, randomTargets, false, false);
  const write4K = make('4 KiB random write', PAGE, OPERATIONS_4K, randomTargets, true, false);
  return [
    read4K,
    write4K,
    byPfn(read4K, false),
    byPfn(write4K, true),
    make(`4 KiB random write, flush each ${flushEvery}`, PAGE, OPERATIONS_4K, randomTargets, true, true),
    make('128 KiB sequential read', KIB_128, OPERATIONS_128K, inOrder, false, false),
    make('128 KiB sequential write', KIB_128, OPERATIONS_128K, inOrder, true, false),
    make(`128 KiB sequential write, flush each ${flushEvery}`, KIB_128, OPERATIONS_128K, inOrder, true, true),
  ];
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

/** All I/O once bare and once through bios, in turns, each of which adds what it took. */
function runRound({ length, count, bare, bios }, turns) {
  const perTurn = TURN_BYTES / length;
  for (let start = 0; start < count; start += perTurn) {
    const other = (start + count / 2) % count;
    const begin = process.hrtime.bigint();
    bare(start, start + perTurn);
    const between = process.hrtime.bigint();
    bios(other, other + perTurn);
    const end = process.hrtime.bigint();
    turns.push({ bareNs: Number(between - begin) / perTurn, biosNs: Number(end - between) / perTurn });
  }
}

function measure(workload) {
  for (let round = 0; round < WARM_UP_ROUNDS; round++) runRound(workload, []);
  const turns = [];
  for (let round = 0; round < rounds; round++) runRound(workload, turns);
  const biosNs = median(turns.map((turn) => turn.biosNs));
  return {
    name: workload.name,
    ratio: median(turns.map((turn) => turn.bareNs / turn.biosNs)),
    bareNs: median(turns.map((turn) => turn.bareNs)),
    biosNs,
    gibPerSecond: workload.length / biosNs / 1.073741824,
  };
}

const results = [];
for (const mapping of ['wb', 'pages']) {
  for (const workload of workloads(attach(mapping))) results.push({ mapping, ...measure(workload) });
}

if (json) {
  console.log(JSON.stringify(results, null, 2));
} else {
  console.log('mapping  workload                                  bare ns    bio ns   GiB/s  ratio');
  for (const { mapping, name, ratio, bareNs, biosNs, gibPerSecond } of results) {
    const columns = [bareNs.toFixed(0).padStart(9), biosNs.toFixed(0).padStart(9), gibPerSecond.toFixed(1).padStart(7), ratio.toFixed(2).padStart(6)];
    console.log(`${mapping.padEnd(8)} ${name.padEnd(40)} ${columns.join(' ')}`);
  }
}
