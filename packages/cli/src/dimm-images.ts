/**
 * The image files that a firmware folder's `dimms.json` names, as files of the ranges that their DIMMs make.
 *
 * A file holds its DIMM's media and behind them its label area, as with `--nvdimm image=`. Only a DIMM that is a range of its own has
 * bytes in a row: an interleaved set spreads them, and no file of one DIMM can be told apart.
 */
import { existsSync } from 'node:fs';
import { parseNfit, spaType } from '@holdfast/acpi';
import type { Firmware, FirmwareDimm } from '@holdfast/kernel';
import { KernelError } from '@holdfast/lib';
import type { ConfigArea } from '@holdfast/nvdimm';

export interface DimmImages {
  /** By the first byte of the range. */
  readonly images: ReadonlyMap<number, string>;
  readonly labels: ReadonlyMap<number, number>;
  readonly handles: ReadonlyMap<number, number>;
  /** Where the ranges begin and end, whatever lies beside them. */
  readonly bounds: readonly number[];
}

/**
 * A description may come without its files, as one of a machine far away does: then the DIMM keeps its bytes in memory, and `note` says so.
 * @throws KernelError EINVAL where a file cannot be that of its DIMM
 */
export function placeDimmImages(firmware: Firmware, files: ReadonlyMap<number, string>, note: (text: string) => void): DimmImages {
  const [images, labels, handles] = [new Map<number, string>(), new Map<number, number>(), new Map<number, number>()];
  const bounds: number[] = [];
  const owners = new Map<string, number>();
  for (const [handle, file] of files) {
    const refuse = (why: string): KernelError => new KernelError('EINVAL', `image ${file} of DIMM 0x${handle.toString(16)}: ${why}`);
    const other = owners.get(file);
    if (other !== undefined) throw refuse(`DIMM 0x${other.toString(16)} has it already`);
    owners.set(file, handle);
    const { labelSizeBytes, mediaSizeBytes } = dimmOf(firmware, handle);
    if (!existsSync(file)) {
      note(
        `image ${file} of DIMM 0x${handle.toString(16)}: no such file, so its bytes are lost at the end; to keep them: truncate -s ${mediaSizeBytes + labelSizeBytes} ${file}`,
      );
      continue;
    }
    const start = startOfDimm(firmware, handle, refuse);
    bounds.push(start, start + mediaSizeBytes);
    images.set(start, file);
    handles.set(start, handle);
    if (labelSizeBytes > 0) labels.set(start, labelSizeBytes);
  }
  return { images, labels, handles, bounds };
}

/** Give the DIMMs with a file the label areas in it. */
export function withImageLabels(firmware: Firmware, { handles }: DimmImages, areas: ReadonlyMap<number, ConfigArea>): Firmware {
  if (handles.size === 0) return firmware;
  const byHandle = new Map([...handles].map(([start, handle]) => [handle, areas.get(start)]));
  const dimms = (firmware.dimms ?? []).map((dimm) => {
    const labelArea = byHandle.get(dimm.handle);
    return labelArea ? { ...dimm, labelArea } : dimm;
  });
  return { ...firmware, dimms };
}

function dimmOf({ dimms = [] }: Firmware, handle: number): FirmwareDimm {
  return dimms.find((dimm) => dimm.handle === handle)!;
}

/** The first byte of the range that is one DIMM's and all of it. */
function startOfDimm(firmware: Firmware, handle: number, refuse: (why: string) => KernelError): number {
  if (!firmware.nfit) throw refuse('there is no NFIT to say where the DIMM lies');
  const { memoryMaps, spaRanges } = parseNfit(firmware.nfit);
  const maps = memoryMaps.filter(
    (map) => map.deviceHandle === handle && spaRanges.some(({ rangeIndex, typeGuid }) => rangeIndex === map.rangeIndex && spaType(typeGuid) === 'pm'),
  );
  const [map] = maps;
  if (!map) throw refuse('the NFIT has no persistent range of it');
  const range = spaRanges.find(({ rangeIndex }) => rangeIndex === map.rangeIndex)!;
  const shared = memoryMaps.filter(({ rangeIndex }) => rangeIndex === map.rangeIndex).length > 1;
  if (maps.length > 1 || shared) throw refuse('the NFIT interleaves the DIMM, or gives it several ranges: expected one range of its own');
  const { mediaSizeBytes } = dimmOf(firmware, handle);
  if (map.regionSize !== range.length || mediaSizeBytes !== range.length || map.dpa !== 0) {
    throw refuse(
      `media_size is ${mediaSizeBytes}, and the NFIT's range has ${range.length} bytes, ${map.regionSize} of them the DIMM's from ${map.dpa} on: expected the same size, from 0`,
    );
  }
  return range.address;
}
