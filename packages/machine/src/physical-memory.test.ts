import { describe, expect, it } from 'vitest';
import { GIB, TIB, physAddr } from '@holdfast/lib';
import { type Machine, CHUNK_SIZE, createDram, createMachine, createNvdimm, createPciMemory } from './index.js';

const bytesAt = (machine: Machine, addr: number, length: number): Uint8Array => {
  const bytes = new Uint8Array(length);
  machine.memory.read(physAddr(addr), bytes);
  return bytes;
};

describe('the physical address space', () => {
  it('costs what was written, not what is there: 16 TB of RAM and 400 TB of pmem', () => {
    const before = process.memoryUsage().arrayBuffers;
    const machine = createMachine({
      physBits: 52,
      media: [{ start: 0, medium: createDram(16 * TIB) }, { start: 64 * TIB, medium: createNvdimm({ sizeBytes: 400 * TIB }) }],
    });
    const last = 464 * TIB - 4096;
    const pmem = machine.cpu.map(physAddr(64 * TIB), 400 * TIB, 'WB');
    pmem.writeFlushCache(400 * TIB - 4096, new Uint8Array(4096).fill(7), 0, 4096);
    machine.memory.frame(last / 4096)[0] = 8;
    expect(bytesAt(machine, last, 2)).toEqual(Uint8Array.of(8, 7));
    expect(bytesAt(machine, 15 * TIB, 3)).toEqual(new Uint8Array(3));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 * 1024 * 1024);
    machine.powercut(1);
  });

  it('gives the same frame and chunk views each time, over the same bytes', () => {
    const { memory } = createMachine({ media: [{ start: CHUNK_SIZE, medium: createDram(2 * CHUNK_SIZE) }] });
    const frame = memory.frame(512 + 3);
    expect(memory.frame(512 + 3)).toBe(frame);
    frame[5] = 9;
    expect(memory.chunk(1)[3 * 4096 + 5]).toBe(9);
    expect(memory.peekChunk(1)).toBe(memory.chunk(1));
    expect(memory.peekChunk(2)).toBeUndefined();
    expect(memory.peekChunk(7)).toBeUndefined();
  });

  it('refuses what is not there', () => {
    const { memory } = createMachine({ media: [{ start: 4096, medium: createDram(8192) }] });
    const efault = expect.objectContaining({ code: 'EFAULT' });
    expect(() => memory.chunk(1)).toThrow(efault);
    for (const nr of [2 ** 32, 2 ** 41, -1, NaN, 0.5]) {
      expect(() => memory.chunk(nr)).toThrow(efault);
      expect(memory.peekChunk(nr)).toBeUndefined();
    }
    expect(() => memory.frame(512)).toThrow(efault);
    expect(() => memory.frame(2 ** 41)).toThrow(efault);
    expect(() => memory.read(physAddr(12287), new Uint8Array(2))).toThrow(efault);
    expect(() => memory.write(physAddr(4095), new Uint8Array(2))).toThrow(efault);
    expect(() => memory.clear(physAddr(0), 4097)).toThrow(efault);
    expect(memory.isBacked(physAddr(4096), 8192)).toBe(true);
    expect(memory.isBacked(physAddr(4096), 8193)).toBe(false);
    expect(memory.isBacked(physAddr(4096), 0)).toBe(false);
  });

  it('refuses bad places and sizes', () => {
    const medium = createDram(8192);
    const machine = createMachine({ media: [{ start: 4096, medium }] });
    const refused = (start: number, size: number | undefined, other = createDram(8192)): unknown => {
      try {
        machine.attach(size === undefined ? { start, medium: other } : { start, sizeBytes: size, medium: other });
      } catch (error) {
        return (error as { code: string }).code;
      }
      return undefined;
    };
    expect(refused(0, 4097)).toBe('EBUSY');
    expect(refused(8192, 1)).toBe('EBUSY');
    expect(refused(65536, undefined, medium)).toBe('EBUSY');
    for (const [start, size] of [[-1, 1], [0.5, 1], [0, 0], [NaN, 1], [2 ** 46 - 1, 2], [65536, 8193]] as const) expect(refused(start, size)).toBe('EINVAL');
    expect(refused(0, 4096)).toBeUndefined();
    for (const size of [0, -1, 1.5, NaN, Infinity]) expect(() => createDram(size)).toThrow(expect.objectContaining({ code: 'EINVAL' }));
    expect(() => createNvdimm({})).toThrow('give a size or an image');
    for (const spec of [{ physBits: 53 }, { nrCpus: 0 }, { undecidedBytes: 100 }, { undecidedBytes: 0 }]) expect(() => createMachine(spec)).toThrow('machine: ');
  });

  it('takes media that meet inside a chunk', () => {
    const edge = 3 * CHUNK_SIZE + 4096;
    const [ram, pmem] = [createDram(edge), createNvdimm({ sizeBytes: GIB })];
    const machine = createMachine({ media: [{ start: 0, medium: ram }] });
    const shared = machine.memory.chunk(3).fill(1);
    machine.attach({ start: edge, medium: pmem });
    expect(machine.memory.chunk(3)).toBe(shared); // who uses it goes on using it
    machine.memory.write(physAddr(edge - 2), Uint8Array.of(1, 2, 3, 4));
    expect(bytesAt(machine, edge - 2, 4)).toEqual(Uint8Array.of(1, 2, 3, 4));
    expect([ram.bytesWritten, pmem.bytesWritten]).toEqual([2, 2]);
    machine.powercut(0);
    machine.poweroff();
    const [a, b, ...kept] = bytesAt(machine, edge - 2, 4);
    expect([a, b]).not.toEqual([1, 2]); // RAM: noise
    expect([[3, 4], [0, 0]]).toContainEqual(kept);
  });

  it('keeps what is in a medium that moves to another place of another machine', () => {
    const pmem = createNvdimm({ sizeBytes: 3 * CHUNK_SIZE });
    const first = createMachine({ media: [{ start: CHUNK_SIZE + 4096, medium: pmem }, { start: 0, medium: createDram(CHUNK_SIZE + 4096) }] });
    const data = Uint8Array.from({ length: 10_000 }, (_, i) => i % 253);
    for (const offset of [0, CHUNK_SIZE - 5000, 3 * CHUNK_SIZE - 10_000]) first.memory.write(physAddr(CHUNK_SIZE + 4096 + offset), data);
    first.detach(pmem);
    expect(first.mediumAt(physAddr(2 * CHUNK_SIZE))).toBeUndefined();
    expect(() => first.detach(pmem)).toThrow(expect.objectContaining({ code: 'ENODEV' }));
    first.memory.chunk(1).fill(0xee); // the neighbour's stores are not the medium's any more
    const second = createMachine({ media: [{ start: 8 * CHUNK_SIZE, medium: pmem }] });
    for (const offset of [0, CHUNK_SIZE - 5000, 3 * CHUNK_SIZE - 10_000]) expect(bytesAt(second, 8 * CHUNK_SIZE + offset, 10_000)).toEqual(data);
  });
});

