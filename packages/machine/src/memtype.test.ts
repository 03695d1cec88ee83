import { describe, expect, it } from 'vitest';
import { physAddr } from '@holdfast/lib';
import { type MemoryType, createMachine, createNvdimm } from './index.js';

const SIZE = 0x10000;
const boot = (): ReturnType<typeof createMachine> => createMachine({ media: [{ start: 0x4000_0000, medium: createNvdimm({ sizeBytes: SIZE }) }] });
const at = (offset: number): ReturnType<typeof physAddr> => physAddr(0x4000_0000 + offset);

describe('mapping what is mapped already', () => {
  // Linux: the type that is there is given instead, but for these, which must not be.
  it.each<{ there: MemoryType; asked: MemoryType; got: MemoryType | 'EBUSY' }>([
    { there: 'WB', asked: 'WB', got: 'WB' },
    { there: 'WB', asked: 'UC-', got: 'EBUSY' },
    { there: 'WB', asked: 'WC', got: 'EBUSY' },
    { there: 'WB', asked: 'WT', got: 'EBUSY' },
    { there: 'WB', asked: 'UC', got: 'WB' },
    { there: 'WC', asked: 'WT', got: 'EBUSY' },
    { there: 'WC', asked: 'UC-', got: 'WC' },
    { there: 'WC', asked: 'WB', got: 'WC' },
    { there: 'WT', asked: 'WC', got: 'WT' },
    { there: 'WT', asked: 'WB', got: 'WT' },
    { there: 'UC-', asked: 'WB', got: 'UC-' },
    { there: 'UC-', asked: 'WT', got: 'UC-' },
    { there: 'UC', asked: 'WC', got: 'UC' },
  ])('$there is there, $asked is asked: $got', ({ there, asked, got }) => {
    const { cpu } = boot();
    cpu.map(at(0), 0x2000, there);
    if (got === 'EBUSY') expect(() => cpu.map(at(0x1000), 0x2000, asked)).toThrow(expect.objectContaining({ code: 'EBUSY' }));
    else expect(cpu.map(at(0x1000), 0x2000, asked).type).toBe(got);
  });

  it('is refused where two types are there, whatever is asked', () => {
    const { cpu } = boot();
    cpu.map(at(0), 0x1000, 'WB');
    cpu.map(at(0x1000), 0x1000, 'UC-');
    expect(() => cpu.map(at(0), 0x2000, 'WB')).toThrow('conflicting memory types 40000000-40002000 write-back<->uncached-minus');
  });

  it('is free again after the last unmap, and beside the mapping', () => {
    const { cpu } = boot();
    const first = cpu.map(at(0), 0x1000, 'WB');
    const second = cpu.map(at(0), 0x1000, 'WB');
    expect(cpu.map(at(0x1000), 0x1000, 'UC').type).toBe('UC');
    cpu.unmap(first);
    expect(() => cpu.map(at(0), 0x1000, 'WC')).toThrow('conflicting memory types');
    cpu.unmap(second);
    expect(cpu.map(at(0), 0x1000, 'WC').type).toBe('WC');
  });

  it('needs a medium behind every byte', () => {
    const { cpu } = boot();
    for (const [start, size] of [[at(SIZE - 1), 2], [physAddr(0), 1], [at(0), 0], [at(0), -1], [physAddr(-1), 1], [physAddr(2 ** 46), 1], [at(0.5), 1]] as const) {
      expect(() => cpu.map(start, size, 'WB')).toThrow(expect.objectContaining({ code: 'EINVAL' }));
    }
    expect(cpu.map(at(SIZE - 1), 1, 'WB').sizeBytes).toBe(1);
  });
});
