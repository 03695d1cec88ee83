import { expect, it } from 'vitest';
import { commandFacts, expectedFacts } from './case-facts.js';
import type { BootRecord } from './run-boot.js';

const texts = {
  'iomem': '00001000-0009fbff : System RAM\n100000000-13fffffff : Persistent Memory (legacy)\n',
  'zoneinfo': 'Node 0, zone      DMA\n        spanned  4095\n        present  3998\n        managed  3840\n  start_pfn:           1\n',
  'memory-blocks': 'block_size_bytes=8000000\nmemory0 phys_index=00000000 state=online removable=1 node=0 valid_zones=none\n',
};
const record: BootRecord = {
  finished: true,
  console: '',
  log: ['Linux version 6.1.0-57-amd64 (x) #1 SMP', 'BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable', 'last_pfn = 0x7ffe0 max_arch_pfn = 0x400000000'],
  steps: [
    { n: 1, cmd: 'lite', texts },
    { n: 2, cmd: 'ndctl list', rc: 0, stdout: '[\n  {"dev":"namespace0.0"}\n]', stderr: [], dmesg: [] },
    { n: 3, cmd: 'false', rc: 1, stdout: '', stderr: ['no'], dmesg: ['pmem0: gone'] },
    { n: 4, cmd: 'lite', texts: { ...texts, iomem: '' } },
  ],
  captures: new Map([['boot', texts]]),
  tables: new Map(),
  memmap: '0x0 0x9fbff System RAM\n',
};

it('makes the facts of expected.json', () => {
  const facts = expectedFacts({ name: 'x', cpu: 'max', qemu: [], cmdline: 'panic=-1', guest: '', backing: {} }, record);
  expect(facts).toMatchObject({
    case: 'x', boot: 1, cmdline: 'panic=-1', kernel: '6.1.0-57-amd64 #1 SMP', finished: true,
    e820: { bios: [{ start: '0x0', end: '0x9fbff', type: 'usable' }], last_pfn: [0x7ffe0], max_arch_pfn: 0x400000000 },
    firmware_memmap: [{ start: '0x0', end: '0x9fbff', type: 'System RAM' }],
    captures: { boot: { iomem: [{ name: 'System RAM' }, { start: '0x100000000' }], zones: [{ spanned: 4095 }], memory: { block_size_bytes: '8000000', blocks: [{ nodes: [0] }] } } },
  });
});

it('makes the facts of commands.json, of lite only what changed', () => {
  const [first, ...others] = commandFacts(record);
  expect(first).toMatchObject({ n: 1, cmd: 'lite', state: { iomem: ['100000000-13fffffff : Persistent Memory (legacy)'], zones: [{ managed: 3840 }], nd: {}, dax: {}, block: {} } });
  expect(others).toEqual([
    { n: 2, cmd: 'ndctl list', rc: 0, stdout: [{ dev: 'namespace0.0' }] },
    { n: 3, cmd: 'false', rc: 1, stderr: ['no'], dmesg: ['pmem0: gone'] },
    { n: 4, cmd: 'lite', state: { iomem: [] } },
  ]);
});
