/**
 * A plain NBD client, just enough to use an export and to see how its requests end.
 */
import { type Socket, connect } from 'node:net';

const IHAVEOPT = 0x49484156454f5054n;
const OPT_GO = 7;
const REP_ACK = 1;

export interface NbdClient {
  readonly sizeBytes: number;
  read(offset: number, length: number): Promise<Buffer>;
  write(offset: number, bytes: Uint8Array, flags?: number): Promise<void>;
  flush(): Promise<void>;
  readonly closed: Promise<void>;
  close(): void;
}

/** An error that the server answered. */
export class NbdReplyError extends Error {
  readonly nr: number;

  constructor(nr: number) {
    super(`NBD error ${nr}`);
    this.nr = nr;
  }
}

/** @throws Error with the server's text if it does not give the export */
export async function openNbd(path: string, name: string): Promise<NbdClient> {
  const { socket, take, closed } = talkTo(path);
  await take(18);
  const data = Buffer.alloc(6 + Buffer.byteLength(name));
  data.writeUInt32BE(Buffer.byteLength(name), 0);
  data.write(name, 4);
  const option = Buffer.alloc(4 + 16);
  option.writeUInt32BE(3, 0);
  option.writeBigUInt64BE(IHAVEOPT, 4);
  option.writeUInt32BE(OPT_GO, 12);
  option.writeUInt32BE(data.length, 16);
  socket.write(Buffer.concat([option, data]));
  let sizeBytes = 0;
  for (;;) {
    const head = await take(20);
    const type = head.readUInt32BE(12);
    const body = await take(head.readUInt32BE(16));
    if (type === REP_ACK) break;
    if (type >= 2 ** 31) {
      socket.destroy();
      throw new Error(body.toString());
    }
    if (body.readUInt16BE(0) === 0) sizeBytes = Number(body.readBigUInt64BE(2));
  }

  let last: Promise<unknown> = Promise.resolve();
  let cookie = 0n;
  /** One request; replies come in the order of requests. */
  const request = (type: number, offset: number, length: number, flags: number, payload?: Uint8Array): Promise<Buffer> => {
    const head = Buffer.alloc(28);
    head.writeUInt32BE(0x25609513, 0);
    head.writeUInt16BE(flags, 4);
    head.writeUInt16BE(type, 6);
    head.writeBigUInt64BE(cookie++, 8);
    head.writeBigUInt64BE(BigInt(offset), 16);
    head.writeUInt32BE(length, 24);
    socket.write(payload ? Buffer.concat([head, payload]) : head);
    const answer = last.then(async () => {
      const reply = await take(16);
      if (reply.readUInt32BE(4) !== 0) throw new NbdReplyError(reply.readUInt32BE(4));
      return type === 0 ? take(length) : Buffer.alloc(0);
    });
    last = answer.catch(() => {});
    return answer;
  };
  return {
    sizeBytes,
    read: (offset, length) => request(0, offset, length, 0),
    write: async (offset, bytes, flags = 0) => void (await request(1, offset, bytes.length, flags, bytes)),
    flush: async () => void (await request(3, 0, 0, 0)),
    closed,
    close: () => socket.destroy(),
  };
}

interface Talk {
  readonly socket: Socket;
  readonly take: (length: number) => Promise<Buffer>;
  readonly closed: Promise<void>;
}

function talkTo(path: string): Talk {
  const socket = connect(path);
  let held = Buffer.alloc(0);
  let wanted: { length: number; give: (bytes: Buffer) => void; fail: (error: Error) => void } | undefined;
  let gone: Error | undefined;
  const serve = (): void => {
    if (!wanted) return;
    const { length, give, fail } = wanted;
    if (held.length >= length) {
      wanted = undefined;
      give(held.subarray(0, length));
      held = held.subarray(length);
    } else if (gone) fail(gone);
  };
  socket.on('error', () => {});
  socket.on('data', (bytes) => {
    held = Buffer.concat([held, bytes]);
    serve();
  });
  const closed = new Promise<void>((resolve) => {
    socket.on('close', () => {
      gone = new Error('the connection was dropped');
      serve();
      resolve();
    });
  });
  return { socket, closed, take: (length) => new Promise((give, fail) => ((wanted = { length, give, fail }), serve())) };
}
