/**
 * SRAT: which processors and which memory belong to which proximity domain.
 * Mirrors drivers/acpi/numa/srat.c and arch/x86/mm/srat.c as far as reading goes; layout: ACPI 6.4, 5.2.16.
 *
 * Both lists keep the order of the table, disabled entries included: node ids are handed out in that order, and reading decides nothing.
 */
import { type RecordOf, bytes, layout, u16, u32, u64, u8 } from '@holdfast/lib';
import {
  ACPI_HEADER_SIZE, type AcpiHeader, type AcpiTable, type Subtable,
  encodeAcpiTable, exactNumber, parseAcpiHeader, requireLength, subtables, tableError,
} from './acpi-table.js';

/** A processor's entry: type 0 (local APIC) or 2 (x2APIC). */
export interface SratProcessor {
  readonly pxm: number;
  readonly apicId: number;
  readonly enabled: boolean;
  readonly x2apic: boolean;
}

/** A memory range's entry (type 1). Addresses and lengths are bytes. */
export interface SratMemory {
  readonly pxm: number;
  readonly start: number;
  readonly length: number;
  readonly enabled: boolean;
  readonly hotPluggable: boolean;
  readonly nonVolatile: boolean;
}

export interface Srat {
  readonly header: AcpiHeader;
  readonly processors: readonly SratProcessor[];
  readonly memory: readonly SratMemory[];
}

const SRAT_HEAD_SIZE = 12; // a table revision of 4 bytes, which is always 1, and 8 reserved
const FIRST_ENTRY = ACPI_HEADER_SIZE + SRAT_HEAD_SIZE;
const CPU_AFFINITY = 0;
const MEMORY_AFFINITY = 1;
const X2APIC_AFFINITY = 2;
const ENABLED = 1;
const HOT_PLUGGABLE = 2;
const NON_VOLATILE = 4;

const CPU = layout('SRAT processor', 16, {
  type: u8(0), length: u8(1), pxmLow: u8(2), apicId: u8(3), flags: u32(4), sapicEid: u8(8), pxmHigh: bytes(9, 3), clockDomain: u32(12),
});
const MEMORY = layout('SRAT memory', 40, {
  type: u8(0), length: u8(1), pxm: u32(2), reserved: u16(6), start: u64(8), size: u64(16), reserved2: u32(24), flags: u32(28), reserved3: u64(32),
});
const X2APIC = layout('SRAT x2APIC processor', 24, {
  type: u8(0), length: u8(1), reserved: u16(2), pxm: u32(4), apicId: u32(8), flags: u32(12), clockDomain: u32(16), reserved2: u32(20),
});

/**
 * Read a binary SRAT. Entries of other types (generic initiators, GICs) are skipped.
 * @throws KernelError EINVAL, naming the byte and what was expected there.
 */
export function parseSrat(data: Uint8Array): Srat {
  const table = parseAcpiHeader(data, 'SRAT', FIRST_ENTRY);
  const processors: SratProcessor[] = [];
  const memory: SratMemory[] = [];
  for (const entry of subtables(table, FIRST_ENTRY, 1)) {
    if (entry.type === CPU_AFFINITY) processors.push(readCpu(table, entry));
    else if (entry.type === X2APIC_AFFINITY) processors.push(readX2apic(table, entry));
    else if (entry.type === MEMORY_AFFINITY) memory.push(readMemory(table, entry));
  }
  return { header: table.header, processors, memory };
}

function readCpu(table: AcpiTable, entry: Subtable): SratProcessor {
  requireLength(table, entry, 'processor affinity', CPU.size);
  const cpu = CPU.decode(table.bytes, entry.at);
  const [low = 0, middle = 0, high = 0] = cpu.pxmHigh;
  // Revision 1 has the low byte only; what lies in the other three is not promised to be zero.
  const pxm = cpu.pxmLow + (table.header.revision >= 2 ? low * 2 ** 8 + middle * 2 ** 16 + high * 2 ** 24 : 0);
  return { pxm, apicId: cpu.apicId, enabled: hasFlag(cpu.flags, ENABLED), x2apic: false };
}

