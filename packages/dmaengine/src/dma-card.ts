/**
 * The engine, as hardware: it reads descriptors from memory and copies between physical addresses, past the CPU. Ids as the pmem card's.
 *
 * BAR 0, 4 KiB, 32 bit: 0x00 `HFDM`, 0x08 and 0x0c the address of the first descriptor (low and high half), 0x10 how many follow each other,
 * 0x14 doorbell, 0x18 how many were carried out, 0x1c why it stopped: 0 all done, 1 an access failed, 2 it is no bus master.
 * A descriptor is 32 bytes: from, to (64 bits each), length (32 bits).
 *
 * Differs from hardware: it runs to its end at the doorbell, since nothing else runs meanwhile.
 */
import { KernelError, PAGE_SIZE, layout, u32, u64 } from '@holdfast/lib';
import { type Machine, mediumFigures } from '@holdfast/machine';
import { type PciFunction, type PciHost, PCI_CLASS, createPciFunction } from '@holdfast/pci';

export const DMA_CARD_ID = { vendor: 0x4846, device: 0x4453 } as const;
export const DMA_CARD_MAGIC = 0x4d444648;
export const DMA_REGISTER = { MAGIC: 0x00, RING_LOW: 0x08, RING_HIGH: 0x0c, COUNT: 0x10, DOORBELL: 0x14, DONE: 0x18, ERROR: 0x1c } as const;
export const DMA_DESCRIPTOR = layout('DMA descriptor', 32, { from: u64(0), to: u64(8), length: u32(16) });

/** Nanoseconds to fetch one descriptor [model]: a round trip, as a read of the card by the CPU is. */
const FETCH_NS = 1000;
const BURST = PAGE_SIZE;

/** @param host where it raises its interrupt */
export function createDmaCard(machine: Pick<Machine, 'dma' | 'clock'>, host: Pick<PciHost, 'raiseIrq'>): PciFunction {
  const registers = new Map<number, number>();
  const nsPerByte = 1 / mediumFigures('pci').writeBandwidth;
  const read = (at: number): number => registers.get(at) ?? 0;

  function run(): void {
    const ring = read(DMA_REGISTER.RING_HIGH) * 2 ** 32 + read(DMA_REGISTER.RING_LOW);
    registers.set(DMA_REGISTER.DONE, 0);
    registers.set(DMA_REGISTER.ERROR, card.isBusMaster ? 0 : 2);
    if (card.isBusMaster) {
      for (let i = 0; i < read(DMA_REGISTER.COUNT); i++) {
        if (!copyOne(ring + i * DMA_DESCRIPTOR.size)) {
          registers.set(DMA_REGISTER.ERROR, 1);
          break;
        }
        registers.set(DMA_REGISTER.DONE, i + 1);
      }
    }
    host.raiseIrq(card);
  }

  /** False if something is not there. */
  function copyOne(at: number): boolean {
    try {
      const descriptor = new Uint8Array(DMA_DESCRIPTOR.size);
      machine.dma.read(at, descriptor);
      machine.clock.advance(FETCH_NS);
      const { from, to, length } = DMA_DESCRIPTOR.decode(descriptor);
      const buffer = new Uint8Array(Math.min(length, BURST));
      for (let done = 0; done < length; done += BURST) {
        const piece = buffer.subarray(0, Math.min(BURST, length - done));
        machine.dma.read(Number(from) + done, piece);
        machine.dma.write(Number(to) + done, piece);
        machine.clock.advance(piece.length * nsPerByte);
      }
      return true;
    } catch (error) {
      if (error instanceof KernelError) return false;
      throw error;
    }
  }

  const card: PciFunction = createPciFunction({
    ...DMA_CARD_ID,
    classCode: PCI_CLASS.SYSTEM_OTHER * 256,
    express: true,
    bars: {
      0: {
        width: 32,
        sizeBytes: PAGE_SIZE,
        registers: {
          read: (offset) => (offset === DMA_REGISTER.MAGIC ? DMA_CARD_MAGIC : read(offset)),
          write(offset, value) {
            registers.set(offset, value);
            if (offset === DMA_REGISTER.DOORBELL) run();
          },
        },
      },
    },
  });
  return card;
}
