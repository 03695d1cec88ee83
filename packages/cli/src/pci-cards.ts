/**
 * `--pci-pmem size=1G[,image=FILE]`: cards with persistent memory, and the slots that hold them.
 */
import type { Kernel } from '@holdfast/kernel';
import { KernelError, parseSize } from '@holdfast/lib';
import { type Machine, createPciMemory } from '@holdfast/machine';
import { type PciHost, createPciHost } from '@holdfast/pci';
import { createPmemCard } from '@holdfast/pmem-pci';
import { CliError } from './cli-error.js';
import { parseFields } from './fields.js';

export interface PciPmemOption {
  readonly sizeBytes: number;
  readonly image: string | undefined;
}

/** 4-level paging leaves 8 TiB for cards, each of which takes a power of two: from half of that on, 5-level it is. */
const MOST_OF_FOUR_LEVELS = 2 ** 42;

/** @throws CliError, KernelError for a size that is none */
export function parsePciPmem(text: string): PciPmemOption {
  const fields = parseFields(text, ['size', 'image']);
  const size = fields?.get('size');
  const image = fields?.get('image');
  if (size === undefined || image === '') throw new CliError(`--pci-pmem '${text}': expected size=SIZE[,image=FILE], as in size=1G,image=card.img`);
  const sizeBytes = parseSize(size, '--pci-pmem size');
  if (sizeBytes === 0 || sizeBytes % 4096 !== 0) throw new CliError(`--pci-pmem size '${size}': expected a multiple of 4096 above 0`);
  return { sizeBytes, image };
}

/** Do the cards need more addresses than 4-level paging has? */
export function needFiveLevels(cards: readonly PciPmemOption[]): boolean {
  return cards.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) > MOST_OF_FOUR_LEVELS;
}

/** A machine's slots with its cards; undefined without any. What is opened is added to `images`. @throws KernelError */
export async function plugCards(machine: Machine, cards: readonly PciPmemOption[], images: { close(): void }[]): Promise<PciHost | undefined> {
  if (cards.length === 0) return undefined;
  const host = createPciHost(machine);
  for (const { sizeBytes, image } of cards) {
    if (image === undefined) {
      host.plug(createPmemCard(createPciMemory({ sizeBytes })));
      continue;
    }
    const { openImageFile } = await import('@holdfast/machine/node');
    const backing = openImageFile(image, { sizeBytes });
    images.push(backing);
    host.plug(createPmemCard(createPciMemory({ backing })));
  }
  return host;
}

/**
 * Pull a card out of its slot, as a hand would: the kernel hears of it when it is gone.
 * @param slotText its slot, decimal
 * @throws KernelError EINVAL for no such slot, ENODEV for one that is empty
 */
export function pullCard(host: PciHost | undefined, slotText: string, kernel: Pick<Kernel, 'pci'> | undefined): void {
  if (!/^\d+$/.test(slotText)) throw new KernelError('EINVAL', `slot '${slotText}': expected a number`);
  if (!host) throw new KernelError('ENODEV', 'this machine has no slots');
  host.unplug(Number(slotText));
  kernel?.pci?.surpriseRemoved(Number(slotText));
}
