import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { dumpMedia, hexLines } from './media-dump.js';

const scratch = mkdtempSync(join(tmpdir(), 'media-dump-'));
afterAll(() => rmSync(scratch, { recursive: true }));

it('leaves out zeroes, and counts lines that repeat', () => {
  const bytes = Buffer.alloc(32 * 6);
  bytes.fill(0xff, 32, 32 * 4);
  bytes[32 * 5] = 1;
  expect(hexLines(bytes, 0x1000)).toEqual([`0000001020: ${'ff'.repeat(32)}`, '*2', `00000010a0: 01${'00'.repeat(31)}`]);
});

it('shows the head, info blocks and the label area', () => {
  const media = Buffer.alloc(2 ** 20 + 4096);
  media.write('head', 0);
  media.write('NVDIMM_PFN_INFO\0', 2 ** 19);
  media.write('labels', 2 ** 20);
  const path = join(scratch, 'nv0');
  writeFileSync(path, media);
  const lines = dumpMedia(path, { ranges: [{ start: 0, end: 2 ** 20 }], labelBytes: 4096 }).split('\n');
  expect(lines.filter((line) => /^[#[]/.test(line))).toEqual([
    `# size ${media.length}`, '# range 0-1048575', '[head offset=0 length=65536]', '[pfn-info offset=524288 length=4096]', '[label-area offset=1048576 length=4096]',
  ]);
  expect(lines).toContain(`0000080000: ${Buffer.from('NVDIMM_PFN_INFO\0').toString('hex')}${'00'.repeat(16)}`);
});

it('shows the parts of an arena that are where its info block says', () => {
  const media = Buffer.alloc(2 ** 20);
  media.write('BTT_ARENA_INFO\0\0', 4096);
  for (const [place, value] of [[80, 0], [88, 4096], [96, 0x80000], [104, 0x90000], [112, 2 ** 40]] as const) media.writeBigUInt64LE(BigInt(value), 4096 + place);
  media[4096 + 0x80000] = 1;
  media[4096 + 0x90000] = 2;
  const path = join(scratch, 'btt');
  writeFileSync(path, media);
  const text = dumpMedia(path, { ranges: [{ start: 0, end: media.length }], labelBytes: 0 });
  expect(text).toContain('# btt at 4096: logoff=589824\n');
  expect(text).toContain('[btt-map-head offset=528384 length=4096]\n');
  expect(text).toContain('[btt-log-head offset=593920 length=1024]\n');
});
