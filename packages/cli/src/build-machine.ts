/**
 * Builds the machine of a plan: DRAM and NVDIMMs at their addresses, with image files where they are asked for.
 */
import { type Machine, type MediumSlot, createDram, createMachine, createNvdimm } from '@holdfast/machine';
import type { MachinePlan, MediumPlan } from './machine-plan.js';

export interface MachineOptions {
  readonly cpus?: number;
  readonly hypervisor?: boolean;
}

/** @throws KernelError for an image that cannot be opened or has another size than its range. */
export async function buildMachine({ media, physBits }: MachinePlan, { cpus = 1, hypervisor = true }: MachineOptions = {}): Promise<Machine> {
  const limit = 2 ** physBits;
  const slots: MediumSlot[] = [];
  for (const plan of media) {
    if (plan.start < limit) slots.push(await plug({ ...plan, end: Math.min(plan.end, limit) }));
  }
  return createMachine({ media: slots, physBits, hypervisor, nrCpus: cpus });
}

async function plug({ kind, start, end, image }: MediumPlan): Promise<MediumSlot> {
  const sizeBytes = end - start;
  if (kind === 'dram') return { start, medium: createDram(sizeBytes) };
  if (image === undefined) return { start, medium: createNvdimm({ sizeBytes }) };
  const { openImageFile } = await import('@holdfast/machine/node');
  return { start, medium: createNvdimm({ backing: openImageFile(image, { sizeBytes }) }) };
}
