import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { physAddr } from '@holdfast/lib';
import { PersistencyModel } from '../test/persistency-model.js';
import { type Step, steps, takeStep } from '../test/programs.js';
import { type ImageBacking, type MemoryType, type PersistenceDomain, CHUNK_SIZE, createMachine, createNvdimm } from './index.js';

/** An image in memory that tells of each access. */
function memoryImage(bytes: Uint8Array, onWrite: () => void = () => {}): ImageBacking & { reads: number; writes: number } {
  return {
    sizeBytes: bytes.length,
    reads: 0,
    writes: 0,
    isKnownZero: () => false,
    read(offset, target, targetOffset, length) {
      this.reads++;
      expect(offset + length).toBeLessThanOrEqual(bytes.length);
      target.set(bytes.subarray(offset, offset + length), targetOffset);
    },
    write(offset, source, sourceOffset, length) {
      this.writes++;
      expect(offset + length).toBeLessThanOrEqual(bytes.length);
      bytes.set(source.subarray(sourceOffset, sourceOffset + length), offset);
      onWrite();
    },
  };
}

describe('a medium with an image', () => {
  const SIZE = 512;

  const lines = Array.from({ length: SIZE / 64 }, (_, nr) => nr);
  /** Must the image be up to date when the step is over? */
  const syncs = ({ op }: Step, type: MemoryType): boolean =>
    op === 'sfence' || op === 'clflush' || (type.startsWith('UC') && (op === 'write' || op === 'stream')) || (type === 'WT' && op === 'write');

  it.each<PersistenceDomain>(['memory_controller', 'cpu_cache'])('holds what the domain held at some instant since the last fence (%s)', (persistence) => {
    const program = steps(SIZE, 200, ['write', 'stream', 'stream', 'clwb', 'clflush', 'sfence', 'sfence', 'remap']);
    fc.assert(
      fc.property(program, (list) => {
        const image = new Uint8Array(SIZE);
        let midway: Uint8Array[] = [];
        const backing = memoryImage(image, () => midway.push(image.slice()));
        const machine = createMachine({ media: [{ start: 0, medium: createNvdimm({ backing }) }], persistence });
        const model = new PersistencyModel(SIZE, persistence === 'cpu_cache');
        let instants = [model.clone()];
        // Line by line: between fences, nothing orders what reaches the medium of different lines.
        const isLegal = (bytes: Uint8Array): boolean => lines.every((nr) => instants.some((instant) => instant.isLegalLine(nr, bytes)));
        let mapping = machine.cpu.map(physAddr(0), SIZE, 'WB');
        list.forEach((step, i) => {
          midway = [];
          const { type } = mapping;
          mapping = takeStep(step, i + 1, { machine, model, mapping, size: SIZE });
          // Killed in the middle of a flush or fence: what was legal before it.
          if (step.op === 'sfence' || step.op === 'clflush') expect(midway.every(isLegal)).toBe(true);
          instants = syncs(step, type) ? [model.clone()] : [...instants, model.clone()];
          expect(isLegal(image)).toBe(true);
        });
        machine.powercut(list.length);
        const after = new Uint8Array(SIZE);
        machine.memory.read(physAddr(0), after);
        expect(image).toEqual(after);
      }),
      { numRuns: 150 },
    );
  });

  it('reads a chunk when it is first touched, and a chunk of zeros only once', () => {
    const image = new Uint8Array(4 * CHUNK_SIZE);
    image[CHUNK_SIZE + 5] = 9;
    const backing = memoryImage(image);
    const { memory } = createMachine({ media: [{ start: 0, medium: createNvdimm({ backing }) }] });
    expect(backing.reads).toBe(0);
    expect(memory.peekChunk(1)![5]).toBe(9);
    expect(memory.peekChunk(0)).toBeUndefined();
    expect(memory.peekChunk(0)).toBeUndefined();
    expect(backing.reads).toBe(2);
  });

  it('brings raw stores to the image at power-off, only the pages that changed', () => {
    const image = new Uint8Array(2 * CHUNK_SIZE);
    const backing = memoryImage(image);
    const machine = createMachine({ media: [{ start: 0, medium: createNvdimm({ backing }) }] });
    machine.memory.frame(3)[0] = 1;
    machine.memory.chunk(1)[CHUNK_SIZE - 1] = 2;
    expect(backing.writes).toBe(0);
    machine.poweroff();
    expect([image[3 * 4096], image[2 * CHUNK_SIZE - 1], backing.writes]).toEqual([1, 2, 2]);
  });

  it('has any size and any place: byte i of the image is byte i of the medium', () => {
    const start = CHUNK_SIZE - 192;
    const image = new Uint8Array(CHUNK_SIZE + 1000);
    image.set([1, 2, 3]);
    const backing = memoryImage(image);
    const machine = createMachine({ media: [{ start, medium: createNvdimm({ backing }) }] });
    const mapping = machine.cpu.map(physAddr(start), image.length, 'WB');
    const head = new Uint8Array(4);
    mapping.read(0, head, 0, 4);
    expect(head).toEqual(Uint8Array.of(1, 2, 3, 0));
    mapping.writeFlushCache(image.length - 999, new Uint8Array(999).fill(5), 0, 999);
    machine.cpu.sfence();
    expect(image.subarray(-1000)).toEqual(new Uint8Array(1000).fill(5, 1));
  });

  it('keeps what an image could not take for the next try', () => {
    let full = true;
    const image = new Uint8Array(4096);
    const backing = memoryImage(image);
    const failing: ImageBacking = {
      ...backing,
      write: (...args) => {
        if (full) throw new Error('no space');
        backing.write(...args);
      },
    };
    const machine = createMachine({ media: [{ start: 0, medium: createNvdimm({ backing: failing }) }] });
    const mapping = machine.cpu.map(physAddr(0), 4096, 'WB');
    mapping.writeFlushCache(0, new Uint8Array(64).fill(1), 0, 64);
    expect(() => machine.cpu.sfence()).toThrow('no space');
    full = false;
    machine.cpu.sfence();
    expect(image[63]).toBe(1);
  });

  it('is refused with an image of another size', () => {
    expect(() => createNvdimm({ sizeBytes: 4096, backing: memoryImage(new Uint8Array(4095)) })).toThrow('the image has 4095 bytes, expected 4096');
  });
});
