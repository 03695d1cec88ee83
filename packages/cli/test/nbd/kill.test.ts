/**
 * The server is killed in the middle of writes, again and again: what was answered with FUA, or before a flush that was answered, is there.
 *
 *   NBD_KILLS=50 npx vitest run packages/cli/test/nbd/kill.test.ts    kills so often in all, and prints what it counted
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type NbdClient, connectNbd } from '@holdfast/nbd';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { killNbds, startNbd } from './nbd-process.js';

const KILLS = Number(process.env['NBD_KILLS'] ?? 6);
const BLOCKS = 256;
/** Acknowledged writes before a kill, at least. */
const MIN_WRITES = 200;

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'holdfast-nbd-'))));
afterEach(() => {
  killNbds();
  rmSync(folder, { recursive: true, force: true });
});

/** What one block may hold: any generation from `durable` to `newest`. */
interface Block {
  durable: number;
  acknowledged: number;
  newest: number;
  /** A write is on its way: of two at once, either may come last. */
  busy: boolean;
}

interface Counts {
  writes: number;
  flushes: number;
  fua: number;
  checked: number;
  lost: number;
}

/** Each 8 bytes tell their block and its generation, so that a torn one shows. */
function contents(block: number, generation: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; at += 8) {
    bytes.writeUInt32LE(block, at);
    bytes.writeUInt32LE(generation, at + 4);
  }
  return bytes;
}

/** Write over two connections and flush on either, until the server dies. */
async function load(path: string, name: string, blocks: Block[], counts: Counts, killed: () => boolean, onWork: () => void): Promise<void> {
  const clients = await Promise.all([connectNbd({ socket: path, name }), connectNbd({ socket: path, name })]);
  const unit = Math.max(clients[0].minBlock, 512);
  const work = async (client: NbdClient): Promise<void> => {
    while (!killed()) {
      const kind = Math.random();
      if (kind < 0.05) {
        const covered = blocks.map(({ acknowledged }) => acknowledged);
        await client.flush();
        covered.forEach((generation, i) => (blocks[i]!.durable = Math.max(blocks[i]!.durable, generation)));
        counts.flushes++;
        continue;
      }
      const nr = Math.floor(Math.random() * BLOCKS);
      const block = blocks[nr]!;
      if (block.busy) continue;
      block.busy = true;
      const generation = ++block.newest;
      const fua = kind < 0.15;
      await client.write(nr * unit, contents(nr, generation, unit), { fua });
      block.busy = false;
      block.acknowledged = generation;
      if (fua) {
        block.durable = Math.max(block.durable, generation);
        counts.fua++;
      }
      counts.writes++;
      onWork();
    }
  };
  await Promise.allSettled(clients.flatMap((client) => Array.from({ length: 8 }, () => work(client))));
  clients.forEach((client) => client.destroy());
}

async function check(path: string, name: string, blocks: Block[], counts: Counts, atomic: boolean): Promise<void> {
  const client = await connectNbd({ socket: path, name });
  const unit = Math.max(client.minBlock, 512);
  for (const [nr, block] of blocks.entries()) {
    const bytes = await client.read(nr * unit, unit);
    const found = Array.from({ length: unit / 8 }, (_, i) => bytes.readUInt32LE(8 * i + 4));
    const named = Array.from({ length: unit / 8 }, (_, i) => bytes.readUInt32LE(8 * i)).every((tag, i) => tag === nr || (tag === 0 && found[i] === 0));
    const whole = !atomic || found.every((generation) => generation === found[0]);
    if (!named || !whole || found.some((generation) => generation < block.durable || generation > block.newest)) counts.lost++;
    counts.checked++;
    // What is there now may be told apart from what comes next, whatever it is.
    block.durable = block.acknowledged = Math.min(...found);
    block.busy = false;
  }
  await client.close();
}

const DISKS = [
  { what: 'raw pmem', name: 'pmem0', args: ['--nvdimm', 'size=16M,image=disk.img'], setUp: [], atomic: false },
  { what: 'a BTT', name: 'pmem0s', args: ['--nvdimm', 'size=32M,image=disk.img'], setUp: ['--run', 'ndctl create-namespace -f -e namespace0.0 -m sector'], atomic: true },
  { what: 'a disk with a write cache', name: 'sda', args: ['--disk', 'size=16M,image=disk.img'], setUp: [], atomic: true },
] as const;

describe('kill -9', () => {
  it.each(DISKS)(
    'takes nothing from $what that was acknowledged as durable',
    async ({ name, args, setUp, atomic }) => {
      const counts: Counts = { writes: 0, flushes: 0, fua: 0, checked: 0, lost: 0 };
      const blocks = Array.from({ length: BLOCKS }, (): Block => ({ durable: 0, acknowledged: 0, newest: 0, busy: false }));
      const kills = Math.ceil(KILLS / DISKS.length);
      for (let round = 0; round <= kills; round++) {
        const server = await startNbd([...args, ...(round === 0 ? setUp : []), '--export', name], 1, { folder });
        if (round > 0) await check(server.socket, name, blocks, counts, atomic);
        const upTo = counts.writes + MIN_WRITES + Math.random() * MIN_WRITES * 5;
        let dead = round === kills;
        if (dead) expect(await server.kill('SIGTERM')).toBe(0);
        else {
          await load(server.socket, name, blocks, counts, () => dead, () => {
            if (dead || counts.writes < upTo) return;
            dead = true;
            server.child.kill('SIGKILL');
          });
          expect(await server.kill('SIGKILL')).toBe('SIGKILL');
        }
      }
      if (process.env['NBD_KILLS'] !== undefined) console.log(`${name}: ${kills} kills, ${JSON.stringify(counts)}`);
      expect(counts).toMatchObject({ lost: 0, checked: kills * BLOCKS });
      expect(counts.flushes * counts.fua).toBeGreaterThan(0);
    },
    600_000,
  );
});
