/** The same text must give the same facts as whoever read the real machine's files. */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseBootLog, stripLogPrefix } from '../src/facts/boot-log.js';
import { parseCapture } from '../src/facts/capture.js';

const fixtures = fileURLToPath(new URL('fixtures/', import.meta.url));
const text = (name: string): string => (existsSync(fixtures + name) ? readFileSync(fixtures + name, 'utf8') : '');

describe.each([
  { name: 'b-pmem-1g-4g', capture: 'boot' },
  { name: 'a-kernelcore-numa2', capture: 'boot' },
  { name: 'd-multi', capture: 'four' },
])('facts of $name', ({ name, capture }) => {
  const expected = JSON.parse(text(`${name}/expected.json`));

  it('come out of its boot log', () => {
    const facts = parseBootLog(text(`${name}/dmesg.txt`));
    expect(facts.e820).toEqual(expected.e820);
    expect(facts.memblock).toEqual(expected.memblock);
    expect(facts.kernel).toBe(expected.kernel);
    expect(facts.cmdline).toBe(expected.cmdline);
  });

  it('come out of its /proc and /sys files', () => {
    const facts = parseCapture({
      iomem: text(`${name}/iomem.txt`),
      zoneinfo: text(`${name}/zoneinfo.txt`),
      memoryBlocks: text(`${name}/memory-blocks.txt`),
      nd: text(`${name}/nd-sysfs.txt`),
      dax: text(`${name}/dax-sysfs.txt`),
      block: text(`${name}/block.txt`),
    });
    expect(facts).toEqual(expected.captures[capture]);
  });
});

describe('stripLogPrefix', () => {
  it.each([
    ['[    0.000000] BIOS-e820: x', 'BIOS-e820: x'],
    ['<6>[    0.000000] BIOS-e820: x', 'BIOS-e820: x'],
    ['[    0.000000] [    T0] BIOS-e820: x', 'BIOS-e820: x'],
    ['Jan  2 10:00:00 host kernel: [    0.000000] BIOS-e820: x', 'BIOS-e820: x'],
    ['BIOS-e820: x\r', 'BIOS-e820: x'],
    ['  node   0: [mem 0x1000-0x1fff]', '  node   0: [mem 0x1000-0x1fff]'],
  ])('%s', (line, want) => expect(stripLogPrefix(line)).toBe(want));
});

it('reads any text without failing, and as fast as it is long', () => {
  const piece = fc.constantFrom('BIOS-e820: [mem 0x0-0xfff] usable\n', 'kernel: ', '[    0.000000] ', 'Zone ranges:\n', '  DMA      empty\n', 'user: [mem', '\n');
  fc.assert(
    fc.property(fc.array(fc.oneof(piece, fc.string()), { maxLength: 40 }), (pieces) => {
      const log = pieces.join('');
      expect(parseBootLog(log).e820.bios.length).toBeLessThanOrEqual(log.split('\n').length);
      expect(parseCapture({ iomem: log, zoneinfo: log, memoryBlocks: log, nd: log, dax: log, block: log }).iomem).toEqual([]);
    }),
  );
});
