/**
 * Which nodes there are, which memory is on which, and how far apart they lie.
 * Mirrors arch/x86/mm/numa.c: x86_numa_init, numa_init, numa_register_memblks.
 *
 * Invariant: afterwards every region of memblock's memory has a node, and every node with memory has had its NODE_DATA allocated.
 * Differs from Linux: a node of under 4 MiB is a node like any other, as in late 6.1; CXL fixed windows are not read.
 */
import {
  type KernelParam, type KernelRelease, type NodeId, type Pfn, type Printk,
  KERN, NUMA_NO_NODE, hex16, memRange, nodeId, pfnToPhys, releaseAtLeast, roundUp,
} from '@holdfast/lib';
import { MEMBLOCK_HOTPLUG, type Memblock } from './memblock.js';
import { type NodeDistance, type SlitDistances, defaultDistance, slitDistance } from './numa-distance.js';
import { emulateNuma } from './numa-emulation.js';
import { type NodeReport, nodeReportOf } from './node-report.js';
import { type NumaMemblk, cleanupMeminfo, memblkNode, meminfoCoversMemory } from './numa-memblk.js';
import { type ParsedNodes, type SratAffinity, parseSratNodes } from './numa-srat.js';

export interface NumaNeeds {
  /** Memory and the reservations made so far. Node ids, hot-plug flags and NODE_DATA allocations go into it. */
  readonly memblock: Memblock;
  /** Behind the last page of memory (e820's last_pfn). */
  readonly maxPfn: Pfn;
  readonly params: readonly KernelParam[];
  readonly release: KernelRelease;
  readonly printk: Printk;
  readonly srat?: SratAffinity | undefined;
  readonly slit?: SlitDistances | undefined;
  /** CPUs that will come up; the enabled processors of the SRAT, or 1, if left out. */
  readonly nrCpus?: number | undefined;
  /** Bytes of struct pglist_data, which depends on the kernel's configuration; 0x2b000 (Debian's 6.1) if left out. */
  readonly nodeDataBytes?: number | undefined;
  /** For kernels of distributions that announce nodes as a later release does. */
  readonly nodeReport?: NodeReport | undefined;
}

/** The nodes of a machine. Lists are ascending. */
export interface Numa {
  /** Every node that firmware or `numa=fake=` names. */
  readonly possible: readonly NodeId[];
  /** Nodes that have, or had, memory, and nodes without that have a CPU. */
  readonly online: readonly NodeId[];
  readonly withMemory: readonly NodeId[];
  readonly withCpu: readonly NodeId[];
  /** Numbers of the CPUs of a node, ascending. */
  cpusOf(nid: NodeId): readonly number[];
  readonly distance: NodeDistance;
  /** Behind the last page that could ever be plugged. */
  readonly maxPossiblePfn: Pfn;
  /** The node of a proximity domain, or `NUMA_NO_NODE`. */
  pxmToNode(pxm: number): NodeId;
  /** The node that a range would have as memory: also where there is none yet (phys_to_target_node), or `NUMA_NO_NODE`. */
  physToTargetNode(addr: number): NodeId;
  /** The node of memory that is added at an address; the first node if nobody knows (memory_add_physaddr_to_nid). */
  memoryAddPhysaddrToNid(addr: number): NodeId;
  /** A possible node comes online, or goes (node_set_online, node_set_offline). */
  setOnline(nid: NodeId, isOnline: boolean): void;
  /** A node's first memory came, or its last went (node_states_set_node, node_states_clear_node). */
  setMemory(nid: NodeId, hasMemory: boolean): void;
}

const DEFAULT_NODE_DATA_BYTES = 0x2b000;
const ANY_SIZE = Number.MAX_SAFE_INTEGER;

/** What `numa=` asks for; of several, each says its part. */
interface NumaSetup {
  readonly off: boolean;
  readonly noAcpi: boolean;
  readonly fake: string | undefined;
}

/** A configuration that was accepted. */
interface Configuration {
  readonly parsed: ParsedNodes;
  readonly blocks: readonly NumaMemblk[];
  readonly reserved: readonly NumaMemblk[];
  readonly possible: readonly NodeId[];
  readonly distance: NodeDistance;
  /** Emulated node to physical node; undefined without emulation. */
  readonly physicalNode: ReadonlyMap<NodeId, NodeId> | undefined;
}

