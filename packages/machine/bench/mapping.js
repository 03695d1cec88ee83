/**
 * What the cache model costs: each kind of access through a mapping, as a ratio to a bare `Uint8Array.set` over the same chunks.
 *
 *   node packages/machine/bench/mapping.js [MiB of working set]     (after a build)
 *
 * Rounds of all kinds are interleaved and the best round of each counts: what is left when the host is quiet.
 */
import { physAddr } from '@holdfast/lib';
import { CHUNK_SIZE, createMachine, createNvdimm } from '@holdfast/machine';

const MIB = 1024 * 1024;
const workingSet = Number(process.argv[2] ?? 256) * MIB;
const ROUNDS = 15;

const machine = createMachine({ media: [{ start: 0, medium: createNvdimm({ sizeBytes: workingSet }) }] });
const { cpu, memory } = machine;
const chunks = Array.from({ length: workingSet / CHUNK_SIZE }, (_, nr) => memory.chunk(nr).fill(nr + 1));

/** The same offsets for everybody: random multiples of the size, or one after the other. */
function offsets(count, size, random) {
  let state = 12345;
  return Float64Array.from({ length: count }, (_, i) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return ((random ? state : i) % (workingSet / size)) * size;
  });
}

function report(title, size, at, passes) {
  const times = {};
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, pass] of Object.entries(passes)) {
      const start = process.hrtime.bigint();
      for (let i = 0; i < at.length; i++) pass(at[i], i);
      (times[name] ??= []).push(Number(process.hrtime.bigint() - start) / at.length);
    }
  }
  const best = (name) => Math.min(...times[name]);
  console.log(`${title}, working set ${workingSet / MIB} MiB`);
  for (const name of Object.keys(passes)) {
    const ns = best(name);
    const bare = best(name.startsWith('read') ? 'read: bare set' : 'bare set');
    console.log(`  ${name.padEnd(34)} ${ns.toFixed(0).padStart(7)} ns  ${(size / ns).toFixed(1).padStart(5)} GB/s  ${(bare / ns).toFixed(2)}`);
  }
}

function passes(size) {
  const source = new Uint8Array(size).fill(0x5a);
  const target = new Uint8Array(size);
  const bare = (offset) => chunks[Math.floor(offset / CHUNK_SIZE)].set(source, offset % CHUNK_SIZE);
  const views = new Map();
  const view = (offset) => {
    let found = views.get(offset);
    if (found === undefined) views.set(offset, (found = chunks[Math.floor(offset / CHUNK_SIZE)].subarray(offset % CHUNK_SIZE, (offset % CHUNK_SIZE) + size)));
    return found;
  };
  const through = (type, run) => {
    let mapping;
    return (offset, i) => {
      // Each round begins with a power cycle: no mapping of another type, no open store of another kind.
      if (i === 0) {
        machine.poweroff();
        mapping = cpu.map(physAddr(0), workingSet, type);
      }
      run(mapping, offset, i);
    };
  };
  return {
    'bare set': bare,
    'WB writeFlushCache': through('WB', (m, offset) => m.writeFlushCache(offset, source, 0, size)),
    'WB writeFlushCache, fence each 64': through('WB', (m, offset, i) => {
      m.writeFlushCache(offset, source, 0, size);
      if (i % 64 === 63) cpu.sfence();
    }),
    'WB writeFlushCache, fence each': through('WB', (m, offset) => {
      m.writeFlushCache(offset, source, 0, size);
      cpu.sfence();
    }),
    'WB write': through('WB', (m, offset) => m.write(offset, source, 0, size)),
    'WB write, clwb, fence each': through('WB', (m, offset) => {
      m.write(offset, source, 0, size);
      m.clwb(offset, size);
      cpu.sfence();
    }),
    'UC write': through('UC', (m, offset) => m.write(offset, source, 0, size)),
    'WT write': through('WT', (m, offset) => m.write(offset, source, 0, size)),
    'WC write': through('WC', (m, offset) => m.write(offset, source, 0, size)),
    'read: bare set': (offset) => target.set(view(offset)),
    'read WB': through('WB', (m, offset) => m.read(offset, target, 0, size)),
  };
}

report('4 KiB at random', 4096, offsets(40_000, 4096, true), passes(4096));
report('128 KiB in sequence', 128 * 1024, offsets(2_000, 128 * 1024, false), passes(128 * 1024));
