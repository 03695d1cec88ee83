/**
 * A booted kernel with one pmem disk behind an export, and a client that speaks to the state machines without a socket.
 */
import { createDram, createMachine, createNvdimm } from '@holdfast/machine';
import { type Kernel, boot, readFile, writeFile } from '@holdfast/kernel';
import { type Drive, createDrive } from '@holdfast/sd';
import { encodeContexts, encodeGo, encodeOption } from '../src/client/client-handshake.js';
import { type NbdDisk, createBdevDisk } from '../src/disk.js';
import type { NbdExport } from '../src/export.js';
import { createHandshake } from '../src/handshake.js';
import { CMD, CMD_FLAG, EXTENDED_REPLY_MAGIC, EXTENDED_REQUEST_MAGIC, type Headers, INFO, OPT, REPLY_MAGIC, REQUEST_MAGIC, STRUCTURED_REPLY_MAGIC } from '../src/protocol.js';
import { type Transmission, createTransmission } from '../src/transmission.js';

const GIB = 2 ** 30;
const PMEM_START = 4 * GIB;

const hex16 = (value: number): string => `0x${value.toString(16).padStart(16, '0')}`;

export function bootedKernel(sizeBytes: number, drives: readonly Drive[] = []): Kernel {
  const machine = createMachine({ media: [{ start: 0, medium: createDram(GIB) }, { start: PMEM_START, medium: createNvdimm({ sizeBytes }) }] });
  const e820 = [
    `BIOS-e820: [mem ${hex16(0)}-${hex16(0x9fbff)}] usable`,
    `BIOS-e820: [mem ${hex16(0x100000)}-${hex16(GIB - 1)}] usable`,
    `BIOS-e820: [mem ${hex16(PMEM_START)}-${hex16(PMEM_START + sizeBytes - 1)}] persistent (type 12)`,
  ].join('\n');
  const { kernel, panic } = boot({ machine, drives, firmware: { e820 }, cmdline: 'pmem.mapping=wb' });
  if (!kernel) throw new Error(panic);
  return kernel;
}

export function pmemDisk(sizeBytes: number, extent?: Parameters<typeof createBdevDisk>[0]['extent']): NbdDisk {
  return diskOf(bootedKernel(sizeBytes), 'pmem0', extent);
}

function diskOf(kernel: Kernel, name: string, extent?: Parameters<typeof createBdevDisk>[0]['extent']): NbdDisk {
  const bdev = kernel.block.disks.find((disk) => disk.name === name)!.part0;
  return createBdevDisk({ bdev, memory: kernel.machine.memory, pages: kernel.block.needs.pages, ...(extent ? { extent } : {}) });
}

/** A BTT, made through sysfs as ndctl does. */
export function bttDisk(sizeBytes: number, sectorBytes: number): NbdDisk {
  const kernel = bootedKernel(sizeBytes);
  const store = (path: string, text: string): void => writeFile(kernel.root, `/sys/bus/nd/${path}`, text);
  const seed = (readFile(kernel.root, '/sys/bus/nd/devices/region0/btt_seed') as string).trim();
  store('drivers/nd_pmem/unbind', 'namespace0.0');
  store(`devices/${seed}/uuid`, '3f8a1e52-7c64-4b0d-9e35-a1d2c3b4e5f6');
  store(`devices/${seed}/sector_size`, String(sectorBytes));
  store(`devices/${seed}/namespace`, 'namespace0.0');
  store('drivers/nd_pmem/bind', seed);
  return diskOf(kernel, 'pmem0s');
}

/** A disk with a volatile write cache. */
export function cachedDisk(sizeBytes: number, spec: { readonly sectorBytes?: number } = {}): NbdDisk {
  return diskOf(bootedKernel(16 * 2 ** 20, [createDrive({ sizeBytes, ...spec })]), 'sda');
}

export function exportOf(disk: NbdDisk | undefined, name = 'pmem0'): NbdExport {
  return { name, disk: () => disk };
}

export function option(nr: number, data: Uint8Array | string = ''): Buffer {
  return encodeOption(nr, Buffer.from(data));
}

export function goData(name: string, types: readonly number[] = []): Buffer {
  return encodeGo(name, types);
}

export { encodeContexts as contextData } from '../src/client/client-handshake.js';

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value, 0);
  return bytes;
}

export function u64(value: number | bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value), 0);
  return bytes;
}

export const CLIENT_FLAGS = u32(3);

/** The replies to options, decoded. */
export function optionReplies(bytes: Buffer): { readonly option: number; readonly type: number; readonly data: Buffer }[] {
  const replies = [];
  for (let at = 0; at < bytes.length; ) {
    if (bytes.readBigUInt64BE(at) !== REPLY_MAGIC) throw new Error(`no option reply at byte ${at}`);
    const length = bytes.readUInt32BE(at + 16);
    replies.push({ option: bytes.readUInt32BE(at + 8), type: bytes.readUInt32BE(at + 12), data: bytes.subarray(at + 20, at + 20 + length) });
    at += 20 + length;
  }
  return replies;
}

export interface Client {
  readonly transmission: Transmission;
  /** Bytes to the server, in pieces of these sizes, then the rest. */
  say(bytes: Uint8Array, pieces?: readonly number[]): void;
  /** What the server said since the last call. */
  heard(): Buffer;
  readonly closed: boolean;
  /** Let the socket take what waits. */
  take(): void;
}

