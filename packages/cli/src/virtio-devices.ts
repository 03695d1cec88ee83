/**
 * Memory that the hypervisor gives its guest as virtio devices: what `--virtio-pmem` and `--virtio-mem` ask for, put into a machine.
 */
import type { Firmware } from '@holdfast/kernel';
import { KernelError, type Range, parseSize } from '@holdfast/lib';
import {
  type Machine, VIRTIO_MEM_BLOCK_SIZE, type VirtioMem, type VirtioPmem, createDram, createHostedFile, createVirtioMem, createVirtioPmem,
} from '@holdfast/machine';
import { CliError } from './cli-error.js';
import { MonitorError } from './host/monitor-error.js';
import { type DimmPlan, type SlotLayout, slotLayout } from './host/slot-layout.js';

/** A device to be. Sizes in bytes. */
export type VirtioPlan =
  | { readonly kind: 'pmem'; readonly id: string; readonly sizeBytes: number; readonly image?: string }
  | {
      readonly kind: 'mem';
      readonly id: string;
      readonly sizeBytes: number;
      readonly requestedBytes: number;
      readonly blockBytes: number;
      readonly pxm: number;
    };

/** A device in a machine, by the name that the monitor knows. */
export interface HostDevice {
  readonly id: string;
  readonly start: number;
  readonly sizeBytes: number;
  readonly hardware: VirtioPmem | VirtioMem;
}

/** The devices, and what they hold open of the host. */
export interface PluggedVirtio {
  readonly devices: readonly HostDevice[];
  readonly images: readonly { close(): void }[];
}

/** `size=1G[,image=FILE][,id=vp0]`. @throws CliError, KernelError for a size */
export function parseVirtioPmem(text: string, index: number): VirtioPlan {
  const usage = `--virtio-pmem '${text}': expected size=SIZE[,image=FILE][,id=ID], as in size=1G,image=pmem.img`;
  const fields = parseFields(text, ['size', 'image', 'id'], usage);
  const sizeBytes = sizeField(fields, 'size', usage);
  if (sizeBytes % 4096 !== 0) throw new CliError(`--virtio-pmem size '${fields.get('size')}': expected a multiple of 4096 above 0`);
  const image = fields.get('image');
  return { kind: 'pmem', id: fields.get('id') ?? `vp${index}`, sizeBytes, ...(image === undefined ? {} : { image }) };
}

/** `size=4G[,requested=1G][,block=2M][,node=0][,id=vm0]`. @throws CliError, KernelError for a size */
export function parseVirtioMem(text: string, index: number): VirtioPlan {
  const usage = `--virtio-mem '${text}': expected size=SIZE[,requested=SIZE][,block=SIZE][,node=N][,id=ID], as in size=4G,requested=1G`;
  const fields = parseFields(text, ['size', 'requested', 'block', 'node', 'id'], usage);
  const pxm = Number(fields.get('node') ?? 0);
  if (!Number.isInteger(pxm) || pxm < 0) throw new CliError(usage);
  return {
    kind: 'mem',
    id: fields.get('id') ?? `vm${index}`,
    sizeBytes: sizeField(fields, 'size', usage),
    requestedBytes: fields.has('requested') ? parseSize(fields.get('requested')!, '--virtio-mem requested') : 0,
    blockBytes: fields.has('block') ? sizeField(fields, 'block', usage) : VIRTIO_MEM_BLOCK_SIZE,
    pxm,
  };
}

function parseFields(text: string, known: readonly string[], usage: string): Map<string, string> {
  const fields = new Map<string, string>();
  for (const part of text.split(',')) {
    const at = part.indexOf('=');
    const name = part.slice(0, at);
    if (at < 0 || at === part.length - 1 || fields.has(name) || !known.includes(name)) throw new CliError(usage);
    fields.set(name, part.slice(at + 1));
  }
  return fields;
}

function sizeField(fields: ReadonlyMap<string, string>, name: string, usage: string): number {
  const text = fields.get(name);
  const size = text === undefined ? 0 : parseSize(text, name);
  if (size <= 0) throw new CliError(usage);
  return size;
}

/**
 * Plug devices in behind the RAM, in order, and behind the DIMMs that the monitor will plug before the first boot.
 * @throws CliError for two of one name, or that do not fit, KernelError for bad sizes and images
 */
export async function plugVirtio(machine: Machine, firmware: Firmware, plans: readonly VirtioPlan[], dimms: readonly DimmPlan[] = []): Promise<PluggedVirtio> {
  const devices: HostDevice[] = [];
  const images: { close(): void }[] = [];
  if (plans.length === 0) return { devices, images };
  const layout = slotLayout(firmware, machine.cpu.physBits);
  try {
    const ofDimms = dimmRanges(layout, dimms);
    for (const plan of plans) {
      const { id, sizeBytes } = plan;
      if (devices.some((device) => device.id === id)) throw new CliError(`duplicate virtio device ID '${id}'`);
      const taken = [...ofDimms, ...devices.map((device) => ({ start: device.start, end: device.start + device.sizeBytes }))];
      const start = layout.firstFit(sizeBytes, taken, plan.kind === 'mem' ? Math.max(plan.blockBytes, VIRTIO_MEM_BLOCK_SIZE) : undefined);
      const hardware = plan.kind === 'pmem' ? await plugPmem(machine, start, plan, images) : plugMem(machine, start, plan);
      devices.push({ id, start, sizeBytes, hardware });
    }
    return { devices, images };
  } catch (error) {
    for (const image of images) image.close();
    throw error instanceof MonitorError ? new CliError(error.message) : error;
  }
}

/** Where the monitor will find room for the DIMMs. @throws MonitorError */
function dimmRanges(layout: SlotLayout, dimms: readonly DimmPlan[]): Range[] {
  const taken: Range[] = [];
  for (const { sizeBytes, start = layout.firstFit(sizeBytes, taken) } of dimms) taken.push({ start, end: start + sizeBytes });
  return taken;
}

async function plugPmem(
  machine: Machine,
  start: number,
  { sizeBytes, image }: VirtioPlan & { kind: 'pmem' },
  images: { close(): void }[],
): Promise<VirtioPmem> {
  if (image === undefined) return attachPmem(machine, start, createHostedFile({ sizeBytes }));
  const { openImageFile } = await import('@holdfast/machine/node');
  const backing = openImageFile(image, { sizeBytes });
  images.push(backing);
  return attachPmem(machine, start, createHostedFile({ backing }));
}

function attachPmem(machine: Machine, start: number, medium: ReturnType<typeof createHostedFile>): VirtioPmem {
  machine.attach({ start, medium });
  return createVirtioPmem(machine, start, medium);
}

/** All of the region is there for the guest to touch; the device says what of it is memory. */
function plugMem(machine: Machine, start: number, { sizeBytes, requestedBytes, blockBytes, pxm }: VirtioPlan & { kind: 'mem' }): VirtioMem {
  if (sizeBytes % blockBytes !== 0) throw new KernelError('EINVAL', `--virtio-mem size: expected a multiple of its block size ${blockBytes}`);
  const device = createVirtioMem(machine, { start, regionSize: sizeBytes, requestedSize: requestedBytes, blockSize: blockBytes, pxm });
  machine.attach({ start, medium: createDram(sizeBytes) });
  return device;
}
