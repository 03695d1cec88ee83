/**
 * A hundred clients that ask for much and take nothing: what the server holds for them, as the host counts it.
 */
import { readFileSync } from 'node:fs';
import { type Socket, connect } from 'node:net';
import { connectNbd } from '@holdfast/nbd';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { type NbdProcess, startNbd } from './nbd-process.js';

const MIB = 2 ** 20;
const CLIENTS = 100;
/** Two slabs, and what Node and the kernel's socket have beside them. */
const BYTES_A_CLIENT = 4 * MIB + 256 * 1024;
/** What grows once, whatever comes: compiled code, the heap's slack. */
const SLACK_BYTES = 96 * MIB;

let server: NbdProcess;
beforeEach(async () => (server = await startNbd(['--size', '64M'])));
afterEach(() => server.stop());

function rssBytes(): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${server.child.pid}/status`, 'utf8'))![1]) * 1024;
}

/** Says who it is, asks for 32 MiB and offers 1 MiB without the rest of it, and reads nothing. */
function slowClient(): Socket {
  const u32 = (value: number): Buffer => Buffer.from([value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255]);
  const go = Buffer.concat([Buffer.from('IHAVEOPT'), u32(7), u32(8), u32(0), Buffer.from([0, 1, 0, 3])]);
  const request = (type: number, length: number): Buffer => Buffer.concat([u32(0x25609513), u32(type), Buffer.alloc(16), u32(length)]);
  const socket = connect(server.socket).on('error', () => {}).pause();
  socket.write(Buffer.concat([u32(3), go, ...Array.from({ length: 32 }, () => request(0, MIB)), request(1, 2 * MIB), Buffer.alloc(MIB)]));
  return socket;
}

it('is bounded, and is used again when they are gone', async () => {
  const other = await connectNbd(server.uri('pmem0'));
  await other.write(0, Buffer.alloc(MIB, 7)); // so that there is more to send than the word that there is nothing
  const before = rssBytes();
  const waves: number[] = [];
  for (let wave = 0; wave < 2; wave++) {
    const slow = Array.from({ length: CLIENTS }, slowClient);
    // A server that has taken all in does no more.
    let last = -1;
    await vi.waitFor(() => {
      const now = rssBytes();
      const settled = now === last && slow.every(({ connecting }) => !connecting);
      last = now;
      expect(settled).toBe(true);
    }, { timeout: 60_000, interval: 300 });
    expect((await other.read(0, 4096)).equals(Buffer.alloc(4096, 7))).toBe(true);
    waves.push(rssBytes() - before);
    for (const socket of slow) socket.destroy();
    await vi.waitFor(() => connectNbd(server.uri('pmem0')).then((client) => client.close()), { timeout: 20_000 });
  }
  expect(Math.max(...waves)).toBeLessThan(CLIENTS * BYTES_A_CLIENT + SLACK_BYTES);
  expect(waves[1]).toBeLessThan(waves[0]! + SLACK_BYTES);
  await other.close();
}, 240_000);
