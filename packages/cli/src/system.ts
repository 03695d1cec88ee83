/**
 * A machine on a desk: its power button, its mains plug, and the kernel that runs on it now.
 *
 * Invariant: what NVDIMM media held in the persistence domain is there at the next boot; everything else is gone.
 * Each boot starts a log and a tree of files of its own.
 */
import { type BootOptions, type BootOutcome, type Kernel, type KernelLog, type VfsDir, boot } from '@holdfast/kernel';
import { seededRandom } from '@holdfast/lib';
import type { PowercutReport } from '@holdfast/machine';
import { formatUuid } from '@holdfast/nvdimm';
import type { PciHost } from '@holdfast/pci';
import { userRoot } from './console/user-root.js';
import { type Monitor, createMonitor } from './host/monitor.js';
import type { DimmPlan } from './host/slot-layout.js';
import type { HostDevice } from './virtio-devices.js';

/** An image file, or what else is open of the host. */
export interface HostFile {
  close(): void;
  /** Make what was written survive a crash of the host. @throws KernelError EIO */
  datasync?(): void;
}

export interface SystemOptions extends Omit<BootOptions, 'virtio'> {
  /** What {@link plugVirtio} plugged into the machine. */
  readonly virtio?: readonly HostDevice[];
  /** DIMMs that are plugged before the machine is switched on, in the order of their slots. */
  readonly dimms?: readonly DimmPlan[];
  /** Chooses the outcome of power cuts: the first uses it, and each later one the next number. */
  readonly seed?: number;
  /** What the machine holds open of the host, to be closed with the system. */
  readonly images?: readonly HostFile[];
  /** For tests: another kernel. */
  readonly bootKernel?: (options: BootOptions) => BootOutcome;
  /** Told of each boot, the first included. */
  readonly onBoot?: (outcome: BootOutcome) => void;
}

export interface System {
  /** Undefined while the machine is off, or if the kernel panicked. */
  readonly kernel: Kernel | undefined;
  /** The kernel's tree with a few devices of user space; empty while there is no kernel. */
  readonly root: VfsDir;
  /** Of the last boot. */
  readonly log: KernelLog;
  readonly panic: string | undefined;
  readonly poweredOn: boolean;
  /** Memory that is plugged and pulled. */
  readonly monitor: Monitor;
  /** The slots for cards, if the machine has any. */
  readonly pci: PciHost | undefined;
  /** Orderly: drivers stop, and the machine is off. */
  poweroff(): void;
  /** Orderly, and up again. */
  reboot(): void;
  /** Pull the plug, and boot again. */
  powercut(seed?: number): PowercutReport;
  /** Pull the plug, by whatever `cut` does to the hardware, and leave it off. */
  pullPlug(cut: () => void): void;
  /** Boot a machine that is off. */
  powerOn(): void;
  /** The next of this system's random UUIDs (version 4); the seed decides which. */
  randomUuid(): string;
  /** What the image files were given survives a crash of the host when this returns. @throws KernelError EIO */
  datasync(): void;
  /** Power off, take out the DIMMs that were plugged, and let go of image files. The system is of no use then. */
  close(): void;
}

const NOTHING: VfsDir = { kind: 'dir', list: () => [], lookup: () => undefined };

/** Boot a machine. A panic is an outcome, not an error. @throws KernelError, MonitorError for what no machine can be booted with. */
export function createSystem(options: SystemOptions): System {
  const { machine, images = [], virtio = [], drives = [], bootKernel = boot, onBoot } = options;
  const monitor = createMonitor(machine, options.firmware, { virtio, ...(options.dimms ? { dimms: options.dimms } : {}) });
  let nextSeed = options.seed ?? 0;
  const random = seededRandom(nextSeed);
  let outcome: BootOutcome;
  let root = NOTHING;
  let poweredOn = false;

  const resetVirtio = (): void => {
    for (const { hardware } of virtio) if (hardware.kind === 'mem') hardware.reset();
  };
  const start = (): void => {
    const hardware = virtio.map((device) => device.hardware);
    resetVirtio();
    outcome = bootKernel({ ...options, virtio: hardware, firmware: { ...options.firmware, memoryDevices: monitor.memoryDevices() } });
    root = outcome.kernel ? userRoot(outcome.kernel.root) : NOTHING;
    poweredOn = true;
    onBoot?.(outcome);
  };
  const stop = (): void => {
    if (outcome.kernel) outcome.kernel.shutdown();
    else machine.poweroff();
    resetVirtio();
    root = NOTHING;
    poweredOn = false;
  };
  start();
  return {
    monitor,
    pci: options.pci,
    get kernel() {
      return poweredOn ? outcome.kernel : undefined;
    },
    get root() {
      return root;
    },
    get log() {
      return outcome.log;
    },
    get panic() {
      return outcome.panic;
    },
    get poweredOn() {
      return poweredOn;
    },
    poweroff: stop,
    reboot() {
      if (poweredOn) stop();
      start();
    },
    powercut(seed = nextSeed++) {
      const reports = [machine.powercut(seed), ...drives.map((drive, i) => drive.powercut(seed + i + 1))];
      start();
      return { undecided: sum(reports.map(({ undecided }) => undecided)), lost: sum(reports.map(({ lost }) => lost)) };
    },
    pullPlug(cut) {
      cut();
      root = NOTHING;
      poweredOn = false;
    },
    powerOn() {
      if (!poweredOn) start();
    },
    randomUuid() {
      const bytes = new Uint8Array(16);
      random.fill(bytes);
      bytes[6] = 0x40 | (bytes[6]! & 0x0f); // version 4
      bytes[8] = 0x80 | (bytes[8]! & 0x3f); // variant of RFC 4122
      return formatUuid(bytes);
    },
    datasync() {
      for (const image of images) image.datasync?.();
    },
    close() {
      if (poweredOn) stop();
      monitor.close();
      for (const image of images) image.close();
    },
  };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