describe('the power', () => {
  const boot = (): Machine =>
    createMachine({
      media: [
        { start: 0, medium: createDram(4 * CHUNK_SIZE) },
        { start: 4 * CHUNK_SIZE, medium: createNvdimm({ sizeBytes: CHUNK_SIZE }) },
        { start: 5 * CHUNK_SIZE, medium: createPciMemory({ sizeBytes: CHUNK_SIZE }) },
      ],
    });

  it.each(['poweroff', 'powercut'] as const)('%s: RAM that was written holds noise, other media hold their bytes', (how) => {
    const machine = boot();
    for (const nr of [1, 4, 5]) machine.memory.chunk(nr).fill(0x77);
    machine[how](1);
    expect(machine.memory.peekChunk(0)).toBeUndefined();
    const noise = machine.memory.peekChunk(1)!;
    expect(noise.filter((byte) => byte === 0x77).length).toBeLessThan(CHUNK_SIZE / 100);
    expect(noise.filter((byte) => byte === 0).length).toBeLessThan(CHUNK_SIZE / 100);
    for (const nr of [4, 5]) expect(machine.memory.peekChunk(nr)!.every((byte) => byte === 0x77)).toBe(true);
  });

  it('makes the same noise from the same seed', () => {
    const noise = (seed: number): Uint8Array => {
      const machine = boot();
      machine.memory.frame(0)[0] = 1;
      machine.powercut(seed);
      return bytesAt(machine, 0, 64);
    };
    expect(noise(1)).toEqual(noise(1));
    expect(noise(1)).not.toEqual(noise(2));
  });

  it('leaves noise that can be cleared, whole chunks without making them', () => {
    const machine = boot();
    for (const nr of [0, 1, 2]) machine.memory.chunk(nr).fill(1);
    machine.poweroff();
    machine.memory.clear(physAddr(CHUNK_SIZE - 8), CHUNK_SIZE + 16);
    expect(machine.memory.peekChunk(1)).toBeUndefined();
    expect(bytesAt(machine, CHUNK_SIZE - 8, 8)).toEqual(new Uint8Array(8));
    expect(bytesAt(machine, 2 * CHUNK_SIZE, 8)).toEqual(new Uint8Array(8));
    expect(bytesAt(machine, CHUNK_SIZE - 16, 8)).not.toEqual(new Uint8Array(8));
  });
});
