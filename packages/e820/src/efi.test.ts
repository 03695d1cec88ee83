import { DEFAULT_RELEASE, parseCmdline, parseRelease, silentPrintk } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import {
  type EfiMemoryDescriptor, EFI_MEMORY_SP, EFI_MEMORY_TYPE as EFI, EFI_MEMORY_WB, addEfiMemmap, e820TypeOfEfi, efiMemmapToE820, removeEfiMmio,
} from './efi.js';
import { plainFirmware } from './firmware.js';
import { finishE820EarlyParams, setupE820Memory } from './setup.js';
import { createE820Table } from './table.js';
import { E820_TYPE_SOFT_RESERVED as SR } from './types.js';

const MB = 2n ** 20n;
const d = (type: number, startMb: number, sizeMb: number, attribute = EFI_MEMORY_WB): EfiMemoryDescriptor => ({
  type, start: BigInt(startMb) * MB, pages: BigInt(sizeMb) * 256n, attribute,
});
const e = (startMb: number, endMb: number, type: number) => ({ addr: BigInt(startMb) * MB, size: BigInt(endMb - startMb) * MB, type });

describe('an EFI descriptor as an e820 type', () => {
  it.each([
    ['conventional', d(EFI.conventional, 0, 1), 1],
    ['boot data, free by then', d(EFI.bootData, 0, 1), 1],
    ['memory that cannot be cached', d(EFI.loaderCode, 0, 1, 0x1n), 2],
    ['specific purpose', d(EFI.conventional, 0, 1, EFI_MEMORY_WB | EFI_MEMORY_SP), SR],
    ['runtime code', d(EFI.runtimeCode, 0, 1), 2],
    ['ACPI tables', d(EFI.acpiReclaim, 0, 1), 3],
    ['ACPI NVS', d(EFI.acpiNvs, 0, 1), 4],
    ['unusable', d(EFI.unusable, 0, 1), 5],
    ['persistent', d(EFI.persistent, 0, 1), 7],
    ['MMIO', d(EFI.mmio, 0, 1), 2],
    ['a type of the future', d(99, 0, 1), 2],
  ])('%s', (_, descriptor, want) => expect(e820TypeOfEfi(descriptor, true, DEFAULT_RELEASE)).toBe(want));

  it('knows persistent memory from 4.2 on, and specific purpose from 5.5 on unless told not to', () => {
    const special = d(EFI.conventional, 0, 1, EFI_MEMORY_WB | EFI_MEMORY_SP);
    expect(e820TypeOfEfi(d(EFI.persistent, 0, 1), true, parseRelease('4.1'))).toBe(2);
    expect(e820TypeOfEfi(special, true, parseRelease('5.4'))).toBe(1);
    expect(e820TypeOfEfi(special, false, DEFAULT_RELEASE)).toBe(1);
  });
});

describe('an EFI memory map', () => {
  it('makes a table as the boot stub does: touching descriptors of one type merge, caching does not matter', () => {
    const memmap = [
      d(EFI.bootCode, 0, 1), d(EFI.conventional, 1, 3, 0x1n), d(EFI.acpiReclaim, 4, 1), d(EFI.conventional, 6, 1),
      d(EFI.conventional, 8, 1),
    ];
    expect(efiMemmapToE820(memmap, true, DEFAULT_RELEASE)).toEqual([e(0, 4, 1), e(4, 5, 3), e(6, 7, 1), e(8, 9, 1)]);
  });

  it('is added to a map that lacks parts of it', () => {
    const table = createE820Table([e(0, 4, 1), e(8, 9, 2)]);
    addEfiMemmap(table, [d(EFI.conventional, 4, 2), d(EFI.persistent, 2, 1)], true, { printk: silentPrintk, release: DEFAULT_RELEASE });
    expect(table.entries).toEqual([e(0, 2, 1), e(2, 3, 7), e(3, 6, 1), e(8, 9, 2)]);
  });
});

describe('the EFI memory map at boot', () => {
  const special = d(EFI.conventional, 64, 64, EFI_MEMORY_WB | EFI_MEMORY_SP);
  it.each([
    ['counts only if asked for', '', [d(EFI.conventional, 200, 8)], [e(0, 128, 1), e(128, 130, 2)]],
    ['adds what add_efi_memmap asks for', 'add_efi_memmap', [d(EFI.conventional, 200, 8)], [e(0, 128, 1), e(128, 130, 2), e(200, 208, 1)]],
    ['soft-reserves specific-purpose memory unasked', '', [special], [e(0, 64, 1), e(64, 128, SR), e(128, 130, 2)]],
    ['leaves it RAM with efi=nosoftreserve', 'efi=debug,nosoftreserve', [special], [e(0, 128, 1), e(128, 130, 2)]],
  ])('%s', (_, cmdline, efiMemmap, want) => {
    const firmware = { ...plainFirmware([e(0, 128, 1), e(128, 130, 2)]), efiMemmap };
    const setup = setupE820Memory({ firmware, params: parseCmdline(cmdline), release: DEFAULT_RELEASE, printk: silentPrintk, maxArchPfn: 2 ** 34 });
    finishE820EarlyParams(setup);
    expect(setup.table.entries).toEqual(want);
  });
});

describe('removeEfiMmio', () => {
  it('takes large ranges out of the map and tells of the small ones', () => {
    const lines: string[] = [];
    const table = createE820Table([e(0, 16, 1), e(2048, 2304, 2), e(4076, 4077, 2)]);
    const mmio = [
      { index: 5, start: 2048n * MB, end: 2304n * MB, removed: true },
      { index: 26, start: 4076n * MB, end: 4076n * MB + 0x29000n, removed: false },
    ];
    removeEfiMmio(table, mmio, { printk: (line) => void lines.push(line), release: parseRelease('6.4') });
    expect(lines).toEqual([
      'efi: Remove mem05: MMIO range=[0x80000000-0x8fffffff] (256MB) from e820 map',
      'e820: remove [mem 0x80000000-0x8fffffff] reserved',
      'efi: Not removing mem26: MMIO range=[0xfec00000-0xfec28fff] (164KB) from e820 map',
    ]);
    expect(table.entries.filter(({ size }) => size > 0n)).toEqual([e(0, 16, 1), e(4076, 4077, 2)]);
  });
});
