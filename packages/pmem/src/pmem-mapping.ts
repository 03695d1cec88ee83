/**
 * How a pmem device is mapped, and who decides: the administrator per device or for all, the kernel's configuration, or the release.
 * Mirrors the proposal in "Re: [GIT PULL] PMEM driver for v4.1" (Boaz Harrosh, 14 April 2015): a mapping chosen per device, with a default
 * in Kconfig, struct pages being one mapping among others. Linux itself has one mapping a release, which is the default here.
 */
import { KernelError, releaseAtLeast } from '@holdfast/lib';
import type { KernelRelease, ParamSpec } from '@holdfast/lib';
import type { MemoryType } from '@holdfast/machine';

/** Uncached, write-combining, write-through, write-back, or write-back with a struct page for each page frame. */
export type PmemMapping = 'uc' | 'wc' | 'wt' | 'wb' | 'pages';

export const PMEM_MAPPINGS: readonly PmemMapping[] = ['uc', 'wc', 'wt', 'wb', 'pages'];

/** What the kernel was built with; without a default, each release maps as Linux's does. */
export interface PmemConfig {
  readonly defaultMapping?: PmemMapping;
}

/** The value of `pmem.mapping`. */
export interface PmemMappingParam {
  /** For devices that are not named. */
  readonly all: PmemMapping | undefined;
  /** By disk name. */
  readonly devices: ReadonlyMap<string, PmemMapping>;
}

const UNSET: PmemMappingParam = { all: undefined, devices: new Map() };

/**
 * Read `wb`, or `pmem0:wt,pmem1:uc`, or both: `wb,pmem1:uc`. Of two words for the same device the last one counts.
 * @throws KernelError EINVAL, naming the word that is none
 */
export function parsePmemMapping(text: string): PmemMappingParam {
  let all: PmemMapping | undefined;
  const devices = new Map<string, PmemMapping>();
  for (const part of text.trim().split(',')) {
    const colon = part.lastIndexOf(':');
    const word = part.slice(colon + 1);
    const mapping = PMEM_MAPPINGS.find((known) => known === word);
    if (!mapping || colon === 0) {
      throw new KernelError('EINVAL', `pmem.mapping '${part}': expected one of ${PMEM_MAPPINGS.join(', ')}, or DISK: and one of them`);
    }
    if (colon < 0) all = mapping;
    else devices.set(part.slice(0, colon), mapping);
  }
  return { all, devices };
}

export function formatPmemMapping({ all, devices }: PmemMappingParam): string {
  return [...(all ? [all] : []), ...[...devices].map(([name, mapping]) => `${name}:${mapping}`)].join(',');
}

/** `pmem.mapping` for moduleParams('pmem', …). A device takes a new value when it is bound again. */
export const pmemMappingParam: ParamSpec<PmemMappingParam> = {
  initial: UNSET,
  mode: 0o644,
  noArgument: false,
  parse: parsePmemMapping,
  format: formatPmemMapping,
};

/** What decides about one device's mapping, besides its name. */
export interface MappingChoice {
  readonly param?: PmemMappingParam;
  readonly config?: PmemConfig;
  readonly release: KernelRelease;
  /** Would Linux give it struct pages of its own accord (pmem_should_map_pages)? */
  readonly shouldMapPages: boolean;
}

/** The device's own word, else the one for all, else the configured one, else what this release of Linux does. */
export function choosePmemMapping(diskName: string, { param = UNSET, config = {}, release, shouldMapPages }: MappingChoice): PmemMapping {
  return param.devices.get(diskName) ?? param.all ?? config.defaultMapping ?? linuxMapping(release, shouldMapPages);
}

function linuxMapping(release: KernelRelease, shouldMapPages: boolean): PmemMapping {
  if (!releaseAtLeast(release, 4, 2)) return 'uc';
  if (!releaseAtLeast(release, 4, 3)) return 'wt';
  return shouldMapPages ? 'pages' : 'wb';
}

const MEMORY_TYPES: Record<PmemMapping, MemoryType> = { uc: 'UC-', wc: 'WC', wt: 'WT', wb: 'WB', pages: 'WB' };

export function memoryTypeOf(mapping: PmemMapping): MemoryType {
  return MEMORY_TYPES[mapping];
}
