/**
 * As much of a kernel as a design needs that makes struct pages of its own, for tests: RAM, and frames of it that are counted.
 */
import { GIB, KernelError, MIB, type NodeId, PAGE_SIZE, nodeId, physAddr } from '@holdfast/lib';
import { type Machine, createDram, createMachine, createNvdimm } from '@holdfast/machine';
import type { DesignDevice, DesignOptions, PageHost } from '../src/index.js';

export const DEVICE_START = 4 * GIB;

export interface DesignHost {
  readonly host: PageHost;
  readonly machine: Machine;
  /** Frames that are taken now, and calls that took some. */
  readonly taken: { frames: number; calls: number };
  /** Frames that there are. */
  room: number;
  device(options?: DesignOptions): DesignDevice;
}

export function createDesignHost(sizeBytes = 256 * MIB): DesignHost {
  const machine = createMachine({
    media: [{ start: 0, medium: createDram(GIB) }, { start: DEVICE_START, medium: createNvdimm({ sizeBytes: Math.min(sizeBytes, 256 * MIB) }) }],
  });
  const taken = { frames: 0, calls: 0 };
  let next = 256 * MIB;
  const made: DesignHost = {
    machine,
    taken,
    room: Infinity,
    host: {
      memory: machine.memory,
      frames: {
        allocBlocks(_nid: NodeId, order: number, count: number) {
          const frames = count * 2 ** order;
          if (taken.frames + frames > made.room) throw new KernelError('ENOMEM', `${frames} frames`);
          taken.frames += frames;
          taken.calls++;
          // In two runs with a hole, as a real allocator may give them; never the same twice.
          const half = Math.ceil(count / 2);
          const start = next;
          next += (count + 1) * PAGE_SIZE * 2 ** order;
          const rest = { start: physAddr(start + (half + 1) * PAGE_SIZE * 2 ** order), count: count - half };
          return [{ start: physAddr(start), count: half }, ...(rest.count > 0 ? [rest] : [])];
        },
        freeBlocks(order: number, runs: readonly { readonly count: number }[]) {
          for (const { count } of runs) taken.frames -= count * 2 ** order;
        },
      },
    } as unknown as PageHost,
    device: (options = {}) => ({
      name: 'pmem0', start: physAddr(DEVICE_START), sizeBytes, nid: nodeId(0), bus: 'nvdimm', memoryType: 'WB', options,
      releaseTail: () => () => undefined,
    }),
  };
  return made;
}

/** A struct page as it lies in memory. */
export function structPageAt({ machine }: Pick<DesignHost, 'machine'>, phys: number): DataView {
  const bytes = new Uint8Array(64);
  machine.memory.read(physAddr(phys), bytes);
  return new DataView(bytes.buffer);
}
