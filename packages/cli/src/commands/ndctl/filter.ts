/**
 * Which devices a command means. Mirrors ndctl's ndctl/filter.c: names, numbers and `all`, several with blanks between.
 * Each filter lets everything pass where nothing was asked for.
 */
import type { NdctlContext } from './context.js';
import { readAttr, readNumber } from './sysfs-access.js';
import { type Dimm, type Mode, type NdBus, type Namespace, type Region, dimmsInRegion, namespaces, regions } from './topology.js';

type Wanted = string | undefined;

function matches(wanted: Wanted, test: (word: string) => boolean): boolean {
  return wanted === undefined || wanted.split(' ').some((word) => word !== '' && (word === 'all' || test(word)));
}

/** By number, where the word is one, else by name. */
function named({ id }: { id: number }, word: string, ...names: (string | undefined)[]): boolean {
  return /^(?:0x[\da-f]+|\d+)$/i.test(word) ? Number(word) === id : names.includes(word);
}

export function busPasses(ctx: NdctlContext, bus: NdBus, wanted: Wanted): boolean {
  return matches(wanted, (word) => named(bus, word, bus.name, readAttr(ctx, bus.path, 'provider')));
}

export function regionPasses(region: Region, wanted: Wanted): boolean {
  return matches(wanted, (word) => named(region, word, region.name));
}

export function dimmPasses(dimm: Pick<Dimm, 'id' | 'name'>, wanted: Wanted): boolean {
  return matches(wanted, (word) => named(dimm, word, dimm.name));
}

/** By name, or as `0.1`. */
export function namespacePasses(ns: Namespace, wanted: Wanted): boolean {
  return matches(wanted, (word) => word === ns.name || word === `${ns.region.id}.${ns.id}`);
}

export function regionHasDimm(ctx: NdctlContext, region: Region, wanted: Wanted): boolean {
  return everything(wanted) || dimmsInRegion(ctx, region).some((dimm) => dimmPasses(dimm, wanted));
}

export function regionHasNamespace(ctx: NdctlContext, region: Region, wanted: Wanted): boolean {
  return everything(wanted) || namespaces(ctx, region).some((ns) => namespacePasses(ns, wanted));
}

/** The regions of a bus that a DIMM is in and a test lets pass. */
export function dimmInRegion(ctx: NdctlContext, dimm: Dimm, test: (region: Region) => boolean): boolean {
  return regions(ctx, dimm.bus).some((region) => test(region) && dimmsInRegion(ctx, region).some(({ name }) => name === dimm.name));
}

export function everything(wanted: Wanted): boolean {
  return wanted === undefined || wanted === 'all';
}

export function onNode(ctx: NdctlContext, device: { readonly path: string }, node: number | undefined): boolean {
  return node === undefined || readNumber(ctx, device.path, 'numa_node') === node;
}

const MODE_WORDS: Readonly<Record<string, Mode>> = {
  memory: 'fsdax', fsdax: 'fsdax', sector: 'sector', safe: 'sector', dax: 'devdax', devdax: 'devdax', raw: 'raw',
};

/** A mode as a user may call it. */
export function parseMode(word: string): Mode | undefined {
  const lower = word.toLowerCase();
  return Object.hasOwn(MODE_WORDS, lower) ? MODE_WORDS[lower] : undefined;
}
