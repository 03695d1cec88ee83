import { readFileSync } from 'node:fs';
import { KernelError } from '@holdfast/lib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Srat, encodeSlit, encodeSrat, parseAcpiHeader, parseSlit, parseSrat } from './index.js';

const golden = JSON.parse(readFileSync(new URL('../test/golden-tables.json', import.meta.url), 'utf8')) as {
  srat: Record<string, { table: string; lines: string[] }>;
};
const fromBase64 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'));

/** The lines the kernel logs of a table, PXM and node being equal in these machines. */
function kernelLines({ processors, memory }: Srat): string[] {
  const hex = (value: number): string => `0x${value.toString(16).padStart(8, '0')}`;
  return [
    ...processors
      .filter((cpu) => cpu.enabled)
      .map(({ pxm, apicId }) => `SRAT: PXM ${pxm} -> APIC 0x${apicId.toString(16).padStart(2, '0')} -> Node ${pxm}`),
    ...memory
      .filter((range) => range.enabled)
      .map(
        ({ pxm, start, length, hotPluggable, nonVolatile }) =>
          `ACPI: SRAT: Node ${pxm} PXM ${pxm} [mem ${hex(start)}-${hex(start + length - 1)}]${hotPluggable ? ' hotplug' : ''}${nonVolatile ? ' non-volatile' : ''}`,
      ),
  ];
}

/** Set the checksum right again after a change. */
function fixChecksum(bytes: Uint8Array): Uint8Array {
  bytes[9] = 0;
  bytes[9] = -bytes.reduce((sum, byte) => sum + byte, 0) & 0xff;
  return bytes;
}

describe('parseSrat', () => {
  it.each(Object.entries(golden.srat))('reads what the kernel logged of %s', (_name, { table, lines }) => {
    expect(kernelLines(parseSrat(fromBase64(table)))).toEqual(lines);
  });

  it('keeps disabled entries, whatever range they claim', () => {
    const memory = { pxm: 0, start: 0, length: 4096, enabled: false, hotPluggable: false, nonVolatile: false };
    const bytes = encodeSrat({ processors: [], memory: [memory] });
    new DataView(bytes.buffer).setBigUint64(48 + 8, 2n ** 64n - 1n, true);
    expect(parseSrat(fixChecksum(bytes)).memory[0]).toMatchObject({ enabled: false });
  });

  it('reads only the low byte of a proximity domain from a table of revision 1', () => {
    const processors = [{ pxm: 0x01020304, apicId: 1, enabled: true, x2apic: false }];
    const memory = [{ pxm: 0x01020304, start: 0, length: 4096, enabled: true, hotPluggable: false, nonVolatile: false }];
    const bytes = encodeSrat({ processors, memory });
    expect(parseSrat(bytes).processors[0]!.pxm).toBe(0x01020304);
    bytes[8] = 1;
    const old = parseSrat(fixChecksum(bytes));
    expect([old.processors[0]!.pxm, old.memory[0]!.pxm]).toEqual([4, 4]);
  });

  it('skips entries of other types', () => {
    const bytes = encodeSrat({ processors: [{ pxm: 3, apicId: 7, enabled: true, x2apic: false }], memory: [] });
    bytes[48] = 5; // a generic initiator, if its length were right: nobody looks
    expect(parseSrat(fixChecksum(bytes)).processors).toEqual([]);
  });

  it.each([
    { name: 'too few bytes', edit: (b: Uint8Array) => b.slice(0, 20), message: 'SRAT at byte 0: 20 bytes, expected a header of 36' },
    { name: 'another signature', edit: (b: Uint8Array) => b.fill(0x58, 0, 4), message: 'SRAT at byte 0: signature "XXXX", expected "SRAT"' },
    { name: 'a length over its end', edit: (b: Uint8Array) => b.fill(255, 4, 5), message: 'SRAT at byte 4: length 255, expected 48 to 88' },
    { name: 'a wrong checksum', edit: (b: Uint8Array) => b.fill(b[9]! + 1, 9, 10), message: 'SRAT at byte 9: the bytes sum up to 1 modulo 256, expected 0' },
    { name: 'an entry of length 0', edit: (b: Uint8Array) => fixChecksum(b.fill(0, 49, 50)), message: 'SRAT at byte 48: structure of type 1 with length 0, expected a length of 2 to 40' },
    { name: 'a short entry', edit: (b: Uint8Array) => fixChecksum(b.slice(0, 68).fill(68, 4, 5).fill(20, 49, 50)), message: 'SRAT at byte 48: memory affinity (type 1) of 20 bytes, expected at least 40' },
  ])('refuses $name', ({ edit, message }) => {
    const memory = [{ pxm: 0, start: 0, length: 4096, enabled: true, hotPluggable: false, nonVolatile: false }];
    const bytes = edit(encodeSrat({ processors: [], memory }));
    expect(() => parseSrat(bytes)).toThrow(expect.objectContaining({ code: 'EINVAL', message }));
  });

  it('reads back what encodeSrat wrote', () => {
    const u32 = fc.nat(0xffff_ffff);
    const processor = fc.oneof(
      fc.record({ pxm: u32, apicId: fc.nat(255), enabled: fc.boolean(), x2apic: fc.constant(false) }),
      fc.record({ pxm: u32, apicId: u32, enabled: fc.boolean(), x2apic: fc.constant(true) }),
    );
    const size = fc.nat(2 ** 52);
    const flag = fc.boolean();
    const range = fc.record({ pxm: u32, start: size, length: size, enabled: flag, hotPluggable: flag, nonVolatile: flag });
    const anySrat = fc.record({ processors: fc.array(processor), memory: fc.array(range) });
    fc.assert(fc.property(anySrat, (srat) => void expect(parseSrat(encodeSrat(srat))).toMatchObject(srat)));
  });

  it('answers any damage with a table or with EINVAL that names it', () => {
    const tables = Object.values(golden.srat).map(({ table }) => fromBase64(table));
    const damage = fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { minLength: 1, maxLength: 6 });
    const cut = fc.option(fc.nat(400), { nil: undefined });
    fc.assert(
      fc.property(fc.constantFrom(...tables), damage, cut, fc.boolean(), (table, edits, end, mend) => {
        const bytes = table.slice(0, end);
        for (const [at, value] of edits) if (at < bytes.length) bytes[at] = value;
        if (mend && bytes.length > 9) fixChecksum(bytes);
        expectTableOrEinval(() => parseSrat(bytes), 'SRAT');
      }),
      { numRuns: 1000 },
    );
  });
});