/** A client in its transmission phase. `slow`: the socket takes nothing until told. */
interface ClientOptions {
  readonly headers?: Headers;
  readonly slow?: boolean;
  readonly exported?: NbdExport;
}

export function client(disk: NbdDisk, { headers = 'simple', slow = false, exported = exportOf(disk) }: ClientOptions = {}): Client {
  const handshake = createHandshake({ exports: () => [exported], tls: 'off' });
  handshake.feed(CLIENT_FLAGS);
  if (headers !== 'simple') {
    handshake.feed(option(headers === 'extended' ? OPT.EXTENDED_HEADERS : OPT.STRUCTURED_REPLY));
    handshake.feed(option(OPT.SET_META_CONTEXT, encodeContexts(exported.name, ['base:allocation'])));
  }
  const { next } = handshake.feed(option(OPT.GO, goData(exported.name, [INFO.BLOCK_SIZE])));
  if (next !== 'transmission') throw new Error(`the handshake ends with ${next}`);
  let heard: Buffer[] = [];
  let closed = false;
  let waiting: { bytes: Uint8Array; taken: () => void }[] = [];
  let held: Uint8Array[] = [];
  let paused = false;

  const take = (): void => {
    while (waiting.length > 0) {
      const batch = waiting;
      waiting = [];
      for (const { bytes, taken } of batch) {
        heard.push(Buffer.from(bytes));
        taken();
      }
    }
  };
  const feed = (data: Uint8Array): void => {
    for (let done = 0; done < data.length && !closed; ) {
      if (paused) return void held.push(data.subarray(done));
      const space = transmission.space();
      const count = Math.min(space.length, data.length - done);
      space.set(data.subarray(done, done + count));
      done += count;
      paused = !transmission.received(count, space);
      if (!slow) take();
    }
  };
  const transmission = createTransmission({
    session: handshake.session().session,
    counters: { reads: 0, writes: 0, others: 0, bytesRead: 0, bytesWritten: 0, errors: 0 },
    send(bytes, taken) {
      waiting.push({ bytes, taken });
      return false;
    },
    close: () => {
      closed = true;
    },
    resume() {
      paused = false;
      const queue = held;
      held = [];
      queue.forEach(feed);
    },
  });
  return {
    transmission,
    say(bytes, pieces = []) {
      let at = 0;
      for (const size of pieces) {
        if (at >= bytes.length) break;
        feed(bytes.subarray(at, at + size));
        at += size;
      }
      if (at < bytes.length) feed(bytes.subarray(at));
    },
    heard() {
      take();
      const all = Buffer.concat(heard);
      heard = [];
      return all;
    },
    get closed() {
      return closed;
    },
    take,
  };
}

interface RequestOptions {
  readonly flags?: number;
  readonly cookie?: bigint;
  readonly payload?: Uint8Array;
}

export function request(type: number, offset: number | bigint, length: number, { flags = 0, cookie = 1n, payload }: RequestOptions = {}): Buffer {
  const head = Buffer.alloc(28);
  head.writeUInt32BE(REQUEST_MAGIC, 0);
  head.writeUInt16BE(flags, 4);
  head.writeUInt16BE(type, 6);
  head.writeBigUInt64BE(cookie, 8);
  head.writeBigUInt64BE(BigInt(offset), 16);
  head.writeUInt32BE(length, 24);
  return payload ? Buffer.concat([head, payload]) : head;
}

/** With extended headers. A payload is told of, unless `flags` are given. */
export function extendedRequest(type: number, offset: number | bigint, length: number | bigint, { flags, cookie = 1n, payload }: RequestOptions = {}): Buffer {
  const head = Buffer.alloc(32);
  head.writeUInt32BE(EXTENDED_REQUEST_MAGIC, 0);
  head.writeUInt16BE(flags ?? (payload || type === CMD.WRITE ? CMD_FLAG.PAYLOAD_LEN : 0), 4);
  head.writeUInt16BE(type, 6);
  head.writeBigUInt64BE(cookie, 8);
  head.writeBigUInt64BE(BigInt(offset), 16);
  head.writeBigUInt64BE(BigInt(length), 24);
  return payload ? Buffer.concat([head, payload]) : head;
}

export interface Chunk {
  readonly flags: number;
  readonly type: number;
  readonly cookie: bigint;
  /** Of an extended one: the offset of its request. */
  readonly offset: bigint | undefined;
  readonly data: Buffer;
}

/** The chunks of structured or extended replies. */
export function chunks(bytes: Buffer): Chunk[] {
  const found: Chunk[] = [];
  for (let at = 0; at < bytes.length; ) {
    const extended = bytes.readUInt32BE(at) === EXTENDED_REPLY_MAGIC;
    if (!extended && bytes.readUInt32BE(at) !== STRUCTURED_REPLY_MAGIC) throw new Error(`no chunk at byte ${at}`);
    const length = extended ? Number(bytes.readBigUInt64BE(at + 24)) : bytes.readUInt32BE(at + 16);
    const begin = at + (extended ? 32 : 20);
    found.push({
      flags: bytes.readUInt16BE(at + 4), type: bytes.readUInt16BE(at + 6), cookie: bytes.readBigUInt64BE(at + 8),
      offset: extended ? bytes.readBigUInt64BE(at + 16) : undefined, data: bytes.subarray(begin, begin + length),
    });
    at = begin + length;
  }
  return found;
}
