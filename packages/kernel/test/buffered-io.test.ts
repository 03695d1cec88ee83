/**
 * Buffered I/O against a simple model, an array of bytes: random reads, writes, mappings, O_DIRECT, fsync, time that passes, and power cuts.
 * After a cut each byte is as fsync last returned for it, or as something that was written since.
 */
import { createDram, createMachine, createNvdimm } from '@holdfast/machine';
import { type Drive, createDrive } from '@holdfast/sd';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Kernel, MAP, PROT, type Process, boot, writeFile } from '../src/index.js';
import { GIB, PC, PMEM, e820Text, kernelOf } from './fixture.js';

const PAGE = 4096;
const SIZE = 12 * PAGE;
const MIB = 2 ** 20;

/** A machine whose power can be cut, and the disk under test. */
interface Bench {
  readonly disk: string;
  boot(): Kernel;
  powercut(seed: number): void;
}

function bench(disk: string, cmdline: string, drive: Drive = createDrive({ sizeBytes: MIB })): Bench {
  const machine = createMachine({ media: [{ start: 0, medium: createDram(3 * GIB) }, { start: 4 * GIB, medium: createDram(GIB) }, { start: PMEM.start, medium: createNvdimm({ sizeBytes: GIB }) }] });
  return {
    disk,
    boot: () => kernelOf(boot({ machine, firmware: { e820: e820Text([...PC, PMEM]) }, drives: [drive], cmdline })),
    powercut(seed) {
      machine.powercut(seed);
      drive.powercut(seed);
    },
  };
}

const DISKS: Readonly<Record<string, () => Bench>> = {
  'pmem, write-back': () => bench('/dev/pmem0', 'pmem.mapping=wb'),
  'pmem, uncached': () => bench('/dev/pmem0', 'pmem.mapping=uc'),
  'pmem whose page cache is the device': () => bench('/dev/pmem0', 'pmem.pages=page-cache'),
  'a drive with a volatile cache': () => bench('/dev/sda', ''),
  'a drive with sectors of 4096 bytes': () => bench('/dev/sda', '', createDrive({ sizeBytes: MIB, sectorBytes: 4096 })),
};

/** What may be done to `[at, at + length)`. */
const step = fc.record({
  how: fc.constantFrom('write', 'write', 'write', 'store', 'direct', 'read', 'read', 'fsync', 'wait', 'drop', 'powercut'),
  at: fc.nat(SIZE - 1),
  length: fc.integer({ min: 1, max: 2 * PAGE }),
  value: fc.integer({ min: 1, max: 255 }),
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** @throws Error that says which byte was lost */
function runAgainstModel({ disk, boot: bootAgain, powercut }: Bench, steps: readonly Step[]): void {
  let kernel: Kernel;
  let process: Process;
  let [fd, direct, mapped, heap] = [0, 0, 0, 0];
  const start = (): void => {
    kernel = bootAgain();
    process = kernel.createProcess('database');
    fd = process.open(disk, { write: true });
    direct = process.open(disk, { write: true, direct: true });
    mapped = process.mmap(fd, { length: SIZE, prot: PROT.READ | PROT.WRITE, flags: MAP.SHARED });
    heap = process.mmap(null, { length: SIZE });
  };
  start();
  let now: Uint8Array = new Uint8Array(SIZE);
  let synced = now.slice();
  let since: { readonly at: number; readonly end: number; readonly value: number }[] = [];
  const content = (): Uint8Array => {
    process.pread(fd, heap, SIZE, 0);
    return process.load(heap, SIZE);
  };
  for (const [nr, { how, value, ...asked }] of steps.entries()) {
    const whole = how === 'direct';
    const at = whole ? asked.at - (asked.at % PAGE) : asked.at;
    const end = whole ? at + PAGE : Math.min(SIZE, at + asked.length);
    switch (how) {
      case 'write':
      case 'store':
      case 'direct': {
        const bytes = new Uint8Array(end - at).fill(value);
        if (how === 'store') process!.store(mapped + at, bytes);
        else {
          process!.store(heap, bytes);
          process!.pwrite(whole ? direct : fd, heap, end - at, at);
        }
        now.fill(value, at, end);
        since.push({ at, end, value });
        break;
      }
      case 'read':
        if (Buffer.compare(content(), now) !== 0) throw new Error(`step ${nr}: other bytes are read than were written`);
        if (Buffer.compare(process!.load(mapped, SIZE), now) !== 0) throw new Error(`step ${nr}: the mapping shows other bytes`);
        break;
      case 'fsync':
        process!.fsync(fd);
        [synced, since] = [now.slice(), []];
        break;
      case 'wait':
        kernel!.sleep((value % 60) * 1e9);
        break;
      case 'drop':
        writeFile(kernel!.root, '/proc/sys/vm/drop_caches', '1');
        break;
      case 'powercut': {
        powercut(nr);
        start();
        const kept = content();
        for (let i = 0; i < SIZE; i++) {
          const fine = kept[i] === synced[i] || since.some((write) => i >= write.at && i < write.end && write.value === kept[i]);
          if (!fine) throw new Error(`step ${nr}: byte ${i} is ${kept[i]}; fsync returned for ${synced[i]}`);
        }
        [now, synced, since] = [kept, kept.slice(), []];
      }
    }
  }
}

describe('nothing that fsync returned for is lost, and nobody reads what was not written, on', () => {
  it.each(Object.entries(DISKS))('%s', (_name, make) => {
    fc.assert(fc.property(fc.array(step, { minLength: 20, maxLength: 60 }), (steps) => runAgainstModel(make(), steps)), { numRuns: 12, endOnFailure: true });
  });
});

it('a drive that answers flushes without carrying them out is found', () => {
  const drive = createDrive({ sizeBytes: MIB });
  const lying: Drive = { ...drive, flush: () => undefined };
  const steps = Array.from({ length: 8 }, (_, i) => (['write', 'fsync', 'powercut'] as const).map((how) => ({ how, at: 0, length: PAGE, value: i + 1 }))).flat();
  expect(() => runAgainstModel(bench('/dev/sda', '', lying), steps)).toThrowError(/fsync returned for/);
  expect(() => runAgainstModel(bench('/dev/sda', '', drive), steps)).not.toThrow();
});
