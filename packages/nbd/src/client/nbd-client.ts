/**
 * An NBD client: an export of any server as promises, with any number of requests in flight.
 */
import { type Socket, connect } from 'node:net';
import { once } from 'node:events';
import type { Extent } from '../disk.js';
import {
  CMD, CMD_FLAG, EXTENDED_REQUEST_BYTES, EXTENDED_REQUEST_MAGIC, type Headers, REQUEST_BYTES, REQUEST_MAGIC,
} from '../protocol.js';
import { type ByteQueue, createByteQueue } from './byte-queue.js';
import { NbdEndedError } from './client-errors.js';
import { type ExportTerms, clientHandshake } from './client-handshake.js';
import { type Waiting, readReplies } from './client-replies.js';
import { type NbdTarget, parseNbdUri } from './nbd-uri.js';

export interface NbdConnectOptions {
  /** The most to ask the server for. Default `extended`; `simple` costs least per request, and knows no block status. */
  readonly headers?: Headers;
}

export interface WriteOptions {
  /** Durable before the promise is. */
  readonly fua?: boolean;
}

/**
 * Offsets and lengths are bytes, and multiples of `minBlock`. Each request resolves when its reply is there; several may be on their way at
 * once, and a server may carry them out in any order. It rejects with NbdReplyError if the server refuses it, or NbdEndedError if the
 * connection ends before the reply.
 */
export interface NbdClient extends ExportTerms {
  read(offset: number, length: number): Promise<Buffer>;
  /** `bytes` must stay as they are until it resolves. */
  write(offset: number, bytes: Uint8Array, options?: WriteOptions): Promise<void>;
  /** All that was written, and answered, before this was called is durable then. */
  flush(): Promise<void>;
  trim(offset: number, length: number, options?: WriteOptions): Promise<void>;
  /** `noHole`: stay allocated. `fastZero`: fail with ENOTSUP rather than write each zero. */
  writeZeroes(offset: number, length: number, options?: WriteOptions & { readonly noHole?: boolean; readonly fastZero?: boolean }): Promise<void>;
  /** What kind the bytes from `offset` on are of: STATE_HOLE, STATE_ZERO, or 0 for data. It may tell of less than was asked. `one`: a single extent. */
  blockStatus(offset: number, length: number, options?: { readonly one?: boolean }): Promise<readonly Extent[]>;
  /** Resolves when the connection is over, whoever ended it. */
  readonly closed: Promise<void>;
  /** Say goodbye, once what is on its way is answered. */
  close(): Promise<void>;
  /** Go without a word. */
  destroy(): void;
}

/**
 * Connect to an export.
 * @param target a URI (`nbd://host:port/export`, `nbd+unix:///export?socket=path`), or the same in parts
 * @throws KernelError EINVAL for a bad URI; the host's error if nobody listens; NbdRefusedError if the server does not give the export;
 * NbdProtocolError if it is no NBD server
 */
export async function connectNbd(target: string | NbdTarget, { headers = 'extended' }: NbdConnectOptions = {}): Promise<NbdClient> {
  const where = typeof target === 'string' ? parseNbdUri(target) : target;
  const socket = 'socket' in where ? connect(where.socket) : connect(where.port, where.host ?? '127.0.0.1');
  socket.setNoDelay(true);
  socket.on('error', () => {}); // whoever listens next is told; between two of them nobody does
  await once(socket, 'connect');
  const handshake = createByteQueue(clientHandshake(where.name ?? '', headers, (bytes) => socket.write(bytes)));
  try {
    const terms = await drive(socket, handshake);
    return clientOf(socket, terms, handshake.rest());
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

/** Feed a reading from the socket to its end. The socket is paused then. */
function drive<T>(socket: Socket, queue: ByteQueue<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const over = (error?: Error): void => reject(new NbdEndedError(error));
    const onData = (data: Buffer): void => {
      try {
        const end = queue.push(data);
        if (!end) return;
        socket.pause().off('data', onData).off('error', over).off('close', onClose);
        resolve(end.value);
      } catch (error) {
        if (!(error instanceof Error)) throw error;
        reject(error);
      }
    };
    const onClose = (): void => over();
    socket.on('data', onData).once('error', over).once('close', onClose);
  });
}

