import { KernelError, MIB, seededRandom } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { type Epoch, apply, crashStates, fork, recordEpochs } from '../test/crash-states.js';
import { type MemoryNamespace, memoryNamespace } from '../test/memory-namespace.js';
import { type Btt, type BttConfig, attachBtt, readSector, writeSector } from './btt.js';
import { blockOffset, mapBlock, readMap } from './btt-arena.js';
import { encodeBttInfo } from './btt-info.js';
import type { NamespaceIo } from './namespace-io.js';

const SIZE = 16 * MIB;
/** Sectors that hold something before and after; the rest of the disk is held by the map's bijection. */
const SECTORS = [0, 3, 5, 100, 1000, 3000];

const configOf = (lbaSize: number): BttConfig => ({
  uuid: '00112233-4455-6677-8899-aabbccddeeff',
  parentUuid: undefined,
  lbaSize,
  claimClass: 'btt2',
  region: { name: 'region0', readOnly: false },
});

/** A sector's content; undefined if it reads as lost. */
type Content = string | undefined;

function contentOf(btt: Btt, sector: number): Content {
  const target = new Uint8Array(btt.sectorSize);
  try {
    readSector(btt, sector, target);
  } catch (error) {
    expect(error).toBeInstanceOf(KernelError);
    return undefined;
  }
  return Buffer.from(target).toString('latin1');
}

const contents = (btt: Btt): Content[] => SECTORS.map((sector) => contentOf(btt, sector));

/** Every block of the data area is mapped once or free once. Reads the map in one go, which readMap would not. */
function isBijection({ arenas }: Btt): boolean {
  const { io, start, freeBlock, layout } = arenas[0]!;
  const map = new Uint8Array(layout.externalNlba * 4);
  io.read(start + layout.mapOffset, map);
  const view = new DataView(map.buffer);
  const seen = new Uint8Array(layout.internalNlba);
  for (const block of freeBlock) seen[block]!++;
  for (let lba = 0; lba < layout.externalNlba; lba++) seen[mapBlock(view.getUint32(lba * 4, true), lba)]!++;
  return !seen.some((count) => count !== 1);
}

function filled(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  seededRandom(seed).fill(bytes);
  return bytes;
}

/** One sector write and what was there before and after. */
interface Scene {
  base: MemoryNamespace;
  config: BttConfig;
  lane: number;
  /** Index into SECTORS. */
  written: number;
  before: Content[];
  after: Content[];
  epochs: Epoch[];
}

/** Play writes one after the other, each recorded on the media that the ones before it left. */
function scenes(lbaSize: number, steps: readonly { written: number; lane: number; loseOld?: boolean }[]): Scene[] {
  const config = configOf(lbaSize);
  const io = memoryNamespace(SIZE);
  const fresh = attachBtt(io, config);
  SECTORS.forEach((sector, n) => writeSector(fresh, sector, filled(fresh.sectorSize, n), n % 3));
  return steps.map(({ written, lane, loseOld }, n) => {
    if (loseOld) loseSector(io, attachBtt(io, config), SECTORS[written]!);
    const base = fork(io);
    const recorder = recordEpochs(io);
    const btt = attachBtt(recorder.io, config);
    const before = contents(btt);
    writeSector(btt, SECTORS[written]!, filled(btt.sectorSize, 100 + n), lane);
    return { base, config, lane, written, before, after: contents(btt), epochs: recorder.epochs };
  });
}

function loseSector(io: MemoryNamespace, btt: Btt, sector: number): void {
  const arena = btt.arenas[0]!;
  const start = blockOffset(arena, mapBlock(readMap(arena, sector), sector));
  io.lost = [{ start, end: start + 512 }];
  expect(contentOf(btt, sector)).toBeUndefined();
}

/** Cut the power everywhere in a scene, and again while recovery writes: what is wrong with each state, undefined if nothing. */
function* explore(scene: Scene, seed: number, nrDrawn = 12): Generator<string | undefined> {
  for (const stores of crashStates(scene.epochs, seed, nrDrawn)) {
    const media = fork(scene.base);
    apply(media, stores);
    const recovery = recordEpochs(fork(media));
    tryAttach(recovery.io, scene.config);
    for (const again of crashStates(recovery.epochs, seed, 4)) {
      const twice = fork(media);
      apply(twice, again);
      yield judge(scene, twice);
    }
  }
}

function tryAttach(io: NamespaceIo, config: BttConfig): Btt | string {
  try {
    return attachBtt(io, config);
  } catch (error) {
    return String(error);
  }
}

/** Recover, and compare; then write on the same lane, which must not touch anything else. */
function judge({ config, before, after, written, lane }: Scene, io: NamespaceIo): string | undefined {
  const btt = tryAttach(io, config);
  if (typeof btt === 'string') return btt;
  if (!isBijection(btt)) return 'a block is mapped twice, or lost';
  const found = contents(btt);
  const expected = found[written] === after[written] ? after : before;
  const mixed = found.findIndex((content, n) => content !== expected[n]);
  if (mixed >= 0) return `sector ${SECTORS[mixed]} is neither old nor new`;
  writeSector(btt, SECTORS[0]!, filled(btt.sectorSize, 999), lane);
  const harmed = contents(btt).findIndex((content, n) => n > 0 && content !== found[n]);
  return harmed < 0 ? undefined : `sector ${SECTORS[harmed]} was harmed by the next write`;
}

