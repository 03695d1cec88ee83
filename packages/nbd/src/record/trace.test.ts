import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { pmemDisk } from '../../test/fixture.js';
import type { NbdDisk } from '../disk.js';
import { createRecorder } from './recorder.js';
import { type ReplayMachine, openTrace, replay } from './replay.js';
import type { TraceRecord } from './trace-format.js';

const folder = mkdtempSync(join(tmpdir(), 'holdfast-trace-'));
afterAll(() => rmSync(folder, { recursive: true }));
let files = 0;
const newFile = (): string => join(folder, `trace-${files++}`);

const inner = pmemDisk(4 * 2 ** 20);
const slab = inner.allocSlab();

type Step =
  | { kind: 'write'; sector: number; fill: number; fua: boolean }
  | { kind: 'zero'; sector: number; fua: boolean }
  | { kind: 'read'; sector: number; fua: boolean }
  | { kind: 'flush' }
  | { kind: 'mark'; name: string };
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('write' as const), sector: fc.nat(63), fill: fc.nat(255), fua: fc.boolean() }),
  fc.record({ kind: fc.constant('zero' as const), sector: fc.nat(63), fua: fc.boolean() }),
  fc.record({ kind: fc.constant('read' as const), sector: fc.nat(63), fua: fc.boolean() }),
  fc.constant({ kind: 'flush' as const }),
  fc.record({ kind: fc.constant('mark' as const), name: fc.string({ minLength: 1, maxLength: 5, unit: 'grapheme' }) }),
);

function record(steps: readonly Step[]): string {
  const file = newFile();
  const recorder = createRecorder({ file, header: { machine: { size: '4M' }, images: [{ name: 'disk@0', sizeBytes: 4096 }] }, base: [{ image: 0, offset: 512, bytes: Uint8Array.of(1, 2) }] });
  const disk = recorder.wrap('sda', inner);
  for (const step of steps) {
    if (step.kind === 'flush') disk.flush();
    else if (step.kind === 'mark') recorder.mark(step.name);
    else if (step.kind === 'zero') disk.writeZeroes(step.sector * 512, 512, step.fua, false);
    else if (step.kind === 'read') disk.read(slab, 0, step.sector * 512, 512);
    else {
      slab.bytes.fill(step.fill, 100, 612);
      disk.write(slab, 100, step.sector * 512, 512, step.fua);
    }
  }
  recorder.close();
  return file;
}

/** The records as texts, for comparing. */
function readAll(file: string): { texts: string[]; tornBytes: number } {
  const trace = openTrace(file);
  try {
    const texts = [...trace.records()].map(({ nr, record }) => `${nr} ${textOf(record)}`);
    return { texts, tornBytes: trace.tornBytes };
  } finally {
    trace.close();
  }
}

function textOf(record: TraceRecord): string {
  return JSON.stringify(record, (_, value: unknown) => (Buffer.isBuffer(value) ? value.toString('hex') : value));
}

const fewSteps = fc.array(anyStep, { maxLength: 12 });
const cutShort = (file: string, length: number): string => {
  const short = newFile();
  writeFileSync(short, readFileSync(file).subarray(0, length));
  return short;
};

