/**
 * What a power cut can leave behind. Stores between two flushes are unordered in units of 8 aligned bytes: of those that a cut finds in
 * flight, any may have reached the media. All outcomes are enumerated where they are few, and drawn by seed where they are many.
 */
import { type Random, seededRandom } from '@holdfast/lib';
import type { NamespaceIo } from '../src/namespace-io.js';
import { type MemoryNamespace, memoryNamespace } from './memory-namespace.js';

const UNIT = 8;
const ENUMERATE_UP_TO = 6;

export interface Store {
  offset: number;
  bytes: Uint8Array;
}
/** What a program did to the media: groups of stores, with a flush after each. */
export type Epoch = Store[];

/** Passes everything on to `io`, and remembers the stores. */
export function recordEpochs(io: MemoryNamespace): { io: NamespaceIo; epochs: Epoch[] } {
  const epochs: Epoch[] = [[]];
  const recorder: NamespaceIo = {
    sizeBytes: io.sizeBytes,
    read: (offset, target) => io.read(offset, target),
    write(offset, source) {
      epochs.at(-1)!.push({ offset, bytes: source.slice() });
      io.write(offset, source);
    },
    flush() {
      epochs.push([]);
      io.flush();
    },
    badRanges: (offset, length) => io.badRanges!(offset, length),
  };
  return { io: recorder, epochs };
}

/** A copy that can be written without the original noticing. */
export function fork(io: MemoryNamespace): MemoryNamespace {
  const copy = memoryNamespace(io.sizeBytes, new Map([...io.pages].map(([nr, page]) => [nr, page.slice()])));
  copy.lost = [...io.lost];
  return copy;
}

/** Parts of a store land without repairing lost media; a whole block repairs it. */
export function apply(io: MemoryNamespace, stores: Iterable<Store>): void {
  for (const { offset, bytes } of stores) {
    const { lost } = io;
    const isBlock = offset % 512 === 0 && bytes.length % 512 === 0;
    if (!isBlock) io.lost = [];
    io.write(offset, bytes);
    if (!isBlock) io.lost = lost;
  }
}

/** For a cut anywhere in the epochs: those before it whole, and some of the stores of the one that it hits. */
export function* crashStates(epochs: readonly Epoch[], seed: number, nrDrawn: number): Generator<Store[]> {
  const random = seededRandom(seed);
  const durable: Store[] = [];
  for (const epoch of epochs) {
    for (const landed of outcomes(epoch.flatMap(unitsOf), random, nrDrawn)) yield [...durable, ...landed];
    durable.push(...epoch);
  }
  yield durable;
}

/** Subsets of the units; the whole set is the next epoch's empty one. */
export function* outcomes(units: readonly Store[], random: Random, nrDrawn: number): Generator<Store[]> {
  if (units.length <= ENUMERATE_UP_TO) {
    for (let set = 0; set < 2 ** units.length - 1; set++) yield units.filter((_, at) => (set >> at) & 1);
    if (units.length === 0) yield [];
    return;
  }
  yield [];
  yield units.slice(1);
  yield units.slice(0, -1);
  for (let n = 0; n < nrDrawn; n++) {
    const landing = random.below(101);
    yield units.filter(() => random.below(100) < landing);
  }
}

function unitsOf({ offset, bytes }: Store): Store[] {
  const units: Store[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = Math.min(UNIT - ((offset + at) % UNIT), bytes.length - at);
    units.push({ offset: offset + at, bytes: bytes.subarray(at, at + length) });
    at += length;
  }
  return units;
}
