/**
 * Wiping what would make the kernel claim a namespace again: its first 8 KiB. Mirrors ndctl's ndctl/namespace.c: zero_info_block.
 */
import type { BlockFile } from '@holdfast/kernel';
import { KernelError } from '@holdfast/lib';
import { type ErrnoName } from '@holdfast/lib';
import { type NdctlContext, err } from './context.js';
import { disableNamespace, enableNamespace } from './namespace-state.js';
import { nodeOf, writeAttr } from './sysfs-access.js';
import { type Namespace, blockDevice } from './topology.js';

const INFO_SIZE = 8192;

/** `zeroed`, or `skipped` if there was nothing to zero or no way to it; else an errno. The namespace is left disabled. */
export function zeroInfoBlock(ctx: NdctlContext, ns: Namespace): 'zeroed' | 'skipped' | ErrnoName {
  return withRawDisk(ctx, ns, (disk, path) => zeroHead(ctx, ns, disk, path), () => {
    err(ctx, `${ns.name} failed to enable for zeroing, continuing`);
    return 'skipped';
  });
}

/**
 * Work on a namespace's bytes below whatever holds it: as a raw disk, which is taken away again.
 * `refused` answers where the kernel does not give the disk.
 */
export function withRawDisk<T>(ctx: NdctlContext, ns: Namespace, work: (disk: BlockFile, path: string) => T, refused: () => T): T {
  writeAttr(ctx, `${ns.path}/force_raw`, '1\n');
  try {
    if (enableNamespace(ctx, ns)) return refused();
    const path = `/dev/${blockDevice(ctx, ns)}`;
    const node = nodeOf(ctx, path);
    if (node?.kind !== 'block') return refused();
    const disk = node.open({ direct: true });
    try {
      return work(disk, path);
    } finally {
      disk.close();
    }
  } finally {
    writeAttr(ctx, `${ns.path}/force_raw`, '0\n');
    disableNamespace(ctx, ns);
  }
}

function zeroHead(ctx: NdctlContext, ns: Namespace, disk: BlockFile, path: string): 'zeroed' | 'skipped' | ErrnoName {
  const head = new Uint8Array(INFO_SIZE);
  if (transferred(() => disk.pread(head, 0)) < INFO_SIZE) err(ctx, `${ns.name}: failed to read info block, continuing`);
  if (head.every((byte) => byte === 0)) return 'skipped';
  if (transferred(() => disk.pwrite(new Uint8Array(INFO_SIZE), 0)) === INFO_SIZE) return 'zeroed';
  err(ctx, `${ns.name}: failed to zero info block ${path}`);
  return 'ENXIO';
}

function transferred(transfer: () => number): number {
  try {
    return transfer();
  } catch (error) {
    if (error instanceof KernelError) return -1;
    throw error;
  }
}
