import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GIB, MIB, TIB } from '@holdfast/lib';
import { bootFromOptions, createCommandRunner } from '../src/index.js';
import { runProgram } from '../src/program.js';
import { type SizeRow, sizeTable, smallestFor } from '../src/size-table.js';

const WHERE = { start: 4 * GIB, blockSize: 128 * MIB };

function rowOf(rows: readonly SizeRow[], mode: string, map?: string, align?: number): SizeRow {
  return rows.find((row) => row.mode === mode && row.map === map && row.align === align)!;
}

describe('holdfast size', () => {
  it('says what the captured kernel made of 1 GiB at 4 GiB', () => {
    const rows = sizeTable({ size: GIB, ...WHERE });
    expect(rowOf(rows, 'fsdax', 'dev', 2 * MIB)).toMatchObject({ usable: 1054867456, ram: 0, dataStart: 0x101200000 });
    expect(rowOf(rows, 'devdax', 'mem', 4096)).toMatchObject({ usable: 1071644672, ram: 16 * MIB });
    expect(rowOf(rows, 'devdax', 'dev', 2 * MIB)).toMatchObject({ usable: 1054867456, ramBlocks: 7 });
    expect(rows.find(({ sectorSize }) => sectorSize === 4096)).toMatchObject({ usable: 1071611904 });
    expect(rowOf(rows, 'fsdax', 'dev', GIB).why).toMatchObject({ nearest: ['--size=2147483648', '--align=2097152'] });
  });

  it('tells the costs of a terabyte', () => {
    const rows = sizeTable({ size: TIB, ...WHERE });
    expect(rowOf(rows, 'fsdax', 'mem', 2 * MIB).ram).toBe(16 * GIB);
    expect(rowOf(rows, 'devdax', 'mem', 2 * MIB).ram).toBe(4 * GIB + 32 * MIB);
    expect(rowOf(rows, 'devdax', 'mem', GIB).ram).toBe(8 * MIB + 32 * MIB);
  });

  it('is what ndctl then makes, for every mode, map and alignment', async () => {
    const size = 2 * GIB;
    const system = await bootFromOptions({ memory: '8G', cmdline: 'memmap=2G!16G' });
    const runner = createCommandRunner(system);
    for (const row of sizeTable({ size, start: 16 * GIB, blockSize: 128 * MIB })) {
      const options = [`-m ${row.mode}`, row.map ? `-M ${row.map}` : '', row.align ? `-a ${row.align}` : '', row.sectorSize ? `-l ${row.sectorSize}` : ''].join(' ');
      await runner.run(`ndctl create-namespace -f -e namespace0.0 ${options}`);
      const record = runner.records.at(-1) as unknown as { rc: number; stdout: { size?: number } };
      // Without an info block a legacy namespace is mapped whole: fsdax in RAM is that.
      const usable = row.mode === 'fsdax' && row.map === 'mem' ? size : row.usable;
      expect([options, record.stdout.size ?? 0]).toEqual([options, row.why ? 0 : usable]);
    }
    system.close();
  });

  it('finds the smallest namespace that leaves enough', () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: 4 * TIB }), fc.integer({ min: 0, max: 64 }), (need, offset) => {
      const where = { start: 4 * GIB + offset * 2 * MIB, blockSize: 128 * MIB };
      for (const row of smallestFor(need, where)) {
        expect(row.usable).toBeGreaterThanOrEqual(need);
        const step = Math.max(16 * MIB, row.align ?? 0);
        const smaller = sizeTable({ size: row.size - step, ...where }).find(({ mode, map, align, sectorSize }) => mode === row.mode && map === row.map && align === row.align && sectorSize === row.sectorSize)!;
        expect(row.size === step || smaller.usable < need).toBe(true);
      }
    }), { numRuns: 100 });
  });

  it.each([
    [['size'], 2, 'holdfast: size: give --size, or --need\n'],
    [['size', '--size', '1G', '--need', '1G'], 2, 'holdfast: size: give --size, or --need\n'],
    [['size', '--size', '1G', '--ways', '0'], 2, "holdfast: --ways '0': expected a number of DIMMs from 1 to 32\n"],
    [['size', '--size', '1G', '--block', '100M'], 2, "holdfast: --block '100M': expected a power of two from 128M on\n"],
  ])('refuses %j', async (args, status, message) => {
    let err = '';
    expect(await runProgram(args, { interactive: false, out: () => {}, err: (text) => (err += text) })).toBe(status);
    expect(err).toBe(message);
  });

  it('prints a table, and JSON', async () => {
    let out = '';
    const terminal = { interactive: false, out: (data: string | Uint8Array) => void (out += String(data)), err: () => {} };
    expect(await runProgram(['size', '--size', '1G'], terminal)).toBe(0);
    expect(out.split('\n')[0]).toMatch(/^MODE +MAP +ALIGN +SECTOR +USABLE +LOST +RAM +RAM BLOCKS$/);
    expect(out).toMatch(/^fsdax +dev +2M +1006M +18M +0$/m);
    out = '';
    await runProgram(['size', '--need', '1G', '--json'], terminal);
    expect(JSON.parse(out)).toHaveLength(15);
  });
});
