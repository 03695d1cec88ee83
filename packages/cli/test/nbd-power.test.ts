import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NbdReplyError, connectNbd, createNbdControl } from '@holdfast/nbd';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type NbdCommandOptions, type NbdServing, serveNbd } from '../src/nbd-command.js';
import { runProgram } from '../src/program.js';

let folder: string;
let socket: string;
let serving: NbdServing | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-power-'));
  socket = join(folder, 'nbd');
});
afterEach(async () => {
  await serving?.close();
  serving = undefined;
  rmSync(folder, { recursive: true });
});

async function serve(options: NbdCommandOptions): Promise<NbdServing> {
  serving = await serveNbd({ memory: '1G', ...options, socket }, { out: () => {}, err: () => {} });
  return serving;
}

/** The command as typed. */
async function holdfast(...args: string[]): Promise<{ status: number; out: string; err: string }> {
  let [out, err] = ['', ''];
  const status = await runProgram(args, { interactive: false, out: (data) => (out += String(data)), err: (text) => (err += text) });
  return { status, out, err };
}
const ctl = async (...args: string[]): Promise<string> => (await holdfast('nbd', 'ctl', serving!.control, ...args)).out.trimEnd();

const sectors = (...fills: number[]): Buffer => Buffer.concat(fills.map((fill) => Buffer.alloc(512, fill)));
const firsts = (bytes: Buffer): number[] => Array.from({ length: bytes.length / 512 }, (_, i) => bytes[i * 512]!);

