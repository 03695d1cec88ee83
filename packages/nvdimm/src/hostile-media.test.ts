/**
 * Valid images, damaged: readers refuse or go on, with an errno and in bounded time, and write nothing that they did not understand.
 */
import fc from 'fast-check';
import { KernelError, MIB, fletcher64 } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { capturedMedia, capturedSection } from '../test/captured-media.js';
import { type Store, fork, recordEpochs } from '../test/crash-states.js';
import { type MemoryConfigArea, memoryConfigArea } from '../test/memory-config-area.js';
import { type MemoryNamespace, memoryNamespace } from '../test/memory-namespace.js';
import { labelOf } from '../test/ndctl-stores.js';
import { type BttConfig, attachBtt, probeBtt, readSector, writeSector } from './btt.js';
import { type BttInfo, decodeBttInfo, encodeBttInfo, planArenas } from './btt-info.js';
import { activeLabels, everyLabel, initLabelArea, nrFreeSlots, openLabelArea, updateLabels } from './label-area.js';

/** Run what may be refused. Anything but a KernelError is a bug and goes up. */
function attempt<T>(action: () => T): T | KernelError {
  try {
    return action();
  } catch (error) {
    if (error instanceof KernelError) return error;
    throw error;
  }
}

/** Places in `[0, length)`, most of them where something is, with a byte for each. */
const damage = (interesting: readonly number[], length: number) =>
  fc.array(fc.tuple(fc.oneof(fc.constantFrom(...interesting), fc.nat(length - 1)), fc.oneof(fc.constantFrom(0, 1, 255), fc.nat(255))), { minLength: 1, maxLength: 12 });

describe('damaged label areas', () => {
  const captured = capturedSection(capturedMedia('d-multi.end'), 'label-area').slice(0, 16384);
  const v1_1 = memoryConfigArea(captured.slice());
  const v1_2 = memoryConfigArea(new Uint8Array(16384));
  for (const [n, area] of [initLabelArea(v1_1, 128, 'ndctl'), initLabelArea(v1_2, 256, 'kernel')].entries()) {
    for (let ns = 0; ns < 3; ns++) updateLabels([{ area, label: labelOf({ uuid: `0000000${n}-0000-4000-8000-00000000000${ns}`, size: MIB }) }]);
  }
  const fields = [0, 15, 19, 20, 24, 32, 40, 48, 56, 57, 58, 60, 62, 64, 72, 73].flatMap((at) => [at, 256 + at]);
  const labels = [0, 16, 80, 84, 86, 88, 104, 112, 120, 121, 124, 248].flatMap((at) => [512 + at, 640 + at, 768 + at, 1024 + at]);

  /** Everything that reads; then an update, which must be refused or take effect. */
  function exercise(config: MemoryConfigArea): 'no labels' | 'refused' | 'updated' {
    config.nrWrites = 0;
    const area = openLabelArea(config);
    if (!area) {
      expect(config.nrWrites).toBe(0);
      return 'no labels';
    }
    activeLabels(area);
    everyLabel(area);
    expect(nrFreeSlots(area)).toBeGreaterThanOrEqual(0);
    expect(config.nrWrites).toBe(0);
    const uuid = '99999999-0000-4000-8000-000000000000';
    if (attempt(() => updateLabels([{ area, label: labelOf({ uuid, size: MIB }) }])) instanceof KernelError) return 'refused';
    expect(activeLabels(openLabelArea(config)!).filter((label) => label.uuid === uuid)).toHaveLength(1);
    return 'updated';
  }

  it.each([
    { name: 'as they are', forge: false },
    { name: 'with checksums made right again', forge: true },
  ])('$name', ({ forge }) => {
    const seen = { 'no labels': 0, refused: 0, updated: 0 };
    fc.assert(
      fc.property(fc.constantFrom(v1_1, v1_2), damage([...fields, ...labels], 2048), ({ bytes }, changes) => {
        const config = memoryConfigArea(bytes.slice());
        for (const [at, byte] of changes) config.bytes[at] = byte;
        if (forge) for (const start of [0, 256]) makeRight(config.bytes.subarray(start, start + 256));
        seen[exercise(config)]++;
      }),
      { numRuns: 500 },
    );
    process.stdout.write(`damaged label areas, checksums ${forge ? 'right' : 'wrong'}: ${JSON.stringify(seen)}\n`);
    expect(seen.updated).toBeGreaterThan(0);
  });

  it('cut short anywhere', () => {
    fc.assert(fc.property(fc.constantFrom(v1_1, v1_2), fc.nat(16384), ({ bytes }, length) => void exercise(memoryConfigArea(bytes.slice(0, length)))));
  });

  function makeRight(block: Uint8Array): void {
    const view = new DataView(block.buffer, block.byteOffset, block.length);
    view.setBigUint64(64, 0n, true);
    view.setBigUint64(64, fletcher64(block), true);
  }
});

