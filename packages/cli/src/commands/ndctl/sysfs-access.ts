/**
 * Attributes as ndctl reads and writes them. Mirrors ndctl's util/sysfs.c: sysfs_read_attr, write_attr, util_bind, util_unbind,
 * and says what they say with -v.
 */
import { type VfsNode, resolvePath, writeFile } from '@holdfast/kernel';
import { KernelError, strerror } from '@holdfast/lib';
import { dirAt, nodeAt, textAt } from '../../facts/sysfs.js';
import { type Failure, type NdctlContext, dbg } from './context.js';
import { inReaddirOrder } from './name-hash.js';

/** An attribute's text without its newline; undefined if it is not there or cannot be read. */
export function readAttr({ root }: NdctlContext, device: string, name: string): string | undefined {
  return textAt(root, `${device}/${name}`);
}

/** An attribute that is a number in C's notation; undefined if it is not there. */
export function readNumber(ctx: NdctlContext, device: string, name: string): number | undefined {
  const text = readAttr(ctx, device, name)?.trim();
  return text === undefined || text === '' || Number.isNaN(Number(text)) ? undefined : Number(text);
}

/** Write an attribute. A refusal's sentence is kept for --explain. */
export function writeAttr(ctx: NdctlContext, path: string, text: string, { quiet = false } = {}): Failure {
  try {
    resolvePath(ctx.root, path);
  } catch (error) {
    return failedWith(error, (words) => dbg(ctx, 'write_attr', `failed to open ${path}: ${words}`));
  }
  try {
    writeFile(ctx.root, path, text);
    return undefined;
  } catch (error) {
    return failedWith(error, (words, message) => {
      if (quiet) return;
      dbg(ctx, 'write_attr', `failed to write ${text} to ${path}: ${words}`);
      ctx.explain({ rule: message });
    });
  }
}

function failedWith(error: unknown, tell: (words: string, message: string) => void): Failure {
  if (!(error instanceof KernelError)) throw error;
  tell(strerror(error.code), error.message);
  return error.code;
}

export function isBound({ root }: NdctlContext, device: string): boolean {
  return nodeAt(root, `${device}/driver`, { follow: false })?.kind === 'link';
}

/** Offer a device to each driver of the bus, as readdir lists them, until one takes it. */
export function bindDevice(ctx: NdctlContext, name: string): Failure {
  const drivers = '/sys/bus/nd/drivers';
  for (const driver of inReaddirOrder(dirAt(ctx.root, drivers)?.list() ?? [])) {
    if (writeAttr(ctx, `${drivers}/${driver}/bind`, name, { quiet: true }) === undefined) return undefined;
  }
  dbg(ctx, '__util_bind', `${name}: bind failed`);
  return 'ENXIO';
}

export function unbindDevice(ctx: NdctlContext, path: string): void {
  writeAttr(ctx, `${path}/driver/unbind`, path.slice(path.lastIndexOf('/') + 1));
}

/** The disk below a device, such as `pmem0`; '' if there is none. */
export function blockDeviceOf({ root }: NdctlContext, path: string): string {
  return [...(dirAt(root, `${path}/block`)?.list() ?? [])][0] ?? '';
}

export function nodeOf({ root }: NdctlContext, path: string): VfsNode | undefined {
  return nodeAt(root, path);
}
