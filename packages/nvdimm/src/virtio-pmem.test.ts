/** The virtio-pmem provider: one region and one namespace a device, flushed by the host. */
import { describe, expect, it, vi } from 'vitest';
import { NUMA_NO_NODE, createIda, createIomem, parseRelease, physAddr, silentPrintk } from '@holdfast/lib';
import type { NodeId } from '@holdfast/lib';
import { createVirtioBus } from '@holdfast/virtio';
import { createNvdimms, isNvdimmSync, nvdimmFlush, registerVirtioPmemDriver } from './index.js';
import type { NdRegion } from './index.js';

const START = 2 ** 32;

function bringUp(release = '6.1', target = 1) {
  const virtio = createVirtioBus(silentPrintk);
  const nvdimms = createNvdimms({ iomem: createIomem(2 ** 46 - 1), printk: silentPrintk, memregions: createIda() });
  const nodes = { physToTargetNode: () => target as NodeId, mapToOnlineNode: (nid: NodeId) => nid, memoryAddPhysaddrToNid: () => 2 as NodeId };
  const unregister = registerVirtioPmemDriver({ virtio, nvdimms, nodes, release: parseRelease(release) });
  const flush = vi.fn(() => true);
  virtio.registerDevice({ kind: 'pmem', start: START, sizeBytes: 2 ** 30, flush });
  const region = nvdimms.bus.devices.find((device): device is NdRegion => device.type === 'region')!;
  return { nvdimms, region, flush, unregister };
}

describe('a virtio-pmem device', () => {
  it('gives a bus with a region and a namespace over all of it', () => {
    const { nvdimms, region } = bringUp();
    expect(nvdimms.bus.findDevice('ndbus0')?.attributes().find(({ name }) => name === 'provider')?.show?.()).toBe('virtio-pmem\n');
    expect([region.start, region.sizeBytes, region.pageMapAllowed]).toEqual([START, 2 ** 30, true]);
    expect(region.namespaces.map(({ start, sizeBytes, hasFlush }) => [start, sizeBytes, hasFlush])).toEqual([[physAddr(START), 2 ** 30, undefined]]);
    expect(region.attributes().map(({ name }) => name)).not.toContain('deep_flush');
  });

  it('is flushed by a request, and is no place for MAP_SYNC', () => {
    const { region, flush } = bringUp();
    const sfence = vi.fn();
    expect(nvdimmFlush(region, { sfence })).toBe(true);
    flush.mockReturnValue(false);
    expect(nvdimmFlush(region, { sfence })).toBe(false);
    expect([flush.mock.calls.length, sfence.mock.calls.length]).toEqual([2, 2]);
    expect([isNvdimmSync(region), isNvdimmSync({ kind: 'pmem', flush: undefined })]).toEqual([false, true]);
  });

  it.each([
    ['6.1', 1, NUMA_NO_NODE, 0],
    ['6.2', 1, 2, 1],
    ['6.2', NUMA_NO_NODE, 2, 2],
  ])('has in %s, with target node %i, the nodes %i and %i', (release, target, numaNode, targetNode) => {
    const { region } = bringUp(release, target);
    expect([region.numaNode, region.targetNode]).toEqual([numaNode, targetNode]);
  });

  it('takes all of it along when its driver goes', () => {
    const { nvdimms, unregister } = bringUp();
    unregister();
    expect(nvdimms.bus.devices).toEqual([]);
  });
});
