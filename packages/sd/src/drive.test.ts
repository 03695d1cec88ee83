import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ImageBacking } from '@holdfast/machine';
import { type Drive, createDrive } from './drive.js';

const ATOMS = 16;

function memoryImage(sizeBytes: number): ImageBacking & { readonly bytes: Uint8Array } {
  const bytes = new Uint8Array(sizeBytes);
  return {
    bytes,
    sizeBytes,
    isKnownZero: () => false,
    read: (offset, target, at, length) => target.set(bytes.subarray(offset, offset + length), at),
    write: (offset, source, at, length) => bytes.set(source.subarray(at, at + length), offset),
  };
}

function contentOf(drive: Drive, offset = 0, length = drive.sizeBytes): Uint8Array {
  const bytes = new Uint8Array(length);
  drive.read(offset, bytes, 0, length);
  return bytes;
}

type Step = { readonly kind: 'write' | 'fua'; readonly at: number; readonly count: number; readonly fill: number } | { readonly kind: 'flush' } | { readonly kind: 'zero'; readonly at: number; readonly count: number };

const place = { at: fc.nat(ATOMS - 1), count: fc.integer({ min: 1, max: 5 }) };
const steps = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('write' as const), ...place, fill: fc.integer({ min: 1, max: 4 }) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('fua' as const), ...place, fill: fc.integer({ min: 1, max: 4 }) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('zero' as const), ...place }) },
    { weight: 1, arbitrary: fc.constant({ kind: 'flush' as const }) },
  ),
  { minLength: 5, maxLength: 30 },
);

/** What each atom may hold after a power cut: the first is on the medium. */
function model(program: readonly Step[], atomBytes: number): number[][] {
  const atoms = Array.from({ length: ATOMS }, () => [0]);
  for (const step of program) {
    if (step.kind === 'flush') {
      atoms.forEach((values, i) => (atoms[i] = [values.at(-1)!]));
      continue;
    }
    const end = Math.min(step.at + step.count, (ATOMS * 512) / atomBytes);
    for (let i = step.at; i < end; i++) {
      if (step.kind === 'fua') atoms[i] = [step.fill];
      else atoms[i]!.push(step.kind === 'zero' ? 0 : step.fill);
    }
  }
  return atoms;
}

function run(drive: Drive, program: readonly Step[]): void {
  const { atomBytes } = drive;
  for (const step of program) {
    if (step.kind === 'flush') {
      drive.flush();
      continue;
    }
    const count = Math.min(step.count, drive.sizeBytes / atomBytes - step.at);
    if (step.kind === 'zero') drive.zero(step.at * atomBytes, count * atomBytes);
    else drive.write(step.at * atomBytes, new Uint8Array(count * atomBytes).fill(step.fill), 0, count * atomBytes, step.kind === 'fua');
  }
}

