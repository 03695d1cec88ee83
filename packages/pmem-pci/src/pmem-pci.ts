/**
 * The driver: a disk over the card's memory, mapped as the administrator chose. Modelled on drivers/nvdimm/pmem.c and on any pci_driver.
 *
 * A card can be pulled at any time, and memory that is gone reads as ones and swallows stores without a word. So each bio ends with one
 * read of a register, which no card answers with all ones: it waits until the posted writes before it have arrived, too.
 *
 * Invariant: a bio that ends well was carried out by a card that was still there after it.
 * Invariant: what a failed probe did is undone, and what a successful one did is undone by the function it returns.
 */
import { type Ida, type NodeId, type Resource, KERN, KernelError, NUMA_NO_NODE, SECTOR_SIZE, hex, physAddr, releaseResource } from '@holdfast/lib';
import {
  BLK_DEF_MAX_SECTORS, BLK_STS, UINT_MAX, addDisk, badblocksAttribute, createBadblocks, createQueue, declareIoLayers, delDisk,
  markDiskDead, setMaxHwSectors, setPhysicalBlockSize,
  type BlkStatus, type Gendisk, type RequestQueue,
} from '@holdfast/block';
import {
  ALL_ONES, pciDisableDevice, pciEnableDevice, pciIomap, pciRequestRegion, pciResourceLen, pciResourceStart,
  type Pci, type PciDevice, type PciDriver, type PciIomem,
} from '@holdfast/pci';
import {
  PMEM_IO_LAYERS, attachPmem, createPmemDax, deviceValue, pmemOperations, probeWithUndo, withDirectPages,
  type PmemDevice, type PmemMapping, type PmemNeeds, type UndoList,
} from '@holdfast/pmem';
import { MEMORY_BAR, PMEM_CARD_ID, PMEM_CARD_MAGIC, PMEM_CARD_VERSION, REGISTER, REGISTERS_BAR, STATUS_READY } from './pmem-card.js';

const DRIVER_NAME = 'pmem_pci';
const PHYSICAL_BLOCK_SIZE = 4096;

export interface PmemPciNeeds extends PmemNeeds {
  readonly pci: Pick<Pci, 'bridge' | 'say'>;
  /** Where nvdimm regions take their numbers, which name their disks: this driver's disks take theirs there, too. */
  readonly memregions: Ida;
  /** The node that the slot belongs to. */
  readonly numaNode?: NodeId;
}

/** To be registered with the PCI bus. */
export function createPmemPciDriver(needs: PmemPciNeeds): PciDriver {
  return { name: DRIVER_NAME, idTable: [PMEM_CARD_ID], probe: (device) => probeWithUndo((undo) => probe(needs, undo, device)) };
}

function probe(needs: PmemPciNeeds, undo: UndoList, device: PciDevice): void {
  const say = needs.pci.say(device);
  const claim = (bar: number): Resource => {
    const region = pciRequestRegion(device, bar, DRIVER_NAME, say);
    undo.push(() => releaseResource(region));
    return region;
  };
  pciEnableDevice(device, say);
  undo.push(() => pciDisableDevice(device));
  claim(REGISTERS_BAR);
  const memory = claim(MEMORY_BAR);
  const registers = pciIomap(device, REGISTERS_BAR, needs.pci.bridge);
  const sizeBytes = readSize(device, registers);
  const name = takeDiskName(needs, undo);
  const mappingName = chooseMapping(needs, name);
  const start = physAddr(pciResourceStart(device, MEMORY_BAR));
  const { mapping, dataOffset, dataSize, pages } = attachPmem(needs, undo, {
    start, sizeBytes, numaNode: needs.numaNode ?? NUMA_NO_NODE, diskName: name, owner: device.name, bus: 'pci', claim: memory, mapping: mappingName,
  });

  let disk: Gendisk | undefined = undefined;
  const verify = (): BlkStatus => {
    if (registers.read(REGISTER.STATUS) !== ALL_ONES) return BLK_STS.OK;
    if (disk && !disk.dead) {
      say(`${disk.name}: the card does not answer`, KERN.err);
      markDiskDead(disk);
    }
    return BLK_STS.IOERR;
  };
  const flush = (): BlkStatus => {
    needs.cpu.sfence();
    return verify();
  };
  const badblocks = createBadblocks();
  const pmem: PmemDevice = {
    memory: needs.memory, mapping, dataOffset, dataSize, badblocks, flush, verify, clearPoison: (_start, length) => length, flushEachWrite: false,
  };
  disk = addDisk(needs.block, {
    name,
    ops: withDirectPages(pmemOperations(pmem), pmem, pages.cacheIsDevice),
    queue: cardQueue(mappingName),
    nrSectors: Math.floor(dataSize / SECTOR_SIZE),
    groups: [{ name: '', attributes: [badblocksAttribute(badblocks)] }],
    parent: device,
  });
  const added = disk;
  undo.push(() => removeDisk(device, added, needs));
  if (needs.daxHosts) undo.push(needs.daxHosts.addHost(disk, createPmemDax({ name, pmem, writeCache: () => true, synchronous: true })));
  say(`${name}: ${hex(sizeBytes)} bytes, mapped ${mappingName}`);
}

