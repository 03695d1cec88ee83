/**
 * Legal crash states: from the undo log to the units whose fate is open, and what each may be left with.
 *
 * A line with open cached stores keeps a prefix of them; each 8-byte word with open combining stores keeps a prefix of its own. Units
 * are disjoint and independent, so the outcomes of a power cut are all combinations, and their number is a product.
 *
 * Invariant: images of a unit are pairwise different, oldest first, and the last is what memory holds now.
 */
import { type PhysAddr, physAddr } from '@holdfast/lib';
import { CACHE_LINE_SIZE, type UndecidedUnit, WORD_SIZE } from './hardware.js';
import { COMBINING, type StoreKind, type UndoLog } from './undo-log.js';

/** A piece of a store inside one word: what it overwrote, at an offset in the line. */
interface OpenStore {
  readonly offset: number;
  readonly old: Uint8Array;
  readonly serial: number;
}

interface OpenLine {
  kind: StoreKind;
  stores: OpenStore[];
}

type Load = (addr: PhysAddr, target: Uint8Array) => void;

/** The units that the log leaves open, by address. `load` reads memory as it is now. */
export function collectUndecided(log: UndoLog, load: Load): UndecidedUnit[] {
  const lines = [...collectLines(log)].sort(([a], [b]) => a - b);
  const units: UndecidedUnit[] = [];
  for (const [addr, line] of lines) {
    const now = new Uint8Array(CACHE_LINE_SIZE);
    load(physAddr(addr), now);
    if (line.kind === COMBINING) units.push(...wordUnits(addr, line.stores, now));
    else units.push({ addr: physAddr(addr), ...distinctImages(line.stores, now, 0) });
  }
  return units.filter(({ images }) => images.length > 1); // stores of what was there already leave no choice
}

/** By address of the line: the open stores to it, all of one kind. */
function collectLines(log: UndoLog): Map<number, OpenLine> {
  const lines = new Map<number, OpenLine>();
  for (let i = 0; i < log.count; i++) {
    const [start, end, kind, old] = [log.addr(i), log.addr(i) + log.length(i), log.kind(i), log.oldBytes(i)];
    for (let at = start; at < end; ) {
      const lineAddr = at - (at % CACHE_LINE_SIZE);
      const lineEnd = Math.min(end, lineAddr + CACHE_LINE_SIZE);
      if (old === undefined) lines.delete(lineAddr);
      else addStores(openLine(lines, lineAddr, kind), lineAddr, at, lineEnd, { old, start, serial: log.serial(i) });
      at = lineEnd;
    }
  }
  return lines;
}

/** The line, without open stores of the other kind: hardware writes those back before it takes this one. */
function openLine(lines: Map<number, OpenLine>, addr: number, kind: StoreKind): OpenLine {
  const line = lines.get(addr);
  if (line?.kind === kind) return line;
  const fresh = { kind, stores: [] };
  lines.set(addr, fresh);
  return fresh;
}

/** Split `[from, to)` of one line at words: no store is wider than that. */
function addStores(line: OpenLine, lineAddr: number, from: number, to: number, store: { old: Uint8Array; start: number; serial: number }): void {
  for (let at = from; at < to; ) {
    const end = Math.min(to, at - (at % WORD_SIZE) + WORD_SIZE);
    line.stores.push({ offset: at - lineAddr, old: store.old.subarray(at - store.start, end - store.start), serial: store.serial });
    at = end;
  }
}

function wordUnits(lineAddr: number, stores: readonly OpenStore[], now: Uint8Array): UndecidedUnit[] {
  const units: UndecidedUnit[] = [];
  for (let word = 0; word < CACHE_LINE_SIZE; word += WORD_SIZE) {
    const own = stores.filter(({ offset }) => word <= offset && offset < word + WORD_SIZE);
    if (own.length > 0) units.push({ addr: physAddr(lineAddr + word), ...distinctImages(own, now.slice(word, word + WORD_SIZE), word) });
  }
  return units;
}

/** What bytes hold after each prefix of the stores to them: found by taking the stores back, youngest first. */
function distinctImages(stores: readonly OpenStore[], now: Uint8Array, base: number): Pick<UndecidedUnit, 'images' | 'history'> {
  const states = [now];
  for (const { offset, old } of stores.toReversed()) {
    const before = states[0]!.slice();
    before.set(old, offset - base);
    states.unshift(before);
  }
  // The last one stays, so that "everything persisted" is the last index.
  const images = states.filter((image, i) => !states.slice(i + 1).some((later) => equal(image, later)));
  const history = states.map((state, i) => ({ serial: i === 0 ? -1 : stores[i - 1]!.serial, image: images.findIndex((image) => equal(image, state)) }));
  return { images, history };
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.every((byte, i) => byte === b[i]);
}
