import { MIB, seededRandom } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { type Store, outcomes } from '../test/crash-states.js';
import { type MemoryConfigArea, memoryConfigArea } from '../test/memory-config-area.js';
import { type Namespace, createNamespace, destroyNamespace, labelOf } from '../test/ndctl-stores.js';
import { type ConfigArea, type LabelArea, activeLabels, deleteLabels, initLabelArea, nrFreeSlots, openLabelArea, updateLabels } from './label-area.js';
import { NSLABEL_FLAG } from './namespace-label.js';

const AREA_SIZE = 2048;
const UNIT = 8;
const ns = (n: number, change: Partial<Namespace> = {}): Namespace => ({ uuid: `00000000-0000-4000-8000-00000000000${n}`, size: 256 * MIB, dpa: n * 256 * MIB, ...change });

/** One write of an update: to which DIMM, and what. */
interface Write extends Store {
  dimm: number;
}

/** What a DIMM's area says, the UPDATING flag aside: that only tells that a second pass was due. */
function stateOf(config: ConfigArea): string {
  const area = openLabelArea(config);
  if (!area) return 'no labels';
  const labels = activeLabels(area).map((label) => ({ ...label, slot: undefined, isetCookie: String(label.isetCookie), flags: label.flags & ~NSLABEL_FLAG.UPDATING }));
  return JSON.stringify([nrFreeSlots(area), labels.sort((a, b) => (a.uuid < b.uuid ? -1 : 1))]);
}

/** Run an operation: the areas before it, every write, and what each DIMM says before and after. */
function record(areas: readonly MemoryConfigArea[], operation: () => void): { before: Uint8Array[]; writes: Write[]; allowed: Set<string>[] } {
  const before = areas.map(({ bytes }) => bytes.slice());
  const states = areas.map(stateOf);
  const writes: Write[] = [];
  const originals = areas.map(({ write }) => write);
  areas.forEach((area, dimm) => {
    area.write = (offset, bytes) => {
      writes.push({ dimm, offset, bytes: bytes.slice() });
      originals[dimm]!(offset, bytes);
    };
  });
  operation();
  areas.forEach((area, dimm) => (area.write = originals[dimm]!));
  return { before, writes, allowed: areas.map((area, dimm) => new Set([states[dimm]!, stateOf(area)])) };
}

/** The parts of a write that change something. */
function changes({ offset, bytes }: Store, media: Uint8Array): Store[] {
  const units: Store[] = [];
  for (let at = 0; at < bytes.length; at += UNIT) {
    const unit = bytes.subarray(at, at + UNIT);
    if (unit.some((byte, n) => byte !== media[offset + at + n])) units.push({ offset: offset + at, bytes: unit });
  }
  return units;
}

/** Cut the power in every write: all subsets of its parts where they are few, or drawn. */
function explore(before: readonly Uint8Array[], writes: readonly Write[], allowed: readonly ReadonlySet<string>[], seed: number): { nrStates: number; wrong: string[] } {
  const random = seededRandom(seed);
  const media = before.map((bytes) => bytes.slice());
  const wrong: string[] = [];
  let nrStates = 0;
  for (const write of [...writes, undefined]) {
    const cuts = write ? outcomes(changes(write, media[write.dimm]!), random, 60) : [[]];
    for (const landed of cuts) {
      nrStates++;
      const areas = media.map((bytes) => memoryConfigArea(bytes.slice()));
      for (const { offset, bytes } of landed) areas[write!.dimm]!.write(offset, bytes);
      const states = areas.map(stateOf);
      const mixed = states.findIndex((state, dimm) => !allowed[dimm]!.has(state));
      if (mixed >= 0) wrong.push(`DIMM ${mixed}: ${states[mixed]}`);
      else if (!takesUpdates(areas)) wrong.push('the next update fails');
    }
    if (write) media[write.dimm]!.set(write.bytes, write.offset);
  }
  return { nrStates, wrong };
}

/** A namespace made after the cut must appear beside those that were there, and go again. */
function takesUpdates(configs: readonly MemoryConfigArea[]): boolean {
  return configs.every((config) => {
    const area = openLabelArea(config) ?? initLabelArea(config, 256, 'kernel');
    const rest = stateOf(config);
    createNamespace(area, ns(9));
    const made = activeLabels(openLabelArea(config)!).some(({ uuid }) => uuid === ns(9).uuid);
    deleteLabels(area, ns(9).uuid);
    return made && stateOf(config) === rest;
  });
}

