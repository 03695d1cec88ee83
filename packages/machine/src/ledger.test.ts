import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { physAddr } from '@holdfast/lib';
import { type Machine, type Mapping, type MediaWear, type Medium, CHUNK_SIZE, createDram, createMachine, createNvdimm } from './index.js';

const SIZE = 4 * CHUNK_SIZE;
const PAGE = 4096;

const bytes = new Uint8Array(CHUNK_SIZE);

const place = fc.oneof(
  fc.record({ at: fc.nat(8).map((page) => page * PAGE), length: fc.constantFrom(PAGE, PAGE, 2 * PAGE, 32 * PAGE) }),
  fc.record({ at: fc.nat(9 * PAGE), length: fc.nat(9000) }),
);
const op = fc.constantFrom('read', 'read', 'stream', 'stream', 'stream', 'write', 'clwb', 'clflush', 'sfence', 'zero', 'dma', 'charge', 'charge', 'other');
const step = fc.tuple(op, place).map(([name, at]) => ({ name, ...at }));

type Ending = 'time' | 'poweroff' | 'powercut' | 'pull' | 'sync';

/** A machine that takes the steps one by one, and then ends: what it has spent. `ask` is called after each step. */
function run(steps: readonly { name: string; at: number; length: number }[], ending: Ending, ask: (machine: Machine) => void) {
  const [pmem, other] = [createNvdimm({ sizeBytes: SIZE }), createNvdimm({ sizeBytes: SIZE })];
  const machine = createMachine({ media: [{ start: 0, medium: pmem }, { start: SIZE, medium: other }, { start: 2 * SIZE, medium: createDram(SIZE) }] });
  const mappings = [0, SIZE].map((start) => machine.cpu.map(physAddr(start), SIZE, 'WB'));
  let mapping: Mapping = mappings[0]!;
  const act: Record<string, (at: number, length: number) => void> = {
    read: (at, length) => mapping.read(at, bytes, 0, length),
    stream: (at, length) => mapping.writeFlushCache(at, bytes, 0, length),
    write: (at, length) => mapping.write(at, bytes, 0, length),
    clwb: (at, length) => mapping.clwb(at, length),
    clflush: (at, length) => mapping.clflush(at, length),
    zero: (at, length) => mapping.writeZeroes(at, length),
    sfence: () => machine.cpu.sfence(),
    dma: (at, length) => machine.dma.write(physAddr(mapping.start + at), bytes.subarray(0, length)),
    charge: (at, length) => machine.chargeStores(physAddr(mapping.start + at), length, 'WB'),
    other: () => void (mapping = mappings[1 - mappings.indexOf(mapping)]!),
  };
  for (const { name, at, length } of steps) {
    act[name]!(at, length);
    ask(machine);
  }
  const now = ending === 'time' ? machine.clock.now : 0;
  if (ending === 'poweroff') machine.poweroff();
  if (ending === 'powercut') machine.powercut(1);
  if (ending === 'pull') machine.detach(pmem);
  if (ending === 'sync') machine.syncMedium(pmem);
  return [now, ...[pmem, other].map(({ wear, bytesWritten }) => ({ ...totals(wear), bytesWritten }))];
}

function totals(wear: MediaWear) {
  const { bytesReceived, linesWritten, busyNs } = wear;
  return { bytesReceived, linesWritten, busyNs, pages: wear.histogram() };
}

it('asking for the time or the wear, or not, changes neither', () => {
  const ending = fc.constantFrom<Ending>('time', 'poweroff', 'powercut', 'pull', 'sync');
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), ending, fc.integer({ min: 1, max: 4 }), (steps, end, rarely) => {
      let asked = 0;
      const never = run(steps, end, () => {});
      expect(run(steps, end, ({ clock }) => clock.now)).toEqual(never);
      expect(run(steps, end, (machine) => (asked++ % rarely === 0 ? machine.mediumAt(physAddr(0))!.wear.busyNs : 0))).toEqual(never);
    }),
    { numRuns: 300 },
  );
});

describe('after a store of a page', () => {
  it.each<{ question: string; ask: (medium: Medium, machine: Machine) => unknown; want: unknown }>([
    { question: 'bytesWritten', ask: ({ bytesWritten }) => bytesWritten, want: 2 * PAGE },
    { question: 'bytesReceived', ask: ({ wear }) => wear.bytesReceived, want: 2 * PAGE },
    { question: 'linesWritten', ask: ({ wear }) => wear.linesWritten, want: 32 },
    { question: 'busyNs', ask: ({ wear }) => wear.busyNs > 2000, want: true },
    { question: 'pageWrites', ask: ({ wear }) => wear.pageWrites(1), want: 16 },
    { question: 'histogram', ask: ({ wear }) => wear.histogram(), want: [{ lines: 16, pages: 2 }] },
    { question: 'what is left after a reset', ask: ({ wear }) => (wear.reset(), wear.linesWritten), want: 0 },
    { question: 'the time', ask: (_, machine) => machine.clock.now > 2000, want: true },
  ])('$question is up to date', ({ ask, want }) => {
    const medium = createNvdimm({ sizeBytes: SIZE });
    const machine = createMachine({ media: [{ start: 0, medium }] });
    const mapping = machine.cpu.map(physAddr(0), SIZE, 'WB');
    mapping.writeFlushCache(0, bytes, 0, PAGE); // makes the chunk, and is accounted for at once
    mapping.writeFlushCache(PAGE, bytes, 0, PAGE);
    expect(ask(medium, machine)).toEqual(want);
  });
});

it('more accesses than the ledger holds are all accounted for', () => {
  const pages = Array.from({ length: 700 }, (_, i) => ({ name: 'stream', at: (i % 400) * PAGE, length: PAGE }));
  expect(run(pages, 'time', () => {})[1]).toMatchObject({ bytesWritten: 700 * PAGE, bytesReceived: 700 * PAGE, linesWritten: 700 * 16 });
});
