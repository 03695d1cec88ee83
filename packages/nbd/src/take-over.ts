/**
 * Reading a socket into memory of our own choice: Node's `onread`, which an accepted socket can have only if its handle is wrapped anew.
 *
 * Node offers `onread` to clients only (nodejs/node issue 25436), so this uses the `handle` option of net.Socket, as node:cluster does. Where a Node
 * has none, the caller keeps to 'data' events: slower by a copy, and by a buffer for each 64 KiB.
 */
import { Socket, type SocketConstructorOpts } from 'node:net';

export interface Reader {
  /** Where the next bytes go. */
  space(): Uint8Array;
  /** So many came. False: read no more until `socket.resume()`. */
  received(length: number, bytes: Uint8Array): boolean;
}

interface WithHandle {
  _handle: object | null;
}

/**
 * A socket over the connection of `accepted`, which must be paused and is empty afterwards; undefined if this Node cannot.
 */
export function takeOver(accepted: Socket, reader: Reader): Socket | undefined {
  const { _handle: handle } = accepted as unknown as WithHandle;
  if (!handle) return undefined;
  const options = {
    handle,
    onread: { buffer: () => reader.space(), callback: (length: number, bytes: Uint8Array) => reader.received(length, bytes) },
  };
  const socket = new Socket(options as unknown as SocketConstructorOpts);
  (accepted as unknown as WithHandle)._handle = null;
  socket.once('close', () => accepted.destroy()); // its server counts it until then
  socket.resume();
  return socket;
}

/** The same by 'data' events, for streams that know no other way. What comes while the reader waits is kept. */
export function readEvents(socket: Socket, reader: Reader): Socket {
  let waiting: Uint8Array[] = [];
  let held = false;

  const onData = (data: Uint8Array): void => {
    if (held) {
      waiting.push(data);
      return;
    }
    const rest = copyIn(reader, data);
    if (rest === undefined) return;
    held = true;
    waiting.push(rest);
    socket.pause();
  };
  socket.on('data', onData);
  socket.on('resume', () => {
    if (!held) return;
    held = false;
    const queue = waiting;
    waiting = [];
    for (const data of queue) onData(data);
  });
  return socket;
}

/** Put bytes where the reader wants them. Returns what is left when it has to wait, else undefined. */
export function copyIn(reader: Reader, data: Uint8Array): Uint8Array | undefined {
  for (let done = 0; done < data.length; ) {
    const space = reader.space();
    const count = Math.min(space.length, data.length - done);
    space.set(data.subarray(done, done + count));
    done += count;
    if (!reader.received(count, space)) return data.subarray(done);
  }
  return undefined;
}
