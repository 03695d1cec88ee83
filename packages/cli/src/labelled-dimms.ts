/**
 * NVDIMMs with a label area, as `--nvdimm size=1G,label=128K,image=FILE` describes them: the NFIT that QEMU gives for such DIMMs, and
 * image files whose last bytes are the label area, as QEMU's `label-size` has them. So a file serves QEMU's `mem-path`, too.
 */
import { type NfitContents, SPA_GUIDS, encodeNfit } from '@holdfast/acpi';
import type { FirmwareDimm } from '@holdfast/kernel';
import type { ImageBacking } from '@holdfast/machine';
import type { ConfigArea } from '@holdfast/nvdimm';

export interface LabelledDimm {
  /** Physical address. */
  readonly start: number;
  readonly sizeBytes: number;
  readonly labelBytes: number;
}

const FIRST_SERIAL = 0x123456;
/** Hot-add control, and a valid proximity domain. */
const SPA_FLAGS = 3;
/** EFI: write-back, non-volatile. */
const MEMORY_ATTRIBUTE = 0x8008n;
/** Byte-addressable without block windows, to energy source (JEDEC). */
const INTERFACE_CODE = 0x0301;

/** The table and what firmware tells by method, for DIMMs in slots 0, 1, …; each is a region of its own. */
export function labelledDimmFirmware(dimms: readonly LabelledDimm[]): { nfit: Uint8Array; dimms: FirmwareDimm[] } {
  const nfit: NfitContents = {
    spaRanges: dimms.map(({ start, sizeBytes }, slot) => ({
      rangeIndex: spaIndex(slot), flags: SPA_FLAGS, proximityDomain: 0, typeGuid: SPA_GUIDS.pm, address: start, length: sizeBytes,
      memoryAttribute: MEMORY_ATTRIBUTE,
    })),
    memoryMaps: dimms.map(({ sizeBytes }, slot) => ({
      deviceHandle: handleOf(slot), physicalId: 0, regionId: 0, rangeIndex: spaIndex(slot), controlRegionIndex: spaIndex(slot) + 1, regionSize: sizeBytes,
      regionOffset: 0, dpa: 0, interleaveIndex: 0, interleaveWays: 1, flags: 0,
    })),
    interleaves: [],
    smbios: [],
    controlRegions: dimms.map((_, slot) => ({
      index: spaIndex(slot) + 1, vendorId: 0x8086, deviceId: 1, revisionId: 1, subsystemVendorId: 0, subsystemDeviceId: 0, subsystemRevisionId: 0,
      validFields: 0,
      manufacturingLocation: 0, manufacturingDate: 0, serialNumber: FIRST_SERIAL + slot, interfaceCode: INTERFACE_CODE,
    })),
    dataRegions: [],
    flushHints: [],
  };
  return {
    nfit: encodeNfit(nfit),
    dimms: dimms.map(({ sizeBytes, labelBytes }, slot) => ({ handle: handleOf(slot), labelSizeBytes: labelBytes, mediaSizeBytes: sizeBytes })),
  };
}

function handleOf(slot: number): number {
  return slot + 1;
}

function spaIndex(slot: number): number {
  return (slot + 1) * 2;
}

/** Cut an image in two: the first `mediaBytes` are the medium's, the rest is the label area. */
export function splitImage(image: ImageBacking, mediaBytes: number): { readonly media: ImageBacking; readonly labelArea: ConfigArea } {
  return {
    media: {
      sizeBytes: mediaBytes,
      isKnownZero: (offset, length) => image.isKnownZero(offset, length),
      read: (offset, target, targetOffset, length) => image.read(offset, target, targetOffset, length),
      write: (offset, source, sourceOffset, length) => image.write(offset, source, sourceOffset, length),
    },
    labelArea: {
      sizeBytes: image.sizeBytes - mediaBytes,
      read(offset, length) {
        const bytes = new Uint8Array(length);
        if (length > 0) image.read(mediaBytes + offset, bytes, 0, length);
        return bytes;
      },
      write: (offset, bytes) => image.write(mediaBytes + offset, bytes, 0, bytes.length),
    },
  };
}

/** The reverse: one image of a medium's and the label area behind it, whose bytes `labels` it takes over. */
export function joinImage(media: ImageBacking, labels: Uint8Array): ImageBacking {
  const area = labels.slice();
  const inMedia = (offset: number, length: number): number => Math.max(0, Math.min(length, media.sizeBytes - offset));
  return {
    sizeBytes: media.sizeBytes + area.length,
    isKnownZero: (offset, length) => inMedia(offset, length) === length && media.isKnownZero(offset, length),
    read(offset, target, targetOffset, length) {
      const first = inMedia(offset, length);
      if (first > 0) media.read(offset, target, targetOffset, first);
      const from = offset + first - media.sizeBytes;
      if (first < length) target.set(area.subarray(from, from + length - first), targetOffset + first);
    },
    write(offset, source, sourceOffset, length) {
      const first = inMedia(offset, length);
      if (first > 0) media.write(offset, source, sourceOffset, first);
      if (first < length) area.set(source.subarray(sourceOffset + first, sourceOffset + length), offset + first - media.sizeBytes);
    },
  };
}
