/**
 * A small NBD client with many requests in flight, that knows of each whether it was answered.
 */
import { connect } from 'node:net';

export const CMD = { READ: 0, WRITE: 1, DISC: 2, FLUSH: 3, TRIM: 4, WRITE_ZEROES: 6 };
export const FUA = 1;
const OPT_GO = 7;
const REP_ACK = 1;
const INFO_BLOCK_SIZE = 3;
const SEND_TRIM = 1 << 5;

/** The request was refused, with an error of the protocol; or the connection ended before its answer (`ended`). */
export class RequestError extends Error {
  constructor(message, ended) {
    super(message);
    this.ended = ended;
  }
}

/** @param counts `sent` and `answered` are added to; what is outstanding when a connection ends is in neither's difference, but in `cutOff` */
export async function openClient(path, name, counts) {
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
  let sizeBytes = 0;
  let canTrim = false;
  for (;;) {
    const head = await take(20);
    const data = await take(head.readUInt32BE(16));
    const type = head.readUInt32BE(12);
    if (type === REP_ACK) break;
    if (type >= 2 ** 31) {
      socket.destroy();
      throw new RequestError(`${name}: ${data.toString()}`, true);
    }
    if (data.readUInt16BE(0) !== 0) continue;
    sizeBytes = Number(data.readBigUInt64BE(2));
    canTrim = (data.readUInt16BE(10) & SEND_TRIM) !== 0;
  }

  const waiting = new Map();
  let cookie = 0;
  const ask = (type, offset, length, { flags = 0, payload } = {}) =>
    new Promise((resolve, reject) => {
      const head = Buffer.alloc(28);
      head.writeUInt32BE(0x25609513, 0);
      head.writeUInt16BE(flags, 4);
      head.writeUInt16BE(type, 6);
      head.writeUInt32BE(++cookie, 12);
      head.writeBigUInt64BE(BigInt(offset), 16);
      head.writeUInt32BE(length, 24);
      counts.sent++;
      waiting.set(cookie, { length: type === CMD.READ ? length : 0, resolve, reject, since: Date.now() });
      if (socket.destroyed) cutOff();
      else socket.write(payload ? Buffer.concat([head, payload]) : head);
    });
  const cutOff = () => {
    counts.cutOff += waiting.size;
    const cut = [...waiting.values()];
    waiting.clear();
    for (const { reject } of cut) reject(new RequestError(`${name}: the connection has ended`, true));
  };
  const listen = async () => {
    for (;;) {
      const head = await take(16);
      if (head.readUInt32BE(0) !== 0x67446698) throw new Error(`${name}: no reply: ${head.toString('hex')}`);
      const error = head.readUInt32BE(4);
      const key = head.readUInt32BE(12);
      const request = waiting.get(key);
      if (!request) throw new Error(`${name}: a reply that nobody waits for`);
      const data = error === 0 ? await take(request.length) : undefined;
      waiting.delete(key);
      counts.answered++;
      if (error === 0) request.resolve(data);
      else request.reject(new RequestError(`${name}: NBD error ${error}`, false));
    }
  };
  listen().catch((error) => {
    if (error.message !== ENDED) counts.wrong.push(error.message);
    socket.destroy();
    cutOff();
  });
  return {
    sizeBytes,
    canTrim,
    read: (offset, length) => ask(CMD.READ, offset, length),
    write: (offset, payload, flags = 0) => ask(CMD.WRITE, offset, payload.length, { flags, payload }),
    flush: () => ask(CMD.FLUSH, 0, 0),
    trim: (offset, length) => ask(CMD.TRIM, offset, length),
    zero: (offset, length, flags = 0) => ask(CMD.WRITE_ZEROES, offset, length, { flags }),
    /** How long the oldest request has been waiting, ms. */
    oldestMs: () => Math.max(0, ...[...waiting.values()].map(({ since }) => Date.now() - since)),
    destroy: () => socket.destroy(),
  };
}

const ENDED = 'the connection has ended';

/** The bytes of a socket in exact numbers; rejects when it ends. */
function taker(socket) {
  let parts = [];
  let held = 0;
  let ended = false;
  let wake = () => {};
  socket.on('error', () => {});
  socket.on('data', (data) => {
    parts.push(data);
    held += data.length;
    wake();
  });
  socket.on('close', () => {
    ended = true;
    wake();
  });
  return async (length) => {
    while (held < length) {
      if (ended) throw new Error(ENDED);
      await new Promise((resolve) => (wake = resolve));
    }
    const all = parts.length === 1 ? parts[0] : Buffer.concat(parts);
    parts = all.length > length ? [all.subarray(length)] : [];
    held -= length;
    return all.subarray(0, length);
  };
}
