import { KernelError } from '@holdfast/lib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EFI_MEMORY_SP, EFI_MEMORY_TYPE } from './efi.js';
import type { E820Entry } from './entry.js';
import { parseE820Text } from './text.js';

const e = (start: number, end: number, type: number): E820Entry => ({ addr: BigInt(start), size: BigInt(end) - BigInt(start), type });

const MAP = [e(0, 0x9fc00, 1), e(0x9fc00, 0xa0000, 2), e(0x100000, 0x7ffe0000, 1), e(0x1_0000_0000, 0x1_8000_0000, 12)];
const ROWS = [
  'BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable',
  'BIOS-e820: [mem 0x000000000009fc00-0x000000000009ffff] reserved',
  'BIOS-e820: [mem 0x0000000000100000-0x000000007ffdffff] usable',
  'BIOS-e820: [mem 0x0000000100000000-0x000000017fffffff] persistent (type 12)',
];

describe('parseE820Text reads the rows of a log', () => {
  it.each([
    ['as they are', ''],
    ['behind a timestamp', '[    0.000000] '],
    ['behind a timestamp and a caller', '[    0.000000][    T0] '],
    ['behind a level', '<6>[    0.000000] '],
    ['as dmesg -x writes them', 'kern  :info  : [    0.000000] '],
    ['as dmesg -T writes them', '[Mon Mar  5 10:22:33 2018] '],
    ['as syslog writes them', 'Mar  5 10:22:33 host-1 kernel: [    0.000000] '],
    ['as journalctl writes them', 'Mar 05 10:22:33 host-1 kernel: '],
    ['as /dev/kmsg gives them', '6,4,0,-;'],
    ['quoted in a mail', '> '],
    ['as kernels before 3.5 indented them', ' '],
    ['in colour', '\u001b[32m[    0.000000] \u001b[0m\u001b[33m'],
  ])('%s', (_, prefix) => {
    const text = ['BIOS-provided physical RAM map:', ...ROWS].map((row) => prefix + row);
    expect(parseE820Text(text.join('\n')).entries).toEqual(MAP);
    expect(parseE820Text(text.join('\r\n')).entries).toEqual(MAP);
    expect(parseE820Text(text.map((row) => `${row}  `).join('\n')).entries).toEqual(MAP);
  });

  it.each([
    ['usable', 1], ['reserved', 2], ['ACPI data', 3], ['ACPI NVS', 4], ['unusable', 5], ['persistent (type 7)', 7], ['type 7', 7],
    ['persistent (type 12)', 12], ['type 20', 20], ['soft reserved', 0xefffffff], ['type 4294967295', 0xffffffff],
  ])('of type "%s"', (name, type) => {
    expect(parseE820Text(`BIOS-e820: [mem 0x0000000000001000-0x0000000000001fff] ${name}`).entries).toEqual([e(0x1000, 0x2000, type)]);
  });

  it('with the exclusive end of kernels before 3.5, and with the size and start of 2.4', () => {
    const old = ' BIOS-e820: 0000000000000000 - 000000000009f800 (usable)\n BIOS-e820: 00000000fec00000 - 0000000100000000 (type 9)';
    expect(parseE820Text(old).entries).toEqual([e(0, 0x9f800, 1), e(0xfec00000, 0x1_0000_0000, 9)]);
    expect(parseE820Text('BIOS-e820: 0000000000020000 @ 00000000000e0000 (reserved)').entries).toEqual([e(0xe0000, 0x100000, 2)]);
  });

  it.each(['BIOS-e801', 'BIOS-88', 'Xen'])('said by %s', (who) => {
    const firmware = parseE820Text(`${who}: [mem 0x0000000000000000-0x000000000009efff] usable`);
    expect(firmware).toMatchObject({ who, entries: [e(0, 0x9f000, 1)] });
  });

  it('even where a range is empty or ends with the address space', () => {
    const rows = 'BIOS-e820: [mem 0x0000000000001000-0x0000000000000fff] usable\nBIOS-e820: [mem 0xfffffffffffff000-0xffffffffffffffff] reserved';
    expect(parseE820Text(rows).entries).toEqual([e(0x1000, 0x1000, 1), { addr: 0xfffffffffffff000n, size: 0x1000n, type: 2 }]);
  });

  it('and leaves alone what only looks like one', () => {
    const text = ['# BIOS-e820: comment', 'Xen: using vcpuop timer interface', 'user: [mem 0x0-0x1] what', ...ROWS].join('\n');
    expect(parseE820Text(text).entries).toEqual(MAP);
  });

  it('of the first boot only', () => {
    const boot = ['Linux version 6.1.0 (a@b)', 'BIOS-provided physical RAM map:', ...ROWS, '[    1.0] audit: Linux version is what it is'].join('\n');
    expect(parseE820Text(`${boot}\n${boot}`).entries).toEqual(MAP);
    expect(parseE820Text(['BIOS-provided physical RAM map:', ...ROWS, 'BIOS-provided physical RAM map:', ...ROWS].join('\n')).entries).toEqual(MAP);
  });
});