function clientOf(socket: Socket, terms: ExportTerms, rest: Buffer): NbdClient {
  const { headers } = terms;
  const waiting = new Map<number, Waiting>();
  const queue = createByteQueue(readReplies(terms, waiting));
  let lastCookie = 0;
  let closing = false;
  let ended: NbdEndedError | undefined;

  const end = (cause?: Error): void => {
    ended ??= new NbdEndedError(cause);
    socket.destroy();
    for (const request of waiting.values()) request.reject(ended);
    waiting.clear();
  };
  const onData = (data: Buffer): void => {
    try {
      queue.push(data);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      end(error);
    }
    if (closing) goodbye();
  };
  const goodbye = (): void => {
    if (waiting.size > 0 || ended) return;
    socket.end(requestHead(headers, CMD.DISC, 0, 0, 0, 0));
    ended = new NbdEndedError();
  };
  const closed = new Promise<void>((resolve) => {
    if (socket.closed) resolve();
    else socket.once('close', () => resolve());
  });
  void closed.then(() => end());
  socket.on('error', end).on('data', onData);
  if (rest.length > 0) onData(rest);
  socket.resume();

  /** What one turn of the event loop sends goes out in one system call. */
  const send = (head: Buffer, payload: Uint8Array | undefined): void => {
    if (socket.writableCorked === 0) {
      socket.cork();
      process.nextTick(() => socket.uncork());
    }
    socket.write(head);
    if (payload) socket.write(payload);
  };

  const ask = (type: number, flags: number, offset: number, length: number, payload?: Uint8Array): Promise<Waiting> =>
    new Promise((resolve, reject) => {
      const most = headers === 'extended' ? Number.MAX_SAFE_INTEGER : 0xffff_ffff;
      if (!isCount(offset, Number.MAX_SAFE_INTEGER) || !isCount(length, most)) {
        throw new RangeError(`offset ${offset}, length ${length}: expected whole numbers up to 2^53 - 1 and ${most}`);
      }
      if (ended || closing) throw ended ?? new NbdEndedError();
      lastCookie = (lastCookie + 1) >>> 0;
      waiting.set(lastCookie, { type, offset, length, covered: 0, resolve, reject });
      send(requestHead(headers, type, payload && headers === 'extended' ? flags | CMD_FLAG.PAYLOAD_LEN : flags, lastCookie, offset, length), payload);
    });

  return {
    ...terms,
    closed,
    read: async (offset, length) => (await ask(CMD.READ, 0, offset, length)).data ?? Buffer.alloc(0),
    async write(offset, bytes, options = {}) {
      await ask(CMD.WRITE, fuaOf(options), offset, bytes.length, bytes);
    },
    async flush() {
      await ask(CMD.FLUSH, 0, 0, 0);
    },
    async trim(offset, length, options = {}) {
      await ask(CMD.TRIM, fuaOf(options), offset, length);
    },
    async writeZeroes(offset, length, options = {}) {
      const flags = fuaOf(options) | (options.noHole === true ? CMD_FLAG.NO_HOLE : 0) | (options.fastZero === true ? CMD_FLAG.FAST_ZERO : 0);
      await ask(CMD.WRITE_ZEROES, flags, offset, length);
    },
    async blockStatus(offset, length, { one = false } = {}) {
      return (await ask(CMD.BLOCK_STATUS, one ? CMD_FLAG.REQ_ONE : 0, offset, length)).extents!;
    },
    close() {
      closing = true;
      goodbye();
      return closed;
    },
    destroy: () => socket.destroy(),
  };
}

function fuaOf({ fua = false }: WriteOptions): number {
  return fua ? CMD_FLAG.FUA : 0;
}

function isCount(value: number, most: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= most;
}

/** A request before its payload. */
function requestHead(headers: Headers, type: number, flags: number, cookie: number, offset: number, length: number): Buffer {
  const extended = headers === 'extended';
  const head = Buffer.alloc(extended ? EXTENDED_REQUEST_BYTES : REQUEST_BYTES);
  head.writeUInt32BE(extended ? EXTENDED_REQUEST_MAGIC : REQUEST_MAGIC, 0);
  head.writeUInt16BE(flags, 4);
  head.writeUInt16BE(type, 6);
  head.writeUInt32BE(cookie, 12);
  const setUint64 = (value: number, at: number): void => {
    head.writeUInt32BE(Math.floor(value / 2 ** 32), at);
    head.writeUInt32BE(value % 2 ** 32, at + 4);
  };
  setUint64(offset, 16);
  if (extended) setUint64(length, 24);
  else head.writeUInt32BE(length, 24);
  return head;
}