function readX2apic(table: AcpiTable, entry: Subtable): SratProcessor {
  requireLength(table, entry, 'x2APIC affinity', X2APIC.size);
  const { pxm, apicId, flags } = X2APIC.decode(table.bytes, entry.at);
  return { pxm, apicId, enabled: hasFlag(flags, ENABLED), x2apic: true };
}

function readMemory(table: AcpiTable, entry: Subtable): SratMemory {
  requireLength(table, entry, 'memory affinity', MEMORY.size);
  const record = MEMORY.decode(table.bytes, entry.at);
  const enabled = hasFlag(record.flags, ENABLED);
  return {
    pxm: table.header.revision >= 2 ? record.pxm : record.pxm % 256,
    ...readRange(table, entry.at, record, enabled),
    enabled,
    hotPluggable: hasFlag(record.flags, HOT_PLUGGABLE),
    nonVolatile: hasFlag(record.flags, NON_VOLATILE),
  };
}

/** Nobody looks at a disabled range, so it may say anything. */
function readRange(table: AcpiTable, at: number, record: RecordOf<typeof MEMORY.fields>, enabled: boolean): { start: number; length: number } {
  if (!enabled) return { start: Number(record.start), length: Number(record.size) };
  const start = exactNumber(table, at + MEMORY.fields.start.at, 'memory range start', record.start);
  const length = exactNumber(table, at + MEMORY.fields.size.at, 'memory range length', record.size);
  if (!Number.isSafeInteger(start + length)) {
    throw tableError('SRAT', at, `memory range of ${length} bytes from ${start}`, 'an end below 2^53');
  }
  return { start, length };
}

function hasFlag(flags: number, flag: number): boolean {
  return (flags & flag) !== 0;
}

/** The bytes of an SRAT (revision 3) that says this: processors first, then memory, as firmware writes them. */
export function encodeSrat({ processors, memory }: Pick<Srat, 'processors' | 'memory'>): Uint8Array {
  const entries = [...processors.map((cpu) => (cpu.x2apic ? encodeX2apic(cpu) : encodeCpu(cpu))), ...memory.map(encodeMemory)];
  const body = new Uint8Array(SRAT_HEAD_SIZE + entries.reduce((sum, entry) => sum + entry.length, 0));
  body[0] = 1;
  let at = SRAT_HEAD_SIZE;
  for (const entry of entries) {
    body.set(entry, at);
    at += entry.length;
  }
  return encodeAcpiTable('SRAT', 3, body);
}

function encodeCpu({ pxm, apicId, enabled }: SratProcessor): Uint8Array {
  const entry = new Uint8Array(CPU.size);
  const pxmHigh = Uint8Array.of(pxm / 2 ** 8, pxm / 2 ** 16, pxm / 2 ** 24);
  const flags = enabled ? ENABLED : 0;
  CPU.encode({ type: CPU_AFFINITY, length: CPU.size, pxmLow: pxm % 256, apicId, flags, sapicEid: 0, pxmHigh, clockDomain: 0 }, entry);
  return entry;
}

function encodeX2apic({ pxm, apicId, enabled }: SratProcessor): Uint8Array {
  const entry = new Uint8Array(X2APIC.size);
  const flags = enabled ? ENABLED : 0;
  X2APIC.encode({ type: X2APIC_AFFINITY, length: X2APIC.size, reserved: 0, pxm, apicId, flags, clockDomain: 0, reserved2: 0 }, entry);
  return entry;
}

function encodeMemory({ pxm, start, length, enabled, hotPluggable, nonVolatile }: SratMemory): Uint8Array {
  const entry = new Uint8Array(MEMORY.size);
  MEMORY.encode(
    {
      type: MEMORY_AFFINITY,
      length: MEMORY.size,
      pxm,
      reserved: 0,
      start: BigInt(start),
      size: BigInt(length),
      reserved2: 0,
      flags: (enabled ? ENABLED : 0) + (hotPluggable ? HOT_PLUGGABLE : 0) + (nonVolatile ? NON_VOLATILE : 0),
      reserved3: 0n,
    },
    entry,
  );
  return entry;
}
