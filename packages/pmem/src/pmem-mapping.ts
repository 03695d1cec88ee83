/**
 * How a pmem device is mapped, and who decides: the administrator per device or for all, the kernel's configuration, or the release.
 * Mirrors the proposal in "Re: [GIT PULL] PMEM driver for v4.1" (Boaz Harrosh, 14 April 2015): a mapping chosen per device, with a default
 * in Kconfig, struct pages being one mapping among others. Linux itself has one mapping a release, which is the default here.
 */
import { KernelError, releaseAtLeast } from '@holdfast/lib';
import type { KernelRelease } from '@holdfast/lib';
import type { MemoryType } from '@holdfast/machine';
import { type DeviceParam, deviceParam, deviceValue, formatDeviceParam, parseDeviceParam } from './device-param.js';
import type { PageDesignName } from './pmem-pages.js';

/** Uncached, write-combining, write-through, write-back, or write-back with a struct page for each page frame. */
export type PmemMapping = 'uc' | 'wc' | 'wt' | 'wb' | 'pages';

export const PMEM_MAPPINGS: readonly PmemMapping[] = ['uc', 'wc', 'wt', 'wb', 'pages'];

/** What the kernel was built with; without a default, each release maps as Linux's does. */
export interface PmemConfig {
  readonly defaultMapping?: PmemMapping;
  /** Without it devices get struct pages, or none, as in Linux. */
  readonly defaultPages?: PageDesignName;
}

/** The value of `pmem.mapping`. */
export type PmemMappingParam = DeviceParam<PmemMapping>;

function parseWord(word: string): PmemMapping {
  const mapping = PMEM_MAPPINGS.find((known) => known === word);
  if (!mapping) throw new KernelError('EINVAL', `pmem.mapping '${word}': expected one of ${PMEM_MAPPINGS.join(', ')}, or DISK: and one of them`);
  return mapping;
}

/** @throws KernelError EINVAL, naming the word that is none */
export const parsePmemMapping = (text: string): PmemMappingParam => parseDeviceParam(text, parseWord);
export const formatPmemMapping = (param: PmemMappingParam): string => formatDeviceParam(param);

/** `pmem.mapping` for moduleParams('pmem', …). A device takes a new value when it is bound again. */
export const pmemMappingParam = deviceParam(parseWord);

/** What decides about one device's mapping, besides its name. */
export interface MappingChoice {
  readonly param?: PmemMappingParam;
  readonly config?: PmemConfig;
  readonly release: KernelRelease;
  /** Would Linux give it struct pages of its own accord (pmem_should_map_pages)? */
  readonly shouldMapPages: boolean;
}

/** The device's own word, else the one for all, else the configured one, else what this release of Linux does. */
export function choosePmemMapping(diskName: string, { param, config = {}, release, shouldMapPages }: MappingChoice): PmemMapping {
  return deviceValue(param, diskName) ?? config.defaultMapping ?? linuxMapping(release, shouldMapPages);
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
