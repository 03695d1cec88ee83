/**
 * The flog: for each lane the last two map changes that it made, so that one which a power cut interrupted can be finished.
 * Mirrors drivers/nvdimm/btt.c: log_set_indices, btt_log_get_old, btt_log_read, __btt_log_write.
 *
 * A lane's group has four slots of 16 bytes, and two are used: 0 and 1 by UEFI and Linux 4.15 on, 0 and 2 by older kernels. A slot holds
 * {premap block, its old map entry, its new one, sequence}; the sequence cycles 1, 2, 3 and tells which of the two is newer. It comes last,
 * in the second of two 8-byte stores, so that a slot is either what it was or whole.
 *
 * Differs from Linux: a lane whose newer entry has no sequence number is corrupt; Linux would take block 0 for its free block.
 */
import { KernelError } from '@holdfast/lib';
import { LOG_GROUP_SIZE } from './btt-info.js';

export const LOG_ENTRY_SIZE = 16;
const SEQ_OFFSET = 12;
const NR_SLOTS = LOG_GROUP_SIZE / LOG_ENTRY_SIZE;

/** The two slots of a group that are used. */
export type LogIndices = readonly [number, number];
export const LOG_INDICES_NEW: LogIndices = [0, 1];

export interface LogEntry {
  /** The block of the disk whose map entry changed. */
  readonly lba: number;
  /** Blocks of the data area; `oldMap` may carry the error bit. */
  readonly oldMap: number;
  readonly newMap: number;
  readonly seq: number;
}

/** A lane's newer entry, and which of the two used slots it is in. */
export interface NewestEntry {
  readonly entry: LogEntry;
  readonly sub: 0 | 1;
}

/** A flog in which no lane was ever used: free block i is the i-th beyond those that are mapped one to one. */
export function freshLog(nfree: number, externalNlba: number): Uint8Array {
  const log = new Uint8Array(nfree * LOG_GROUP_SIZE);
  const view = new DataView(log.buffer);
  for (let lane = 0; lane < nfree; lane++) {
    const at = lane * LOG_GROUP_SIZE;
    view.setUint32(at, lane, true);
    view.setUint32(at + 4, externalNlba + lane, true);
    view.setUint32(at + 8, externalNlba + lane, true);
    view.setUint32(at + SEQ_OFFSET, 1, true);
  }
  return log;
}

/** Why no pair of slots explains a flog. Linux names the first case in its log. */
export type LogIndicesRefusal = 'unknown scheme' | 'inconsistent';

/**
 * Find out which slots are used, from the whole flog. Slots of zeros are padding; a lane used once decides nothing; the first slot that
 * is not where the others are decides, and then all lanes must agree.
 */
export function findLogIndices(log: Uint8Array): LogIndices | LogIndicesRefusal {
  const nrGroups = log.length / LOG_GROUP_SIZE;
  const used: number[] = [];
  let deciding = nrGroups;
  for (let group = 0; group < nrGroups && used.length < 2; group++) {
    for (let slot = 0; slot < NR_SLOTS && used.length < 2; slot++) {
      if (!isPadding(log, group, slot) && !used.includes(slot)) used.push(slot);
    }
    if (used.length === 2) deciding = group;
  }
  // Undecided: no lane was used more than once, and only kernels of the new scheme leave it so.
  const [first, second = 1] = used;
  for (let group = deciding; group < nrGroups; group++) {
    if (!groupAgrees(log, group, first!, second, group === deciding ? second + 1 : 0)) return 'inconsistent';
  }
  return first === 0 && (second === 1 || second === 2) ? [first, second] : 'unknown scheme';
}

/** From a slot on: the first index in use, the second as it may be, and nothing else. */
function groupAgrees(log: Uint8Array, group: number, first: number, second: number, fromSlot: number): boolean {
  for (let slot = fromSlot; slot < NR_SLOTS; slot++) {
    if (slot !== second && isPadding(log, group, slot) === (slot === first)) return false;
  }
  return true;
}

function isPadding(log: Uint8Array, group: number, slot: number): boolean {
  const start = group * LOG_GROUP_SIZE + slot * LOG_ENTRY_SIZE;
  for (let at = start; at < start + LOG_ENTRY_SIZE; at++) {
    if (log[at] !== 0) return false;
  }
  return true;
}

/** A lane's newer entry. @throws KernelError EIO, its message what Linux logs, if the two sequence numbers do not follow each other */
export function newestEntry(log: Uint8Array, lane: number, indices: LogIndices): NewestEntry {
  const view = new DataView(log.buffer, log.byteOffset + lane * LOG_GROUP_SIZE, LOG_GROUP_SIZE);
  const first = view.getUint32(indices[0] * LOG_ENTRY_SIZE + SEQ_OFFSET, true);
  const second = view.getUint32(indices[1] * LOG_ENTRY_SIZE + SEQ_OFFSET, true);
  const old = olderOf(first, second);
  const sub = old === 0 ? 1 : 0;
  const seq = sub === 0 ? first : second;
  if (old === undefined || seq === 0) {
    throw new KernelError('EIO', `log corruption (-22): lane ${lane} seq [${first | 0}, ${second | 0}]`);
  }
  const at = indices[sub] * LOG_ENTRY_SIZE;
  return { entry: { lba: view.getUint32(at, true), oldMap: view.getUint32(at + 4, true), newMap: view.getUint32(at + 8, true), seq }, sub };
}

/** Which of two sequence numbers is the older; undefined if they cannot both be. */
export function olderOf(first: number, second: number): 0 | 1 | undefined {
  if (first === 0) return 0;
  if (first === second || (first + second) % 2 ** 32 > 5) return undefined;
  // Neighbours are in order; 1 and 3 have wrapped.
  const inOrder = Math.abs(first - second) === 1;
  return inOrder === first < second ? 0 : 1;
}
