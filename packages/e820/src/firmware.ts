/**
 * What a machine's firmware and boot loader tell the kernel about memory, whichever way it was read.
 *
 * A log of a boot also gives what Linux did to the map for reasons that the map does not hold: where setup_data lay, which MMIO ranges it
 * dropped, what EFI tables it kept. They are facts of that machine, and booting it again needs them.
 */
import type { EfiMemoryDescriptor, EfiMmio } from './efi.js';
import type { AddressRange, E820Entry } from './entry.js';

/** An edit of the map after memblock had been fed from it: pages kept for an EFI table, or a graphics card's stolen memory. */
export interface LateEdit extends AddressRange {
  readonly kind: 'efi-reserve' | 'graphics-stolen';
}

export interface E820Firmware {
  /** Who the rows of the log are said by: `BIOS-e820`, `BIOS-e801`, `BIOS-88`, `Xen`. */
  readonly who: string;
  readonly entries: readonly E820Entry[];
  /** What the boot loader could not fit into the zero page (SETUP_E820_EXT). */
  readonly extended: readonly E820Entry[];
  /** The nodes of setup_data, in list order; a log names one twice where the kernel retyped it in a second table too. */
  readonly setupData: readonly AddressRange[];
  /** Memory above 1 MiB by the older BIOS calls, in KiB: what there is to go by if the map is no map. */
  readonly altMemKib: number;
  readonly extMemKib: number;
  readonly efiMemmap: readonly EfiMemoryDescriptor[];
  readonly efiMmio: readonly EfiMmio[];
  /** Ranges the MTRRs did not cover. */
  readonly mtrrTrim: readonly AddressRange[];
  readonly lateEdits: readonly LateEdit[];
  /** Its BIOS is one (AMI's, Phoenix's) that 2.6.28 to 2.6.36 suspect of scribbling over the first 64 KiB, by name; none unless told. */
  readonly corruptsLowRam?: boolean;
  /** Of a log: the `X` of `Linux version X`. */
  readonly release?: string;
  /** Of a log: the command line of that boot. */
  readonly cmdline?: string;
  /** Of a log: the CPU's limit, in frames. */
  readonly maxArchPfn?: number;
}

/** Firmware that has a map and nothing else. */
export function plainFirmware(entries: readonly E820Entry[]): E820Firmware {
  return {
    who: 'BIOS-e820',
    entries,
    extended: [],
    setupData: [],
    altMemKib: 0,
    extMemKib: 0,
    efiMemmap: [],
    efiMmio: [],
    mtrrTrim: [],
    lateEdits: [],
  };
}
