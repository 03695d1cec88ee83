/** The commands of a bus, through its node in /dev as the ND_IOCTL_ARS_* ioctls and ND_CMD_CALL do. Mirrors ndctl's ndctl/lib/ars.c, nfit.c. */
import { KernelError } from '@holdfast/lib';
import type { NdBusControl } from '@holdfast/nvdimm';
import { type Failure, type NdctlContext } from './context.js';
import { nodeOf, readAttr } from './sysfs-access.js';
import type { NdBus } from './topology.js';

/** Methods 7 to 9 of the root device: setting, clearing and telling of injected errors. */
const INJECTION = 0x380n;

/** Can the firmware behind the bus inject errors? */
export function hasErrorInjection(ctx: NdctlContext, bus: NdBus): boolean {
  const mask = readAttr(ctx, bus.path, 'nfit/dsm_mask')?.trim();
  return mask !== undefined && /^0x[\da-f]+$/i.test(mask) && (BigInt(mask) & INJECTION) === INJECTION;
}

/** Undefined where the bus does not take the commands of address range scrub. */
export function busControlOf(ctx: NdctlContext, bus: NdBus): NdBusControl | undefined {
  if (!(readAttr(ctx, bus.path, 'commands') ?? '').split(' ').includes('ars_cap')) return undefined;
  const node = nodeOf(ctx, `/dev/ndctl${bus.id}`);
  return node?.kind === 'char' ? node.openBusControl?.() : undefined;
}

/** The errno of a command's status word, or undefined if all is well. */
export function failureOf(status: number): Failure {
  const method = status % 65536;
  return method === 0 ? undefined : method === 1 ? 'EOPNOTSUPP' : 'EINVAL';
}

/** Run a command; its refusal by the kernel becomes an errno. */
export function submit<T>(command: () => T): T | Exclude<Failure, undefined> {
  try {
    return command();
  } catch (error) {
    if (error instanceof KernelError) return error.code;
    throw error;
  }
}
