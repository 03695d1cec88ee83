/**
 * The virtio-mem driver: RAM that grows and shrinks as the host requests. Mirrors drivers/virtio/virtio_mem.c: virtio_mem_probe,
 * virtio_mem_init, virtio_mem_refresh_config, virtio_mem_run_wq.
 *
 * Invariant: the driver goes towards the requested size as far as memory in use allows; what it could not do it tries again when the request
 * changes, or memory goes online or offline.
 * Differs from Linux: no timer tries again by itself.
 */
import {
  KERN, KernelError, NUMA_NO_NODE, PAGEBLOCK_NR_PAGES, PAGE_SIZE, type Attribute, type KernelParam, type LogLevel, type NodeId, type PhysAddr,
  type Printk, type Resource,
  boolParam, hex, isPowerOf2, moduleParams, releaseResource, requestRegion, roundDown, uintParam,
} from '@holdfast/lib';
import type { VirtioMem } from '@holdfast/machine';
import type { MemoryHotplug } from '@holdfast/memory-hotplug';
import { createBigBlockMode } from './virtio-mem-bbm.js';
import { type VirtioMemCore, type VirtioMemMode, type VirtioMemPages, createVirtioMemCore } from './virtio-mem-core.js';
import { createSubBlockMode } from './virtio-mem-sbm.js';
import type { VirtioBus, VirtioDevice } from './virtio-bus.js';

export interface VirtioMemNeeds {
  readonly virtio: VirtioBus;
  readonly memory: MemoryHotplug;
  readonly pages: VirtioMemPages;
  readonly iomem: Resource;
  /** One past the highest byte that the direct map can reach. */
  readonly maxPhysAddr: number;
  readonly nodes: { pxmToNode(pxm: number): NodeId; memoryAddPhysaddrToNid(addr: PhysAddr): NodeId };
  readonly params: readonly KernelParam[];
  readonly printk: Printk;
}

interface Params {
  readonly unplug_online: boolean;
  readonly force_bbm: boolean;
  readonly bbm_block_size: number;
  readonly bbm_safe_unplug: boolean;
}

/** Read the module's parameters; `start` registers the driver. */
export function createVirtioMemDriver(needs: VirtioMemNeeds): { readonly attributes: readonly Attribute[]; start(): () => void } {
  const { values, attributes } = moduleParams(
    'virtio_mem',
    { unplug_online: boolParam(true, 0o644), force_bbm: boolParam(false, 0o444), bbm_block_size: uintParam(0, 0o444), bbm_safe_unplug: boolParam(true, 0o444) },
    needs.params,
    needs.printk,
  );
  return {
    attributes,
    start: () =>
      needs.virtio.registerDriver({
        name: 'virtio_mem',
        match: ({ hardware }) => hardware.kind === 'mem',
        probe: (device) => probe(device, device.hardware as VirtioMem, needs, values),
      }),
  };
}

function probe({ name }: VirtioDevice, device: VirtioMem, needs: VirtioMemNeeds, params: Params): () => void {
  const log = (text: string, level: LogLevel = KERN.info): void => needs.printk(`virtio_mem ${name}: ${text}`, level);
  const { core, mode } = init(device, needs, params, log);
  const resource = createParentResource(name, device, needs.iomem, log);
  const run = createWork(core, mode, needs.maxPhysAddr, log);
  const { notifier } = mode;
  const unregister = needs.memory.registerNotifier({
    ...notifier,
    online(frames, zone) {
      notifier.online?.(frames, zone);
      if (core.couldAdd(THRESHOLD_HALF)) run.retry();
    },
    offline(frames) {
      notifier.offline?.(frames);
      if (!params.unplug_online) run.retry();
    },
  });
  device.onConfigChange(() => run.configChanged());
  run.configChanged();
  return () => {
    device.onConfigChange(undefined);
    unregister();
    mode.removeOffline();
    if (core.hasMemoryAdded()) log('device still has system memory added', KERN.warning);
    else releaseResource(resource);
  };
}

/** Half of what may be offline at a time. */
const THRESHOLD_HALF = 512 * 2 ** 20;