describe('holdfast nbd ctl', () => {
  test('cuts the power: requests fail until it is back, and the disk has kept what the rule says', async () => {
    await serve({ disk: ['size=8M'] });
    const client = await connectNbd({ socket, name: 'sda' });
    await client.write(0, sectors(1, 1, 1));
    await client.flush();
    await client.write(0, sectors(2, 2));
    expect(await ctl('powercut', '--keep', 'none')).toMatch(/^cut-1: 2 open, 2 lost \(keep none, seed 0\); no request reached a disk after \d+ us$/);
    await expect(client.read(0, 512)).rejects.toEqual(new NbdReplyError(108));
    await expect(client.write(0, sectors(9))).rejects.toEqual(new NbdReplyError(108));
    await expect(connectNbd({ socket, name: 'sda' })).rejects.toThrow('has no power');
    expect(await ctl('status')).toMatch(/^power off\nexport sda\n/);
    expect(await ctl('restore')).toBe('the power is back');
    expect(firsts(await client.read(0, 1536))).toEqual([1, 1, 1]);
    expect((await holdfast('nbd', 'ctl', `nbd+unix:///sda?socket=${socket}`, 'restore'))).toMatchObject({ status: 1, err: 'holdfast: EBUSY: the machine has power already\n' });
    await client.close();
  });

  test('cuts the power by itself at a request that was counted out', async () => {
    await serve({ disk: ['size=8M'] });
    const client = await connectNbd({ socket, name: 'sda' });
    expect(await ctl('powercut', '--after', '2', '--keep', 'none')).toBe('the power goes after 2 more requests');
    await client.write(0, sectors(1));
    expect(await ctl('status')).toContain('the power goes after 1 more requests');
    const ends = await Promise.allSettled([client.flush(), client.write(512, sectors(2)), client.read(0, 512)]);
    expect(ends.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected']);
    expect(await ctl('status')).toMatch(/^power off\n/);
    await ctl('restore');
    expect(firsts(await client.read(0, 1024))).toEqual([1, 0]);
    await client.close();
  });

  test('drops connections instead, if asked to', async () => {
    await serve({ disk: ['size=8M'], onCut: 'drop' });
    const client = await connectNbd({ socket, name: 'sda' });
    await ctl('powercut');
    await client.closed;
    await ctl('restore');
    await (await connectNbd({ socket, name: 'sda' })).close();
  });

  test('every outcome is an export of its own, each once, to be written without harm to any other', async () => {
    await serve({ disk: ['size=8M,atomic=512'] });
    const client = await connectNbd({ socket, name: 'sda' });
    await client.write(512, sectors(1, 1));
    await client.flush();
    await client.write(0, sectors(2, 2));
    await client.write(0, sectors(3));
    await ctl('powercut');
    expect(await ctl('states', '--count')).toBe('6');
    const names = (await ctl('states', '--list')).split('\n');
    expect(names).toEqual([0, 1, 2, 3, 4, 5].map((i) => `sda@cut-1/state-${i}`));
    const contents: string[] = [];
    for (const name of names) {
      const state = await connectNbd({ socket, name });
      contents.push(firsts(await state.read(0, 1536)).join(''));
      await state.write(0, sectors(9, 9, 9));
      await state.flush();
      await state.close();
    }
    expect(contents.sort()).toEqual(['011', '021', '211', '221', '311', '321']);
    await ctl('restore');
    await client.write(0, sectors(7, 7, 7));
    await client.flush();
    const again = await connectNbd({ socket, name: names[0]! });
    expect(firsts(await again.read(0, 1536))).toEqual([0, 1, 1]);
    await again.close();
    expect(await ctl('states', '--sample', '3', '--uris')).toContain(`nbd+unix:///sda%40cut-1%2Fsample-0-0?socket=${socket}`);
    await expect(connectNbd({ socket, name: 'sda@cut-1/state-6' })).rejects.toThrow('no export');
    await client.close();
  });

  test.each<[string, NbdCommandOptions, string]>([
    ['raw pmem', { size: '64M', run: ['ndctl create-namespace -f -e namespace0.0 -m raw'] }, 'pmem0'],
    ['fsdax pmem', { size: '64M', run: ['ndctl create-namespace -f -e namespace0.0 -m fsdax'] }, 'pmem0'],
    ['pmem with labels', { nvdimm: ['size=64M,label=128K'], run: ['ndctl disable-region all', 'ndctl init-labels -f all', 'ndctl enable-region all', 'ndctl create-namespace -m fsdax'] }, 'pmem0'],
    ...['none', 'ram', 'device', 'add-section', 'dynamic', 'variable', 'temporary', 'pfn'].map((design): [string, NbdCommandOptions, string] => [`pmem with the design '${design}'`, { size: '256M', cmdline: `pmem.mapping=wb pmem.pages=${design}` }, 'pmem0']),
    ['a drive with a cache', { disk: ['size=8M'] }, 'sda'],
  ])('%s: flushed bytes are in every outcome, and open ones in some', async (_, options, name) => {
    await serve(options);
    const client = await connectNbd({ socket, name });
    await client.write(0, sectors(1, 1, 1, 1, 1, 1, 1, 1));
    await client.flush();
    await client.write(0, Buffer.concat([Buffer.alloc(16, 2), Buffer.alloc(496, 1)]));
    await ctl('powercut', '--keep', 'none');
    expect(Number(await ctl('states', '--count'))).toBeGreaterThan(1);
    const names = (await ctl('states', '--list')).split('\n');
    expect(names.length).toBe(name === 'sda' ? 2 : 4); // a sector, or two words
    const seen = new Set<string>();
    for (const each of [names[0]!, names.at(-1)!]) {
      const state = await connectNbd({ socket, name: each });
      expect(state.sizeBytes).toBe(client.sizeBytes);
      const bytes = await state.read(0, 4096);
      expect(bytes.subarray(16).equals(Buffer.alloc(4080, 1))).toBe(true);
      seen.add(bytes.toString('hex', 0, 16));
      await state.close();
    }
    expect([...seen]).toEqual(['01', '02'].map((byte) => byte.repeat(16)));
    await ctl('restore');
    expect((await client.read(0, 512)).equals(Buffer.alloc(512, 1))).toBe(true);
    await client.close();
  });

  test('a BTT has one outcome: each sector is durable when it is answered', async () => {
    await serve({ size: '64M', run: ['ndctl create-namespace -f -e namespace0.0 -m sector -l 512'] });
    const client = await connectNbd({ socket, name: 'pmem0s' });
    await client.write(512, sectors(5, 6));
    await ctl('powercut', '--keep', 'none');
    expect(await ctl('states', '--count')).toBe('1');
    const state = await connectNbd({ socket, name: 'pmem0s@cut-1/state-0' });
    expect(firsts(await state.read(0, 2048))).toEqual([0, 5, 6, 0]);
    await state.close();
    await ctl('restore');
    expect(firsts(await client.read(0, 2048))).toEqual([0, 5, 6, 0]);
    await client.close();
  });

  test('adds, lists and clears faults', async () => {
    await serve({ disk: ['size=8M'] });
    const client = await connectNbd({ socket, name: 'sda' });
    expect(await ctl('faults', 'error', '--where', 'write,sectors=8-15', '--error', 'ENOSPC')).toBe('fault 1');
    expect(await ctl('faults', 'delay', '--ms', '1', '--where', 'read,nth=1')).toBe('fault 2');
    await client.write(0, sectors(1));
    await expect(client.write(4096, sectors(1))).rejects.toEqual(new NbdReplyError(28));
    expect(firsts(await client.read(0, 512))).toEqual([1]);
    expect(await ctl('faults', 'list')).toBe('1: kind error, op write, firstSector 8, lastSector 15, error ENOSPC; met 1 of 1\n2: kind delay, op read, nth 1, delayMs 1; met 1 of 1');
    expect(await ctl('faults', 'clear')).toBe('cleared 2');
    await client.write(4096, sectors(1));
    await client.close();
  });

  test.each([
    [['fly'], "nbd ctl: 'fly': expected status, powercut"],
    [['restore', '--keep', 'all'], '--keep is not for it'],
    [['restore', 'now'], "'now' is too much"],
    [['states'], 'give one of --count, --list and --sample'],
    [['powercut', '--seed', 'x'], "--seed 'x': expected a number"],
    [['faults', 'error', '--where', 'sectors=a'], "--where 'sectors=a': expected"],
  ])('%j is refused without asking', async (args, text) => {
    await serve({ disk: ['size=8M'] });
    expect(await holdfast('nbd', 'ctl', serving!.control, ...args)).toMatchObject({ status: 2, err: expect.stringContaining(text) as string });
  });

  test('says so where no server is', async () => {
    expect(await holdfast('nbd', 'ctl', join(folder, 'nothing'), 'status')).toMatchObject({ status: 1, err: expect.stringContaining('ENOENT') as string });
  });
});

describe('holdfast nbd --record, holdfast nbd replay', () => {
  test('give the same bytes and the same cuts, up to any point', async () => {
    const image = join(folder, 'disk.img');
    const options: NbdCommandOptions = { disk: [`size=8M,image=${image}`], nvdimm: ['size=64M'], seed: '3' };
    await serve(options);
    const before = await connectNbd({ socket, name: 'sda' });
    await before.write(8192, sectors(77)); // in the image before the recording begins
    await before.flush();
    await before.close();
    await serving!.close();

    const trace = join(folder, 'trace');
    await serve({ ...options, record: trace });
    const control = await createNbdControl(serving!.control);
    const [sda, pmem] = [await connectNbd({ socket, name: 'sda' }), await connectNbd({ socket, name: 'pmem0' })];
    await sda.write(0, sectors(1, 2, 3));
    await pmem.write(4096, sectors(4, 5));
    await sda.flush();
    await control.call('faults.add', { kind: 'torn', op: 'write', nth: 2, seed: 1 });
    await sda.write(0, sectors(6, 6, 6, 6), { fua: true });
    await sda.write(8192 + 512, sectors(7, 7, 7, 7), { fua: true });
    await sda.write(1024, sectors(8, 8, 8, 8));
    await pmem.write(4096, sectors(9, 9));
    expect((await control.call('mark', { name: 'before the cut' })).record).toBeGreaterThan(5);
    const cuts = [await control.call('powercut', { keep: 'random', seed: 11 })];
    await control.call('restore', {});
    await sda.write(0, sectors(10, 10));
    await pmem.write(0, sectors(11));
    cuts.push(await control.call('powercut', { keep: 'prefix' }));
    await control.call('restore', {});
    expect(cuts.every(({ open }) => open > 0)).toBe(true);
    await sda.write(2048, sectors(12));
    await Promise.all([sda.close(), pmem.close()]);
    control.close();
    await serving!.close();
    serving = undefined;

    const out = join(folder, 'out.img');
    const replayed = await holdfast('nbd', 'replay', trace, '--json', '--image', out);
    const report = JSON.parse(replayed.out) as { cuts: { digest: string; recorded: string }[]; tornBytes: number };
    expect(replayed.status).toBe(0);
    expect(report.cuts.map(({ digest }) => digest)).toEqual(cuts.map(({ digest }) => digest));
    expect(readFileSync(`${out}.disk0`).equals(readFileSync(image))).toBe(true);
    expect(readFileSync(`${out}.disk0`)[8192]).toBe(77);

    const half = join(folder, 'half.img');
    expect(await holdfast('nbd', 'replay', trace, '--until', 'before the cut', '--image', half)).toMatchObject({ status: 0 });
    expect(firsts(readFileSync(`${half}.disk0`).subarray(0, 2048))).toEqual([6, 6, 8, 8]);
    expect(await holdfast('nbd', 'replay', trace, '--until', 'never')).toMatchObject({ status: 2, err: "holdfast: --until 'never': the trace ends before it\n" });
  });
});
