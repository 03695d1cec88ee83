/**
 * A small NBD client that keeps many requests in flight: plain replies, one export.
 */
import { type Socket, connect } from 'node:net';

const OPT_GO = 7;
const REP_ACK = 1;
const INFO_BLOCK_SIZE = 3;

export interface Client {
  readonly sizeBytes: number;
  readonly minBlock: number;
  /** Each resolves when the reply is there. @throws if it is an error, or the connection ends */
  write(offset: number, bytes: Uint8Array, fua?: boolean): Promise<void>;
  read(offset: number, length: number): Promise<Buffer>;
  flush(): Promise<void>;
  close(): void;
}

export async function openClient(path: string, name: string): Promise<Client> {
  const socket = connect(path);
  const take = taker(socket);
  await take(18);
  const go = Buffer.alloc(16 + 4 + name.length + 4);
  go.write('IHAVEOPT', 0);
  go.writeUInt32BE(OPT_GO, 8);
  go.writeUInt32BE(go.length - 16, 12);
  go.writeUInt32BE(name.length, 16);
  go.write(name, 20);
  go.writeUInt16BE(1, 20 + name.length);
  go.writeUInt16BE(INFO_BLOCK_SIZE, 22 + name.length);
  socket.write(Buffer.concat([Buffer.from([0, 0, 0, 3]), go]));
  let [sizeBytes, minBlock] = [0, 1];
  for (;;) {
    const head = await take(20);
    const data = await take(head.readUInt32BE(16));
    const type = head.readUInt32BE(12);
    if (type === REP_ACK) break;
    if (type >= 2 ** 31) throw new Error(`${name}: ${data.toString()}`);
    if (data.readUInt16BE(0) === INFO_BLOCK_SIZE) minBlock = data.readUInt32BE(2);
    else sizeBytes = Number(data.readBigUInt64BE(2));
  }

  const waiting = new Map<number, { length: number; done: (data: Buffer) => void; failed: (error: Error) => void }>();
  let cookie = 0;
  const ask = (type: number, flags: number, offset: number, length: number, payload?: Uint8Array): Promise<Buffer> =>
    new Promise((done, failed) => {
      const head = Buffer.alloc(28);
      head.writeUInt32BE(0x25609513, 0);
      head.writeUInt16BE(flags, 4);
      head.writeUInt16BE(type, 6);
      head.writeUInt32BE(++cookie, 12);
      head.writeBigUInt64BE(BigInt(offset), 16);
      head.writeUInt32BE(length, 24);
      waiting.set(cookie, { length: type === 0 ? length : 0, done, failed });
      socket.write(payload ? Buffer.concat([head, payload]) : head);
    });
  const listen = async (): Promise<void> => {
    for (;;) {
      const head = await take(16);
      const error = head.readUInt32BE(4);
      const request = waiting.get(head.readUInt32BE(12))!;
      waiting.delete(head.readUInt32BE(12));
      if (error !== 0) request.failed(new Error(`${name}: NBD error ${error}`));
      else request.done(await take(request.length));
    }
  };
  listen().catch((error: Error) => waiting.forEach(({ failed }) => failed(error)));
  return {
    sizeBytes,
    minBlock,
    write: async (offset, bytes, fua = false) => void (await ask(1, fua ? 1 : 0, offset, bytes.length, bytes)),
    read: (offset, length) => ask(0, 0, offset, length),
    flush: async () => void (await ask(3, 0, 0, 0)),
    close: () => socket.destroy(),
  };
}

/** The bytes of a socket in exact numbers; rejects when it ends. */
function taker(socket: Socket): (length: number) => Promise<Buffer> {
  let held = Buffer.alloc(0);
  let ended = false;
  let wake = (): void => {};
  socket.on('error', () => {});
  socket.on('data', (data) => {
    held = Buffer.concat([held, data]);
    wake();
  });
  socket.on('close', () => {
    ended = true;
    wake();
  });
  return async (length) => {
    while (held.length < length) {
      if (ended) throw new Error('the connection has ended');
      await new Promise<void>((resolve) => (wake = resolve));
    }
    const taken = held.subarray(0, length);
    held = held.subarray(length);
    return taken;
  };
}