describe('a drive with a volatile cache', () => {
  test('leaves open just what the model allows, each content once', () => {
    fc.assert(
      fc.property(steps, (program) => {
        const drive = createDrive({ sizeBytes: ATOMS * 512 });
        run(drive, program);
        const open = new Map(drive.undecided().map(({ offset, images }) => [offset / 512, images.map((image) => image[0]!)]));
        model(program, 512).forEach((values, atom) => {
          const distinct = [...new Set(values)];
          expect(new Set(open.get(atom) ?? [values.at(-1)!])).toEqual(new Set(distinct));
          expect((open.get(atom) ?? [0]).length).toBe(new Set(open.get(atom) ?? [0]).size);
        });
      }),
    );
  });

  test('keeps after a cut what was flushed, or something that was written since, in its image as well', () => {
    fc.assert(
      fc.property(steps, fc.nat(), (program, seed) => {
        const backing = memoryImage(ATOMS * 512);
        const drive = createDrive({ sizeBytes: ATOMS * 512, backing });
        run(drive, program);
        const { undecided, lost } = drive.powercut(seed);
        expect(lost).toBeLessThanOrEqual(undecided);
        expect(contentOf(drive)).toEqual(backing.bytes);
        const allowed = model(program, 512);
        allowed.forEach((values, atom) => expect(values).toContain(backing.bytes[atom * 512]));
        expect(drive.undecided()).toEqual([]);
      }),
    );
  });

  test('an image holds what a flush acknowledged, and nothing before', () => {
    const backing = memoryImage(8192);
    const drive = createDrive({ sizeBytes: 8192, backing });
    drive.write(512, new Uint8Array(512).fill(1), 0, 512, false);
    expect(backing.bytes[512]).toBe(0);
    drive.write(1024, new Uint8Array(512).fill(2), 0, 512, true);
    expect([backing.bytes[512], backing.bytes[1024]]).toEqual([0, 2]);
    drive.flush();
    expect(backing.bytes[512]).toBe(1);
  });

  test('a write of many sectors is torn between atoms, and nowhere else', () => {
    for (const atomBytes of [512, 4096]) {
      const seen = new Set<string>();
      for (let seed = 0; seed < 200; seed++) {
        const drive = createDrive({ sizeBytes: 8192, atomBytes });
        drive.write(0, new Uint8Array(8192).fill(9), 0, 8192, false);
        drive.powercut(seed);
        const content = contentOf(drive);
        for (let at = 0; at < 8192; at += atomBytes) expect(new Set(content.subarray(at, at + atomBytes)).size).toBe(1);
        seen.add([...content].filter((_, i) => i % 512 === 0).join(''));
      }
      expect(seen.size).toBeGreaterThan(3);
    }
  });

  test('a full cache writes its oldest atoms to the medium', () => {
    const drive = createDrive({ sizeBytes: 2 ** 20, cacheBytes: 4096 });
    for (let i = 0; i < 16; i++) drive.write(i * 512, new Uint8Array(512).fill(i + 1), 0, 512, false);
    expect(drive.undecided().map(({ offset }) => offset / 512)).toEqual([8, 9, 10, 11, 12, 13, 14, 15]);
  });

  test('without a cache every write is on the medium when it returns', () => {
    const drive = createDrive({ sizeBytes: 8192, cacheBytes: 0 });
    drive.write(0, new Uint8Array(512).fill(1), 0, 512, false);
    expect(drive.writeCache).toBe(false);
    expect(drive.undecided()).toEqual([]);
  });

  test('zeros cost nothing where nothing was written', () => {
    const drive = createDrive({ sizeBytes: 2 ** 50 });
    drive.zero(0, 2 ** 33);
    expect(drive.run(0, 2 ** 33)).toBe(-(2 ** 33));
    expect(drive.bytesWritten).toBe(0);
  });

  test('what was zeroed whole reads as a hole until it is written again, or a power cut takes the zeros back', () => {
    const [CHUNK, data] = [2 ** 21, new Uint8Array(512).fill(7)];
    const backing = memoryImage(3 * CHUNK);
    const drive = createDrive({ sizeBytes: 3 * CHUNK, backing, cacheBytes: 2 * CHUNK });
    drive.write(CHUNK, data, 0, 512, true);
    expect(drive.run(0, 3 * CHUNK)).toBe(3 * CHUNK); // nobody knows what the image holds
    drive.zero(CHUNK + 512, CHUNK);
    expect(drive.run(CHUNK, CHUNK)).toBe(CHUNK);
    drive.zero(0, 2 * CHUNK);
    expect(drive.run(0, 3 * CHUNK)).toBe(-2 * CHUNK);
    drive.flush();
    expect(backing.bytes[CHUNK]).toBe(0);
    drive.write(CHUNK - 512, data, 0, 512, false);
    expect([drive.run(0, 3 * CHUNK), drive.run(CHUNK, CHUNK)]).toEqual([CHUNK, -CHUNK]);

    drive.flush();
    drive.zero(0, CHUNK);
    expect(drive.run(0, CHUNK)).toBe(-CHUNK);
    drive.applyOutcome(drive.undecided().map(() => 0));
    expect([drive.run(0, CHUNK), contentOf(drive, CHUNK - 512, 1)[0]]).toEqual([CHUNK, 7]);
  });

  test.each([{ sizeBytes: 0 }, { sizeBytes: 1000 }, { sizeBytes: 4096, sectorBytes: 1024 }, { sizeBytes: 4096, atomBytes: 8192 }, { sizeBytes: 4096, atomBytes: 768 }])('%o is refused', (spec) => {
    expect(() => createDrive(spec)).toThrowError(/expected/);
  });
});
