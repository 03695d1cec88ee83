import { DEFAULT_RELEASE, pfn } from '@holdfast/lib';
import { parseE820Text } from '@holdfast/e820';
import { expect, it } from 'vitest';
import { hostBridgeWindows } from './pci-root.js';

type Row = readonly [start: number, end: number, type: 'usable' | 'reserved'];
const RAM: Row = [0x10_0000, 0x7ffd_ffff, 'usable'];
const FIRMWARE: Row = [0x7ffe_0000, 0x7fff_ffff, 'reserved'];
const FLASH: Row = [0xfffc_0000, 0xffff_ffff, 'reserved'];
const Q35_ECAM: Row = [0xb000_0000, 0xbfff_ffff, 'reserved'];

it.each<[string, Row[], [number, number][]]>([
  ['a PC: from low memory to the IOAPIC', [RAM, FIRMWARE, FLASH], [[0x8000_0000, 0xfebf_ffff]]],
  ['a q35: both sides of the configuration space', [RAM, FIRMWARE, Q35_ECAM, FLASH], [[0x8000_0000, 0xafff_ffff], [0xc000_0000, 0xfebf_ffff]]],
  ['configuration space right behind low memory', [[0x10_0000, 0xafff_ffff, 'usable'], Q35_ECAM, FLASH], [[0xc000_0000, 0xfebf_ffff]]],
  ['a reserved row that is no configuration space', [RAM, FIRMWARE, [0xb000_0000, 0xb7ff_efff, 'reserved'], FLASH], [[0xb7ff_f000, 0xfebf_ffff]]],
  ['one that is not aligned', [RAM, FIRMWARE, [0xb100_0000, 0xc0ff_ffff, 'reserved'], FLASH], [[0xc100_0000, 0xfebf_ffff]]],
])('%s', (_what, rows, windows) => {
  const text = rows.map(([start, end, type]) => `BIOS-e820: [mem 0x${start.toString(16)}-0x${end.toString(16)}] ${type}`).join('\n');
  expect(hostBridgeWindows(parseE820Text(text).entries, pfn(0x8_0000), DEFAULT_RELEASE).map(({ start, end }) => [start, end])).toEqual(windows);
});
