/**
 * DIMMs under /dev: `nmemN`, the way to their label areas. Mirrors drivers/nvdimm/bus.c: nvdimm_create_dimm's class device, nd_ioctl.
 */
import { NMEM_MAJOR, type Nvdimm, type Nvdimms, openConfigArea } from '@holdfast/nvdimm';
import type { VfsNode } from './vfs.js';

/** The character special files of /dev. */
export function devNmem({ bus }: Nvdimms): Record<string, VfsNode> {
  const dimms = bus.devices.filter((device): device is Nvdimm => device.type === 'dimm');
  return Object.fromEntries(
    dimms.map((dimm) => [dimm.name, { kind: 'char', major: NMEM_MAJOR, minor: dimm.id, mode: 0o600, openConfigArea: () => openConfigArea(dimm) }]),
  );
}
