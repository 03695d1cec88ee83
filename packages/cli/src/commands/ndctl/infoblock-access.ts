/** A namespace's info block for user space: below whatever holds it, as a raw disk. Mirrors ndctl's ndctl/namespace.c: namespace_rw_infoblock. */
import type { BlockFile } from '@holdfast/kernel';
import { KernelError } from '@holdfast/lib';
import type { Failure, NdctlContext } from './context.js';
import { type Namespace, isActive } from './topology.js';
import { withRawDisk } from './zero-info-block.js';

/** Only what is not in use may be looked at. @param work gets the disk and its path */
export function withInfoBlock(ctx: NdctlContext, command: string, ns: Namespace, work: (disk: BlockFile, path: string) => Failure): Failure {
  const say = (text: string): void => {
    if (ctx.verbose) ctx.line(`${command}: ${ns.name} ${text}`);
  };
  if (isActive(ctx, ns)) {
    say('enabled, must be disabled');
    ctx.explain({ rule: `${ns.name} is in use`, nearest: [`ndctl disable-namespace ${ns.name} && ${ctx.again()}`] });
    return 'EBUSY';
  }
  return withRawDisk<Failure>(ctx, ns, work, () => {
    say('failed to enable');
    return 'ENXIO';
  });
}

/** Carry out a transfer of so many bytes: the errno of what it threw, or EIO if it was cut short. */
export function transferFailure(bytes: number, transfer: () => number): Failure {
  try {
    return transfer() < bytes ? 'EIO' : undefined;
  } catch (error) {
    if (error instanceof KernelError) return error.code;
    throw error;
  }
}
