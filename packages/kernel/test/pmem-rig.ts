/**
 * A booted machine with one legacy range of persistent memory behind its RAM, and what an administrator does with its disk.
 */
import { type Kernel, type KernelConfig, type VfsBlockDevice, boot, readFile, resolvePath, writeFile } from '@holdfast/kernel';
import { KernelError, PAGE_SIZE, type PhysAddr, parseRelease } from '@holdfast/lib';
import { type Machine, type Medium, type MemoryType, createDram, createMachine, createNvdimm } from '@holdfast/machine';
import type { AttachedDesign } from '@holdfast/pmem';
import { GIB, e820Text, kernelOf } from './fixture.js';

export const PMEM_START = 8 * GIB;

export interface PmemRig {
  readonly kernel: Kernel;
  readonly machine: Machine;
  readonly pmem: Medium;
  readonly attached: () => AttachedDesign | undefined;
  /** Unbind, write the parameter, bind. */
  switchTo(design: string): void;
  param(name: string, value: string): void;
  unbind(): void;
  bind(): void;
  write(offset: number, bytes: Uint8Array): void;
  read(offset: number, length: number): Uint8Array;
  text(path: string): string;
  meminfo(field: string): number;
  /** How the driver has mapped the device: who asks for UC gets the type that is there. */
  memoryType(): MemoryType;
}

/** RAM and a type-12 range; the medium may come from an earlier boot. */
export function bootPmem({ sizeBytes = GIB, ramBytes = 4 * GIB, cmdline = '', pmem = createNvdimm({ sizeBytes }), physBits = 46, machine, release, config }: {
  sizeBytes?: number;
  ramBytes?: number;
  cmdline?: string;
  pmem?: Medium;
  physBits?: number;
  machine?: Machine;
  release?: string;
  config?: KernelConfig;
} = {}): PmemRig {
  const high = ramBytes - 2 * GIB;
  const start = Math.max(PMEM_START, 4 * GIB + high);
  const made = machine ?? createMachine({
    physBits,
    media: [{ start: 0, medium: createDram(2 * GIB) }, { start: 4 * GIB, medium: createDram(high) }, { start, medium: pmem }],
  });
  const e820 = e820Text([
    { start: 0, end: 0x9fc00, type: 'usable' },
    { start: 0x100000, end: 2 * GIB, type: 'usable' },
    { start: 4 * GIB, end: 4 * GIB + high, type: 'usable' },
    { start, end: start + sizeBytes, type: 'persistent (type 12)' },
  ]);
  const kernel = kernelOf(boot({ machine: made, firmware: { e820 }, cmdline, ...(release ? { release: parseRelease(release) } : {}), ...(config ? { config } : {}) }));
  const driver = '/sys/bus/nd/drivers/nd_pmem';
  const disk = (): ReturnType<VfsBlockDevice['open']> => (resolvePath(kernel.root, '/dev/pmem0').node as VfsBlockDevice).open();
  const rig: PmemRig = {
    kernel,
    machine: made,
    pmem,
    attached: () => kernel.pmem.get('pmem0'),
    switchTo(design) {
      if (rig.attached()) rig.unbind();
      rig.param('pages', design);
      rig.bind();
    },
    param: (name, value) => writeFile(kernel.root, `/sys/module/pmem/parameters/${name}`, value),
    unbind: () => writeFile(kernel.root, `${driver}/unbind`, 'namespace0.0'),
    bind: () => writeFile(kernel.root, `${driver}/bind`, 'namespace0.0'),
    write(offset, bytes) {
      const file = disk();
      file.pwrite(bytes, offset);
      file.fsync();
    },
    read(offset, length) {
      const bytes = new Uint8Array(length);
      disk().pread(bytes, offset);
      return bytes;
    },
    text: (path) => readFile(kernel.root, path) as string,
    meminfo: (field) => Number(new RegExp(`^${field}: *(\\d+) kB`, 'm').exec(rig.text('/proc/meminfo'))![1]) * 1024,
    memoryType() {
      const mapping = made.cpu.map(start as PhysAddr, PAGE_SIZE, 'UC');
      made.cpu.unmap(mapping);
      return mapping.type;
    },
  };
  return rig;
}

export function errnoOf(call: () => unknown): string {
  try {
    call();
    return 'ok';
  } catch (error) {
    if (error instanceof KernelError) return error.code;
    throw error;
  }
}
