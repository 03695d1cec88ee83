/**
 * What only the next boot can change: where legacy persistent memory lies, and how much there is. Where the kernel command line made the
 * range, another `memmap=` is the nearest request.
 */
import { type VfsDir, resolvePath } from '@holdfast/kernel';
import { KernelError } from '@holdfast/lib';
import { dirAt, textAt } from '../../facts/sysfs.js';
import { memmapOption } from '../../memmap/memmap-option.js';

/** `boot with memmap=…`, if a range of `memmap=nn!ss` on this command line is the region's and the other one is RAM of the firmware's map. */
export function bootAdvice(root: VfsDir, region: string, wanted: { readonly start?: number; readonly sizeBytes?: number }): string | undefined {
  const path = `/sys/bus/nd/devices/${region}`;
  const [start, sizeBytes] = [Number(textAt(root, `${path}/resource`)), Number(textAt(root, `${path}/size`))];
  if (!isLegacy(root, path) || !/(?:^|\s)memmap=\S*!/.test(textAt(root, '/proc/cmdline') ?? '')) return undefined;
  const range = { start: wanted.start ?? start, sizeBytes: wanted.sizeBytes ?? sizeBytes };
  return isFirmwareRam(root, range) ? `boot with ${memmapOption(range)}` : undefined;
}

function isLegacy(root: VfsDir, path: string): boolean {
  try {
    const { path: real } = resolvePath(root, path);
    return textAt(root, `${real.slice(0, real.lastIndexOf('/'))}/provider`) === 'e820';
  } catch (error) {
    if (error instanceof KernelError) return false;
    throw error;
  }
}

/** What lies at the range in the map that the firmware gave, before any option changed it. */
function isFirmwareRam(root: VfsDir, { start, sizeBytes }: { readonly start: number; readonly sizeBytes: number }): boolean {
  const folder = '/sys/firmware/memmap';
  const ram = [...(dirAt(root, folder)?.list() ?? [])]
    .filter((entry) => textAt(root, `${folder}/${entry}/type`) === 'System RAM')
    .map((entry) => ({ start: Number(textAt(root, `${folder}/${entry}/start`)), end: Number(textAt(root, `${folder}/${entry}/end`)) + 1 }))
    .sort((a, b) => a.start - b.start);
  let at = start;
  for (const row of ram) if (row.start <= at && row.end > at) at = row.end;
  return at >= start + sizeBytes;
}
