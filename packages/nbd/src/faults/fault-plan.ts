/**
 * The faults of a server, and the layer that has a disk suffer from them.
 *
 * Faults are asked in the order in which they were added, so that the same requests and the same seeds give the same faults. A request is what
 * the disk is asked for at once: large reads and writes come in pieces of 512 KiB.
 */
import { type Random, KernelError, SECTOR_SIZE, seededRandom } from '@holdfast/lib';
import type { NbdDisk, Slab } from '../disk.js';
import { NBD, type NbdError } from '../protocol.js';
import { type FaultOp, type FaultSpec, type ListedFault, opsOf } from './fault-spec.js';
import { createRot } from './rot.js';

export interface FaultPlan {
  readonly count: number;
  /** @returns its number */
  add(spec: FaultSpec): number;
  list(): ListedFault[];
  /** One, or all; how many there were. @throws KernelError ENOENT */
  clear(nr?: number): number;
  /** `disk`, with the faults of the export of that name. */
  wrap(name: string, disk: NbdDisk): NbdDisk;
}

interface Fault {
  readonly nr: number;
  readonly spec: FaultSpec;
  readonly random: Random;
  readonly rot: ReturnType<typeof createRot>;
  matched: number;
  met: number;
}

/** @param defaultExport whose faults are those that name no export */
export function createFaultPlan(defaultExport: () => string | undefined): FaultPlan {
  let faults: readonly Fault[] = [];
  let nextNr = 1;

  /** Does the fault meet this request? Asked once for each request: it counts, and draws. */
  const meets = (fault: Fault, op: FaultOp, offset: number, length: number): boolean => {
    const { spec, random } = fault;
    if (!opsOf(spec).includes(op) || fault.met >= (spec.times ?? Infinity)) return false;
    const first = (spec.firstSector ?? 0) * SECTOR_SIZE;
    const end = ((spec.lastSector ?? Infinity) + 1) * SECTOR_SIZE;
    if (op !== 'flush' && (offset >= end || offset + length <= first)) return false;
    fault.matched++;
    if (spec.nth !== undefined && spec.nth !== fault.matched) return false;
    if (spec.probability !== undefined && random.below(2 ** 32) >= spec.probability * 2 ** 32) return false;
    fault.met++;
    return true;
  };

  const of = (name: string): Fault[] => faults.filter(({ spec }) => (spec.export ?? defaultExport()) === name);

  const wrap = (name: string, disk: NbdDisk): NbdDisk => {
    /** What becomes of a request before it is carried out: an answer at once, or nothing. */
    const before = (own: readonly Fault[], op: FaultOp, offset: number, length: number): NbdError | undefined => {
      for (const fault of own) {
        const { kind, error = 'EIO' } = fault.spec;
        if (kind !== 'error' && kind !== 'lost') continue;
        if (meets(fault, op, offset, length)) return kind === 'error' ? NBD[error] : NBD.OK;
      }
      return undefined;
    };
    const elsewhere = (own: readonly Fault[], op: FaultOp, offset: number, length: number): number => {
      const fault = own.find((each) => each.spec.kind === 'misdirected' && meets(each, op, offset, length));
      return fault ? anotherPlace(fault.random, disk, offset, length) : offset;
    };
    /** A disk that lies about flush takes FUA for nothing, too. */
    const liesAboutFua = (own: readonly Fault[]): boolean =>
      own.some((fault) => fault.spec.kind === 'lost' && fault.spec.op === 'flush' && meets(fault, 'flush', 0, 0));

    const read = (slab: Slab, at: number, offset: number, length: number): NbdError => {
      const own = of(name);
      const early = before(own, 'read', offset, length);
      if (early !== undefined) return early;
      const from = elsewhere(own, 'read', offset, length);
      const error = disk.read(slab, at, from, length);
      if (error !== NBD.OK) return error;
      for (const fault of own) {
        if (fault.spec.kind !== 'bitrot') continue;
        if (meets(fault, 'read', offset, length)) fault.rot.turnBit(fault.random, overlap(fault.spec, offset, length));
        fault.rot.apply(slab.bytes, at, from, length);
      }
      return NBD.OK;
    };
    const write = (slab: Slab, at: number, offset: number, length: number, fua: boolean): NbdError => {
      const own = of(name);
      const early = before(own, 'write', offset, length);
      if (early !== undefined) return early;
      const to = elsewhere(own, 'write', offset, length);
      const torn = own.find((fault) => fault.spec.kind === 'torn' && meets(fault, 'write', offset, length));
      const whole = torn ? torn.random.below(length / disk.minBlock) * disk.minBlock : length;
      for (const { rot } of own) rot.heal(to, whole, disk.minBlock);
      return whole === 0 ? NBD.OK : disk.write(slab, at, to, whole, fua && !liesAboutFua(own));
    };
    const rest = (op: 'flush' | 'trim' | 'zero', offset: number, length: number, fua: boolean, carryOut: (fua: boolean) => NbdError): NbdError => {
      const own = of(name);
      const early = before(own, op, offset, length);
      if (early !== undefined) return early;
      for (const { rot } of own) rot.heal(offset, length, disk.minBlock);
      return carryOut(fua && !liesAboutFua(own));
    };

    return Object.assign(Object.create(disk) as NbdDisk, {
      read: (slab, at, offset, length) => (faults.length === 0 ? disk.read(slab, at, offset, length) : read(slab, at, offset, length)),
      write: (slab, at, offset, length, fua) => (faults.length === 0 ? disk.write(slab, at, offset, length, fua) : write(slab, at, offset, length, fua)),
      flush: () => rest('flush', 0, 0, false, () => disk.flush()),
      trim: (offset, length, fua) => rest('trim', offset, length, fua, (durable) => disk.trim(offset, length, durable)),
      writeZeroes: (offset, length, fua, noHole) => rest('zero', offset, length, fua, (durable) => disk.writeZeroes(offset, length, durable, noHole)),
      // What is not read cannot go wrong.
      extent: (offset, length) => (of(name).length === 0 ? disk.extent(offset, length) : { length, state: 0 }),
      delayMs: (op, offset, length) =>
        of(name).reduce((most, fault) => (fault.spec.kind === 'delay' && meets(fault, op, offset, length) ? Math.max(most, fault.spec.delayMs!) : most), 0),
    } satisfies Partial<NbdDisk>);
  };

  return {
    get count() {
      return faults.length;
    },
    add(spec) {
      const nr = nextNr++;
      faults = [...faults, { nr, spec, random: seededRandom(spec.seed ?? 0), rot: createRot(), matched: 0, met: 0 }];
      return nr;
    },
    list: () => faults.map(({ nr, spec, matched, met }) => ({ fault: nr, ...spec, matched, met })),
    clear(nr) {
      const left = nr === undefined ? [] : faults.filter((fault) => fault.nr !== nr);
      const cleared = faults.length - left.length;
      if (nr !== undefined && cleared === 0) throw new KernelError('ENOENT', `there is no fault ${nr}`);
      faults = left;
      return cleared;
    },
    wrap,
  };
}

/** Another place for `length` bytes, on a block; the same where the disk has room for one only. */
function anotherPlace(random: Random, { sizeBytes, minBlock }: NbdDisk, offset: number, length: number): number {
  const places = Math.floor((sizeBytes - length) / minBlock); // beside the right one
  if (places <= 0) return offset;
  const place = random.below(Math.min(places, 2 ** 32)) * minBlock;
  return place < offset ? place : place + minBlock;
}

/** The part of `[offset, offset + length)` that the fault is about. */
function overlap({ firstSector = 0, lastSector = Infinity }: FaultSpec, offset: number, length: number): { start: number; end: number } {
  return { start: Math.max(offset, firstSector * SECTOR_SIZE), end: Math.min(offset + length, (lastSector + 1) * SECTOR_SIZE) };
}
