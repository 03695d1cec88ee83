/**
 * The memory map of an ordinary PC, for a machine without a firmware description.
 * Mirrors what SeaBIOS gives a QEMU `pc`: RAM below a hole under 4 GiB, the rest above it.
 */
import { GIB, KIB, KernelError, MIB, hex16 } from '@holdfast/lib';

/** The map as firmware would be logged. Bytes; the size is cut to whole pages. @throws KernelError EINVAL below 1 MiB and a bit. */
export function pcMap(memoryBytes: number, pmemSizes: readonly number[] = []): string {
  const memory = memoryBytes - (memoryBytes % (4 * KIB));
  const low = memory >= 3.5 * GIB ? 3 * GIB : memory;
  const tables = 128 * KIB; // ACPI tables, at the top of low memory
  if (low < 2 * MIB) throw new KernelError('EINVAL', `--memory: ${memoryBytes} bytes: a PC needs at least 2M`);
  const lines = [
    line(0, 0x9fc00, 'usable'),
    line(0x9fc00, 0xa0000, 'reserved'),
    line(0xf0000, 0x100000, 'reserved'),
    line(0x100000, low - tables, 'usable'),
    line(low - tables, low, 'reserved'),
    line(0xfffc0000, 4 * GIB, 'reserved'),
  ];
  if (memory > low) lines.push(line(4 * GIB, 4 * GIB + memory - low, 'usable'));
  return [...lines, ...pmemLines(4 * GIB + memory - low, pmemSizes), ''].join('\n');
}

/** Legacy pmem (type 12) above everything else, each range at a multiple of 1 GiB. */
export function pmemLines(top: number, sizes: readonly number[]): string[] {
  let next = top;
  return sizes.map((size) => {
    const start = Math.ceil(next / GIB) * GIB;
    next = start + size;
    return line(start, next, 'persistent (type 12)');
  });
}

function line(start: number, end: number, type: string): string {
  return `BIOS-e820: [mem ${hex16(start)}-${hex16(end - 1)}] ${type}`;
}