describe('parseE820Text reads of a whole log', () => {
  const log = (...lines: string[]): string => [
    'Linux version 5.14.0-570.el9 (x@y) #1 SMP', 'Command line: ro memmap=1G!4G quiet', ...ROWS, ...lines,
  ].join('\n');
  const LAST_PFN = 'last_pfn = 0x180000 max_arch_pfn = 0x10000000000';

  it('the release, the command line and the limit of the CPU', () => {
    expect(parseE820Text(log(LAST_PFN))).toMatchObject({ release: '5.14.0-570.el9', cmdline: 'ro memmap=1G!4G quiet', maxArchPfn: 2 ** 40 });
    expect(parseE820Text(ROWS.join('\n'))).not.toHaveProperty('release');
  });

  it('the rows that the zero page had no room for', () => {
    const firmware = parseE820Text(log(...ROWS.map((row) => row.replace('BIOS-e820', 'extended')), 'extended: [mem 0x0000000200000000-0x00000002ffffffff] usable'));
    expect(firmware.extended).toEqual([e(0x2_0000_0000, 0x3_0000_0000, 1)]);
  });

  it('setup_data from the debug lines, or from the seams that it left', () => {
    const rows = [
      'reserve setup_data: [mem 0x0000000000100000-0x000000006b19e017] usable', 'reserve setup_data: [mem 0x000000006b19e018-0x000000006b1aee57] usable',
      'reserve setup_data: [mem 0x000000006b1aee58-0x000000006b1af017] usable', 'reserve setup_data: [mem 0x000000006b1af018-0x000000006b1cf057] usable',
      'reserve setup_data: [mem 0x000000006b1cf058-0x000000007ffdffff] usable', 'reserve setup_data: [mem 0x000000007ffe0000-0x000000007fffffff] reserved',
    ];
    const high = { start: 0x6b1af018n, end: 0x6b1cf058n };
    const low = { start: 0x6b19e018n, end: 0x6b1aee58n };
    expect(parseE820Text(log(...rows)).setupData).toEqual([low, high]);
    const debug = ['e820: update [mem 0x6b1af018-0x6b1cf057] usable ==> usable', 'e820: update [mem 0x6b19e018-0x6b1aee57] usable ==> usable'];
    expect(parseE820Text(log(...debug, ...rows)).setupData).toEqual([high, low]);
  });

  it('EFI MMIO, memory without an MTRR, pages of EFI tables, stolen memory', () => {
    const firmware = parseE820Text(log(
      'efi: Remove mem25: MMIO range=[0x80000000-0x8fffffff] (256MB) from e820 map',
      'efi: Not removing mem26: MMIO range=[0xfed1c000-0xfed44fff] (164KB) from e820 map',
      'e820: update [mem 0x00000000-0x00000fff] usable ==> reserved',
      LAST_PFN,
      'e820: update [mem 0xb0000000-0xffffffff] usable ==> reserved',
      'last_pfn = 0xa7ffd max_arch_pfn = 0x10000000000',
      'e820: update [mem 0x99d6f000-0x99d6ffff] usable ==> reserved',
      'Reserving Intel graphics memory at [mem 0x7c800000-0x7e7fffff]',
    ));
    expect(firmware.efiMmio).toEqual([
      { index: 25, start: 0x80000000n, end: 0x90000000n, removed: true }, { index: 26, start: 0xfed1c000n, end: 0xfed45000n, removed: false },
    ]);
    expect(firmware.mtrrTrim).toEqual([{ start: 0xb0000000n, end: 0x1_0000_0000n }]);
    expect(firmware.lateEdits).toEqual([
      { kind: 'efi-reserve', start: 0x99d6f000n, end: 0x99d70000n }, { kind: 'graphics-stolen', start: 0x7c800000n, end: 0x7e800000n },
    ]);
  });

  it('the EFI memory map, if the kernel was told to print it', () => {
    const firmware = parseE820Text(log(
      'efi: mem00: [Conventional Memory|   |  |SP|  |  |  |  |  |   |WB|WT|WC|UC] range=[0x0000000100000000-0x000000017fffffff] (2048MB)',
      'efi: mem01: [Boot Data          |   |  |  |  |  |  |  |   |WB|WT|WC|UC] range=[0x0000000000001000-0x0000000000003000) (0MB)',
    ));
    expect(firmware.efiMemmap).toEqual([
      { type: EFI_MEMORY_TYPE.conventional, start: 0x1_0000_0000n, pages: 0x80000n, attribute: EFI_MEMORY_SP | 0xfn },
      { type: EFI_MEMORY_TYPE.bootData, start: 0x1000n, pages: 2n, attribute: 0xfn },
    ]);
  });

  it.each([
    ['Phoenix BIOS detected: BIOS may corrupt low RAM, working around it.', true],
    ['AMI BIOS detected: BIOS may corrupt low RAM, working around it.', true],
    ['e820 update range: 0000000000000000 - 0000000000010000 (usable) ==> (reserved)', true],
    ['e820 update range: 0000000000000000 - 0000000000001000 (usable) ==> (reserved)', undefined],
  ])('that low RAM is suspect, from "%s": %s', (line, want) => {
    expect(parseE820Text([...ROWS, line].join('\n')).corruptsLowRam).toBe(want);
  });

  it('no edits of the user for edits of the machine', () => {
    const firmware = parseE820Text(log(
      'last_pfn = 0x7ffe0 max_arch_pfn = 0x400000000', 'user-defined physical RAM map:', 'e820: update [mem 0x00000000-0x00000fff] usable ==> reserved', LAST_PFN,
    ));
    expect(firmware).toMatchObject({ mtrrTrim: [], lateEdits: [] });
  });
});

