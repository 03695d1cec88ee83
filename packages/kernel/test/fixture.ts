/**
 * A small PC: RAM below and above 4 GiB, an NVDIMM with a legacy range behind it.
 */
import { createDram, createMachine, createNvdimm, type Machine } from '@holdfast/machine';
import { type BootOptions, type BootOutcome, type Kernel, boot } from '../src/index.js';

export const GIB = 2 ** 30;

export interface Range {
  readonly start: number;
  readonly end: number;
  readonly type: string;
}

const hex16 = (value: number): string => `0x${value.toString(16).padStart(16, '0')}`;

export function e820Text(ranges: readonly Range[]): string {
  return ranges.map(({ start, end, type }) => `BIOS-e820: [mem ${hex16(start)}-${hex16(end - 1)}] ${type}`).join('\n');
}

export const PC: readonly Range[] = [
  { start: 0, end: 0x9fc00, type: 'usable' },
  { start: 0x9fc00, end: 0xa0000, type: 'reserved' },
  { start: 0xf0000, end: 0x100000, type: 'reserved' },
  { start: 0x100000, end: 0xbffe0000, type: 'usable' },
  { start: 0xbffe0000, end: 0xc0000000, type: 'reserved' },
  { start: 0xfffc0000, end: 0x100000000, type: 'reserved' },
  { start: 4 * GIB, end: 5 * GIB, type: 'usable' },
];

export const PMEM: Range = { start: 6 * GIB, end: 7 * GIB, type: 'persistent (type 12)' };

/** 3 GiB and 1 GiB of DRAM, and 1 GiB of NVDIMM at 6 GiB. */
export function pcMachine(): Machine {
  return createMachine({
    media: [
      { start: 0, medium: createDram(3 * GIB) },
      { start: 4 * GIB, medium: createDram(GIB) },
      { start: PMEM.start, medium: createNvdimm({ sizeBytes: GIB }) },
    ],
  });
}

export function bootPc(options: Partial<BootOptions> = {}): BootOutcome {
  return boot({ machine: pcMachine(), firmware: { e820: e820Text([...PC, PMEM]) }, cmdline: '', ...options });
}

/** A boot that must succeed. */
export function bootedPc(options: Partial<BootOptions> = {}): Kernel {
  return kernelOf(bootPc(options));
}

/** The kernel that came up, and that knew every word of its command line. */
export function kernelOf({ kernel, panic, log }: BootOutcome): Kernel {
  if (!kernel) throw new Error(`panic: ${panic}`);
  const unknown = logTexts({ log }).find((text) => text.includes('invalid for parameter'));
  if (unknown !== undefined) throw new Error(unknown);
  return kernel;
}

export function logTexts({ log }: Pick<BootOutcome, 'log'>): string[] {
  return log.lines.map(({ text }) => text);
}
