/**
 * Block I/O to and from memory that has no struct pages: who on a bio's way takes it, and who stands in the way. After Dan Williams' RFC
 * "evacuate struct page from the block layer" (March to August 2015), which asked each driver to opt in (CONFIG_PMEM_IO) and was not merged.
 *
 * A bio whose frames lack struct pages is marked {@link BIO.PAGELESS} as it is filled (bioAddPfn). There is no second path for it: tables
 * hold frame numbers in any case. But a layer that looks into struct page, or needs one to hold on to, must not get it, so a queue takes
 * such bios only when all of its layers say so; elsewhere they end with BLK_STS.NOTSUPP, that is -EOPNOTSUPP.
 *
 * Invariant: a queue without declared layers takes no page-less bio: to take them is opted into.
 */
import type { Gendisk, IoLayer, RequestQueue } from './blk-types.js';

/** What every bio passes. All of it is arithmetic on sectors and frame numbers. */
const BLOCK_LAYERS: readonly IoLayer[] = [
  { name: 'bio', takesPageless: true, does: 'joins entries by frame number, and only those with the same pfn_t flags' },
  { name: 'partition remap', takesPageless: true, does: 'moves sectors, not memory' },
  { name: 'split', takesPageless: true, does: 'cuts by length; the pieces share the table' },
  { name: 'scatterlist', takesPageless: true, does: 'maps by physical address' },
];

/** Say which layers handle the memory of a queue's bios, its driver among them; the queue then takes page-less bios if all of them do. */
export function declareIoLayers(queue: RequestQueue, layers: readonly IoLayer[]): void {
  queue.ioLayers = layers;
  queue.takesPageless = layers.length > 0 && layers.every(({ takesPageless }) => takesPageless);
}

/** The way of a bio to a disk, layer by layer. A driver that has declared nothing stands in it as one that refuses. */
export function ioLayersOf({ name, queue }: Gendisk): readonly IoLayer[] {
  const undeclared: IoLayer = { name: `driver of ${name}`, takesPageless: false, does: 'has not said that it can do without struct pages' };
  return [...BLOCK_LAYERS, ...(queue.ioLayers.length > 0 ? queue.ioLayers : [undeclared])];
}

/** Who blocks: the layers that keep page-less bios from each disk that does not take them. */
export function whoNeedsPages(disks: readonly Gendisk[]): { disk: string; layer: string; does: string }[] {
  return disks.flatMap((disk) => ioLayersOf(disk)
    .filter(({ takesPageless }) => !takesPageless)
    .map(({ name, does }) => ({ disk: disk.name, layer: name, does })));
}

/**
 * The report of it: a line for each layer of each disk, and behind a disk's name the answer to a bio over frames without struct pages.
 * `pmem0: yes`, `sda: EOPNOTSUPP`.
 */
export function formatIoLayers(disks: readonly Gendisk[]): string {
  return disks.map((disk) => {
    const layers = ioLayersOf(disk).map(({ name, takesPageless, does }) => `  ${name}: ${takesPageless ? 'takes them' : 'needs struct pages'}: ${does}\n`);
    return `${disk.name}: ${disk.queue.takesPageless ? 'yes' : 'EOPNOTSUPP'}\n${layers.join('')}`;
  }).join('');
}
