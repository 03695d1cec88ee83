/** The same text must give the same facts as whoever read the real machine's files. */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bootLogLines, parseBootLog, stripLogPrefix } from '../src/facts/boot-log.js';
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

describe('bootLogLines', () => {
  it.each([
    ['syslog', 'Jul 10 09:33:23 pc ', 'avahi-daemon[741]: Server startup complete.'], ['ISO dates', '2023-02-03T12:32:49.701770-05:00 pc ', 'systemd[1]: Started it.'],
  ])('leaves out what daemons say between the kernel’s lines: %s', (_, head, daemon) => {
    const text = [`${head}kernel: [    0.1] Zone ranges:`, head + daemon, `${head}kernel: [    0.1]   Device   empty`].join('\n');
    expect(bootLogLines(text)).toEqual(['Zone ranges:', '  Device   empty']);
  });

  it('takes no message of a plain log for a daemon’s', () => {
    expect(bootLogLines('2023-02-03T12:32:49,701770-05:00 x PM: hibernation: y')).toHaveLength(1);
  });
});

describe('stripLogPrefix', () => {
  it.each([
    ['[    0.000000] BIOS-e820: x', 'BIOS-e820: x'],
    ['<6>[    0.000000] BIOS-e820: x', 'BIOS-e820: x'],
    ['[    0.000000] [    T0] BIOS-e820: x', 'BIOS-e820: x'],
    ['Jan  2 10:00:00 host kernel: [    0.000000] BIOS-e820: x', 'BIOS-e820: x'],
    ['BIOS-e820: x\r', 'BIOS-e820: x'],
    ['[    0.000000][    T0] BIOS-e820: x', 'BIOS-e820: x'],
    ['[    0.000000] host.domain kernel: BIOS-e820: x', 'BIOS-e820: x'], // journalctl -o short-monotonic
    ['2024-03-01T10:00:00+0100 host kernel: BIOS-e820: x', 'BIOS-e820: x'], // -o short-iso
    ['2024-03-01T10:00:00,000000+01:00 BIOS-e820: x', 'BIOS-e820: x'], // dmesg --time-format iso
    ['[Mon Mar  1 10:00:00 2024] BIOS-e820: x', 'BIOS-e820: x'], // -T
    ['[Mar 1 10:00] BIOS-e820: x', 'BIOS-e820: x'], // -H
    ['[  +0.000012] BIOS-e820: x', 'BIOS-e820: x'],
    ['[    0.000000 <    0.000000>] BIOS-e820: x', 'BIOS-e820: x'], // -d
    ['kern  :info  : [    0.000000] BIOS-e820: x', 'BIOS-e820: x'], // -x
    ['\u001b[32m[    0.000000] \u001b[0m\u001b[33mBIOS-e820\u001b[0m: x', 'BIOS-e820: x'],
    ['[    0.000000]   DMA      [mem 0x1000-0xffffff]', '  DMA      [mem 0x1000-0xffffff]'],
    ['host kernel:   DMA32    empty', '  DMA32    empty'],
    ['  node   0: [mem 0x1000-0x1fff]', '  node   0: [mem 0x1000-0x1fff]'],
  ])('%s', (line, want) => expect(stripLogPrefix(line)).toBe(want));
});

it('reads the words of Linux until 3.5', () => {
  const { e820, memblock } = parseBootLog([
    ' BIOS-e820: 0000000000000000 - 000000000009c400 (usable)',
    ' BIOS-e820: 00000000bf7a0000 - 00000000bf7bc000 (ACPI data)',
    ' user: 0000000000000000 - 000000000009c400 (usable)',
    'e820 update range: 0000000000000000 - 0000000000010000 (usable) ==> (reserved)',
    'e820 remove range: 00000000000a0000 - 0000000000100000 (usable)',
    'last_pfn = 0x440000 max_arch_pfn = 0x400000000',
    'Initmem setup node 0 0000000000000000-0000000440000000',
    'Zone PFN ranges:',
    '  DMA      0x00000010 -> 0x00001000',
    '  DMA32    0x00001000 -> 0x00100000',
    '  Normal   empty',
    'Movable zone start PFN for each node',
    '  Node 0: 0x00080000',
    'early_node_map[2] active PFN ranges',
    '    0: 0x00000010 -> 0x0000009c',
    '    1: 0x00000100 -> 0x000bf7a0',
  ].map((line) => `[    0.000000] ${line}`).join('\n'));
  expect(e820).toMatchObject({
    bios: [{ start: '0x0', end: '0x9c3ff', type: 'usable' }, { start: '0xbf7a0000', end: '0xbf7bbfff', type: 'ACPI data' }],
    user: [{ start: '0x0', end: '0x9c3ff', type: 'usable' }],
    updates: [{ op: 'update', start: '0x0', end: '0xffff', what: 'usable ==> reserved' }, { op: 'remove', start: '0xa0000', end: '0xfffff', what: 'usable' }],
    last_pfn: [0x440000],
  });
  expect(memblock).toMatchObject({
    zone_ranges: [{ zone: 'DMA', start: '0x10000', end: '0xffffff' }, { zone: 'DMA32', start: '0x1000000', end: '0xffffffff' }, { zone: 'Normal', empty: true }],
    movable_start: [{ node: 0, start: '0x80000000' }],
    node_ranges: [{ node: 0, start: '0x10000', end: '0x9bfff' }, { node: 1, start: '0x100000', end: '0xbf79ffff' }],
    initmem: [{ node: 0, start: '0x0', end: '0x43fffffff' }],
  });
});

it.each([
  ['  Normal   0x00100000 -> 0x00100000', '  Normal   empty'],
  ['SRAT: Node 0 PXM 1 100000-40000000', 'SRAT: Node 0 PXM 1 [mem 0x00100000-0x3fffffff]'],
  ['NUMA: Node 0 [0,a0000) + [100000,40000000) -> [0,40000000)', 'NUMA: Node 0 [mem 0x00000000-0x0009ffff] + [mem 0x00100000-0x3fffffff] -> [mem 0x00000000-0x3fffffff]'],
  ['Faking a node at 0000000000000000-00000000cfe50000', 'Faking a node at [mem 0x0000000000000000-0x00000000cfe4ffff]'],
  ['PM: Registered nosave memory: 000000000009f000 - 00000000000a0000', 'PM: Registered nosave memory: [mem 0x0009f000-0x0009ffff]'],
  ['Allocating PCI resources starting at 80000000 (gap: 80000000:70000000)', '[mem 0x80000000-0xefffffff] available for PCI devices'],
  ['reserve RAM buffer: 000000000009f400 - 000000000009ffff', 'e820: reserve RAM buffer [mem 0x0009f400-0x0009ffff]'],
  ['PM: Registered nosave memory: [mem 0x00000000-0x00000fff]', 'PM: Registered nosave memory: [mem 0x00000000-0x00000fff]'],
])('%s', (line, want) => expect(bootLogLines(line)).toEqual([want]));

it('reads on behind a missing line end, and behind a NUL', () => {
  const { memblock } = parseBootLog('junk\0[    0.000000] kvm-clock: Using msrs 1 and 0Zone ranges:\n[    0.000000]   Normal   [mem 0x1000-0x1fff]\n');
  expect(memblock.zone_ranges).toEqual([{ zone: 'Normal', start: '0x1000', end: '0x1fff' }]);
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
