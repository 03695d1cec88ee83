/**
 * A power cut that comes by itself, before a request that was counted out: so that the same requests are cut at the same place each time.
 */
import type { NbdDisk } from '../disk.js';
import { NBD, type NbdError } from '../protocol.js';

export interface CutTrigger {
  /** Requests that are still to come before the cut; undefined if none is to come. */
  readonly left: number | undefined;
  /** Cut the power when so many more requests to disks have been carried out. */
  arm(requests: number, cut: () => void): void;
  disarm(): void;
  /** `disk`, whose requests count. */
  wrap(disk: NbdDisk): NbdDisk;
}

export function createCutTrigger(): CutTrigger {
  let left: number | undefined;
  let cut = (): void => {};
  return {
    get left() {
      return left;
    },
    arm(requests, how) {
      left = requests;
      cut = how;
    },
    disarm() {
      left = undefined;
    },
    wrap(disk) {
      let dead = false;
      /** Does the power fail before this request? What it would act on is gone then. */
      const fails = (): boolean => {
        if (dead || left === undefined) return dead;
        if (left > 0) {
          left--;
          return false;
        }
        left = undefined;
        dead = true;
        cut();
        return true;
      };
      const unless = (request: () => NbdError): NbdError => (fails() ? NBD.ESHUTDOWN : request());
      return Object.assign(Object.create(disk) as NbdDisk, {
        read: (slab, at, offset, length) => (fails() ? NBD.ESHUTDOWN : disk.read(slab, at, offset, length)),
        write: (slab, at, offset, length, fua) => (fails() ? NBD.ESHUTDOWN : disk.write(slab, at, offset, length, fua)),
        flush: () => unless(() => disk.flush()),
        trim: (offset, length, fua) => unless(() => disk.trim(offset, length, fua)),
        writeZeroes: (offset, length, fua, noHole) => unless(() => disk.writeZeroes(offset, length, fua, noHole)),
        extent: (offset, length) => (dead ? { length, state: 0 } : disk.extent(offset, length)),
      } satisfies Partial<NbdDisk>);
    },
  };
}