describe('parseE820Text refuses', () => {
  it.each([
    ['BIOS-e820: [mem 0x0000-'],
    ['BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usabl'],
    ['BIOS-e820: [mem 0x00000000000000000-0x000000000009fbff] usable'],
    ['BIOS-e820: [mem 0x000000000009fc00-0x0000000000000fff] usable'],
    ['BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] type 4294967296'],
    ['BIOS-e820: 0000000000000000 - 000000000009f800 usable'],
  ])('%s', (row) => {
    const attempt = (): unknown => parseE820Text(['Linux version 6.1', ROWS[0], row].join('\n'));
    expect(attempt).toThrow(KernelError);
    expect(attempt).toThrow(/^line 3: 'BIOS-e820: .*': expected 'BIOS-e820: \[mem 0x/);
  });

  it('a text without a map', () => {
    expect(() => parseE820Text('hello\nworld')).toThrow(new KernelError('EINVAL', "no memory map in 2 lines: expected lines such as 'BIOS-e820: [mem 0x0000000000100000-0x000000007ffdffff] usable'"));
  });

  it('any other text with an EINVAL, and fast', () => {
    const piece = fc.constantFrom(...ROWS, 'BIOS-e820: ', '[mem 0x', '0x0000000000001000', '-', '] usable', 'extended: ', 'reserve setup_data: ', '\n', '\r', ' ', 'last_pfn = ');
    fc.assert(fc.property(fc.array(fc.oneof(piece, fc.string())), (pieces) => {
      try {
        expect(parseE820Text(pieces.join('')).entries.length).toBeGreaterThan(0);
      } catch (error) {
        expect(error).toMatchObject({ code: 'EINVAL', message: expect.stringMatching(/expected/) as unknown });
      }
    }));
    const long = `BIOS-e820: [mem 0x1${' '.repeat(200_000)}]\n`;
    expect(() => parseE820Text(long)).toThrow(KernelError);
    expect(() => parseE820Text(`${']'.repeat(200_000)}\n${' '.repeat(200_000)}\n${'efi: mem0: [|'.repeat(20_000)}`)).toThrow(KernelError);
  });
});