function init(
  device: VirtioMem,
  needs: VirtioMemNeeds,
  params: Params,
  log: (text: string, level?: LogLevel) => void,
): { core: VirtioMemCore; mode: VirtioMemMode } {
  const { memory, pages, nodes } = needs;
  const { blockSize } = memory;
  const { start, regionSize } = device;
  const fromPxm = nodes.pxmToNode(device.pxm);
  const nid = fromPxm === NUMA_NO_NODE ? nodes.memoryAddPhysaddrToNid(start as PhysAddr) : fromPxm;
  const warn = (text: string): void => log(`${text} can make some memory unusable.`, KERN.warning);
  if (start % blockSize !== 0) warn('The alignment of the physical start address');
  if ((start + regionSize) % blockSize !== 0) warn('The alignment of the physical end address');
  if (start + regionSize > needs.maxPhysAddr) warn('Some device memory is not addressable/pluggable. This');
  const subBlockSize = Math.max(PAGEBLOCK_NR_PAGES * PAGE_SIZE, device.blockSize);
  const inSubBlocks = subBlockSize < blockSize && !params.force_bbm;
  const bigBlockSize = inSubBlocks ? 0 : chooseBigBlock(Math.max(device.blockSize, blockSize), params.bbm_block_size, (text) => log(text, KERN.warning));
  const core = createVirtioMemCore({
    device,
    memory,
    pages,
    nid,
    unitSize: inSubBlocks ? blockSize : bigBlockSize,
    unplugOnline: () => params.unplug_online,
    log,
  });
  log(`start address: ${hex(start)}`);
  log(`region size: ${hex(regionSize)}`);
  log(`device block size: ${hex(device.blockSize)}`);
  log(`nid: ${nid}`);
  log(`memory block size: ${hex(blockSize)}`);
  log(inSubBlocks ? `subblock size: ${hex(subBlockSize)}` : `big block size: ${hex(bigBlockSize)}`);
  return { core, mode: inSubBlocks ? createSubBlockMode(core, subBlockSize) : createBigBlockMode(core, bigBlockSize, params.bbm_safe_unplug) };
}

function chooseBigBlock(least: number, wanted: number, warn: (text: string) => void): number {
  if (wanted === 0) return least;
  if (isPowerOf2(wanted) && wanted >= least) return wanted;
  warn(isPowerOf2(wanted) ? 'bbm_block_size is too small' : 'bbm_block_size is not a power of 2');
  return least;
}

/** The region, as a node of /proc/iomem that holds what is added and takes nothing itself. */
function createParentResource(name: string, { start, regionSize }: VirtioMem, iomem: Resource, log: (text: string, level?: LogLevel) => void): Resource {
  try {
    const resource = requestRegion(iomem, start, regionSize, name);
    resource.systemRam = true;
    resource.busy = false;
    return resource;
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    log('could not reserve device region', KERN.warning);
    log('reloading the driver is not supported');
    throw new KernelError('EBUSY', error.message, { cause: error });
  }
}

/** The work that follows the configuration: never runs inside itself, but once more if something happened meanwhile. */
function createWork(
  core: VirtioMemCore,
  mode: VirtioMemMode,
  maxPhysAddr: number,
  log: (text: string, level?: LogLevel) => void,
): { retry(): void; configChanged(): void } {
  const { device } = core;
  let active = false;
  let stale = false;
  let broken = false;

  function refresh(): void {
    stale = false;
    mode.setUsableEnd(Math.min(device.start + device.usableRegionSize, roundDown(maxPhysAddr, core.memory.blockSize)));
    log(`plugged size: ${hex(device.pluggedSize)}`);
    log(`requested size: ${hex(device.requestedSize)}`);
  }

  function follow(): void {
    mode.unplugPending();
    const diff = device.requestedSize - device.pluggedSize;
    if (diff > 0) mode.plug(diff);
    else if (diff < 0) mode.unplug(-diff);
  }

  function retry(): void {
    if (active || broken) return;
    active = true;
    try {
      do {
        if (stale) refresh();
        attempt(follow);
      } while (stale && !broken);
    } finally {
      active = false;
    }
  }

  /** What cannot be done now is left for later; what never can be ends all. */
  function attempt(action: () => void): void {
    try {
      action();
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      if (['ENOSPC', 'EBUSY', 'ENOMEM', 'EAGAIN'].includes(error.code)) return;
      log(`unknown error, marking device broken: -${error.errno}`, KERN.err);
      broken = true;
    }
  }

  return {
    retry,
    configChanged() {
      stale = true;
      retry();
    },
  };
}
