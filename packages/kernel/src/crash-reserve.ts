/**
 * crashkernel=: memory set aside for the kernel that a panic starts. Mirrors kernel/crash_core.c: parse_crashkernel,
 * and arch/x86/kernel/setup.c: reserve_crashkernel.
 */
import {
  GIB, KERN, type KernelParam, type KernelRelease, MIB, type Printk, type Resource,
  createResource, findParam, hex16, memparse, releaseAtLeast, tryInsertResource,
} from '@holdfast/lib';
import type { Memblock } from '@holdfast/mm';

const CRASH_ALIGN = 16 * MIB;
const CRASH_ADDR_LOW_MAX = 4 * GIB;
const CRASH_ADDR_HIGH_MAX = 64 * 1024 * GIB;

interface CrashRequest {
  readonly sizeBytes: number;
  /** Fixed by the user, or 0. */
  readonly base: number;
  /** `crashkernel=SIZE,high`: above 4 GiB is as good. */
  readonly high: boolean;
}

/** Reserve what the command line asks for, in memblock and in the resource tree. Without a usable request nothing happens. */
export function reserveCrashkernel(needs: {
  params: readonly KernelParam[];
  memblock: Memblock;
  iomem: Resource;
  release: KernelRelease;
  printk: Printk;
}): void {
  const { params, memblock, iomem, release, printk } = needs;
  const text = findParam(params, 'crashkernel');
  const systemRam = memblock.memory.reduce((sum, { start, end }) => sum + end - start, 0);
  const request = text === undefined ? undefined : parseCrashkernel(text, systemRam);
  if (!request || request.sizeBytes === 0) return;

  const base = placeCrashkernel(request, memblock);
  if (base === undefined) {
    const why = request.base ? 'crashkernel reservation failed - memory is in use.' : 'crashkernel reservation failed - No suitable area found.';
    printk(why, KERN.info);
    return;
  }
  const end = base + request.sizeBytes;
  if (releaseAtLeast(release, 6, 8)) printk(`crashkernel reserved: ${hex16(base)} - ${hex16(end)} (${request.sizeBytes / MIB} MB)`);
  else {
    printk(
      `Reserving ${Math.floor(request.sizeBytes / MIB)}MB of memory at ${Math.floor(base / MIB)}MB for crashkernel (System RAM: ${Math.floor(systemRam / MIB)}MB)`,
    );
  }
  tryInsertResource(iomem, createResource({ name: 'Crash kernel', start: base, end: end - 1, busy: true, desc: 'crash-kernel' }));
}

function placeCrashkernel({ sizeBytes, base, high }: CrashRequest, memblock: Memblock): number | undefined {
  if (base > 0) {
    const free = memblock.freeRanges().some(({ start, end }) => start <= base && end >= base + sizeBytes);
    if (free) memblock.reserve(base, sizeBytes);
    return free ? base : undefined;
  }
  const below = (max: number): number | undefined => memblock.alloc(sizeBytes, { align: CRASH_ALIGN, min: CRASH_ALIGN, max });
  return high ? below(CRASH_ADDR_HIGH_MAX) : (below(CRASH_ADDR_LOW_MAX) ?? below(CRASH_ADDR_HIGH_MAX));
}

/** `SIZE[@BASE]`, `SIZE,high|low`, or `START-[END]:SIZE[,…][@BASE]` chosen by the amount of memory; undefined if it is none of them. */
export function parseCrashkernel(text: string, systemRam: number): CrashRequest | undefined {
  const ranged = /^[^@,]*:/.test(text);
  const [spec, at] = splitOnce(text, '@');
  const base = at === undefined ? 0 : Number(memparse(at).value);
  const size = ranged ? sizeForRam(spec, systemRam) : memparse(spec);
  if (!size?.found || !['', ',high', ',low'].includes(ranged ? '' : size.rest)) return undefined;
  return { sizeBytes: Number(size.value), base, high: size.rest === ',high' };
}

function sizeForRam(spec: string, systemRam: number): ReturnType<typeof memparse> | undefined {
  for (const part of spec.split(',')) {
    const [range, size] = splitOnce(part, ':');
    const [from, to] = splitOnce(range, '-');
    if (size === undefined || to === undefined) return undefined;
    const end = to === '' ? Infinity : Number(memparse(to).value);
    if (Number(memparse(from).value) <= systemRam && systemRam < end) return memparse(size);
  }
  return undefined;
}

function splitOnce(text: string, separator: string): [string, string | undefined] {
  const index = text.indexOf(separator);
  return index < 0 ? [text, undefined] : [text.slice(0, index), text.slice(index + 1)];
}
