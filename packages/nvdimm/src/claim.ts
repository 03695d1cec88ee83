/**
 * What may claim a namespace to give it a format, and shows how while idle. Mirrors drivers/nvdimm/{btt,pfn,dax}_devs.c.
 *
 * Differs from Linux: these devices show what a seed shows, but cannot be configured yet, so none ever holds a namespace.
 */
import { GIB, MIB, PAGE_SIZE, readOnly } from '@holdfast/lib';
import type { Attribute } from '@holdfast/lib';
import type { ClaimKind, NdClaim, NdRegion } from './nd-device.js';
import { nodeAttributes } from './namespace.js';

/** Bytes of a sector that a BTT can make: 512 or 4096 and room for integrity data. */
const BTT_SECTOR_SIZES = [512, 520, 528, 4096, 4104, 4160, 4224];
/** Page, PMD and PUD. */
const PFN_ALIGNMENTS = [PAGE_SIZE, 2 * MIB, GIB];
const PFN_DEFAULT_ALIGNMENT = 2 * MIB;

export function createClaim(region: NdRegion, type: ClaimKind, id: number): NdClaim {
  const claim: NdClaim = {
    type,
    name: `${type}${region.id}.${id}`,
    parent: region,
    region,
    id,
    namespace: undefined,
    attributes: () => [
      ...(type === 'btt' ? bttAttributes() : pfnAttributes()),
      readOnly('uuid', () => '', 0o644),
      readOnly('namespace', () => claim.namespace?.name ?? '', 0o644),
      ...nodeAttributes(region),
      // A dax device has a type of its own; btt and pfn are matched as what they claim.
      readOnly('modalias', () => (type === 'dax' ? 'nd:t7' : 'nd:t4')),
      readOnly('devtype', () => `nd_${type}`),
    ],
  };
  return claim;
}

function bttAttributes(): Attribute[] {
  return [readOnly('sector_size', () => choices(BTT_SECTOR_SIZES), 0o644), readOnly('log_zero_flags', () => 'Y')];
}

function pfnAttributes(): Attribute[] {
  return [
    readOnly('mode', () => 'none', 0o644),
    readOnly('align', () => PFN_DEFAULT_ALIGNMENT, 0o644),
    readOnly('supported_alignments', () => choices(PFN_ALIGNMENTS)),
  ];
}

/** A list as nd_size_select_show prints it while nothing is chosen. */
function choices(values: readonly number[]): string {
  return values.map((value) => `${value} `).join('');
}
