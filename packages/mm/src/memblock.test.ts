import { type NodeId, MIB, NUMA_NO_NODE, nodeId } from '@holdfast/lib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MEMBLOCK_HOTPLUG, MEMBLOCK_MIRROR, MEMBLOCK_NOMAP, MEMBLOCK_NONE, type Memblock, createMemblock, formatMemblock } from './index.js';

const rows = (list: Memblock['memory']): number[][] => list.map(({ start, end, nid, flags }) => [start, end, nid, flags]);
const PAGE = 4096;

describe('memblock', () => {
  it.each([
    { name: 'merges what touches', ops: (m: Memblock) => (m.add(0, 10), m.add(10, 10)), want: [[0, 20, -1, 0]] },
    { name: 'adds only what is not there yet', ops: (m: Memblock) => (m.add(5, 5, nodeId(1)), m.add(0, 20)), want: [[0, 5, -1, 0], [5, 10, 1, 0], [10, 20, -1, 0]] },
    { name: 'keeps apart what differs in node', ops: (m: Memblock) => (m.add(0, 10, nodeId(0)), m.add(10, 10, nodeId(1))), want: [[0, 10, 0, 0], [10, 20, 1, 0]] },
    { name: 'keeps apart what differs in flags', ops: (m: Memblock) => (m.add(0, 20), m.mark(10, 10, MEMBLOCK_HOTPLUG)), want: [[0, 10, -1, 0], [10, 20, -1, 1]] },
    { name: 'merges again when a flag goes', ops: (m: Memblock) => (m.add(0, 20), m.mark(10, 10, 1), m.clear(0, 20, 1)), want: [[0, 20, -1, 0]] },
    { name: 'splits at both edges of what is removed', ops: (m: Memblock) => (m.add(0, 20), m.remove(5, 5)), want: [[0, 5, -1, 0], [10, 20, -1, 0]] },
    { name: 'cuts inwards to the grain and drops what is emptied', ops: (m: Memblock) => (m.add(1000, 9000), m.add(12289, 4000), m.trimMemory(PAGE)), want: [[4096, 8192, -1, 0]] },
    { name: 'cuts a size where addresses end', ops: (m: Memblock) => m.add(4096, Number.MAX_SAFE_INTEGER), want: [[4096, Number.MAX_SAFE_INTEGER, -1, 0]] },
    { name: 'ignores an empty range', ops: (m: Memblock) => m.add(5, 0), want: [] },
  ])('$name', ({ ops, want }) => {
    const memblock = createMemblock();
    ops(memblock);
    expect(rows(memblock.memory)).toEqual(want);
  });

  it('agrees with an array of cells, whatever is done', () => {
    const CELLS = 48;
    const op = fc.record({
      kind: fc.constantFrom('add', 'remove', 'reserve', 'free', 'setNode', 'mark', 'clear'),
      start: fc.nat(CELLS - 1),
      size: fc.nat(12),
      nid: fc.integer({ min: 0, max: 2 }).map(nodeId),
      flag: fc.constantFrom(MEMBLOCK_HOTPLUG, MEMBLOCK_NOMAP),
    });
    fc.assert(
      fc.property(fc.array(op, { maxLength: 30 }), (ops) => {
        const memblock = createMemblock();
        const memory: ({ nid: NodeId; flags: number } | undefined)[] = new Array<undefined>(CELLS + 12).fill(undefined);
        const reserved = new Array<boolean>(CELLS + 12).fill(false);
        for (const { kind, start, size, nid, flag } of ops) {
          for (let cell = start; cell < start + size; cell++) {
            const old = memory[cell];
            if (kind === 'add') memory[cell] = old ?? { nid, flags: MEMBLOCK_NONE };
            else if (kind === 'remove') memory[cell] = undefined;
            else if (kind === 'reserve') reserved[cell] = true;
            else if (kind === 'free') reserved[cell] = false;
            else if (old) memory[cell] = { nid: kind === 'setNode' ? nid : old.nid, flags: kind === 'mark' ? old.flags | flag : kind === 'clear' ? old.flags & ~flag : old.flags };
          }
          if (kind === 'add') memblock.add(start, size, nid);
          else if (kind === 'setNode') memblock.setNode('memory', start, size, nid);
          else if (kind === 'mark' || kind === 'clear') memblock[kind](start, size, flag);
          else memblock[kind](start, size);
        }
        expect(cellsOf(memblock.memory, CELLS + 12)).toEqual(memory);
        expect(cellsOf(memblock.reserved, CELLS + 12).map((cell) => cell !== undefined)).toEqual(reserved);
        expectCanonical(memblock.memory);
        expectCanonical(memblock.reserved);
        expect(cellsOf(memblock.freeRanges().map((range) => ({ ...range, nid: NUMA_NO_NODE, flags: 0 })), CELLS + 12).map((cell) => cell !== undefined)).toEqual(
          memory.map((cell, index) => cell !== undefined && !reserved[index]),
        );
      }),
      { numRuns: 400 },
    );
  });
});

