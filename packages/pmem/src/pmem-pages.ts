/**
 * Which struct-page design a pmem disk gets, and who decides: `pmem.pages`, per device or for all, else the kernel's configuration, else
 * Linux. Orthogonal to `pmem.mapping`, the memory type, whose word `pages` is write-back with the design that is chosen here.
 */
import { KernelError, PAGE_SIZE, isAligned, parseSize } from '@holdfast/lib';
import { addSectionPages } from './designs/add-section.js';
import { pagesOnDevice } from './designs/device.js';
import { dynamicPages } from './designs/dynamic.js';
import { bootPages } from './designs/e820-pages.js';
import { hotplugPages } from './designs/hotplug.js';
import { noPages } from './designs/none.js';
import { pageCachePages } from './designs/page-cache.js';
import { pfnScatterlists } from './designs/pfn.js';
import { pagesInRam } from './designs/ram.js';
import { temporaryPages } from './designs/temporary.js';
import { variablePages } from './designs/variable.js';
import { type DeviceParam, deviceParam, deviceValue } from './device-param.js';
import type { DesignOptions, PageAreaPolicy, PageDesign } from './page-design.js';

/** Each design by the word that chooses it. */
export const PAGE_DESIGNS = {
  none: noPages,
  ram: pagesInRam,
  'e820-pages': bootPages,
  pfn: pfnScatterlists,
  dynamic: dynamicPages,
  temporary: temporaryPages,
  variable: variablePages,
  device: pagesOnDevice,
  'page-cache': pageCachePages,
  hotplug: hotplugPages,
  'add-section': addSectionPages,
} as const satisfies Readonly<Record<string, PageDesign>>;

export type PageDesignName = keyof typeof PAGE_DESIGNS;

const NAMES = Object.keys(PAGE_DESIGNS) as PageDesignName[];
const AREA_POLICIES: readonly PageAreaPolicy[] = ['check', 'rebuild', 'overwrite'];

function oneOf<Word extends string>(param: string, words: readonly Word[]): (word: string) => Word {
  return (text) => {
    const word = words.find((each) => each === text);
    if (!word) throw new KernelError('EINVAL', `pmem.${param} '${text}': expected one of ${words.join(', ')}, or DISK: and one of them`);
    return word;
  };
}

function size(param: string, grain: number): (word: string) => number {
  return (word) => {
    const bytes = parseSize(word, `pmem.${param}`);
    if (bytes <= 0 || !isAligned(bytes, grain)) throw new KernelError('EINVAL', `pmem.${param} '${word}': expected a multiple of ${grain}`);
    return bytes;
  };
}

/** The parameters of module pmem that are about struct pages. */
export const pmemPagesParams = {
  pages: deviceParam(oneOf('pages', NAMES)),
  ram_bytes: deviceParam(size('ram_bytes', PAGE_SIZE)),
  pool_pages: deviceParam(size('pool_pages', 1)),
  unit_bytes: deviceParam(size('unit_bytes', PAGE_SIZE)),
  page_area: deviceParam(oneOf('page_area', AREA_POLICIES)),
};

/** Their values. */
export interface PmemPagesValues {
  readonly pages: DeviceParam<PageDesignName>;
  readonly ram_bytes: DeviceParam<number>;
  readonly pool_pages: DeviceParam<number>;
  readonly unit_bytes: DeviceParam<number>;
  readonly page_area: DeviceParam<PageAreaPolicy>;
}

/** The design that somebody chose for a disk; undefined leaves it to Linux. */
export function choosePageDesign(
  diskName: string,
  { params, defaultPages }: { params?: Partial<PmemPagesValues> | undefined; defaultPages?: PageDesignName | undefined },
): PageDesign | undefined {
  const name = deviceValue(params?.pages, diskName) ?? defaultPages;
  return name && (PAGE_DESIGNS as Readonly<Record<PageDesignName, PageDesign>>)[name];
}

export function designOptions(diskName: string, params: Partial<PmemPagesValues> | undefined): DesignOptions {
  return {
    ramBytes: deviceValue(params?.ram_bytes, diskName),
    poolPages: deviceValue(params?.pool_pages, diskName),
    unitBytes: deviceValue(params?.unit_bytes, diskName),
    pageArea: deviceValue(params?.page_area, diskName),
  };
}
