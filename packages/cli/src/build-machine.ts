/**
 * Builds the machine of a plan: DRAM and NVDIMMs at their addresses, with image files where they are asked for.
 */
import { type Machine, type MediumSlot, createDram, createMachine, createNvdimm } from '@holdfast/machine';
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
}

/** @throws KernelError for an image that cannot be opened or has another size than its range. */
export async function buildMachine({ media, physBits, nrCpus }: MachinePlan, { cpus = nrCpus, hypervisor = true }: MachineOptions = {}): Promise<BuiltMachine> {
  const limit = 2 ** physBits;
  const images: { close(): void }[] = [];
  try {
    const slots: MediumSlot[] = [];
    for (const plan of media) {
      if (plan.start < limit) slots.push(await plug({ ...plan, end: Math.min(plan.end, limit) }, images));
    }
    return { machine: createMachine({ media: slots, physBits, hypervisor, nrCpus: cpus }), images };
  } catch (error) {
    for (const image of images) image.close();
    throw error;
  }
}

async function plug({ kind, start, end, image }: MediumPlan, images: { close(): void }[]): Promise<MediumSlot> {
  const sizeBytes = end - start;
  if (kind === 'dram') return { start, medium: createDram(sizeBytes) };
  if (image === undefined) return { start, medium: createNvdimm({ sizeBytes }) };
  const { openImageFile } = await import('@holdfast/machine/node');
  const backing = openImageFile(image, { sizeBytes });
  images.push(backing);
  return { start, medium: createNvdimm({ backing }) };
}
