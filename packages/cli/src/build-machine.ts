/**
 * Builds the machine of a plan: DRAM and NVDIMMs at their addresses, with image files where they are asked for.
 */
import { type ImageBacking, type Machine, type MediumSlot, createDram, createMachine, createNvdimm } from '@holdfast/machine';
import { type ConfigArea, createConfigArea } from '@holdfast/nvdimm';
import { splitImage } from './labelled-dimms.js';
import type { MachinePlan, MediumPlan } from './machine-plan.js';

export interface MachineOptions {
  /** Instead of the plan's. */
  readonly cpus?: number;
  readonly hypervisor?: boolean;
  /** See {@link MachineSpec} of @holdfast/machine. */
  readonly undecidedBytes?: number;
}

/** A machine, and what it holds open of the host. */
export interface BuiltMachine extends AssembledMachine {
  readonly images: readonly { close(): void }[];
}

export interface AssembledMachine {
  readonly machine: Machine;
  /** Its non-volatile media. */
  readonly nvdimms: readonly MediumSlot[];
  /** By address of their NVDIMM: label areas, at the end of its image if it has one. */
  readonly labelAreas: ReadonlyMap<number, ConfigArea>;
}

/** @throws KernelError for an image that cannot be opened or has another size than its range. */
export async function buildMachine(plan: MachinePlan, options: MachineOptions = {}): Promise<BuiltMachine> {
  const images: { close(): void }[] = [];
  try {
    const backings = await openMediaImages(plan, images);
    return { ...assembleMachine(plan, backings, options), images };
  } catch (error) {
    for (const image of images) image.close();
    throw error;
  }
}

/** Open the image files that the plan names, which are added to `files`. By address; each is as long as its medium and label area. */
export async function openMediaImages(plan: MachinePlan, files: { close(): void }[]): Promise<Map<number, ImageBacking>> {
  const images = new Map<number, ImageBacking>();
  for (const { start, end, image, labelBytes = 0 } of mediaOf(plan)) {
    if (image === undefined) continue;
    const { openImageFile } = await import('@holdfast/machine/node');
    const file = openImageFile(image, { sizeBytes: end - start + labelBytes });
    files.push(file);
    images.set(start, file);
  }
  return images;
}

/** Put the machine together at once. @param images by address; an NVDIMM without one is in memory */
export function assembleMachine(plan: MachinePlan, images: ReadonlyMap<number, ImageBacking>, options: MachineOptions = {}): AssembledMachine {
  const { cpus = plan.nrCpus, hypervisor = true, undecidedBytes } = options;
  const labelAreas = new Map<number, ConfigArea>();
  const slots = mediaOf(plan).map((medium) => plug(medium, images.get(medium.start), labelAreas));
  const machine = createMachine({
    media: slots,
    physBits: plan.physBits,
    hypervisor,
    nrCpus: cpus,
    ...(undecidedBytes === undefined ? {} : { undecidedBytes }),
  });
  return { machine, nvdimms: slots.filter(({ medium }) => !medium.volatile), labelAreas };
}

/** As far as the machine can address them. */
function mediaOf({ media, physBits }: MachinePlan): MediumPlan[] {
  const limit = 2 ** physBits;
  return media.filter(({ start }) => start < limit).map((plan) => ({ ...plan, end: Math.min(plan.end, limit) }));
}

function plug({ kind, start, end, labelBytes = 0 }: MediumPlan, backing: ImageBacking | undefined, labelAreas: Map<number, ConfigArea>): MediumSlot {
  const sizeBytes = end - start;
  if (kind === 'dram') return { start, medium: createDram(sizeBytes) };
  if (backing === undefined) {
    if (labelBytes > 0) labelAreas.set(start, createConfigArea(labelBytes));
    return { start, medium: createNvdimm({ sizeBytes }) };
  }
  if (labelBytes === 0) return { start, medium: createNvdimm({ backing }) };
  const { media, labelArea } = splitImage(backing, sizeBytes);
  labelAreas.set(start, labelArea);
  return { start, medium: createNvdimm({ backing: media }) };
}
