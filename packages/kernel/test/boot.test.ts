import { parseRelease } from '@holdfast/lib';
import { createDram, createMachine, createNvdimm } from '@holdfast/machine';
import { describe, expect, it } from 'vitest';
import { type Kernel, formatLogLine, readFile, resolvePath, writeFile } from '../src/index.js';
import { GIB, PC, PMEM, bootPc, bootedPc, e820Text, logTexts, pcMachine } from './fixture.js';

const text = (kernel: Kernel, path: string): string => String(readFile(kernel.root, path));

describe('boot', () => {
  it('tells the story in Linux’s order', () => {
    const landmarks = [
      'Linux version', 'Command line:', 'BIOS-provided physical RAM map:', 'e820: update', 'e820: remove', 'last_pfn', 'No NUMA configuration found',
      'Zone ranges:', 'Movable zone start', 'Early memory node ranges', 'Initmem setup node 0', 'PM: hibernation: Registered nosave memory',
      '[mem 0xc0000000-0xfffbffff] available for PCI devices', 'Fallback order for Node 0', 'Built 1 zonelists', 'Policy zone', 'Kernel command line:',
      'software IO TLB: area num 1.', 'Memory:', 'x86/mm: Memory block size', 'e820: reserve RAM buffer', 'software IO TLB: mapped', 'nd_pmem namespace0.0: unable to guarantee persistence of writes',
    ];
    const lines = logTexts(bootPc());
    const at = landmarks.map((landmark) => lines.findIndex((line) => line.startsWith(landmark)));
    expect(at).not.toContain(-1);
    expect(at).toEqual([...at].sort((a, b) => a - b));
  });

  it('writes the same log, byte for byte, from the same inputs, also side by side', () => {
    const [first, second] = [bootPc({ cmdline: 'quiet' }), bootPc({ cmdline: 'quiet' })];
    expect(second.log.lines.map(formatLogLine)).toEqual(first.log.lines.map(formatLogLine));
    writeFile(first.kernel!.root, '/sys/module/pmem/parameters/mapping', 'uc');
    expect(text(second.kernel!, '/sys/module/pmem/parameters/mapping')).toBe('\n');
  });

  it('counts memory as /proc tells it', () => {
    const kernel = bootedPc();
    const zones = text(kernel, '/proc/zoneinfo');
    expect(zones.match(/present {2}\d+/g)).toEqual(['present  3998', 'present  782304', 'present  262144', 'present  0', 'present  0']);
    const managed = [...zones.matchAll(/managed {2}(\d+)/g)].reduce((sum, match) => sum + Number(match[1]), 0);
    expect(text(kernel, '/proc/meminfo')).toMatch(new RegExp(`^MemTotal: +${managed * 4} kB`));
    const free = [...text(kernel, '/proc/buddyinfo').matchAll(/zone +\w+(.*)/g)]
      .flatMap((match) => match[1]!.trim().split(/ +/).map((count, order) => Number(count) * 2 ** order))
      .reduce((sum, pages) => sum + pages, 0);
    expect(text(kernel, '/proc/meminfo')).toMatch(new RegExp(`MemFree: +${free * 4} kB`));
  });

  it('keeps a bounce buffer at the top of low memory, with which its blocks stay online', () => {
    const offline = (kernel: Kernel, block: number): void => writeFile(kernel.root, `/sys/devices/system/memory/memory${block}/state`, 'offline');
    const kernel = bootedPc({ cmdline: 'swiotlb=131072' }); // 256 MiB, down from 0xbffe0000: into block 21
    for (const block of [21, 22]) expect(() => offline(kernel, block)).toThrow(expect.objectContaining({ code: 'EBUSY' }));
    offline(kernel, 20);
    offline(bootedPc(), 22); // 64 MiB stay in block 23, which has a hole at its end
  });

  it('pays for the struct pages of a device from RAM, and gets them back when it is unbound', () => {
    const free = (kernel: Kernel): number => Number(/MemFree: +(\d+)/.exec(text(kernel, '/proc/meminfo'))![1]);
    const [withPages, without] = [bootedPc(), bootedPc({ cmdline: 'pmem.mapping=wb' })];
    expect(free(without) - free(withPages)).toBe((GIB / 64) / 1024);
    writeFile(withPages.root, '/sys/bus/nd/drivers/nd_pmem/unbind', 'namespace0.0');
    expect(free(withPages)).toBe(free(without));
    expect(text(withPages, '/proc/iomem')).not.toContain('namespace0.0');
    expect(text(withPages, '/proc/partitions')).toBe('');
  });

  it('links each thing in /sys to where it is', () => {
    const kernel = bootedPc();
    for (const [path, target] of [
      ['/sys/block/pmem0', '/sys/devices/platform/e820_pmem/ndbus0/region0/namespace0.0/block/pmem0'],
      ['/sys/block/pmem0/device', '/sys/devices/platform/e820_pmem/ndbus0/region0/namespace0.0'],
      ['/sys/dev/block/259:0', '/sys/devices/platform/e820_pmem/ndbus0/region0/namespace0.0/block/pmem0'],
      ['/sys/bus/nd/devices/namespace0.0/driver', '/sys/bus/nd/drivers/nd_pmem'],
      ['/sys/devices/system/node/node0/memory32', '/sys/devices/system/memory/memory32'],
    ] as const) {
      expect(resolvePath(kernel.root, path).path).toBe(target);
    }
  });

  it('stops in order, and boots again on the same machine with the disk as it was', () => {
    const machine = pcMachine();
    const first = bootedPc({ machine });
    const disk = resolvePath(first.root, '/dev/pmem0').node;
    if (disk.kind !== 'block') throw new Error('no disk');
    disk.open().pwrite(Uint8Array.of(1, 2, 3), 512);
    first.shutdown();
    const again = resolvePath(bootedPc({ machine }).root, '/dev/pmem0').node;
    const bytes = new Uint8Array(4);
    if (again.kind === 'block') again.open().pread(bytes, 512);
    expect(bytes).toEqual(Uint8Array.of(1, 2, 3, 0));
  });
});