/** Find the nodes: by SRAT if there is one that makes sense, else one node for all. Fills in memblock's node ids. */
export function initNuma(needs: NumaNeeds): Numa {
  const setup = parseNumaParams(needs.params);
  const useSrat = needs.srat !== undefined && !setup.off && !setup.noAcpi;
  const bySrat = useSrat ? configure(needs, setup, () => parseAcpi(needs, needs.srat!)) : undefined;
  const config = bySrat ?? configure(needs, setup, () => parseDummy(needs, setup));
  return createNuma(config!, needs); // one node that holds everything is never refused
}

function parseNumaParams(params: readonly KernelParam[]): NumaSetup {
  const values = params.filter(({ name }) => name === 'numa').map(({ value }) => value ?? '');
  return {
    off: values.some((value) => value.startsWith('off')),
    noAcpi: values.some((value) => value.startsWith('noacpi')),
    fake: values.findLast((value) => value.startsWith('fake='))?.slice('fake='.length),
  };
}

interface Found {
  readonly parsed: ParsedNodes;
  readonly distance: NodeDistance;
}

function parseAcpi({ memblock, release, printk, slit }: NumaNeeds, srat: SratAffinity): Found | undefined {
  const parsed = parseSratNodes(srat, memblock, release, printk);
  if (!parsed || parsed.blocks.length === 0) return undefined;
  const distance = slit && slitDistance(slit, parsed.pxmToNode, Math.max(...parsed.nodes) + 1, printk);
  return { parsed, distance: distance ?? defaultDistance };
}

function parseDummy({ maxPfn, printk }: NumaNeeds, { off }: NumaSetup): Found {
  const end = pfnToPhys(maxPfn);
  const nid = nodeId(0);
  printk(off ? 'NUMA turned off' : 'No NUMA configuration found');
  printk(`Faking a node at [mem ${hex16(0)}-${hex16(end - 1)}]`);
  const nodes = new Set([nid]);
  const parsed = { blocks: [{ start: 0, end, nid }], nodes, pxmToNode: new Map<number, NodeId>(), cpuNodes: [], maxPossiblePfn: maxPfn };
  return { parsed, distance: defaultDistance };
}

/** One try (numa_init): undefined if what was found contradicts itself or the memory. */
function configure(needs: NumaNeeds, { fake }: NumaSetup, find: () => Found | undefined): Configuration | undefined {
  const { memblock, maxPfn, printk, release } = needs;
  memblock.setNode('memory', 0, ANY_SIZE, NUMA_NO_NODE);
  memblock.setNode('reserved', 0, ANY_SIZE, NUMA_NO_NODE);
  memblock.clear(0, ANY_SIZE, MEMBLOCK_HOTPLUG);
  const found = find();
  if (!found) return undefined;
  memblock.bottomUp = false;
  const { parsed, distance } = found;
  const clean = cleanupMeminfo(parsed.blocks, memblock, maxPfn, printk, releaseAtLeast(release, 3, 0));
  if (!clean) return undefined;
  const physical = { blocks: clean.blocks, nodes: parsed.nodes, distance };
  const emulated = fake === undefined ? undefined : emulateNuma(fake, physical, memblock, maxPfn, printk);
  const { blocks, nodes } = emulated ?? physical;
  const config = {
    parsed,
    blocks,
    reserved: [...clean.reserved, ...(emulated?.reserved ?? [])],
    possible: [...new Set([...nodes, ...blocks.map(({ nid }) => nid)])].sort((a, b) => a - b),
    distance: emulated?.distance ?? distance,
    physicalNode: emulated?.physicalNode,
  };
  return registerMemblks(config, needs) ? config : undefined;
}

function registerMemblks({ blocks, possible }: Configuration, needs: NumaNeeds): boolean {
  const { memblock, maxPfn, printk } = needs;
  for (const { start, end, nid } of blocks) memblock.setNode('memory', start, end - start, nid);
  keepKernelNodes(blocks, memblock);
  if (!meminfoCoversMemory(blocks, memblock, maxPfn, printk)) return false;
  for (const nid of possible) {
    const own = blocks.filter((block) => block.nid === nid);
    if (own.length > 0) allocNodeData(nid, own, needs);
  }
  return true;
}

/** A node that holds anything reserved, such as the kernel, can never be unplugged (numa_clear_kernel_node_hotplug). */
function keepKernelNodes(blocks: readonly NumaMemblk[], memblock: Memblock): void {
  for (const { start, end, nid } of blocks) memblock.setNode('reserved', start, end - start, nid);
  const kernelNodes = new Set(memblock.reserved.map(({ nid }) => nid));
  for (const { start, end, nid } of blocks) {
    if (kernelNodes.has(nid)) memblock.clear(start, end - start, MEMBLOCK_HOTPLUG);
  }
}

