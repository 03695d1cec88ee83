/**
 * A kernel for tests of the console alone: a few files, a disk of 64 KiB that is durable at fsync, and a log.
 */
import {
  type BlockFile, type BootOutcome, type VfsBlockDevice, type VfsDir, type VfsNode, createKernelLog, vfsDir, vfsLink, vfsOfFs, vfsText,
} from '@holdfast/kernel';
import { createBlock } from '@holdfast/block';
import { createRamfs } from '@holdfast/fs';
import { DEFAULT_RELEASE, KernelError, pfn } from '@holdfast/lib';
import type { Machine } from '@holdfast/machine';
import { type System, createSystem } from '../src/system.js';

export const DISK_SIZE = 64 * 1024;

function noMount(): never {
  throw new KernelError('ENOSYS', 'the fake kernel mounts nothing');
}

function noProcess(): never {
  throw new KernelError('ENOSYS', 'the fake kernel has no processes');
}

/** One memory block directory. */
export function memoryBlock(nr: number, state = 'online', zones = 'Normal', node = 0): VfsDir {
  return vfsDir({
    phys_index: vfsText(() => `${nr.toString(16).padStart(8, '0')}\n`),
    state: { kind: 'file', mode: 0o644, read: () => `${state}\n`, write: (text) => {
      if (text.trim() !== 'offline') throw new KernelError('EINVAL', 'no such state');
    } },
    removable: vfsText(() => '1\n'),
    valid_zones: vfsText(() => `${zones}\n`),
    [`node${node}`]: vfsLink(`../../node/node${node}`),
  });
}

export function fakeSystem(files: Record<string, VfsNode> = {}): System {
  const durable = new Uint8Array(DISK_SIZE);
  let volatile = durable.slice();
  let now = 0;
  const clock = { get now() { return now; }, advance: (ns: number) => void (now += ns) };
  const machine = {
    clock,
    cpu: { physBits: 40 },
    poweroff: () => void durable.set(volatile),
    powercut() {
      volatile = durable.slice();
      return { undecided: 1, lost: 1 };
    },
  } as unknown as Machine;
  let readOnly = false;
  const pmem0: VfsBlockDevice = { kind: 'block', major: 259, minor: 0, bdev: { name: 'pmem0', partno: 0, disk: { name: 'pmem0' } } as VfsBlockDevice['bdev'], open: ({ direct = false } = {}): BlockFile => ({
    sizeBytes: DISK_SIZE,
    logicalBlockSize: 512,
    physicalBlockSize: 4096,
    get readOnly() { return readOnly; },
    set readOnly(value) { readOnly = value; },
    pread(target, offset) {
      const part = volatile.subarray(offset, offset + target.length);
      target.set(part);
      return part.length;
    },
    pwrite(source, offset) {
      if (readOnly) throw new KernelError('EPERM', 'read-only');
      if (direct && source.length % 512 !== 0) throw new KernelError('EINVAL', 'no whole blocks');
      if (offset >= DISK_SIZE) throw new KernelError('ENOSPC', 'behind the end');
      const fits = source.subarray(0, DISK_SIZE - offset);
      volatile.set(fits, offset);
      return fits.length;
    },
    fsync: () => void durable.set(volatile),
    flushBuffers: () => {},
    rereadPartitions: () => {},
    discard: () => {},
    zeroout: () => {},
    close: () => {},
  }) };
  const bootKernel = (): BootOutcome => {
    const log = createKernelLog(() => now);
    log.printk('Linux version 6.1.0');
    const block = vfsDir({
      size: vfsText(() => `${DISK_SIZE / 512}\n`), ro: vfsText(() => `${Number(readOnly)}\n`), dev: vfsText(() => '259:0\n'),
      removable: vfsText(() => '0\n'), queue: vfsDir({ dax: vfsText(() => '1\n') }),
    });
    const root = vfsDir({
      proc: vfsDir({ cmdline: vfsText(() => 'quiet\n'), iomem: vfsText(() => '00001000-0009fbff : System RAM\n') }),
      sys: vfsDir({
        block: vfsDir({ pmem0: block }),
        dev: vfsDir({ block: vfsDir({ '259:0': vfsLink('../../block/pmem0') }) }),
        devices: vfsDir({ system: vfsDir({ memory: vfsDir({
          block_size_bytes: vfsText(() => '8000000\n'),
          memory0: memoryBlock(0, 'online', 'none'), memory1: memoryBlock(1), memory2: memoryBlock(2), memory10: memoryBlock(10, 'offline', 'Normal Movable', 1),
        }) }) }),
      }),
      dev: vfsDir({ pmem0 }),
      tmp: vfsOfFs(createRamfs()),
      ...files,
    });
    return { log, kernel: { release: DEFAULT_RELEASE, cmdline: 'quiet', machine, acpiMemory: { deviceAdded: () => {}, ejectRequested: () => true }, dma: [], devicePages: { register: () => () => {}, at: () => undefined }, pmem: new Map(), log, block: createBlock({ printk: log.printk, memory: machine.memory, pages: { allocPages: () => pfn(0), freePages: () => {} }, clock: machine.clock }), root, swap: { swapon: () => {}, swapoff: () => {} }, mounts: { mount: noMount, remount: noMount, umount: noMount, mountOf: noMount }, now: () => 0, sync: () => {}, createProcess: noProcess, sleep: (ns) => clock.advance(ns), shutdown: () => machine.poweroff() } };
  };
  return createSystem({ machine, firmware: { e820: 'BIOS-e820: [mem 0x0000000000000000-0x000000003fffffff] usable' }, cmdline: '', bootKernel });
}
