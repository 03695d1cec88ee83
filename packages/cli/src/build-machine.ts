/**
 * Builds the machine of a plan: DRAM and NVDIMMs at their addresses, with image files where they are asked for.
 */
import { type Machine, type MediumSlot, createDram, createMachine, createNvdimm } from '@holdfast/machine';
import { type ConfigArea, createConfigArea } from '@holdfast/nvdimm';
import { splitImage } from './labelled-dimms.js';
import type { MachinePlan, MediumPlan } from './machine-plan.js';

export interface MachineOptions {
  /** Instead of the plan's. */
  readonly cpus?: number;
  readonly hypervisor?: boolean;
}

/** A machine, and what it holds open of the host. */
export interface BuiltMachine {
  readonly machine: Machine;
  readonly images: readonly { close(): void }[];
  /** By address of their NVDIMM: label areas, at the end of its image if it has one. */
  readonly labelAreas: ReadonlyMap<number, ConfigArea>;
}

/** @throws KernelError for an image that cannot be opened or has another size than its range. */
export async function buildMachine({ media, physBits, nrCpus }: MachinePlan, { cpus = nrCpus, hypervisor = true }: MachineOptions = {}): Promise<BuiltMachine> {
  const limit = 2 ** physBits;
  const images: { close(): void }[] = [];
  const labelAreas = new Map<number, ConfigArea>();
  try {
    const slots: MediumSlot[] = [];
    for (const plan of media) {
      if (plan.start < limit) slots.push(await plug({ ...plan, end: Math.min(plan.end, limit) }, images, labelAreas));
    }
    return { machine: createMachine({ media: slots, physBits, hypervisor, nrCpus: cpus }), images, labelAreas };
  } catch (error) {
    for (const image of images) image.close();
    throw error;
  }
}

async function plug({ kind, start, end, image, labelBytes = 0 }: MediumPlan, images: { close(): void }[], labelAreas: Map<number, ConfigArea>): Promise<MediumSlot> {
  const sizeBytes = end - start;
  if (kind === 'dram') return { start, medium: createDram(sizeBytes) };
  if (image === undefined) {
    if (labelBytes > 0) labelAreas.set(start, createConfigArea(labelBytes));
    return { start, medium: createNvdimm({ sizeBytes }) };
  }
  const { openImageFile } = await import('@holdfast/machine/node');
  const backing = openImageFile(image, { sizeBytes: sizeBytes + labelBytes });
  images.push(backing);
  if (labelBytes === 0) return { start, medium: createNvdimm({ backing }) };
  const { media, labelArea } = splitImage(backing, sizeBytes);
  labelAreas.set(start, labelArea);
  return { start, medium: createNvdimm({ backing: media }) };
}