function allocNodeData(
  nid: NodeId,
  own: readonly NumaMemblk[],
  { memblock, release, printk, nodeDataBytes, nodeReport = nodeReportOf(release) }: NumaNeeds,
): void {
  const sizeBytes = nodeDataBytes ?? DEFAULT_NODE_DATA_BYTES;
  const isOld = nodeReport === 'arch';
  if (isOld) {
    const [start, end] = [Math.min(...own.map((block) => block.start)), Math.max(...own.map((block) => block.end))];
    printk(`Initmem setup node ${nid} ${memRange(roundUp(start, 8 * 2 ** 20), end - 1)}`);
  }
  const addr = memblock.alloc(sizeBytes, { nid });
  if (addr === undefined) {
    printk(`Cannot find ${sizeBytes} bytes in any node (initial node: ${nid})`, KERN.err);
    return;
  }
  const range = memRange(addr, addr + sizeBytes - 1);
  printk(isOld ? `  NODE_DATA ${range}` : `NODE_DATA(${nid}) allocated ${range}`);
  const home = memblkNode(memblock.memory, addr);
  if (home !== undefined && home !== nid) printk(`    NODE_DATA(${nid}) on node ${home}`);
}

function createNuma(config: Configuration, { memblock, maxPfn, nrCpus }: NumaNeeds): Numa {
  const { parsed, blocks, reserved, possible, distance, physicalNode } = config;
  const withMemory = possible.filter((nid) => memblock.memory.some((region) => region.nid === nid));
  // A processor's node is a physical one; with emulation it stands for the first that was cut from it.
  const emulatedOf = (physical: NodeId): NodeId => [...(physicalNode ?? [])].find(([, from]) => from === physical)?.[0] ?? nodeId(0);
  const sratCpus = physicalNode ? parsed.cpuNodes.map(emulatedOf) : parsed.cpuNodes;
  const online = [...new Set([...withMemory, ...sratCpus])].sort((a, b) => a - b);
  const cpus = cpusByNode(sratCpus, nrCpus ?? Math.max(1, sratCpus.length), [...online], physicalNode);
  return {
    possible,
    online,
    withMemory,
    withCpu: [...cpus.keys()],
    cpusOf: (nid) => cpus.get(nid) ?? [],
    distance,
    maxPossiblePfn: Math.max(maxPfn, parsed.maxPossiblePfn) as Pfn,
    pxmToNode: (pxm) => parsed.pxmToNode.get(pxm) ?? NUMA_NO_NODE,
    physToTargetNode: (addr) => memblkNode(blocks, addr) ?? memblkNode(reserved, addr) ?? NUMA_NO_NODE,
    memoryAddPhysaddrToNid: (addr) => memblkNode(blocks, addr) ?? blocks[0]?.nid ?? nodeId(0),
    setOnline: (nid, isOnline) => setMember(online, nid, isOnline),
    setMemory: (nid, hasMemory) => setMember(withMemory, nid, hasMemory),
  };
}

/** Put a number into an ascending list, or take it out. */
function setMember(list: NodeId[], nid: NodeId, isMember: boolean): void {
  const at = list.indexOf(nid);
  if (isMember && at < 0) list.splice(list.filter((other) => other < nid).length, 0, nid);
  if (!isMember && at >= 0) list.splice(at, 1);
}

/** CPUs without a node take the online nodes in turn; a CPU of an emulated node is shown on all that share its physical node. */
function cpusByNode(
  sratCpus: readonly NodeId[],
  nrCpus: number,
  online: readonly NodeId[],
  physicalNode: Configuration['physicalNode'],
): ReadonlyMap<NodeId, readonly number[]> {
  const nodeOfCpu = Array.from({ length: nrCpus }, (_, cpu) => sratCpus[cpu] ?? online[(cpu - sratCpus.length) % online.length]!);
  const shares = (a: NodeId, b: NodeId): boolean => a === b || (physicalNode !== undefined && physicalNode.get(a) === physicalNode.get(b));
  const lists = online.map((nid) => [nid, [...nodeOfCpu.keys()].filter((cpu) => shares(nid, nodeOfCpu[cpu]!))] as const);
  return new Map(lists.filter(([, cpus]) => cpus.length > 0));
}

/** The online node nearest to a node, itself first, the lowest id among equals (numa_map_to_online_node). */
export function nearestOnlineNode(nid: NodeId, online: readonly NodeId[], distance: NodeDistance): NodeId {
  if (nid === NUMA_NO_NODE || online.includes(nid)) return nid;
  const sorted = [...online].sort((a, b) => distance(nid, a) - distance(nid, b) || a - b);
  return sorted[0] ?? nid;
}
