/**
 * What is on a device, told by its superblock, as tags. Mirrors libblkid's superblocks/{ext,xfs,swap}.c of util-linux 2.38.
 */
import {
  COMPAT, EXT2_FEATURES, EXT3_FEATURES, EXT4_SUPER_MAGIC, INCOMPAT, RO_COMPAT, SUPER_LAYOUT, SUPER_OFFSET, type Superblock, XFS_CRC_AT, XFS_SB_MAGIC,
  blockSizeOf, decodeXfsSuper, hasCompat, hasIncompat, hasRoCompat, isSealed,
  superblockChecksum,
} from '@holdfast/fs';
import { PAGE_SIZE } from '@holdfast/lib';
import { formatUuid } from '@holdfast/nvdimm';

/** In the order in which blkid prints them. */
export interface Tag {
  readonly name: 'LABEL' | 'UUID' | 'SEC_TYPE' | 'VERSION' | 'BLOCK_SIZE' | 'TYPE' | 'USAGE' | 'PARTLABEL' | 'PARTUUID' | 'PTUUID' | 'PTTYPE';
  readonly value: string;
  /** Only a probe of the device itself shows it, not the cache that blkid keeps. */
  readonly probeOnly?: true;
}

/** Bytes of the device from an offset on; fewer at its end. */
export type ReadBytes = (at: number, length: number) => Uint8Array;

/** The tags of the one superblock that is there; none if there is none. */
export function probeSuperblock(read: ReadBytes): Tag[] {
  return probeXfs(read) ?? probeExt(read) ?? probeSwap(read) ?? [];
}

function tags(values: Readonly<Partial<Record<Tag['name'], string | undefined>>>): Tag[] {
  const isProbeOnly = (name: string): boolean => name === 'VERSION' || name === 'USAGE';
  return Object.entries(values).flatMap(([name, value]) =>
    value === undefined || value === '' ? [] : [{ name: name as Tag['name'], value, ...(isProbeOnly(name) ? { probeOnly: true as const } : {}) }],
  );
}

function probeXfs(read: ReadBytes): Tag[] | undefined {
  const head = read(0, 4096);
  if (head.length < 512 || new DataView(head.buffer, head.byteOffset).getUint32(0) !== XFS_SB_MAGIC) return undefined;
  const { sectorBytes, uuid, label } = decodeXfsSuper(head);
  const isV5 = (head[0x65]! & 15) === 5;
  if (sectorBytes < 512 || sectorBytes > head.length || (isV5 && !isSealed(head.subarray(0, sectorBytes), XFS_CRC_AT.superblock))) return undefined;
  return tags({ LABEL: label, UUID: formatUuid(uuid), BLOCK_SIZE: String(sectorBytes), TYPE: 'xfs', USAGE: 'filesystem' });
}

function probeExt(read: ReadBytes): Tag[] | undefined {
  const image = read(SUPER_OFFSET, SUPER_LAYOUT.size);
  if (image.length < SUPER_LAYOUT.size) return undefined;
  const sb = SUPER_LAYOUT.decode(image);
  if (sb.magic !== EXT4_SUPER_MAGIC || (hasRoCompat(sb, RO_COMPAT.METADATA_CSUM) && superblockChecksum(image) !== sb.checksum)) return undefined;
  const type = extType(sb);
  return tags({
    LABEL: sb.volumeName, UUID: sb.uuid.every((byte) => byte === 0) ? undefined : formatUuid(sb.uuid), ...(type === 'ext3' ? { SEC_TYPE: 'ext2' } : {}),
    VERSION: `${sb.revLevel}.${sb.minorRevLevel}`, BLOCK_SIZE: String(blockSizeOf(sb)), TYPE: type, USAGE: type === 'jbd' ? 'other' : 'filesystem',
  });
}

function extType(sb: Superblock): string {
  if (hasIncompat(sb, INCOMPAT.JOURNAL_DEV)) return 'jbd';
  const fits = ({ incompat, roCompat }: { readonly incompat: number; readonly roCompat: number }): boolean =>
    (sb.featureIncompat & ~incompat) === 0 && (sb.featureRoCompat & ~roCompat) === 0;
  if (!hasCompat(sb, COMPAT.HAS_JOURNAL)) return fits(EXT2_FEATURES) ? 'ext2' : 'ext4';
  return fits(EXT3_FEATURES) ? 'ext3' : 'ext4';
}

function probeSwap(read: ReadBytes): Tag[] | undefined {
  const page = read(0, PAGE_SIZE);
  if (page.length < PAGE_SIZE || new TextDecoder('latin1').decode(page.subarray(-10)) !== 'SWAPSPACE2') return undefined;
  const version = new DataView(page.buffer, page.byteOffset).getUint32(1024, true);
  if (version !== 1) return undefined;
  const label = new TextDecoder('latin1').decode(page.subarray(1052, 1068)).replace(/\0[^]*$/, '');
  const uuid = page.subarray(1036, 1052);
  return tags({ LABEL: label, UUID: uuid.every((byte) => byte === 0) ? undefined : formatUuid(uuid), VERSION: '1', TYPE: 'swap', USAGE: 'other' });
}