describe('a trace', () => {
  test('tells each request and event, in order, with its number', () => {
    fc.assert(
      fc.property(fewSteps, (steps) => {
        const trace = openTrace(record(steps));
        expect(trace.header).toEqual({ machine: { size: '4M' }, images: [{ name: 'disk@0', sizeBytes: 4096 }] });
        const records = [...trace.records()];
        trace.close();
        expect(records.map(({ nr }) => nr)).toEqual(records.map((_, i) => i + 1));
        expect(records[0]!.record).toMatchObject({ kind: 'base', image: 0, offset: 512 });
        expect(records[1]!.record).toEqual({ kind: 'event', event: { event: 'disk', disk: 0, name: 'sda' } });
        const got = records.slice(2).map(({ record: each }) => {
          if (each.kind === 'write') return { kind: 'write', sector: each.offset / 512, fill: each.bytes[511], fua: each.fua };
          if (each.kind === 'zero') return { kind: 'zero', sector: each.offset / 512, fua: each.fua };
          if (each.kind === 'read') return { kind: 'read', sector: each.offset / 512 };
          return each.kind === 'event' && each.event.event === 'mark' ? { kind: 'mark', name: each.event.name } : { kind: each.kind };
        });
        expect(got).toEqual(steps.map((step) => (step.kind === 'read' ? { kind: 'read', sector: step.sector } : step)));
      }),
      { numRuns: 40 },
    );
  });

  test('that ends anywhere holds up to its last whole record', () => {
    const file = record([{ kind: 'write', sector: 1, fill: 2, fua: false }, { kind: 'flush' }, { kind: 'mark', name: 'end' }]);
    const whole = readAll(file);
    expect(whole.tornBytes).toBe(0);
    const { length } = readFileSync(file);
    const first = 16 + readFileSync(file).readUInt32LE(8); // magic, and the header's record
    for (let end = first; end < length; end++) {
      const { texts, tornBytes } = readAll(cutShort(file, end));
      expect(texts).toEqual(whole.texts.slice(0, texts.length));
      expect(texts.length).toBeLessThan(whole.texts.length);
      expect(tornBytes).toBeLessThan(600);
    }
  });

  test('with a wrong byte is refused, or ends before it: never is another record read', () => {
    fc.assert(
      fc.property(fewSteps, fc.nat(), fc.integer({ min: 1, max: 255 }), (steps, at, flip) => {
        const file = record(steps);
        const { texts } = readAll(file);
        const bytes = readFileSync(file);
        bytes[at % bytes.length]! ^= flip;
        const bad = newFile();
        writeFileSync(bad, bytes);
        let got: string[];
        try {
          got = readAll(bad).texts;
        } catch (error) {
          expect((error as { code?: string }).code).toBe('EINVAL');
          return;
        }
        expect(got).toEqual(texts.slice(0, got.length));
        expect(got.length).toBeLessThan(texts.length);
      }),
      { numRuns: 60 },
    );
  });

  test.each(['', 'HFTRACE1', 'not a trace at all', 'HFTRACE1\0\0\0\0\0\0\0\0'])("'%s' is none", (text) => {
    const file = newFile();
    writeFileSync(file, text);
    expect(() => openTrace(file)).toThrow(/trace|header/);
  });

  test('is never written over another file', () => {
    const file = record([]);
    expect(() => createRecorder({ file, header: { machine: {}, images: [] }, base: [] })).toThrow('EEXIST');
  });
});

describe('a replay', () => {
  const replayed = (file: string, until?: Parameters<typeof replay>[2]): { report: ReturnType<typeof replay>; done: string[] } => {
    const done: string[] = [];
    const disk = Object.assign(Object.create(inner) as NbdDisk, {
      write: (s: typeof slab, at: number, offset: number, length: number, fua: boolean) => (done.push(`write ${offset / 512} ${s.bytes[at]} ${length} ${fua}`), 0),
      flush: () => (done.push('flush'), 0),
    });
    const machine: ReplayMachine = { disk: (name) => (name === 'sda' ? disk : undefined), addFault() {}, clearFaults() {}, cut: () => ({ digest: 'other' }) as never, restore() {} };
    const trace = openTrace(file);
    const report = replay(trace, machine, until);
    trace.close();
    return { report, done };
  };
  const file = record([{ kind: 'write', sector: 3, fill: 9, fua: true }, { kind: 'mark', name: 'half' }, { kind: 'flush' }, { kind: 'mark', name: 'half' }]);

  test.each<[Parameters<typeof replay>[2], string[], number, boolean]>([
    [undefined, ['write 3 9 512 true', 'flush'], 6, true],
    [{ mark: 'half' }, ['write 3 9 512 true'], 4, true],
    [{ record: 3 }, ['write 3 9 512 true'], 3, true],
    [{ record: 0 }, [], 0, true],
    [{ mark: 'never' }, ['write 3 9 512 true', 'flush'], 6, false],
  ])('until %o', (until, wanted, records, reached) => {
    const { report, done } = replayed(file, until);
    expect(done).toEqual(wanted);
    expect(report).toMatchObject({ records, reached });
  });
});
