import { describe, expect, it } from 'vitest';
import { BugError, physAddr } from '@holdfast/lib';
import { CHUNK_SIZE, SFENCE_COST, createDram, createMachine, createNvdimm } from './index.js';

const SIZE = 3 * CHUNK_SIZE;
const boot = (): { machine: ReturnType<typeof createMachine>; m: ReturnType<ReturnType<typeof createMachine>['cpu']['map']> } => {
  const machine = createMachine({ media: [{ start: 0, medium: createNvdimm({ sizeBytes: SIZE }) }] });
  return { machine, m: machine.cpu.map(physAddr(0), SIZE, 'WB') };
};

describe('a mapping', () => {
  it('copies across chunks, to and from any place of a buffer', () => {
    const { m } = boot();
    const source = Uint8Array.from({ length: 100_000 }, (_, i) => i % 251);
    for (const offset of [0, 1, CHUNK_SIZE - 50_000, CHUNK_SIZE - 1, SIZE - 99_990]) {
      for (const store of ['write', 'writeFlushCache'] as const) {
        m[store](offset, source, 10, 99_990);
        const target = new Uint8Array(99_995);
        m.read(offset, target, 5, 99_990);
        expect(target.subarray(5).every((byte, i) => byte === source[i + 10])).toBe(true);
        m.write(offset, new Uint8Array(99_990), 0, 99_990);
      }
    }
  });

  it.each([
    [SIZE, 1], [SIZE - 1, 2], [-1, 1], [0, -1], [NaN, 1], [0, NaN], [0, SIZE + 1], [Infinity, 1],
  ])('refuses an access at %d of %d bytes', (offset, length) => {
    const { m } = boot();
    const buffer = new Uint8Array(SIZE + 2);
    expect(() => m.read(offset, buffer, 0, length)).toThrow(BugError);
    expect(() => m.write(offset, buffer, 0, length)).toThrow(BugError);
    expect(() => m.writeFlushCache(offset, buffer, 0, length)).toThrow(BugError);
    expect(() => m.clwb(offset, length)).toThrow(BugError);
    expect(() => m.clflush(offset, length)).toThrow(BugError);
  });

  it('refuses to go past the buffer, and takes no bytes at its very end', () => {
    const { m } = boot();
    expect(() => m.write(0, new Uint8Array(8), 4, 8)).toThrow('8 bytes from offset 4 of a buffer of 8');
    expect(() => m.read(0, new Uint8Array(8), -1, 4)).toThrow(BugError);
    m.write(SIZE, new Uint8Array(8), 8, 0);
  });

  it('ends with unmap, and with the power', () => {
    const { machine, m } = boot();
    machine.cpu.unmap(m);
    expect(() => m.read(0, new Uint8Array(1), 0, 1)).toThrow('a mapping that is gone');
    expect(() => machine.cpu.unmap(m)).toThrow(BugError);
    const next = machine.cpu.map(physAddr(0), SIZE, 'UC');
    machine.poweroff();
    expect(() => next.write(0, new Uint8Array(1), 0, 1)).toThrow('a mapping that is gone');
    expect(machine.cpu.map(physAddr(0), SIZE, 'WB').type).toBe('WB');
  });

  it('exchanges an aligned word', () => {
    const { m } = boot();
    m.write(8, Uint8Array.of(1, 2, 3, 4), 0, 4);
    const word = Uint8Array.of(9, 9, 9, 9);
    m.xchg(8, word);
    expect(word).toEqual(Uint8Array.of(1, 2, 3, 4));
    expect(() => m.xchg(9, word)).toThrow('not an aligned word');
    expect(() => m.xchg(0, new Uint8Array(3))).toThrow('not an aligned word');
  });

  it('reads ones and loses stores where the medium was pulled out', () => {
    const { machine, m } = boot();
    const medium = machine.mediumAt(physAddr(0))!;
    machine.detach(medium);
    m.write(CHUNK_SIZE - 4, new Uint8Array(8), 0, 8);
    const target = new Uint8Array(8);
    m.read(CHUNK_SIZE - 4, target, 0, 8);
    expect(target).toEqual(new Uint8Array(8).fill(0xff));
  });
});

describe('accounting', () => {
  it('writes zeros of any size, and leaves memory unmade that was never written', () => {
    const medium = createNvdimm({ sizeBytes: 2 ** 40 });
    const machine = createMachine({ media: [{ start: 0, medium }] });
    const mapping = machine.cpu.map(physAddr(0), 2 ** 40, 'WB');
    mapping.write(2 ** 30 + 100, new Uint8Array(5000).fill(7), 0, 5000);
    mapping.writeZeroes(4096, 2 ** 39);
    const read = new Uint8Array(5000);
    mapping.read(2 ** 30 + 100, read, 0, 5000);
    expect(read).toEqual(new Uint8Array(5000));
    expect(machine.memory.peekChunk(1)).toBeUndefined();
    expect(medium.bytesWritten).toBeLessThan(8 * 2 ** 20);
  });

  it('counts the bytes stored to each medium', () => {
    const [ram, pmem] = [createDram(CHUNK_SIZE), createNvdimm({ sizeBytes: SIZE })];
    const { cpu, memory } = createMachine({ media: [{ start: 0, medium: ram }, { start: CHUNK_SIZE, medium: pmem }] });
    cpu.map(physAddr(0), CHUNK_SIZE + SIZE, 'WB').write(CHUNK_SIZE - 100, new Uint8Array(1000), 0, 1000);
    memory.write(physAddr(0), new Uint8Array(7));
    expect([ram.bytesWritten, pmem.bytesWritten]).toEqual([107, 900]);
  });

  it('charges virtual time for loads, stores and fences that have something to wait for', () => {
    const { machine, m } = boot();
    const spent = (step: () => void): number => {
      const before = machine.clock.now;
      step();
      return machine.clock.now - before;
    };
    expect(spent(() => m.read(0, new Uint8Array(4096), 0, 4096))).toBeCloseTo(305 + 4032 / 6.6);
    expect(spent(() => m.writeFlushCache(0, new Uint8Array(4096), 0, 4096))).toBeGreaterThan(256);
    expect(spent(() => machine.cpu.sfence())).toBe(SFENCE_COST);
    expect(spent(() => machine.cpu.sfence())).toBe(0);
  });

  it('starts again at zero after a power cycle, and refuses to go back', () => {
    const { machine } = boot();
    machine.clock.advance(5);
    expect(machine.clock.now).toBe(5);
    expect(() => machine.clock.advance(-1)).toThrow(BugError);
    expect(() => machine.clock.advance(NaN)).toThrow(BugError);
    machine.poweroff();
    expect(machine.clock.now).toBe(0);
  });
});
