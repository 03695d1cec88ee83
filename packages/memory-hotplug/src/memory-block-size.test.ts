import { GIB, MIB, PAGE_SIZE, parseRelease, pfn } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { probeMemoryBlockSize } from './memory-block-size.js';

describe('probeMemoryBlockSize', () => {
  it.each<[release: string, endGib: number, hypervisor: boolean, mib: number, line: string | undefined]>([
    ['6.1', 1, true, 128, 'x86/mm: Memory block size: 128MB'],
    ['6.1', 63.99, false, 128, 'x86/mm: Memory block size: 128MB'],
    ['6.1', 64, false, 2048, 'x86/mm: Memory block size: 2048MB'],
    ['6.1', 65, false, 2048, 'x86/mm: Memory block size: 2048MB'],
    ['6.1', 65, true, 1024, 'x86/mm: Memory block size: 1024MB'],
    ['6.1', 66, true, 2048, 'x86/mm: Memory block size: 2048MB'],
    ['6.1', 67, true, 1024, 'x86/mm: Memory block size: 1024MB'],
    ['6.1', 64.25, true, 256, 'x86/mm: Memory block size: 256MB'],
    ['6.1', 64 + 1 / 2 ** 18, true, 128, 'x86/mm: Memory block size: 128MB'],
    ['5.8', 65, false, 1024, 'x86/mm: Memory block size: 1024MB'],
    ['4.16', 65, true, 2048, 'x86/mm: Memory block size: 2048MB'],
    ['4.1', 65, false, 2048, 'Using 2GB memory block size for large-memory system'],
    ['4.1', 64.5, false, 512, 'memory block size : 512MB'],
    ['4.1', 32, false, 128, undefined],
  ])('on %s with RAM up to %d GiB, in a guest: %s, gives %d MiB', (text, endGib, hypervisor, mib, line) => {
    const log: string[] = [];
    const maxPfn = pfn((endGib * GIB) / PAGE_SIZE);
    // A hole of 1 GiB below the end, as on a PC.
    const size = probeMemoryBlockSize({ maxPfn, totalRam: (endGib - 1) * GIB, hypervisor, release: parseRelease(text) }, (text) => log.push(text));
    expect([size / MIB, log]).toEqual([mib, line === undefined ? [] : [line]]);
  });
});
