import { KernelError, PAGE_SIZE } from '@holdfast/lib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createContent } from './ramfs-content.js';

const LIMIT = 6 * PAGE_SIZE;
const step = fc.oneof(
  fc.record({ offset: fc.nat(LIMIT), length: fc.nat(2 * PAGE_SIZE), byte: fc.nat(2) }),
  fc.record({ size: fc.nat(LIMIT) }),
);

describe('the bytes of a file in memory', () => {
  it('are those that one array would hold, in as many pages as were written', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        const room = { freePages: 100 };
        const content = createContent(room);
        const model = new Uint8Array(LIMIT + 2 * PAGE_SIZE);
        const written = new Set<number>();
        let size = 0;
        for (const action of steps) {
          if ('size' in action) {
            content.truncate(action.size);
            size = action.size;
            model.fill(0, size);
            for (const page of written) if (page * PAGE_SIZE >= size) written.delete(page);
          } else if (action.length > 0) {
            const { offset, length, byte } = action;
            expect(content.pwrite(new Uint8Array(length).fill(byte), offset)).toBe(length);
            model.fill(byte, offset, offset + length);
            size = Math.max(size, offset + length);
            for (let page = Math.floor(offset / PAGE_SIZE); page * PAGE_SIZE < offset + length; page++) written.add(page);
          }
        }
        const read = new Uint8Array(size + 10).fill(7);
        expect([content.sizeBytes, content.nrPages, room.freePages]).toEqual([size, written.size, 100 - written.size]);
        expect(content.pread(read, 0)).toBe(size);
        expect(Buffer.compare(read.subarray(0, size), model.subarray(0, size))).toBe(0);
      }),
    );
  });

  it('end where the room for all files does: with less than was asked for, and then with ENOSPC', () => {
    const room = { freePages: 2 };
    const [content, other] = [createContent(room), createContent(room)];
    expect(content.pwrite(new Uint8Array(3 * PAGE_SIZE), 100)).toBe(2 * PAGE_SIZE - 100);
    expect(() => other.pwrite(Uint8Array.of(1), 0)).toThrow(KernelError);
    expect(other.sizeBytes).toBe(0);
    content.truncate(0);
    expect(other.pwrite(Uint8Array.of(1), 0)).toBe(1);
  });

  it('cost nothing where nobody wrote, however far out the last one is', () => {
    const content = createContent({ freePages: 1 });
    expect(content.pwrite(Uint8Array.of(1), 2 ** 40)).toBe(1);
    expect([content.sizeBytes, content.nrPages]).toEqual([2 ** 40 + 1, 1]);
  });
});
