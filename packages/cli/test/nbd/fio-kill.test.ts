/**
 * fio writes a pattern that tells when and where, the server is killed at random, and fio finds all that it wrote before a flush that was answered.
 *
 *   NBD_KILLS=50 npx vitest run packages/cli/test/nbd/fio-kill.test.ts    kills so often in all, and prints what it counted
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type NbdProcess, killNbds, startNbd } from './nbd-process.js';
import { missing } from './tool.js';

const KILLS = Number(process.env['NBD_KILLS'] ?? 2);
const REGIONS = 4;
const REGION_MIB = 8;
const BLOCKS = (REGION_MIB * 2 ** 20) / 4096;
/** fio needs some of it to start. Milliseconds of the host. */
const KILL_WITHIN = 600;

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'holdfast-nbd-'))));
afterEach(() => {
  killNbds();
  rmSync(folder, { recursive: true, force: true });
});

/** Each block of a region once, in any order, all of it this time's number and the block's offset; the last word is a flush. Resolves with fio's exit status. */
function fio(server: NbdProcess, name: string, region: number, time: number, how: readonly string[]): Promise<number | null> {
  const job = [
    `--name=r${region}`, '--ioengine=nbd', `--uri=${server.uri(name)}`, '--rw=randwrite', '--bs=4k', '--iodepth=16', `--size=${REGION_MIB}M`, `--offset=${region * REGION_MIB}M`,
    '--verify=pattern', `--verify_pattern=0x${time.toString(16).padStart(8, '0')}%o`, '--verify_fatal=1', '--verify_state_save=0', '--fsync=64', '--end_fsync=1', ...how,
  ];
  return new Promise((resolve) => spawn('fio', job, { cwd: folder, stdio: 'ignore' }).once('exit', resolve));
}

const DISKS = [
  { what: 'raw pmem', name: 'pmem0', args: ['--nvdimm', 'size=64M,image=disk.img'] },
  { what: 'a disk with a write cache', name: 'sda', args: ['--disk', 'size=64M,image=disk.img'] },
] as const;

const skip = missing('fio');

describe('kill -9 under fio', () => {
  it.skipIf(skip).each(DISKS)(
    `takes nothing from $what that fio has flushed${skip}`,
    async ({ name, args }) => {
      const counts = { kills: 0, written: 0, verified: 0, lost: 0 };
      /** By region: the number of what was flushed there last; undefined while nobody knows what is there. */
      const times: (number | undefined)[] = Array.from({ length: REGIONS });
      let next = 1;
      const write = async (server: NbdProcess, region: number): Promise<boolean> => {
        times[region] = undefined;
        const mine = next++;
        if ((await fio(server, name, region, mine, ['--do_verify=0'])) !== 0) return false;
        times[region] = mine;
        counts.written += BLOCKS;
        return true;
      };
      const verify = async (server: NbdProcess): Promise<void> => {
        for (const [region, written] of times.entries()) {
          if (written === undefined) continue;
          if ((await fio(server, name, region, written, ['--verify_only=1'])) !== 0) counts.lost++;
          counts.verified += BLOCKS;
        }
      };
      for (const kills = Math.ceil(KILLS / DISKS.length); ; ) {
        const server = await startNbd([...args, '--export', name], 1, { folder });
        await verify(server);
        if (counts.kills === kills) {
          expect(await server.kill('SIGTERM')).toBe(0);
          break;
        }
        let region = counts.kills % REGIONS;
        expect(await write(server, region)).toBe(true);
        // Other contents of the same place would be noticed.
        if (counts.kills === 0) expect(await fio(server, name, region, next, ['--verify_only=1'])).not.toBe(0);
        const killed = new Promise((resolve) => setTimeout(() => resolve(server.kill('SIGKILL')), Math.random() * KILL_WITHIN));
        do region = (region + 1) % REGIONS;
        while (await write(server, region));
        expect(await killed).toBe('SIGKILL');
        counts.kills++;
      }
      if (process.env['NBD_KILLS'] !== undefined) console.log(`${name}: ${JSON.stringify(counts)}`);
      expect(counts.lost).toBe(0);
      expect(counts.verified).toBeGreaterThan(0);
    },
    1_200_000,
  );
});
