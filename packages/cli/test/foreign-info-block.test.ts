/**
 * An info block of another kernel or of other media: it is refused, --explain says why, and each request that it names works on the same image.
 */
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { INFO_BLOCK_OFFSET, INFO_BLOCK_SIGNATURE, NULL_UUID, decodeInfoBlock, encodeInfoBlock } from '@holdfast/nvdimm';
import { afterAll, expect, it } from 'vitest';
import { type CommandRecord, bootFromOptions, createCommandRunner } from '../src/index.js';

const folder = mkdtempSync(join(tmpdir(), 'holdfast-info-block-'));
afterAll(() => rmSync(folder, { recursive: true }));

const SIZE = 64 * 1024 * 1024;
/** A block as ours would write it, for 62 MiB of data. */
const SOUND = {
  ...decodeInfoBlock(new Uint8Array(4096)), signature: INFO_BLOCK_SIGNATURE.pfn, uuid: '6f86a334-8739-4a2c-8ba9-44eaff6bf0d8', parentUuid: NULL_UUID, versionMajor: 1, versionMinor: 4,
  dataOffset: 2n * 1024n * 1024n, nrPfns: 15872n, mode: 2, align: 2 * 1024 * 1024, pageSize: 4096, pageStructSize: 64,
};

let images = 0;

function imageWith(block: Parameters<typeof encodeInfoBlock>[0]): string {
  const path = join(folder, `${images++}.img`);
  const file = openSync(path, 'w');
  ftruncateSync(file, SIZE);
  writeSync(file, encodeInfoBlock(block), 0, 4096, INFO_BLOCK_OFFSET);
  closeSync(file);
  return path;
}

async function run(image: string, commands: readonly string[]): Promise<CommandRecord[]> {
  const system = await bootFromOptions({ memory: '1G', nvdimm: [`size=${SIZE},image=${image}`] });
  try {
    const runner = createCommandRunner(system);
    for (const command of commands) await runner.run(command);
    return runner.records as CommandRecord[];
  } finally {
    system.close();
  }
}

it('of our own is taken', async () => {
  const [said] = await run(imageWith(SOUND), ['cut -c1-3 /sys/bus/nd/devices/namespace0.0/holder; cat /sys/block/pmem0/size']);
  expect(said).toMatchObject({ rc: 0, stdout: `pfn\n${(62 * 1024 * 1024) / 512}` });
});

it.each<[string, Partial<typeof SOUND>, string]>([
  ['a kernel of 64 KiB pages', { pageSize: 65536 }, 'struct pages on the device are for pages of 65536 bytes, ours have 4096'],
  ['a kernel of smaller struct pages', { pageStructSize: 56 }, 'the device has room for struct pages of 56 bytes, ours need 64'],
  ['a larger namespace', { dataOffset: BigInt(SIZE) }, 'the data must begin inside the namespace'],
  ['a place that was aligned otherwise', { dataOffset: 4096n * 3n }, 'the data must begin on its alignment'],
  ['an end that was aligned otherwise', { endTrunc: 4096 }, 'the mapping must end on 2097152'],
])('of %s is refused with ways past it', async (_what, change, rule) => {
  const block = { ...SOUND, ...change };
  const request = 'ndctl enable-namespace namespace0.0';
  const [refused] = await run(imageWith(block), [request]);
  expect(refused!.rc).not.toBe(0);
  const [why] = refused!.why!;
  expect(why!.rule).toBe(`namespace0.0: ${rule}`);
  expect(why!.nearest).toEqual([`echo 1 > /sys/bus/nd/devices/namespace0.0/force_raw && ${request}`, 'ndctl create-namespace -f -e namespace0.0 -m fsdax']);
  for (const next of why!.nearest!) {
    const records = await run(imageWith(block), [next]);
    expect([next, records.at(-1)!.rc, records.at(-1)!.why]).toEqual([next, 0, undefined]);
  }
});

it.each<[string, Partial<typeof SOUND>]>([
  ['another namespace', { parentUuid: 'aa42977d-0e87-4270-bbc7-0add9d8e7aef' }],
  ['another mode', { mode: 7 }],
])('of %s is none, and the namespace is raw', async (_what, change) => {
  const [said] = await run(imageWith({ ...SOUND, ...change }), ['cat /sys/bus/nd/devices/namespace0.0/holder /sys/block/pmem0/size']);
  expect(said).toMatchObject({ rc: 0, stdout: `\n${SIZE / 512}` });
});

it('that was damaged anywhere is none, and the namespace is raw', async () => {
  const bytes = encodeInfoBlock(SOUND);
  for (const at of [0, 15, 16, 40, 60, 100, 4095 - 8, 4095]) {
    const image = imageWith(SOUND);
    const file = openSync(image, 'r+');
    writeSync(file, Uint8Array.of(bytes[at]! ^ 1), 0, 1, INFO_BLOCK_OFFSET + at);
    closeSync(file);
    const [said] = await run(image, ['cat /sys/block/pmem0/size']);
    expect([at, said!.rc, said!.stdout]).toEqual([at, 0, String(SIZE / 512)]);
  }
});