describe('alloc', () => {
  const twoNodes = (): Memblock => {
    const memblock = createMemblock();
    memblock.add(0, 16 * MIB, nodeId(0));
    memblock.add(16 * MIB, 16 * MIB, nodeId(1));
    return memblock;
  };

  it.each([
    { name: 'takes the highest place', options: {}, want: 31 * MIB },
    { name: 'takes the lowest when it works upwards, but never page 0', options: { align: PAGE }, up: true, want: PAGE },
    { name: 'stays on the node asked for', options: { nid: nodeId(0) }, want: 15 * MIB },
    { name: 'aligns downwards', options: { align: 4 * MIB }, want: 28 * MIB },
    { name: 'stays below a limit', options: { max: 20 * MIB + 1 }, want: 19 * MIB },
    { name: 'leaves the node rather than fail', options: { nid: nodeId(7) }, want: 31 * MIB },
    { name: 'fails rather than leave the node if told so', options: { nid: nodeId(7), exactNid: true }, want: undefined },
    { name: 'gives up the lower bound last', options: { min: 40 * MIB }, want: 31 * MIB },
  ])('$name', ({ options, up, want }) => {
    const memblock = twoNodes();
    memblock.bottomUp = up ?? false;
    expect(memblock.alloc(MIB, options)).toBe(want);
  });

  it('passes over hot-pluggable memory with movable_node, and what must not be mapped always', () => {
    const memblock = twoNodes();
    memblock.mark(24 * MIB, 8 * MIB, MEMBLOCK_HOTPLUG);
    expect(memblock.alloc(MIB)).toBe(31 * MIB);
    memblock.movableNode = true;
    expect(memblock.alloc(MIB)).toBe(23 * MIB);
    memblock.mark(16 * MIB, 8 * MIB, MEMBLOCK_NOMAP);
    expect(memblock.alloc(MIB)).toBe(15 * MIB);
  });

  it('prefers mirrored memory, then takes any', () => {
    const memblock = twoNodes();
    memblock.mark(4 * MIB, MIB, MEMBLOCK_MIRROR);
    expect(memblock.alloc(MIB)).toBe(4 * MIB);
    expect(memblock.alloc(MIB)).toBe(31 * MIB);
  });

  it('never hands out the same byte twice, nor what is not there', () => {
    const request = fc.record({ size: fc.integer({ min: 1, max: 5 }), align: fc.constantFrom(1, 2, 4), free: fc.boolean() });
    fc.assert(
      fc.property(fc.array(request, { maxLength: 40 }), fc.boolean(), (requests, bottomUp) => {
        const memblock = createMemblock();
        memblock.add(PAGE, 40);
        memblock.add(PAGE + 60, 40);
        memblock.bottomUp = bottomUp;
        const held: { at: number; size: number }[] = [];
        for (const { size, align, free } of requests) {
          const old = free ? held.shift() : undefined;
          if (old) memblock.free(old.at, old.size);
          const at = memblock.alloc(size, { align });
          if (at === undefined) continue;
          expect(at % align).toBe(0);
          expect(memblock.memory.some(({ start, end }) => start <= at && at + size <= end)).toBe(true);
          expect(held.every((other) => other.at + other.size <= at || at + size <= other.at)).toBe(true);
          held.push({ at, size });
        }
        expect(memblock.reserved.reduce((sum, { start, end }) => sum + end - start, 0)).toBe(held.reduce((sum, { size }) => sum + size, 0));
      }),
    );
  });
});

describe('formatMemblock', () => {
  it('dumps what memblock=debug does', () => {
    const memblock = createMemblock();
    memblock.add(0x1000, 0x9e000, nodeId(0));
    memblock.add(0x100000, 0x3fee0000, nodeId(0));
    memblock.reserve(0, 0x100000, nodeId(0));
    memblock.reserve(0x3f1ef000, 0x2b000);
    expect(formatMemblock(memblock)).toEqual([
      'MEMBLOCK configuration:',
      ' memory size = 0x000000003ff7e000 reserved size = 0x000000000012b000',
      ' memory.cnt  = 0x2',
      ' memory[0x0]\t[0x0000000000001000-0x000000000009efff], 0x000000000009e000 bytes on node 0 flags: 0x0',
      ' memory[0x1]\t[0x0000000000100000-0x000000003ffdffff], 0x000000003fee0000 bytes on node 0 flags: 0x0',
      ' reserved.cnt  = 0x2',
      ' reserved[0x0]\t[0x0000000000000000-0x00000000000fffff], 0x0000000000100000 bytes on node 0 flags: 0x0',
      ' reserved[0x1]\t[0x000000003f1ef000-0x000000003f219fff], 0x000000000002b000 bytes flags: 0x0',
    ]);
  });
});

function cellsOf(list: Memblock['memory'], cells: number): ({ nid: NodeId; flags: number } | undefined)[] {
  return Array.from({ length: cells }, (_, cell) => {
    const region = list.find(({ start, end }) => start <= cell && cell < end);
    return region && { nid: region.nid, flags: region.flags };
  });
}

/** Sorted, disjoint, nothing empty, and no two neighbours that should be one. */
function expectCanonical(list: Memblock['memory']): void {
  for (const [index, region] of list.entries()) {
    expect(region.start).toBeLessThan(region.end);
    const before = list[index - 1];
    if (!before) continue;
    expect(before.end).toBeLessThanOrEqual(region.start);
    expect(before.end === region.start && before.nid === region.nid && before.flags === region.flags).toBe(false);
  }
}