describe('parseSlit', () => {
  const distances = [[10, 21, 31], [21, 10, 31], [31, 31, 10]];

  it('reads back what encodeSlit wrote', () => expect(parseSlit(encodeSlit(distances)).distances).toEqual(distances));

  it('takes an empty table', () => expect(parseSlit(encodeSlit([])).distances).toEqual([]));

  it('refuses more localities than it has bytes for', () => {
    const bytes = encodeSlit(distances);
    new DataView(bytes.buffer).setBigUint64(36, 2n ** 40n, true);
    expect(() => parseSlit(fixChecksum(bytes))).toThrow(/SLIT at byte 36: 1099511627776 localities .* expected room for their square/);
  });

  it('refuses to write what is no matrix of bytes', () => {
    expect(() => encodeSlit([[10, 20], [20]])).toThrow(KernelError);
    expect(() => encodeSlit([[256]])).toThrow(KernelError);
  });
});

describe('parseAcpiHeader', () => {
  it('takes any signature if none is asked for, and ignores bytes behind the table', () => {
    const table = encodeSlit([[10]]);
    const padded = new Uint8Array(table.length + 7);
    padded.set(table);
    const { header, bytes } = parseAcpiHeader(padded);
    expect([header.signature, header.length, bytes.length]).toEqual(['SLIT', 45, 45]);
  });
});

function expectTableOrEinval(parse: () => unknown, name: string): void {
  try {
    parse();
  } catch (error) {
    expect(error).toBeInstanceOf(KernelError);
    expect((error as KernelError).code).toBe('EINVAL');
    expect((error as KernelError).message).toMatch(new RegExp(`^${name} at byte \\d+: .+, expected .+`));
  }
}
