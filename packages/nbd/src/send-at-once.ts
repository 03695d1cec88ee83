/**
 * Sending without a detour: bytes for which the socket has room are written at once, and only the rest goes through Node's stream.
 *
 * A write through the stream costs a request object, a callback on a later tick, and the buffer until then: more than the system call.
 */
import { writeSync } from 'node:fs';
import type { Socket } from 'node:net';
import type { Send } from './reply-buffer.js';

/** Longer ones are likely not to fit, which the stream takes better: here it is an exception. */
const MAX_AT_ONCE = 64 * 1024;

/** What Node knows of an open socket, of any kind but TLS. */
interface WithFd {
  readonly _handle: { readonly fd?: number } | null;
}

/** @param socket must not be one that changes bytes on their way, as TLS does */
export function sendAtOnce(socket: Socket): Send {
  const through = sendByStream(socket);
  /** Calls of `taken` that are still to come: nothing may overtake what they are about. */
  let queued = 0;
  return (bytes, taken) => {
    const sent = bytes.length <= MAX_AT_ONCE && queued === 0 && socket.writableLength === 0 ? writeSome((socket as unknown as WithFd)._handle?.fd, bytes) : 0;
    if (sent === bytes.length) return true;
    queued++;
    return through(sent === 0 ? bytes : bytes.subarray(sent), () => {
      queued--;
      taken();
    });
  };
}

export function sendByStream(socket: Socket): Send {
  return (bytes, taken) => {
    socket.write(bytes, taken);
    return false;
  };
}

/** How many bytes the socket took: none if it is full, or something is wrong. The stream finds out what. */
function writeSome(fd: number | undefined, bytes: Uint8Array): number {
  if (fd === undefined) return 0;
  try {
    return writeSync(fd, bytes);
  } catch {
    return 0;
  }
}
