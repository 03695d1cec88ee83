/**
 * Where replies are laid out before they are sent: headers and data one after the other in a slab of simulated RAM, so that a driver reads
 * straight into its place behind the header, and a whole batch of replies goes out in one write.
 *
 * Invariant: the slab is a ring of three parts: sent and not yet taken by the socket `[tail, sent)`, laid out `[sent, head)`, free. A
 * reservation never wraps.
 */
import type { Slab } from './disk.js';

/** Lay out so much before sending without waiting for the end of a batch. */
const SEND_BYTES = 256 * 1024;

/** Give bytes to the socket; `taken` is called, in order and never before this returns, when they may be overwritten. */
export type Send = (bytes: Uint8Array, taken: () => void) => void;

export interface ReplyBuffer {
  readonly slab: Slab;
  readonly view: DataView;
  /** Room for `length` bytes: their offset in the slab, or -1 if some must be sent first. At most half a slab. */
  reserve(length: number): number;
  /** Give back the last `length` reserved bytes. */
  shrink(length: number): void;
  /** Send what was laid out. */
  flush(): void;
  /** Send if there is much. */
  flushMuch(): void;
  /** Is nothing waiting for the socket? */
  idle(): boolean;
}

/** @param onRoom called when the socket has taken something */
export function createReplyBuffer(slab: Slab, send: Send, onRoom: () => void): ReplyBuffer {
  const { bytes } = slab;
  const size = bytes.length;
  let tail = 0;
  let sent = 0;
  let head = 0;
  /** Where the part before the wrap ends; `size` while head is not behind tail. */
  let end = size;
  let wrapped = false;
  let inFlight = 0;

  const flush = (): void => {
    if (head === sent) return;
    const upTo = head;
    inFlight++;
    const from = sent;
    sent = head;
    send(bytes.subarray(from, upTo), () => {
      inFlight--;
      tail = upTo;
      if (wrapped && tail === end) {
        tail = 0;
        wrapped = false;
        end = size;
      }
      // Nothing left: start over, where the host's cache is warm.
      if (inFlight === 0 && head === sent) {
        head = sent = tail = 0;
        wrapped = false;
        end = size;
      }
      onRoom();
    });
  };

  return {
    slab,
    view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    reserve(length) {
      if (!wrapped && head + length > size) {
        if (length >= tail) return -1;
        flush();
        end = head;
        wrapped = true;
        head = sent = 0;
      }
      if (wrapped && head + length >= tail) return -1;
      const at = head;
      head += length;
      return at;
    },
    shrink(length) {
      head -= length;
    },
    flush,
    flushMuch() {
      if (head - sent >= SEND_BYTES) flush();
    },
    idle: () => inFlight === 0 && head === sent,
  };
}
