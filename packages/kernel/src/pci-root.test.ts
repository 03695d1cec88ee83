import { encodeSrat } from '@holdfast/acpi';
import { DEFAULT_RELEASE, GIB, pfn } from '@holdfast/lib';
import { type E820Entry, parseE820Text } from '@holdfast/e820';
import { describe, expect, it } from 'vitest';
import { hostBridgeWindows, qemuHole64 } from './pci-root.js';

type Row = readonly [start: number, end: number, type: 'usable' | 'reserved' | 'ACPI data'];
const RAM: Row = [0x10_0000, 0x7ffd_ffff, 'usable'];
const FIRMWARE: Row = [0x7ffe_0000, 0x7fff_ffff, 'reserved'];
const FLASH: Row = [0xfffc_0000, 0xffff_ffff, 'reserved'];
const Q35_ECAM: Row = [0xb000_0000, 0xbfff_ffff, 'reserved'];

const parseRows = (rows: readonly Row[]): readonly E820Entry[] =>
  parseE820Text(rows.map(([start, end, type]) => `BIOS-e820: [mem 0x${start.toString(16)}-0x${end.toString(16)}] ${type}`).join('\n')).entries;

it.each<[string, Row[], [number, number][]]>([
  ['a PC: from low memory to the IOAPIC', [RAM, FIRMWARE, FLASH], [[0x8000_0000, 0xfebf_ffff]]],
  ['a q35: both sides of the configuration space', [RAM, FIRMWARE, Q35_ECAM, FLASH], [[0x8000_0000, 0xafff_ffff], [0xc000_0000, 0xfebf_ffff]]],
  ['configuration space right behind low memory', [[0x10_0000, 0xafff_ffff, 'usable'], Q35_ECAM, FLASH], [[0xc000_0000, 0xfebf_ffff]]],
  ['a reserved row that is no configuration space', [RAM, FIRMWARE, [0xb000_0000, 0xb7ff_efff, 'reserved'], FLASH], [[0xb7ff_f000, 0xfebf_ffff]]],
  ['one that is not aligned', [RAM, FIRMWARE, [0xb100_0000, 0xc0ff_ffff, 'reserved'], FLASH], [[0xc100_0000, 0xfebf_ffff]]],
])('%s', (_what, rows, windows) => {
  expect(hostBridgeWindows(parseRows(rows), pfn(0x8_0000), DEFAULT_RELEASE).map(({ start, end }) => [start, end])).toEqual(windows);
});

describe('above 4 GiB', () => {
  const high: Row = [4 * GIB, 7 * GIB - 1, 'usable'];
  it.each<[string, Row[], [number, number] | undefined]>([
    ["QEMU's pc has 2 GiB", [RAM, FIRMWARE, FLASH], [4, 6]],
    ['behind the memory that is there', [RAM, FIRMWARE, FLASH, high], [7, 9]],
    ["QEMU's q35 has 32 GiB", [RAM, FIRMWARE, Q35_ECAM, FLASH], [4, 36]],
    ['VirtualBox has the same ROM, and its tables in a row of another type', [RAM, [0x7ffe_0000, 0x7fff_ffff, 'ACPI data'], FLASH], undefined],
    ['of another ROM nothing is known', [RAM, FIRMWARE, [0xff80_0000, 0xffff_ffff, 'reserved']], undefined],
  ])('%s', (_what, rows, window) => {
    const found = qemuHole64({ e820: '' }, parseRows(rows));
    expect(found && [found.start / GIB, (found.end + 1) / GIB]).toEqual(window);
  });

  it('nothing is known of a machine that takes memory there', () => {
    expect(qemuHole64({ e820: '', takesMemory: true }, parseRows([RAM, FIRMWARE, FLASH]))).toBeUndefined();
  });

  it('slots for memory come first', () => {
    const memory = [{ pxm: 0, start: 4 * GIB, length: 11 * GIB, enabled: true, hotPluggable: true, nonVolatile: false }];
    const firmware = { e820: '', srat: encodeSrat({ processors: [], memory }) };
    expect(qemuHole64(firmware, parseRows([RAM, FIRMWARE, FLASH]))).toEqual({ start: 15 * GIB, end: 17 * GIB - 1 });
  });
});
