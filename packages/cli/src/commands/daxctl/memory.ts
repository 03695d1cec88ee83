/**
 * The memory blocks of a device in use as RAM, and taking them online and offline. Mirrors ndctl's daxctl/lib/libdaxctl.c:
 * daxctl_memory_op and what it calls.
 *
 * A block belongs to a device if it begins inside it and its node lists it.
 */
import { type ErrnoName, strerror } from '@holdfast/lib';
import { dirAt, textAt } from '../../facts/sysfs.js';
import { inReaddirOrder } from '../ndctl/name-hash.js';
import { type DaxctlContext, explained, libraryError, readError, writeAttr } from './context.js';
import { type DaxDevice, attribute, driverOf, targetNode } from './topology.js';

const MEMORY = '/sys/devices/system/memory';
const NODES = '/sys/devices/system/node';

/** A device's memory as daxctl asks for it: only there while the device is system RAM. */
export interface DaxMemory {
  readonly device: DaxDevice;
  /** Names of its blocks, in the order in which its node's directory lists them. */
  readonly blocks: readonly string[];
}

/** Undefined for a device in devdax mode, or without a driver. */
export function memoryOf(ctx: DaxctlContext, device: DaxDevice): DaxMemory | undefined {
  if (driverOf(ctx, device) !== 'kmem') return undefined;
  const blockSize = parseInt(textAt(ctx.root, `${MEMORY}/block_size_bytes`) ?? '', 16);
  const start = attribute(ctx, device, 'resource');
  const end = start + attribute(ctx, device, 'size');
  const listed = dirAt(ctx.root, `${NODES}/node${targetNode(ctx, device)}`)?.list() ?? [];
  const mine = [...listed].filter((name) => {
    const nr = /^memory(\d+)$/.exec(name)?.[1];
    const at = nr === undefined ? NaN : Number(nr) * blockSize;
    return at >= start && at < end;
  });
  return { device, blocks: inReaddirOrder(mine) };
}

export function onlineBlocks(ctx: DaxctlContext, { blocks }: DaxMemory): string[] {
  return blocks.filter((block) => isOnline(ctx, block));
}

/** Are all blocks in Movable? Undefined while any is offline, since it is in no zone. */
export function isMovable(ctx: DaxctlContext, memory: DaxMemory): boolean | undefined {
  if (onlineBlocks(ctx, memory).length < memory.blocks.length) return undefined;
  return memory.blocks.length > 0 && memory.blocks.every((block) => textAt(ctx.root, `${MEMORY}/${block}/valid_zones`) === 'Movable');
}

/** Take the blocks online that are not, into Movable or as the kernel's policy says. Returns how many, or the errno at which it stopped. */
export function online(ctx: DaxctlContext, memory: DaxMemory, { movable }: { movable: boolean }): number | ErrnoName {
  return changeEach(ctx, memory, { word: movable ? 'online_movable' : 'online', done: true });
}

/** Take the blocks offline that are not. Returns how many, or the errno at which it stopped. */
export function offline(ctx: DaxctlContext, memory: DaxMemory): number | ErrnoName {
  const result = changeEach(ctx, memory, { word: 'offline', done: false });
  if (typeof result === 'number') return result;
  const stuck = onlineBlocks(ctx, memory)[0];
  const path = `${NODES}/node${targetNode(ctx, memory.device)}/${stuck}/state`;
  libraryError(ctx, 'offline_one_memblock', `${memory.device.name}: Failed to offline ${path}: ${strerror(result)}`);
  return result;
}

/** A block that is already as wanted, even after a write that failed, counts as somebody else's doing. */
function changeEach(ctx: DaxctlContext, { blocks }: DaxMemory, { word, done }: { word: string; done: boolean }): number | ErrnoName {
  let count = 0;
  for (const block of blocks) {
    if (isOnline(ctx, block) === done) continue;
    const refused = writeAttr(ctx, `${MEMORY}/${block}/state`, word, { quiet: true });
    if (refused && isOnline(ctx, block) !== done) return explained(ctx, refused);
    if (!refused) count++;
  }
  return count;
}

function isOnline({ root }: DaxctlContext, block: string): boolean {
  return textAt(root, `${MEMORY}/${block}/state`)?.startsWith('online') ?? false;
}

/** Will the kernel take memory online by itself when it appears? */
export function willAutoOnline(ctx: DaxctlContext, { name }: DaxDevice): boolean {
  const path = `${MEMORY}/auto_online_blocks`;
  const refused = readError(ctx, path);
  if (refused) libraryError(ctx, 'daxctl_dev_will_auto_online_memory', `${name}: Unable to determine auto-online policy: ${strerror(refused)}`);
  return textAt(ctx.root, path)?.startsWith('online') ?? false;
}
