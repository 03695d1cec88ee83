/**
 * What a boot gives its caller: a log, and, unless it panicked, the running kernel as a tree of files.
 */
import type { Block } from '@holdfast/block';
import type { DmaChannel } from '@holdfast/dmaengine';
import type { KernelRelease } from '@holdfast/lib';
import type { Machine } from '@holdfast/machine';
import type { AcpiMemory } from '@holdfast/memory-hotplug';
import type { DevicePagesMap } from '@holdfast/mm';
import type { Pci } from '@holdfast/pci';
import type { AttachedDesign } from '@holdfast/pmem';
import type { KernelLog } from './kernel-log.js';
import type { Process } from './process.js';
import type { SwapCalls } from './swap-calls.js';
import type { MountCalls } from './vfs-mounts.js';
import type { VfsDir } from './vfs.js';

/** A running kernel, for callers. Nothing below `kernel` ever receives it. */
export interface Kernel {
  readonly release: KernelRelease;
  readonly cmdline: string;
  readonly machine: Machine;
  /** Whom firmware tells of DIMMs that come and go. */
  readonly acpiMemory: AcpiMemory;
  /** All device memory, for faults and for get_user_pages. */
  readonly devicePages: DevicePagesMap;
  /** The struct-page designs at work, by disk name. */
  readonly pmem: ReadonlyMap<string, AttachedDesign>;
  /** The channels of DMA engines that are bound now. */
  readonly dma: readonly DmaChannel[];
  /** Whom a slot tells of cards that come and go; without slots there is nobody. */
  readonly pci?: Pick<Pci, 'rescan' | 'surpriseRemoved' | 'ejectRequested'>;
  readonly log: KernelLog;
  /** Its disks, for servers that bring I/O of their own. */
  readonly block: Block;
  /** `/`, with `proc`, `sys` and `dev`, and whatever is mounted. */
  readonly root: VfsDir;
  readonly swap: SwapCalls;
  /** mount(2) and umount(2). */
  readonly mounts: MountCalls;
  /** Seconds since 1970, as the machine's calendar has it. */
  now(): number;
  /** sync(2): everything that was written to files is durable, and what was written to devices is on its way. */
  sync(): void;
  /** A new process of that name, with nothing mapped and nothing open. @throws KernelError ENOMEM */
  createProcess(comm: string): Process;
  /** Let virtual nanoseconds pass, with what the kernel does by itself meanwhile: write what has been dirty for too long. */
  sleep(ns: number): void;
  /** Orderly stop: what is dirty is written, drivers are unbound, then the machine is powered off. */
  shutdown(): void;
}

/** How a boot ended: running, or with Linux's panic text. */
export type BootOutcome =
  | { readonly kernel: Kernel; readonly log: KernelLog; readonly panic?: never }
  | { readonly kernel?: never; readonly log: KernelLog; readonly panic: string };
