/**
 * From a SRAT to nodes: proximity domains become node ids in the order in which they are met, processors first.
 * Mirrors arch/x86/mm/srat.c and drivers/acpi/numa/srat.c.
 */
import {
  type KernelRelease, type NodeId, type Pfn, type Printk, KERN, memRange, nodeId, physAddr, physToPfnUp, releaseAtLeast,
} from '@holdfast/lib';
import { MEMBLOCK_HOTPLUG, type Memblock } from './memblock.js';
import { MAX_NUMNODES, type NumaMemblk, addNumaMemblk } from './numa-memblk.js';

/** What this package needs of a SRAT; both lists in the order of the table. Addresses and lengths are bytes. */
export interface SratAffinity {
  readonly processors: readonly { readonly pxm: number; readonly apicId: number; readonly enabled: boolean; readonly x2apic: boolean }[];
  readonly memory: readonly {
    readonly pxm: number;
    readonly start: number;
    readonly length: number;
    readonly enabled: boolean;
    readonly hotPluggable: boolean;
    readonly nonVolatile: boolean;
  }[];
}

/** What a way of finding nodes found. */
export interface ParsedNodes {
  readonly blocks: NumaMemblk[];
  /** All nodes that were named, with or without memory. */
  readonly nodes: Set<NodeId>;
  readonly pxmToNode: Map<number, NodeId>;
  /** The node of each enabled processor, in table order. */
  readonly cpuNodes: NodeId[];
  /** Behind the highest range that memory may be plugged into. */
  readonly maxPossiblePfn: Pfn;
}

/** Log and collect what the table says, and mark hot-pluggable memory. Undefined if it cannot be used. */
export function parseSratNodes(srat: SratAffinity, memblock: Memblock, release: KernelRelease, printk: Printk): ParsedNodes | undefined {
  // The reader moved to drivers/acpi in 4.8, and its lines got that directory's prefix.
  const prefix = releaseAtLeast(release, 4, 8) ? 'ACPI: SRAT:' : 'SRAT:';
  const nodes = new Set<NodeId>();
  const pxmToNode = new Map<number, NodeId>();
  const mapPxm = (pxm: number): NodeId | undefined => {
    if (!pxmToNode.has(pxm) && pxmToNode.size < MAX_NUMNODES) pxmToNode.set(pxm, nodeId(pxmToNode.size));
    const nid = pxmToNode.get(pxm);
    if (nid === undefined) printk(`${prefix} Too many proximity domains.`, KERN.err);
    else nodes.add(nid);
    return nid;
  };

  const cpuNodes: NodeId[] = [];
  for (const { pxm, apicId, x2apic } of srat.processors.filter((cpu) => cpu.enabled)) {
    const nid = mapPxm(pxm);
    if (nid === undefined) return undefined;
    cpuNodes.push(nid);
    printk(`SRAT: PXM ${pxm} -> APIC 0x${apicId.toString(16).padStart(x2apic ? 4 : 2, '0')} -> Node ${nid}`);
  }

  const blocks: NumaMemblk[] = [];
  let maxPossiblePfn = 0 as Pfn;
  for (const { pxm, start, length, hotPluggable, nonVolatile } of srat.memory.filter((range) => range.enabled)) {
    const nid = mapPxm(pxm);
    if (nid === undefined) return undefined;
    const range = memRange(start, start + length - 1);
    if (!addNumaMemblk(blocks, { start, end: start + length, nid })) {
      printk(`${prefix} Failed to add memblk to node ${nid} ${range}`, KERN.err);
      return undefined;
    }
    printk(`${prefix} Node ${nid} PXM ${pxm} ${range}${hotPluggable ? ' hotplug' : ''}${nonVolatile ? ' non-volatile' : ''}`);
    if (hotPluggable) memblock.mark(start, length, MEMBLOCK_HOTPLUG);
    maxPossiblePfn = Math.max(maxPossiblePfn, physToPfnUp(physAddr(start + length - 1))) as Pfn;
  }
  return { blocks, nodes, pxmToNode, cpuNodes, maxPossiblePfn };
}
