/**
 * BLOCK_STATUS: where data is, and where nothing was written. An extended request may name the contexts that it is about in a payload.
 */
import { type NbdDisk } from './disk.js';
import { extentsOf } from './disk-commands.js';
import { BASE_ALLOCATION_ID } from './protocol.js';
import { getUint64 } from './reply-format.js';
import { blockStatusChunk } from './reply-messages.js';
import type { Serving } from './serving.js';

/** Bytes of a payload that names a context: the length of the range, and the id. There is one context, so that others are none of ours. */
export const STATUS_FILTER_BYTES = 12;
/** So many bytes are told of in the time that one is moved in. */
const BLOCK_STATUS_RATIO = 1024;
/** Extents of one answer; a client asks again for the rest. */
const MAX_EXTENTS = 4096;
/** The same for the bytes that are looked at, which a 64-bit length does not limit. */
const MAX_TOLD_BYTES = 2 ** 38;

/** Returns false if there is no room for the reply. */
export function blockStatus(serving: Serving, on: NbdDisk, offset: number, length: number, one: boolean): boolean {
  const told = Math.min(length, MAX_TOLD_BYTES);
  serving.work += told / BLOCK_STATUS_RATIO;
  if (!blockStatusChunk(serving, extentsOf(on, offset, told, one ? 1 : MAX_EXTENTS))) return false;
  serving.counters.others++;
  return true;
}

/** The length that a payload of {@link STATUS_FILTER_BYTES} asks about; undefined if it is about a context that there is not. */
export function statusFilter(view: DataView, at: number): number | undefined {
  return view.getUint32(at + 8) === BASE_ALLOCATION_ID ? getUint64(view, at) : undefined;
}
