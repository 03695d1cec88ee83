/**
 * kill -9 in the middle of stores to an image: the file must hold what the simulated persistence domain held at some instant not
 * before the last fence that completed.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openImageFile } from '../src/node/index.js';
import { transpilePackages } from './transpiled-packages.js';

const BLOCKS = 16;
const WORDS = 512;
let packages: { dir: string; script: string };

beforeAll(() => {
  packages = transpilePackages(['lib', 'machine'], 'kill-child.js');
});
afterAll(() => rmSync(packages.dir, { recursive: true }));

/** Run the child, kill it some time after its first report, and return the last record it reported. */
async function killedRun(image: string, how: string, delayMs: number): Promise<number> {
  const child: ChildProcess = spawn(process.execPath, [packages.script, image, how], { stdio: ['ignore', 'pipe', 'inherit'] });
  let reports = '';
  let killing = false;
  child.stdout!.setEncoding('latin1').on('data', (text: string) => {
    reports = (reports + text).slice(-64);
    if (killing) return;
    killing = true;
    setTimeout(() => child.kill('SIGKILL'), delayMs);
  });
  await new Promise((resolve) => child.on('close', resolve));
  return Number(reports.slice(0, reports.lastIndexOf('\n')).split('\n').at(-1));
}

/** What record block `b` holds after all records up to `i`. */
function lastInBlock(block: number, i: number): number {
  return Math.max(0, i - ((((i - block) % BLOCKS) + BLOCKS) % BLOCKS));
}

describe('an image whose process is killed', () => {
  it.each(['NT', 'WB', 'UC', 'eADR'])('%s: holds every completed record, and of the next one a legal part', async (how) => {
    for (let round = 0; round < 5; round++) {
      const folder = join(packages.dir, `${how}-${round}`);
      mkdirSync(folder);
      const image = join(folder, 'pmem.img');
      const reported = await killedRun(image, how, round * 4 + Math.floor(round / 2));
      expect(reported).toBeGreaterThan(0);
      const words = [...new BigUint64Array(new Uint8Array(readFileSync(image)).buffer)].map(Number);
      const newest = Math.max(...words);
      expect(newest).toBeGreaterThanOrEqual(reported);
      for (let block = 0; block < BLOCKS; block++) {
        const held = words.slice(block * WORDS, (block + 1) * WORDS);
        const whole = lastInBlock(block, newest - 1);
        if (block !== newest % BLOCKS) expect(new Set(held)).toEqual(new Set([whole]));
        else expect(held.every((word) => word === whole || word === newest)).toBe(true);
        // Uncached stores persist in program order, and so do all of them under eADR.
        if (how === 'UC' || how === 'eADR') expect([...held].sort((a, b) => b - a)).toEqual(held);
      }
      expect(existsSync(`${image}.lock`)).toBe(true);
      openImageFile(image).close(); // the lock of the dead is no hindrance
      expect(existsSync(`${image}.lock`)).toBe(false);
    }
  });
});