describe('a panic', () => {
  it.each([
    { what: 'the user leaves no map', cmdline: 'memmap=exactmap memmap=1024M@0', panic: 'Invalid user supplied memory map' },
    { what: 'nothing is left to map memory with', cmdline: 'memmap=5G!', panic: 'alloc_low_pages: can not alloc memory' },
    { what: 'there is no memory below 1 MiB for the trampoline', cmdline: 'memmap=512M!', panic: 'Real mode trampoline was not allocated' },
    { what: 'the user believes in RAM that is not there', cmdline: 'memmap=1G@16G', panic: 'Attempted to kill the idle task!' },
  ])('ends the boot when $what', ({ cmdline, panic }) => {
    const outcome = bootPc({ cmdline });
    expect(outcome.kernel).toBeUndefined();
    expect(outcome.panic).toBe(panic);
    expect(logTexts(outcome).slice(-2)).toEqual([`Kernel panic - not syncing: ${panic}`, `---[ end Kernel panic - not syncing: ${panic} ]---`]);
  });

  it('is no error of reading: firmware that says nothing is', () => {
    expect(() => bootPc({ firmware: { e820: 'no map here' } })).toThrow(expect.objectContaining({ code: 'EINVAL' }));
    expect(() => bootPc({ firmware: { e820: e820Text(PC), srat: new Uint8Array(10) } })).toThrow(/SRAT/);
  });
});

describe('pmem', () => {
  it('belongs to the stand-alone driver before 4.2', () => {
    const kernel = bootedPc({ release: parseRelease('4.1') });
    expect(text(kernel, '/proc/iomem')).toContain('      180000000-1bfffffff : pmem\n'.slice(2));
    expect(text(kernel, '/sys/block/pmem0/dev')).toBe('254:0\n');
    expect(resolvePath(kernel.root, '/sys/bus/platform/devices/pmem.0.auto/driver').path).toBe('/sys/bus/platform/drivers/pmem');
  });

  it.each([
    { cmdline: '', config: {}, mapping: 'pages', spanned: 262144 },
    { cmdline: 'pmem.mapping=wt', config: {}, mapping: 'wt', spanned: 0 },
    { cmdline: 'pmem.mapping=wb,pmem0:uc', config: {}, mapping: 'uc', spanned: 0 },
    { cmdline: '', config: { pmem: { defaultMapping: 'wc' as const } }, mapping: 'wc', spanned: 0 },
    { cmdline: 'pmem.mapping=pmem0:pages', config: { pmem: { defaultMapping: 'wc' as const } }, mapping: 'pages', spanned: 262144 },
  ])('is mapped as device, parameter and configuration say: $cmdline $config → $mapping', ({ cmdline, config, spanned }) => {
    const kernel = bootedPc({ cmdline, config });
    expect(text(kernel, '/proc/zoneinfo')).toMatch(new RegExp(`zone +Device\\n(?:.*\\n)*? +spanned +${spanned}\\n`));
    expect(text(kernel, '/sys/block/pmem0/queue/dax')).toBe(spanned > 0 ? '1\n' : '0\n');
  });

  it.each(['uc', 'wc', 'wt', 'wb', 'pages'])('keeps what fsync returned for through a power cut, mapped %s', (mapping) => {
    for (let seed = 0; seed < 5; seed++) {
      const machine = pcMachine();
      const kernel = bootedPc({ machine, cmdline: `pmem.mapping=${mapping}` });
      const disk = resolvePath(kernel.root, '/dev/pmem0').node;
      if (disk.kind !== 'block') throw new Error('no disk');
      const file = disk.open();
      const written = new Uint8Array(10_000).fill(seed + 1);
      file.pwrite(written, 4096);
      file.fsync();
      file.pwrite(new Uint8Array(512).fill(0xee), 1 << 20);
      machine.powercut(seed);
      const again = resolvePath(bootedPc({ machine }).root, '/dev/pmem0').node;
      const read = new Uint8Array(10_000);
      if (again.kind === 'block') again.open().pread(read, 4096);
      expect(read).toEqual(written);
    }
  });

  it('is refused for lack of memory, and nothing is left behind, where its struct pages do not fit', () => {
    const TIB = 2 ** 40;
    const huge = { start: TIB, end: 401 * TIB, type: PMEM.type };
    const media = [{ start: 0, medium: createDram(3 * GIB) }, { start: 4 * GIB, medium: createDram(GIB) }, { start: TIB, medium: createNvdimm({ sizeBytes: 400 * TIB }) }];
    const machine = createMachine({ media, physBits: 52 });
    const outcome = bootPc({ machine, firmware: { e820: e820Text([...PC, huge]) } });
    expect(logTexts(outcome).at(-1)).toBe('nd_pmem: probe of namespace0.0 failed with error -12');
    expect(text(outcome.kernel!, '/proc/iomem')).not.toContain('namespace0.0');
    expect(text(outcome.kernel!, '/proc/meminfo')).toEqual(text(bootedPc({ cmdline: 'pmem.mapping=wb' }), '/proc/meminfo'));
  });
});

