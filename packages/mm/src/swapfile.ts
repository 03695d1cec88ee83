/**
 * Swap areas: which devices are one, in which order they would be used. Mirrors mm/swapfile.c: swapon, swapoff, swap_show.
 *
 * Invariant: a device is held exclusively from swapon to swapoff; priorities that nobody chose count down from -2, in the order of swapon.
 * Differs from Linux: reclaim writes no anonymous page to them, so an area in use is always empty.
 */
import { KernelError, type KernelRelease, PAGE_SIZE, type Printk, releaseAtLeast } from '@holdfast/lib';
import { readSwapHeader } from './swap-header.js';

/** What an area lies on, open and held. */
export interface SwapDevice {
  readonly sizeBytes: number;
  readonly rotational: boolean;
  /** @throws KernelError EIO */
  pread(target: Uint8Array, offset: number): number;
  close(): void;
}

interface SwapArea {
  /** As swapon was told. */
  readonly path: string;
  readonly device: SwapDevice;
  /** That can be swapped to. */
  readonly nrPages: number;
  prio: number;
}

export interface Swap {
  /** Pages of all areas; all of them are free. */
  readonly totalPages: number;
  /**
   * Take `device` as an area; on refusal it is closed.
   * @param prio from 0 to 32767; without it behind all others
   * @throws KernelError EINVAL for what is no area, EIO
   */
  swapon(path: string, device: SwapDevice, prio?: number): void;
  /** @throws KernelError EINVAL if no area is on that path */
  swapoff(path: string): void;
  /** The text of /proc/swaps. */
  format(): string;
}

const NO_SPECIFIC_PRIORITY = -1;

export function createSwap(printk: Printk, release: KernelRelease): Swap {
  /** By type number; the first that is free is used again. */
  const areas: (SwapArea | undefined)[] = [];
  const inUse = (): SwapArea[] => areas.filter((area) => area !== undefined);
  let leastPriority = NO_SPECIFIC_PRIORITY;
  // Debian's kernels have frontswap, until there was none.
  const frontswap = releaseAtLeast(release, 3, 5) && !releaseAtLeast(release, 6, 6) ? 'FS' : '';
  return {
    get totalPages() {
      return inUse().reduce((sum, { nrPages }) => sum + nrPages, 0);
    },
    swapon(path, device, prio) {
      let nrPages: number;
      try {
        const page = new Uint8Array(PAGE_SIZE);
        device.pread(page, 0); // as the page cache has it: zeros behind the end of a device
        nrPages = readSwapHeader(page, Math.floor(device.sizeBytes / PAGE_SIZE), printk);
      } catch (error) {
        device.close();
        throw error;
      }
      const area = { path, device, nrPages, prio: prio ?? --leastPriority };
      const slot = areas.indexOf(undefined);
      if (slot < 0) areas.push(area);
      else areas[slot] = area;
      const kib = (nrPages * PAGE_SIZE) / 1024;
      printk(`Adding ${kib}k swap on ${path}.  Priority:${area.prio} extents:1 across:${kib}k ${device.rotational ? '' : 'SS'}${frontswap}`);
    },
    swapoff(path) {
      const slot = areas.findIndex((area) => area?.path === path);
      const area = areas[slot];
      if (!area) throw new KernelError('EINVAL', `${path} is no swap area`);
      areas[slot] = undefined;
      if (area.prio < 0) {
        for (const other of inUse()) if (other.prio < area.prio) other.prio++;
        leastPriority++;
      }
      area.device.close();
    },
    format: () => `Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n${inUse().map(formatArea).join('')}`,
  };
}

function formatArea({ path, nrPages, prio }: SwapArea): string {
  const column = (kib: number): string => `${kib}\t${kib < 10_000_000 ? '\t' : ''}`;
  return `${path}${' '.repeat(Math.max(1, 40 - path.length))}partition\t${column((nrPages * PAGE_SIZE) / 1024)}${column(0)}${prio}\n`;
}
