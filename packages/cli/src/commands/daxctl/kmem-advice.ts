/**
 * What would make a device-dax on persistent memory fit for RAM where kmem refused it: a namespace that holds a whole memory block, or a
 * place for which a node is known.
 */
import { GIB, MIB, roundDown } from '@holdfast/lib';
import { textAt } from '../../facts/sysfs.js';
import { sizeTable } from '../../size-table.js';
import { bootAdvice } from '../ndctl/boot-advice.js';
import type { DaxctlContext } from './context.js';
import { type DaxDevice, numberAt } from './topology.js';

/** How much larger a namespace is tried. */
const MOST_STEPS = 256;

/** Lines to try; none for a device that is not of the nd bus. */
export function kmemAdvice(ctx: DaxctlContext, device: DaxDevice): string[] {
  const claim = device.path.slice(0, device.path.lastIndexOf('/'));
  const region = /\/(region\d+)\//.exec(claim)?.[1];
  const ns = textAt(ctx.root, `${claim}/namespace`);
  if (region === undefined || !ns) return [];
  return textAt(ctx.root, `${device.path}/target_node`) === undefined ? otherPlace(ctx, region) : largerNamespace(ctx, { claim, region, ns });
}

/** Without an SRAT a node is known for what lies below the last RAM. */
function otherPlace(ctx: DaxctlContext, region: string): string[] {
  const [start, size] = ['resource', 'size'].map((name) => numberAt(ctx, `/sys/bus/nd/devices/${region}/${name}`) ?? 0) as [number, number];
  const advice = [GIB, blockSize(ctx)].map((grain) => bootAdvice(ctx.root, region, { start: roundDown(start - 1, grain) })).find((line) => line !== undefined);
  return advice === undefined || size === 0 ? [] : [advice];
}

function largerNamespace(ctx: DaxctlContext, { claim, region, ns }: { claim: string; region: string; ns: string }): string[] {
  const nd = `/sys/bus/nd/devices/${ns}`;
  const [start = 0, sizeBytes = 0, align] = [numberAt(ctx, `${nd}/resource`), numberAt(ctx, `${nd}/size`), numberAt(ctx, `${claim}/align`)];
  const map = textAt(ctx.root, `${claim}/mode`) === 'ram' ? 'mem' : 'dev';
  const fits = (size: number): boolean =>
    sizeTable({ size, start, blockSize: blockSize(ctx) }).some(
      (row) => row.mode === 'devdax' && row.map === map && row.align === align && (row.ramBlocks ?? 0) > 0,
    );
  const first = roundDown(sizeBytes, 16 * MIB);
  const size = Array.from({ length: MOST_STEPS }, (_, step) => first + (step + 1) * 16 * MIB).find(fits);
  if (size === undefined) return [];
  const boot = bootAdvice(ctx.root, region, { sizeBytes: size });
  if (boot !== undefined) return [boot];
  const room = sizeBytes + (numberAt(ctx, `/sys/bus/nd/devices/${region}/max_available_extent`) ?? 0);
  return size > room ? [] : [`ndctl create-namespace -f -e ${ns} -m devdax -M ${map} -a ${align} -s ${size} && ${ctx.again()}`];
}

function blockSize(ctx: DaxctlContext): number {
  return parseInt(textAt(ctx.root, '/sys/devices/system/memory/block_size_bytes') ?? '8000000', 16);
}
