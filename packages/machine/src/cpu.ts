/**
 * A CPU: it maps memory, and orders its own flushes and non-temporal stores.
 * Mirrors ioremap's checks (arch/x86/mm/ioremap.c: __ioremap_caller).
 */
import { type PhysAddr, BugError, KernelError } from '@holdfast/lib';
import { SFENCE_COST } from './costs.js';
import type { Cpu, Mapping, MemoryType } from './hardware.js';
import { CpuMapping, type MappingHost } from './mapping.js';
import { type MemtypeEntry, reserveMemtype } from './memtype.js';
import { hexRange } from './physical-memory.js';

export interface CpuHost extends MappingHost {
  readonly physBits: number;
  readonly hypervisor: boolean;
  /** Live mappings of all CPUs, with their places in the memtype list. */
  readonly mappings: Map<Mapping, { readonly mapping: CpuMapping; readonly memtype: MemtypeEntry | undefined }>;
  readonly memtypes: Set<MemtypeEntry>;
}

export function createCpu(host: CpuHost, nr: number): Cpu {
  const makeMapping = (start: PhysAddr, sizeBytes: number, type: MemoryType, memtype: MemtypeEntry | undefined): Mapping => {
    const mapping = new CpuMapping(host, nr, start, sizeBytes, type);
    host.mappings.set(mapping, { mapping, memtype });
    return mapping;
  };
  return {
    physBits: host.physBits,
    hypervisor: host.hypervisor,

    map(start, sizeBytes, type) {
      checkMappable(host, start, sizeBytes);
      const memtype = reserveMemtype(host.memtypes, start, start + sizeBytes, type);
      return makeMapping(start, sizeBytes, memtype.type, memtype);
    },

    mapUser(start, sizeBytes, type = 'WB') {
      checkMappable(host, start, sizeBytes);
      return makeMapping(start, sizeBytes, type, undefined);
    },

    unmap(mapping) {
      const live = host.mappings.get(mapping);
      if (live === undefined) throw new BugError('unmap: the mapping is not live');
      live.mapping.die();
      if (live.memtype) host.memtypes.delete(live.memtype);
      host.mappings.delete(mapping);
    },

    sfence() {
      if (host.caches.fence(nr)) host.clock.now += SFENCE_COST;
    },
  };
}

function checkMappable({ memory, physBits }: CpuHost, start: PhysAddr, sizeBytes: number): void {
  const whole = Number.isSafeInteger(start) && Number.isSafeInteger(sizeBytes) && start >= 0 && sizeBytes > 0;
  if (!whole || start + sizeBytes > 2 ** physBits) {
    throw new KernelError('EINVAL', `map: [${start}, ${start + sizeBytes}) is not a range below 2^${physBits}`);
  }
  if (!memory.isBacked(start, sizeBytes)) {
    throw new KernelError('EINVAL', `map: ${hexRange(start, start + sizeBytes)} is not all backed by a medium`);
  }
}