/** Enough on each lane for its sequence to go around. */
const STEPS = [
  { written: 1, lane: 0 }, { written: 1, lane: 0 }, { written: 2, lane: 0 }, { written: 1, lane: 0 }, { written: 1, lane: 1 },
  { written: 2, lane: 1 }, { written: 3, lane: 255 }, { written: 4, lane: 1 }, { written: 1, lane: 0 },
];

describe('a power cut during a sector write', () => {
  it.each([512, 520, 4096])('leaves the old sector or the new one, and all else as it was: %i bytes', (lbaSize) => {
    const symptoms = scenes(lbaSize, STEPS).flatMap((scene, seed) => [...explore(scene, seed, lbaSize === 4096 ? 60 : 12)]);
    expect(symptoms.filter(Boolean)).toEqual([]);
    const nrStates = symptoms.length;
    process.stdout.write(`BTT sector writes of ${lbaSize} bytes: ${nrStates} crash states\n`);
    expect(nrStates).toBeGreaterThan(300);
  });

  it('leaves a lost sector lost, or makes it whole', () => {
    const [scene] = scenes(4096, [{ written: 2, lane: 0, loseOld: true }]);
    expect(scene!.before[2]).toBeUndefined();
    const symptoms = [...explore(scene!, 1)];
    expect(symptoms.filter(Boolean)).toEqual([]);
    process.stdout.write(`BTT write over a lost sector: ${symptoms.length} crash states\n`);
  });
});

describe('the explorer finds planted bugs', () => {
  /** A write is: data, flog entry, its sequence, map. */
  const BUGS: { name: string; plant: (epochs: Epoch[]) => Epoch[]; symptom: RegExp }[] = [
    { name: 'flog before data', plant: ([data, log1, log2, map]) => [log1!, log2!, data!, map!], symptom: /neither old nor new/ },
    { name: 'map before data', plant: ([data, log1, log2, map]) => [log1!, log2!, map!, data!], symptom: /neither old nor new/ },
    { name: 'map before flog', plant: ([data, log1, log2, map]) => [data!, map!, log1!, log2!], symptom: /mapped twice/ },
    { name: 'a flog entry whose halves are unordered', plant: ([data, log1, log2, map]) => [data!, [...log1!, ...log2!], map!], symptom: /mapped twice|neither|harmed/ },
    { name: 'no flush between flog and map', plant: ([data, log1, log2, map]) => [data!, log1!, [...log2!, ...map!]], symptom: /mapped twice/ },
    { name: 'no flush between data and the sequence number', plant: ([data, log1, log2, map]) => [log1!, [...data!, ...log2!], map!], symptom: /neither old nor new/ },
  ];

  it.each(BUGS)('$name', ({ plant, symptom }) => {
    const found = scenes(4096, STEPS).some((scene, seed) => {
      const steps = scene.epochs.filter((epoch) => epoch.length > 0);
      expect(steps).toHaveLength(4);
      for (const wrong of explore({ ...scene, epochs: plant(steps) }, seed)) {
        if (wrong && symptom.test(wrong)) return true;
      }
      return false;
    });
    expect(found).toBe(true);
  });
});

describe('a power cut while a BTT is made', () => {
  it('leaves none or a whole one, whatever the media held before', () => {
    const io = memoryNamespace(SIZE);
    for (let page = 0; page < SIZE / 4096; page += 7) io.write(page * 4096, filled(4096, page));
    io.write(0, encodeBttInfoOfAnother());
    const base = fork(io);
    const recorder = recordEpochs(io);
    const config = configOf(4096);
    attachBtt(recorder.io, config);
    let nrStates = 0;
    for (const stores of crashStates(recorder.epochs, 1, 60)) {
      nrStates++;
      const media = fork(base);
      apply(media, stores);
      const lines: string[] = [];
      expect(isBijection(attachBtt(media, config, (line) => lines.push(line)))).toBe(true);
      expect([[], ['No existing arenas']]).toContainEqual(lines);
    }
    process.stdout.write(`BTT creation: ${nrStates} crash states\n`);
  });
});

/** A block that is valid for some other namespace. */
function encodeBttInfoOfAnother(): Uint8Array {
  const parentUuid = 'ffffffff-4455-6677-8899-aabbccddeeff';
  const none = { nextOffset: 0n, dataOffset: 0n, mapOffset: 0n, logOffset: 0n, info2Offset: 0n };
  return encodeBttInfo({
    ...none, uuid: parentUuid, parentUuid, flags: 0, versionMajor: 2, versionMinor: 0, externalLbaSize: 0, externalNlba: 0, internalLbaSize: 0, internalNlba: 0, nfree: 0,
  });
}