/** A card that is gone takes nothing any more: its disk says so before it goes. Of one that stays, what was stored is made durable. */
function removeDisk(device: PciDevice, disk: Gendisk, { cpu }: Pick<PmemPciNeeds, 'cpu'>): void {
  if (device.disconnected) markDiskDead(disk);
  delDisk(disk);
  if (!device.disconnected) cpu.sfence();
}

/** @throws KernelError ENODEV if this is no such card, or one that is not ready; EINVAL if its memory is not all in its BAR */
function readSize(device: PciDevice, registers: PciIomem): number {
  const [magic, version, status] = [REGISTER.MAGIC, REGISTER.VERSION, REGISTER.STATUS].map((at) => registers.read(at));
  if (magic !== PMEM_CARD_MAGIC || version !== PMEM_CARD_VERSION || status !== STATUS_READY) {
    throw new KernelError('ENODEV', `${device.name}: magic ${hex(magic!)}, version ${hex(version!)}, status ${hex(status!)}: no card that this driver knows`);
  }
  const sizeBytes = registers.read(REGISTER.SIZE_HIGH) * 2 ** 32 + registers.read(REGISTER.SIZE_LOW);
  if (sizeBytes < PHYSICAL_BLOCK_SIZE || sizeBytes > pciResourceLen(device, MEMORY_BAR)) {
    throw new KernelError('EINVAL', `${device.name}: ${hex(sizeBytes)} bytes of memory, and BAR ${MEMORY_BAR} has ${hex(pciResourceLen(device, MEMORY_BAR))}`);
  }
  return sizeBytes;
}

/** `pmemN`, N being free of regions, and of disks that are named without one. */
function takeDiskName({ block, memregions }: Pick<PmemPciNeeds, 'block' | 'memregions'>, undo: UndoList): string {
  const taken = (id: number): boolean => block.disks.some(({ name }) => name === `pmem${id}`);
  const passed: number[] = [];
  let id = memregions.alloc();
  for (; taken(id); id = memregions.alloc()) passed.push(id);
  for (const each of passed) memregions.free(each);
  const own = id;
  undo.push(() => memregions.free(own));
  return `pmem${own}`;
}

/** As any pmem device's; where nobody chose, what sysfs' `resourceN_wc` of a prefetchable BAR gives: write-combining. */
function chooseMapping({ params, config }: Pick<PmemNeeds, 'params' | 'config'>, name: string): PmemMapping {
  return deviceValue(params?.mapping, name) ?? config?.defaultMapping ?? 'wc';
}

function cardQueue(mapping: PmemMapping): RequestQueue {
  const queue = createQueue();
  setPhysicalBlockSize(queue.limits, PHYSICAL_BLOCK_SIZE);
  setMaxHwSectors(queue.limits, UINT_MAX, BLK_DEF_MAX_SECTORS);
  queue.rotational = false;
  queue.writeCache = true;
  queue.fua = true;
  queue.dax = mapping === 'pages';
  declareIoLayers(queue, PMEM_IO_LAYERS);
  return queue;
}
