/**
 * A DIMM's label area, read and written through its node in /dev as the ND_CMD_{GET,SET}_CONFIG ioctls do.
 * Mirrors ndctl's ndctl/lib/dimm.c: ndctl_dimm_read_labels, ndctl_dimm_init_labels, ndctl_dimm_zero_label_extent; and libndctl.c: do_cmd.
 */
import { type ConfigArea, labelGeometry } from '@holdfast/nvdimm';
import { type NdctlContext, dbg } from './context.js';
import { nodeOf, readAttr, readNumber } from './sysfs-access.js';
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

/** Bytes of labels that the firmware takes or gives at once: QEMU's. */
const MAX_XFER = 4076;

function traceCommand(ctx: NdctlContext, { path, bus }: Dimm, command: string, total?: number): void {
  const handle = readNumber(ctx, path, 'nfit/handle') ?? 0;
  const transfer = total === undefined ? '' : ` total: ${total} max_xfer: ${MAX_XFER}`;
  dbg(ctx, 'do_cmd', `bus: ${bus.id} dimm: ${handle === 0 ? '0' : `0x${handle.toString(16)}`} cmd: ${command}${transfer} status: 0 fw: 0 (success)`);
}

/** With -v: a part of the area was read. */
export function traceRead(ctx: NdctlContext, dimm: Dimm, length: number): void {
  traceCommand(ctx, dimm, 'get_size');
  traceCommand(ctx, dimm, 'get_data', length);
}

/** With -v: it was written back. */
export function traceWrite(ctx: NdctlContext, dimm: Dimm, length: number): void {
  traceCommand(ctx, dimm, 'set_data', length);
}

/** With -v: both index blocks were read, as long as they are with small labels. */
export function traceIndexRead(ctx: NdctlContext, dimm: Dimm, area: ConfigArea): void {
  traceRead(ctx, dimm, indexBytes(area));
}

/** With -v: they were written, each with its neighbour. */
export function traceIndexWrites(ctx: NdctlContext, dimm: Dimm, area: ConfigArea): void {
  for (let nr = 0; nr < 2; nr++) traceWrite(ctx, dimm, indexBytes(area));
}

function indexBytes({ sizeBytes }: ConfigArea): number {
  return 2 * (labelGeometry(sizeBytes, 128)?.indexSize ?? 0);
}
