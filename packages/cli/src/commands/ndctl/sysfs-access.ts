/**
 * Attributes as ndctl reads and writes them. Mirrors ndctl's util/sysfs.c: sysfs_read_attr, write_attr, util_bind, util_unbind,
 * and says what they say with -v.
 */
import { type VfsNode, resolvePath, writeFile } from '@holdfast/kernel';
import { KernelError, strerror } from '@holdfast/lib';
import { dirAt, nodeAt, textAt } from '../../facts/sysfs.js';
import { type Explanation, type RequestForm, explanationOf } from '../../console/explain.js';
import { bootAdvice } from './boot-advice.js';
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
    const [device = '', attribute] = path.split('/').slice(-2);
    ctx.explain(explanationOf(refused, requestForm(ctx, device, attribute)));
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

/** The options that attributes come from. */
const OPTION: Readonly<Record<string, string>> = { size: 'size', align: 'align', sector_size: 'sector-size', uuid: 'uuid', alt_name: 'name' };

/** How this call says what the kernel would have granted. */
function requestForm(ctx: NdctlContext, device: string, attribute?: string): RequestForm {
  const { again } = ctx;
  const option = attribute === undefined ? undefined : OPTION[attribute];
  const region = `region${/\d+/.exec(device)?.[0] ?? ''}`;
  return {
    again: again(),
    withValue: (value) => (option === undefined ? undefined : again({ [option]: value })),
    withBytes(what, bytes) {
      if (what === 'align') return again({ align: String(bytes) });
      if (readAttr(ctx, `/sys/bus/nd/devices/${region}`, 'nstype') === NSTYPE_IO) {
        return bootAdvice(ctx.root, region, what === 'size' ? { sizeBytes: bytes } : { start: bytes });
      }
      return what === 'size' && bytes <= roomFor(ctx, region, device) ? again({ size: String(bytes) }) : undefined;
    },
  };
}

const NSTYPE_IO = '4';

/** What a namespace may grow to, if it lies where it can. */
function roomFor(ctx: NdctlContext, region: string, device: string): number {
  const folder = `/sys/bus/nd/devices`;
  const ns = readAttr(ctx, `${folder}/${device}`, 'namespace') ?? device;
  return (readNumber(ctx, `${folder}/${region}`, 'max_available_extent') ?? 0) + (readNumber(ctx, `${folder}/${ns}`, 'size') ?? 0);
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
  for (const refusal of refusals) ctx.explain(explanationOf(refusal, requestForm(ctx, name)));
  if (refusals.length === 0) ctx.explain(withoutDeviceDax(ctx, name) ?? { rule: `no driver takes ${name}; what it said of it is in the kernel's log` });
  return 'ENXIO';
}

/** Linux has had device-dax since 4.7; here it comes with its bus, in 5.1. */
function withoutDeviceDax({ root }: NdctlContext, name: string): Explanation | undefined {
  if (!name.startsWith('dax') || dirAt(root, '/sys/bus/dax')) return undefined;
  return { rule: `no driver takes ${name}: Holdfast has device-dax from Linux 5.1 on, and this kernel is older`, nearest: ['boot with --kernel 6.1'] };
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
