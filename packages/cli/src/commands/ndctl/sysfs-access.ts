/**
 * Attributes as ndctl reads and writes them. Mirrors ndctl's util/sysfs.c: sysfs_read_attr, write_attr, util_bind, util_unbind,
 * and says what they say with -v.
 */
import { type VfsNode, resolvePath, writeFile } from '@holdfast/kernel';
import { KernelError, strerror } from '@holdfast/lib';
import { dirAt, nodeAt, textAt } from '../../facts/sysfs.js';
import type { Explanation } from '../../console/explain.js';
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
export function writeAttr(ctx: NdctlContext, path: string, text: string): Failure {
  const refused = tryWrite(ctx, path, text);
  if (refused instanceof KernelError) {
    dbg(ctx, 'write_attr', `failed to write ${text} to ${path}: ${strerror(refused.code)}`);
    ctx.explain(explanationOf(refused));
    return refused.code;
  }
  return refused;
}

/** What the kernel answers; just the errno where there is nothing to write to. */
function tryWrite(ctx: NdctlContext, path: string, text: string): KernelError | Failure {
  try {
    resolvePath(ctx.root, path);
  } catch (error) {
    const { code } = kernelError(error);
    dbg(ctx, 'write_attr', `failed to open ${path}: ${strerror(code)}`);
    return code;
  }
  try {
    writeFile(ctx.root, path, text);
    return undefined;
  } catch (error) {
    return kernelError(error);
  }
}

function kernelError(error: unknown): KernelError {
  if (error instanceof KernelError) return error;
  throw error;
}

const REQUEST: Readonly<Record<string, string>> = { sizeBytes: '--size=', align: '--align=', start: 'a namespace that starts at ' };

/** A refusal's rule, and the nearest requests, which the kernel names in its own terms. */
function explanationOf({ message }: KernelError): Explanation {
  const match = /^(.*) \(nearest: (.*)\)$/.exec(message);
  if (!match) return { rule: message };
  return { rule: match[1]!, nearest: match[2]!.replace(/\b(sizeBytes|align|start) /g, (_, name: string) => REQUEST[name]!) };
}

export function isBound({ root }: NdctlContext, device: string): boolean {
  return nodeAt(root, `${device}/driver`, { follow: false })?.kind === 'link';
}

/** Offer a device to each driver of the bus, as readdir lists them, until one takes it. */
export function bindDevice(ctx: NdctlContext, name: string): Failure {
  const drivers = '/sys/bus/nd/drivers';
  const refusals: KernelError[] = [];
  for (const driver of inReaddirOrder(dirAt(ctx.root, drivers)?.list() ?? [])) {
    const refused = tryWrite(ctx, `${drivers}/${driver}/bind`, name);
    if (refused === undefined) return undefined;
    // ENODEV is what every other driver says.
    if (refused instanceof KernelError && refused.code !== 'ENODEV') refusals.push(refused);
  }
  dbg(ctx, '__util_bind', `${name}: bind failed`);
  for (const refusal of refusals) ctx.explain(explanationOf(refusal));
  if (refusals.length === 0) ctx.explain({ rule: `no driver takes ${name}; what it said of it is in the kernel's log`, nearest: 'dmesg | tail' });
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
