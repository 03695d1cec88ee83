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

/** Give bytes to the socket. True: it has them, and they may be overwritten. Else `taken` is called, in order, when that is so. */
export type Send = (bytes: Uint8Array, taken: () => void) => boolean;

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
  /** Given to the socket and not yet taken. */
  let waiting = 0;

  const flush = (): void => {
    if (head === sent) return;
    const upTo = head;
    const from = sent;
    sent = head;
    waiting += upTo - from;
    const taken = (): void => {
      waiting -= upTo - from;
      tail = upTo;
      if (wrapped && tail === end) unwrap();
      // Nothing left: start over, where the host's cache is warm.
      if (waiting === 0 && head === sent) {
        head = sent = 0;
        unwrap();
      }
    };
    const isTaken = send(bytes.subarray(from, upTo), () => {
      taken();
      onRoom();
    });
    if (isTaken) taken();
  };

  const unwrap = (): void => {
    tail = 0;
    wrapped = false;
    end = size;
  };

  return {
    slab,
    view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    reserve(length) {
      if (!wrapped && head + length > size) flush();
      if (!wrapped && head + length > size) {
        if (length >= tail) return -1;
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
    idle: () => waiting === 0 && head === sent,
  };
}
