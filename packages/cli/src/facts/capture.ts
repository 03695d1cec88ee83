/**
 * A capture: what a running kernel shows of its memory and its devices, in the shape of `captures.NAME` of the golden
 * captures' `expected.json`.
 */
import type { VfsDir } from '@holdfast/kernel';
import { type DeviceFacts, deviceAttributes, parseDeviceAttributes } from './device-facts.js';
import { type IomemFact, parseIomem } from './iomem-facts.js';
import { type MemoryFacts, memoryAttributes, parseMemoryBlocks } from './memory-facts.js';
import { dirAt, naturalOrder, textAt } from './sysfs.js';
import { daxctlList, ndctlList } from './tool-listings.js';
import { type ZoneFact, parseZoneinfo } from './zone-facts.js';

export interface Capture {
  iomem: IomemFact[];
  zones: ZoneFact[];
  memory: MemoryFacts;
  nd: DeviceFacts;
  /** Left out where there is none, as is `block`. */
  dax?: DeviceFacts;
  block?: DeviceFacts;
  /** What the tools list of a running kernel, each left out where it lists nothing. */
  ndctl?: unknown;
  daxctl?: unknown;
}

/** The texts that a capture is made of, by the names that the captures give them. */
export interface CaptureTexts {
  iomem: string;
  zoneinfo: string;
  memoryBlocks: string;
  nd: string;
  dax: string;
  block: string;
}

/** One range of /sys/firmware/memmap: what the firmware said, whatever the user changed. */
export interface FirmwareMemmapFact {
  start: string;
  end: string;
  type: string;
}

/** Read a running kernel's files. */
export function readCaptureTexts(root: VfsDir): CaptureTexts {
  return {
    iomem: textAt(root, '/proc/iomem') ?? '',
    zoneinfo: textAt(root, '/proc/zoneinfo') ?? '',
    memoryBlocks: memoryAttributes(root),
    nd: deviceAttributes(root, 'nd'),
    dax: deviceAttributes(root, 'dax'),
    block: deviceAttributes(root, 'block'),
  };
}

/** Make facts of such texts, ours or a real machine's. */
export function parseCapture(texts: CaptureTexts): Capture {
  const dax = parseDeviceAttributes('dax', texts.dax);
  const block = parseDeviceAttributes('block', texts.block);
  return {
    iomem: parseIomem(texts.iomem),
    zones: parseZoneinfo(texts.zoneinfo),
    memory: parseMemoryBlocks(texts.memoryBlocks),
    nd: parseDeviceAttributes('nd', texts.nd),
    ...(Object.keys(dax).length > 0 ? { dax } : {}),
    ...(Object.keys(block).length > 0 ? { block } : {}),
  };
}

export function captureFacts(root: VfsDir): Capture {
  const [ndctl, daxctl] = [ndctlList(root, ['-BDRNFiv']), daxctlList(root, ['-RDMi'])];
  return { ...parseCapture(readCaptureTexts(root)), ...(ndctl === undefined ? {} : { ndctl }), ...(daxctl === undefined ? {} : { daxctl }) };
}

export function firmwareMemmapFacts(root: VfsDir): FirmwareMemmapFact[] {
  const folder = '/sys/firmware/memmap';
  return [...(dirAt(root, folder)?.list() ?? [])].sort(naturalOrder).map((name) => ({
    start: textAt(root, `${folder}/${name}/start`) ?? '',
    end: textAt(root, `${folder}/${name}/end`) ?? '',
    type: textAt(root, `${folder}/${name}/type`) ?? '',
  }));
}
