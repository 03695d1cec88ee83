/**
 * The engine's driver and its channel, as others use it: map, prepare, submit, issue. Mirrors include/linux/dmaengine.h, drivers/dma/dmaengine.c.
 *
 * Invariant: each submitted transfer is told once how it ended: done, failed (EIO), or gone with its device (ENODEV); its memory is
 * unmapped by then.
 */
import { type ErrnoName, type Pfn, type PhysAddr, KernelError, PAGE_SIZE, releaseResource } from '@holdfast/lib';
import { type PageSource, type SgTable, sgPhys } from '@holdfast/block';
import type { PhysicalMemory } from '@holdfast/machine';
import type { DevicePagesMap } from '@holdfast/mm';
import {
  type Pci, type PciDevice, type PciDriver, type PciIomem,
  ALL_ONES, pciDisableDevice, pciEnableDevice, pciIomap, pciRequestRegion, pciSetMaster,
} from '@holdfast/pci';
import { DMA_CARD_ID, DMA_CARD_MAGIC, DMA_DESCRIPTOR, DMA_REGISTER } from './dma-card.js';
import { type DmaMapping, dmaMapSg } from './dma-mapping.js';

const DRIVER_NAME = 'holdfast_dma';

export interface DmaEngineNeeds {
  readonly pci: Pick<Pci, 'bridge' | 'say'>;
  readonly memory: PhysicalMemory;
  /** For the descriptors. */
  readonly pages: PageSource;
  readonly devicePages: Pick<DevicePagesMap, 'at'>;
  /** Does this driver take scatterlists of frames without struct pages? Default false, as of drivers that were not converted. */
  readonly byPfn?: boolean;
}

/** Undefined is success. */
export type DmaDone = (error: ErrnoName | undefined) => void;

export interface DmaChannel {
  readonly name: string;
  /**
   * Queue a copy; it begins at {@link issuePending}.
   * @throws KernelError EINVAL if the two are not of one length, or empty; EOPNOTSUPP for memory without struct pages; ENODEV once it is gone
   */
  submit(to: SgTable, from: SgTable, done: DmaDone): void;
  /** Carry out what is queued, in order (dma_async_issue_pending). */
  issuePending(): void;
  /** Give up what is queued: each ends with ENODEV (dmaengine_terminate_all). */
  terminateAll(): void;
}

interface Transfer {
  readonly to: DmaMapping;
  readonly from: DmaMapping;
  readonly done: DmaDone;
}

/** @param channels where each engine shows while it is bound */
export function createDmaEngineDriver(needs: DmaEngineNeeds, channels: DmaChannel[]): PciDriver {
  return { name: DRIVER_NAME, idTable: [DMA_CARD_ID], probe: (device) => probe(needs, channels, device) };
}

function probe(needs: DmaEngineNeeds, channels: DmaChannel[], device: PciDevice): () => void {
  const { bridge } = needs.pci;
  const say = needs.pci.say(device);
  pciEnableDevice(device, say);
  let region: ReturnType<typeof pciRequestRegion> | undefined;
  let ring: Pfn;
  let registers: PciIomem;
  try {
    region = pciRequestRegion(device, 0, DRIVER_NAME, say);
    registers = pciIomap(device, 0, bridge);
    if (registers.read(DMA_REGISTER.MAGIC) !== DMA_CARD_MAGIC) throw new KernelError('ENODEV', `${device.name} is no DMA engine that this driver knows`);
    ring = needs.pages.allocPages(0);
  } catch (error) {
    if (region) releaseResource(region);
    pciDisableDevice(device);
    throw error;
  }
  pciSetMaster(device);
  const created = createChannel(needs, device.name, registers, ring);
  channels.push(created.channel);
  return () => {
    channels.splice(channels.indexOf(created.channel), 1);
    created.stop();
    needs.pages.freePages(ring, 0);
    releaseResource(region);
    pciDisableDevice(device);
  };
}

const RING_ENTRIES = PAGE_SIZE / DMA_DESCRIPTOR.size;

function createChannel(needs: DmaEngineNeeds, name: string, registers: PciIomem, ring: Pfn): { channel: DmaChannel; stop(): void } {
  const { devicePages, memory, byPfn = false } = needs;
  let queue: Transfer[] = [];
  let stopped = false;

  function end({ to, from, done }: Transfer, error: ErrnoName | undefined): void {
    to.unmap();
    from.unmap();
    done(error);
  }

  /** Carry out one transfer, as many descriptors at a time as the ring has. */
  function carryOut({ to, from }: Transfer): ErrnoName | undefined {
    const pieces = matchPieces(to.table, from.table);
    for (let first = 0; first < pieces.length; first += RING_ENTRIES) {
      const batch = pieces.slice(first, first + RING_ENTRIES);
      const bytes = new Uint8Array(batch.length * DMA_DESCRIPTOR.size);
      for (const [i, piece] of batch.entries()) DMA_DESCRIPTOR.encode(piece, bytes, i * DMA_DESCRIPTOR.size);
      const addr = ring * PAGE_SIZE;
      memory.write(addr as PhysAddr, bytes);
      registers.write(DMA_REGISTER.RING_LOW, addr % 2 ** 32);
      registers.write(DMA_REGISTER.RING_HIGH, Math.floor(addr / 2 ** 32));
      registers.write(DMA_REGISTER.COUNT, batch.length);
      registers.write(DMA_REGISTER.DOORBELL, 1);
      const finished = registers.read(DMA_REGISTER.DONE);
      if (finished === ALL_ONES) return 'ENODEV';
      if (finished !== batch.length) return 'EIO';
    }
    return undefined;
  }

  function terminateAll(): void {
    const gone = queue;
    queue = [];
    for (const transfer of gone) end(transfer, 'ENODEV');
  }

  const channel: DmaChannel = {
    name,
    submit(to, from, done) {
      if (stopped) throw new KernelError('ENODEV', `${name} is gone`);
      const target = dmaMapSg(to, devicePages, byPfn);
      let source: DmaMapping | undefined;
      try {
        source = dmaMapSg(from, devicePages, byPfn);
        if (source.totalBytes !== target.totalBytes || source.totalBytes === 0) {
          throw new KernelError('EINVAL', `${name}: from ${source.totalBytes} bytes to ${target.totalBytes}: expected as many`);
        }
      } catch (error) {
        target.unmap();
        source?.unmap();
        throw error;
      }
      queue.push({ to: target, from: source, done });
    },
    issuePending() {
      for (let transfer = queue.shift(); transfer; transfer = queue.shift()) end(transfer, carryOut(transfer));
    },
    terminateAll,
  };
  return {
    channel,
    stop() {
      stopped = true;
      terminateAll();
    },
  };
}

/** Runs that lie in one entry of each table. */
function matchPieces(to: SgTable, from: SgTable): { from: bigint; to: bigint; length: number }[] {
  const pieces: { from: bigint; to: bigint; length: number }[] = [];
  let [i, j, inTo, inFrom] = [0, 0, 0, 0];
  while (i < to.nents && j < from.nents) {
    const length = Math.min(to.length[i]! - inTo, from.length[j]! - inFrom);
    if (length > 0) pieces.push({ from: BigInt(sgPhys(from, j) + inFrom), to: BigInt(sgPhys(to, i) + inTo), length });
    inTo += length;
    inFrom += length;
    if (inTo === to.length[i]!) [i, inTo] = [i + 1, 0];
    if (inFrom === from.length[j]!) [j, inFrom] = [j + 1, 0];
  }
  return pieces;
}