interface Operation {
  name: string;
  run(areas: LabelArea[]): void;
}

const both = (areas: LabelArea[], change: Partial<Namespace> = {}): void =>
  updateLabels(areas.map((area, position) => ({ area, label: { ...labelOf(ns(1, change)), nlabel: 2, position } })));

/** One after the other on the same two DIMMs, so that slots and sequence numbers go around. */
const OPERATIONS: Operation[] = [
  { name: 'make a namespace over both DIMMs', run: (areas) => both(areas) },
  { name: 'make one on the first', run: ([area]) => createNamespace(area!, ns(2)) },
  { name: 'resize the one over both', run: (areas) => both(areas, { size: 128 * MIB }) },
  { name: 'give the one on the first another UUID', run: ([area]) => updateLabels([{ area: area!, label: labelOf(ns(3)), replaces: ns(2).uuid }]) },
  { name: 'change its sector size', run: ([area]) => updateLabels([{ area: area!, label: labelOf(ns(3, { lbaSize: 4096 })) }]) },
  { name: 'resize again', run: (areas) => both(areas, { size: 64 * MIB, name: 'small' }) },
  { name: 'destroy the one on the first', run: ([area]) => destroyNamespace(area!, ns(3, { lbaSize: 4096 })) },
  { name: 'delete the one over both', run: (areas) => areas.forEach((area) => deleteLabels(area, ns(1).uuid)) },
];

/** Run all operations, and look at each. */
function scenes(labelSize: 128 | 256): ReturnType<typeof record>[] {
  const configs = [0, 1].map(() => memoryConfigArea(new Uint8Array(AREA_SIZE)));
  const areas = configs.map((config) => initLabelArea(config, labelSize, 'ndctl'));
  return OPERATIONS.map(({ run }) => record(configs, () => run(areas)));
}

describe('a power cut during a label update', () => {
  it.each([128, 256] as const)('leaves each DIMM with its old labels or its new ones: labels of %i bytes', (labelSize) => {
    const results = scenes(labelSize).map(({ before, writes, allowed }, seed) => explore(before, writes, allowed, seed));
    expect(results.flatMap(({ wrong }) => wrong)).toEqual([]);
    const nrStates = results.reduce((sum, result) => sum + result.nrStates, 0);
    process.stdout.write(`label updates, labels of ${labelSize} bytes: ${nrStates} crash states\n`);
    expect(nrStates).toBeGreaterThan(500);
  });

  it.each([128, 256] as const)('leaves a first index or none: labels of %i bytes', (labelSize) => {
    const config = memoryConfigArea(new Uint8Array(AREA_SIZE));
    seededRandom(7).fill(config.bytes);
    const { before, writes, allowed } = record([config], () => void initLabelArea(config, labelSize, 'kernel'));
    const { nrStates, wrong } = explore(before, writes, allowed, 1);
    expect(wrong).toEqual([]);
    process.stdout.write(`label area initialisation, labels of ${labelSize} bytes: ${nrStates} crash states\n`);
  });
});

describe('the explorer finds planted bugs', () => {
  const isIndex = ({ offset }: Store): boolean => offset < 512;
  /** Swap each label write with the index write that follows it. */
  const indexFirst = (writes: readonly Write[]): Write[] =>
    writes.flatMap((write, n) => (isIndex(write) ? (n > 0 && !isIndex(writes[n - 1]!) ? [] : [write]) : [writes[n + 1]!, write]));
  /** Write each label over the one that holds, if the DIMM has one in slot 0 or 1. */
  const inPlace = (writes: readonly Write[]): Write[] => writes.map((write) => (isIndex(write) ? write : { ...write, offset: write.offset ^ 128 }));

  it.each([
    { name: 'index before label', plant: indexFirst },
    { name: 'labels in place', plant: inPlace },
  ])('$name', ({ plant }) => {
    const wrong = scenes(128).flatMap(({ before, writes, allowed }, seed) => explore(before, plant(writes), allowed, seed).wrong);
    expect(wrong.length).toBeGreaterThan(0);
  });
});
