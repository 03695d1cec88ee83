/**
 * A DIMM's label area, read and written through its node in /dev as the ND_CMD_{GET,SET}_CONFIG ioctls do.
 * Mirrors ndctl's ndctl/lib/dimm.c: ndctl_dimm_read_labels, ndctl_dimm_init_labels, ndctl_dimm_zero_label_extent.
 */
import type { ConfigArea } from '@holdfast/nvdimm';
import { type NdctlContext } from './context.js';
import { nodeOf, readAttr } from './sysfs-access.js';
import type { Dimm } from './topology.js';

const COMMANDS = ['get_size', 'get_data', 'set_data'];

/** Undefined where the DIMM has no label area, or the commands to reach it. */
export function configAreaOf(ctx: NdctlContext, dimm: Dimm): ConfigArea | undefined {
  if (!hasLabelCommands(ctx, dimm)) return undefined;
  const node = nodeOf(ctx, `/dev/${dimm.name}`);
  return node?.kind === 'char' ? node.openConfigArea?.() : undefined;
}

export function hasLabelCommands(ctx: NdctlContext, dimm: Dimm): boolean {
  const commands = (readAttr(ctx, dimm.path, 'commands') ?? '').split(' ');
  return COMMANDS.every((command) => commands.includes(command));
}