describe('damaged BTTs', () => {
  const SIZE = 16 * MIB;
  const CONFIG: BttConfig = {
    uuid: '00112233-4455-6677-8899-aabbccddeeff',
    parentUuid: undefined,
    lbaSize: 4096,
    claimClass: 'btt2',
    region: { name: 'region0', readOnly: false },
  };
  const [layout] = planArenas(SIZE, 4096);
  const { mapOffset, logOffset, info2Offset } = layout!;
  const valid = memoryNamespace(SIZE);
  const made = attachBtt(valid, CONFIG);
  for (let n = 0; n < 12; n++) writeSector(made, n % 5, new Uint8Array(4096).fill(n + 1), n % 3);

  const MESSAGES = [
    'No existing arenas', 'Found corrupted metadata!', 'Found an unknown padding scheme', 'Unable to deduce log/padding indices', 'Found arena with an error flag', 'Unable to clear known errors',
  ];
  const known = (line: string): boolean =>
    MESSAGES.includes(line) || /^(log corruption|nfree \d+ smaller|btt_map_read: lba|init: error in (arena_discover|meta_init): -\d+$)/.test(line);

  /** Probe, attach, read and write. Attach may finish map entries, and repair free blocks that the flog calls lost; nothing else. */
  function exercise(io: MemoryNamespace, config = CONFIG): 'refused' | 'attached' | 'created' {
    io.nrWrites = 0;
    probeBtt(io, config);
    expect(io.nrWrites).toBe(0);
    const lines: string[] = [];
    const recorder = recordEpochs(io);
    const btt = attempt(() => attachBtt(recorder.io, config, (line) => lines.push(line)));
    expect(lines.filter((line) => !known(line))).toEqual([]);
    const created = lines.includes('No existing arenas');
    const stores = recorder.epochs.flat();
    const isMapEntry = ({ offset, bytes }: Store): boolean => offset >= mapOffset && offset + bytes.length <= logOffset && bytes.length === 4;
    const isRepair = ({ offset, bytes }: Store): boolean => offset >= 4096 && offset + bytes.length <= mapOffset && bytes.every((byte) => byte === 0);
    if (!created) expect(stores.filter((store) => !isMapEntry(store) && !isRepair(store))).toEqual([]);
    if (btt instanceof KernelError) {
      expect(['ENOMEM', 'ENXIO']).toContain(btt.code);
      return 'refused';
    }
    for (const sector of [0, 1, 4, 17, btt.nrSectors - 1]) {
      const before = recorder.epochs.flat().length;
      attempt(() => readSector(btt, sector, new Uint8Array(btt.sectorSize)));
      expect(recorder.epochs.flat()).toHaveLength(before);
      const data = new Uint8Array(btt.sectorSize).fill(0x5a);
      const target = new Uint8Array(btt.sectorSize);
      if (attempt(() => writeSector(btt, sector, data, 1)) instanceof KernelError) continue;
      readSector(btt, sector, target);
      expect(Buffer.from(target).equals(data)).toBe(true);
    }
    const infoWrites = recorder.epochs.flat().filter(({ offset }) => offset < 4096 || offset >= info2Offset);
    if (!created) expect(infoWrites).toEqual([]);
    return created ? 'created' : 'attached';
  }

  const exploreWith = (name: string, mutation: fc.Arbitrary<(io: MemoryNamespace) => void>, numRuns: number): Record<string, number> => {
    const seen: Record<string, number> = { refused: 0, attached: 0, created: 0 };
    fc.assert(
      fc.property(mutation, (mutate) => {
        const io = fork(valid);
        mutate(io);
        seen[exercise(io)]!++;
      }),
      { numRuns },
    );
    process.stdout.write(`damaged BTTs, ${name}: ${JSON.stringify(seen)}\n`);
    return seen;
  };

  const word = fc.oneof(fc.constantFrom(0, 1, 2, 3, 4, 255, 256, 4095, 4096, 2 ** 30, 2 ** 31, 2 ** 32 - 1, 0xc000_0000, 0xffff_ffff), fc.nat(2 ** 32 - 1));
  const words = (start: number, count: number) =>
    fc.array(fc.tuple(fc.nat(count - 1), word), { minLength: 1, maxLength: 10 }).map((changes) => (io: MemoryNamespace) => {
      for (const [at, value] of changes) io.write(start + at * 4, new Uint8Array(Uint32Array.of(value).buffer));
    });

  it('in the flog', () => {
    // Where entries are, in the first lanes; and anywhere, where zeros should be.
    const inEntries = fc.array(fc.tuple(fc.nat(3), fc.nat(7), word), { minLength: 1, maxLength: 4 }).map((changes) => (io: MemoryNamespace) => {
      for (const [lane, at, value] of changes) io.write(logOffset + lane * 64 + at * 4, new Uint8Array(Uint32Array.of(value).buffer));
    });
    const seen = exploreWith('flog', fc.oneof(inEntries, inEntries, words(logOffset, 4096)), 400);
    expect(Math.min(seen.refused!, seen.attached!)).toBeGreaterThan(5);
  });

  it('in the map', () => {
    expect(exploreWith('map', words(mapOffset, 24), 200).attached).toBe(200);
  });

  it('in the info block: it is no BTT then, and set-up makes a new one', () => {
    const bytes = damage([0, 15, 16, 32, 48, 52, 56, 60, 64, 72, 80, 88, 96, 104, 112, 4088], 4096).map((changes) => (io: MemoryNamespace) => {
      for (const [at, byte] of changes) io.write(at, Uint8Array.of(byte));
    });
    exploreWith('info block', bytes, 100);
  });

  it('in the info block, with its checksum made right again', () => {
    const u64 = fc.oneof(
      fc.constantFrom(0n, 4096n, BigInt(mapOffset), BigInt(logOffset), BigInt(info2Offset), BigInt(SIZE), 2n ** 52n, 2n ** 63n, 2n ** 64n - 1n),
      fc.bigInt(0n, 2n ** 64n - 1n),
    );
    const change = fc.oneof(
      fc.tuple(fc.constantFrom('externalLbaSize', 'externalNlba', 'internalLbaSize', 'internalNlba', 'nfree', 'flags'), fc.oneof(word, fc.constantFrom(512, 3829, 4085))),
      fc.tuple(fc.constantFrom('nextOffset', 'dataOffset', 'mapOffset', 'logOffset', 'info2Offset'), u64),
    );
    const forged = fc.array(change, { minLength: 1, maxLength: 3 }).map((changes) => (io: MemoryNamespace) => {
      io.write(0, encodeBttInfo({ ...decodeBttInfo(io.bytes(0, 4096)), ...(Object.fromEntries(changes) as Partial<BttInfo>) }));
    });
    const seen = exploreWith('forged info block', forged, 400);
    expect(seen.created).toBe(0);
    expect(Math.min(seen.refused!, seen.attached!)).toBeGreaterThan(5);
  });

  it('cut short anywhere', () => {
    fc.assert(
      fc.property(fc.nat(SIZE - 1), (size) => {
        expect(exercise(memoryNamespace(size, fork(valid).pages))).toBe('refused');
      }),
      { numRuns: 50 },
    );
  });
});
