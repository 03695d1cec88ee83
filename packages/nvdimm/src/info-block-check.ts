/**
 * May this namespace be used as its info block says? Every rule, in the kernel's order, with its errno and its log line.
 * Mirrors drivers/nvdimm/pfn_devs.c: nd_pfn_validate.
 *
 * ENODEV means that there is no block of this kind: set-up makes one, a probe lets the next personality try. EOPNOTSUPP means that there is
 * one which this kernel cannot honour: the namespace then gets no disk at all, for writing to it raw would destroy what it holds.
 *
 * Invariant: reads only.
 * Differs from Linux: a block that leaves less than nothing for data is refused here, where Linux fails later to map a negative range.
 */
import { GIB, MIB, PAGE_SIZE, STRUCT_PAGE_SIZE, SUBSECTION_SIZE, hex } from '@holdfast/lib';
import type { ErrnoName } from '@holdfast/lib';
import {
  type InfoBlock, type InfoBlockKind, type PfnMode,
  INFO_BLOCK_OFFSET, INFO_BLOCK_SIGNATURE, INFO_BLOCK_SIZE, PFN_MODE, decodeInfoBlock, hasSignature, superBlockChecksum,
} from './info-block.js';
import { type NamespaceIo, readBytes } from './namespace-io.js';
import { NULL_UUID } from './uuid.js';

/** What this kernel can map. */
export interface PfnLimits {
  readonly pageSize: number;
  readonly structPageSize: number;
  readonly supportedAlignments: readonly number[];
  /** The grain of memory hot-plug: a mapping with struct pages begins and ends on it (memremap_compat_align). */
  readonly compatAlign: number;
}

export const X86_64_LIMITS: PfnLimits = {
  pageSize: PAGE_SIZE,
  structPageSize: STRUCT_PAGE_SIZE,
  supportedAlignments: [PAGE_SIZE, 2 * MIB, GIB],
  compatAlign: SUBSECTION_SIZE,
};

/** The namespace that a block lies on. */
export interface PfnNamespace {
  readonly name: string;
  /** Physical address of its first byte. */
  readonly start: number;
  readonly sizeBytes: number;
  /** Undefined for one without labels. */
  readonly uuid: string | undefined;
}

/** What user space set on the pfn or dax instance, or what probing it found. */
export interface PfnSettings {
  readonly uuid: string;
  readonly mode: PfnMode;
  readonly align: number;
}

/** Why not. Nothing was written. */
export interface PfnRefusal {
  readonly code: ErrnoName;
  /** What Linux logs for it, without driver and device name; undefined where it is silent. */
  readonly log?: string;
  /** The rule that fired. */
  readonly rule: string;
  /** Requests that would succeed, each by itself. */
  readonly nearest?: { readonly start?: number; readonly sizeBytes?: number; readonly align?: number };
}

/** What a valid block says. Sizes in bytes. */
export interface ValidInfoBlock extends PfnSettings {
  readonly dataOffset: number;
  readonly nrPfns: number;
  readonly startPad: number;
  readonly endTrunc: number;
}

export type InfoBlockCheck = { readonly valid: ValidInfoBlock } | { readonly refused: PfnRefusal };

export interface InfoBlockExpectation {
  readonly kind: InfoBlockKind;
  readonly namespace: PfnNamespace;
  /** The instance's settings, once it has a UUID; a probe has none and adopts what it finds. */
  readonly settings?: PfnSettings;
  /** The instance's alignment as long as nothing was set or found; Linux only logs it. */
  readonly defaultAlign?: number;
  readonly limits?: PfnLimits;
}

/** Read a namespace's info block and try it. */
export function readInfoBlock(io: NamespaceIo, expected: InfoBlockExpectation): InfoBlockCheck {
  const bytes = new Uint8Array(INFO_BLOCK_SIZE);
  try {
    readBytes(io, INFO_BLOCK_OFFSET, bytes);
  } catch {
    return refuse('ENXIO', 'the info block at byte 4096 must be readable');
  }
  return checkInfoBlock(bytes, expected);
}

/** Try the 4096 bytes of an info block. */
export function checkInfoBlock(bytes: Uint8Array, expected: InfoBlockExpectation): InfoBlockCheck {
  const { kind, namespace } = expected;
  const media = decodeInfoBlock(bytes);
  if (!hasSignature(bytes, INFO_BLOCK_SIGNATURE[kind])) return refuse('ENODEV', `a ${kind} info block begins with ${INFO_BLOCK_SIGNATURE[kind]}`);
  if (media.checksum !== superBlockChecksum(bytes)) return refuse('ENODEV', 'the checksum must be that of the block');
  if (media.parentUuid !== (namespace.uuid ?? NULL_UUID)) return refuse('ENODEV', `the block belongs to namespace ${media.parentUuid}`);

  const limits = expected.limits ?? X86_64_LIMITS;
  const block = asOfVersion(media, limits);
  const mode = block.mode === PFN_MODE.ram ? 'ram' : block.mode === PFN_MODE.pmem ? 'pmem' : undefined;
  if (mode === undefined) return refuse('ENXIO', `the mode must be 1 (RAM) or 2 (pmem), not ${block.mode}`);
  const align = block.align === 0 ? 2n ** ilog2(block.dataOffset) : BigInt(block.align);

  const refused =
    checkMapping(block, mode, align, expected, limits) ??
    checkSettings(block.uuid, mode, align, expected) ??
    checkPlacement(block, align, namespace, limits);
  if (refused) return { refused };
  return {
    valid: {
      uuid: block.uuid,
      mode,
      align: Number(align),
      dataOffset: Number(block.dataOffset),
      nrPfns: Number(block.nrPfns),
      startPad: block.startPad,
      endTrunc: block.endTrunc,
    },
  };
}

/** What older versions did not have yet is what it always was then. The major version has always been 1 and nobody reads it. */
function asOfVersion(media: InfoBlock, limits: PfnLimits): InfoBlock {
  const block = { ...media };
  if (media.versionMinor < 1) Object.assign(block, { startPad: 0, endTrunc: 0 });
  if (media.versionMinor < 2) block.align = 0;
  if (media.versionMinor < 4) Object.assign(block, { pageStructSize: 64, pageSize: limits.pageSize });
  return block;
}

/** Were the struct pages on the device laid out for pages and struct pages of our size? And for devdax, can we map at this grain? */
function checkMapping(block: InfoBlock, mode: PfnMode, align: bigint, expected: InfoBlockExpectation, limits: PfnLimits): PfnRefusal | undefined {
  const onDevice = mode === 'pmem';
  if (onDevice && block.pageSize > limits.pageSize) {
    return opnotsupp(
      `init failed, page size mismatch ${block.pageSize | 0}`,
      `struct pages on the device are for pages of ${block.pageSize} bytes, ours have ${limits.pageSize}`,
    );
  }
  if (onDevice && block.pageStructSize < limits.structPageSize) {
    return opnotsupp(
      `init failed, struct page size mismatch ${block.pageStructSize}`,
      `the device has room for struct pages of ${block.pageStructSize} bytes, ours need ${limits.structPageSize}`,
    );
  }
  if (expected.kind === 'dax' && !limits.supportedAlignments.includes(Number(align))) {
    const live = expected.settings?.align ?? expected.defaultAlign ?? 2 * MIB;
    return opnotsupp(`init failed, alignment mismatch: ${live}:${align}`, `devdax alignments are ${limits.supportedAlignments.join(', ')}`);
  }
  return undefined;
}

/** Is it the block of this instance, made with the settings that the instance has? */
function checkSettings(uuid: string, mode: PfnMode, align: bigint, { settings }: InfoBlockExpectation): PfnRefusal | undefined {
  if (!settings) return undefined;
  if (settings.uuid !== uuid) return { code: 'ENODEV', rule: `the block is of instance ${uuid}` };
  if (BigInt(settings.align) !== align || settings.mode !== mode) {
    return opnotsupp('init failed, settings mismatch', `the block was made with align ${align} and mode ${mode}; other settings need another UUID`);
  }
  return undefined;
}

/** Does the layout fit the namespace where it lies today? All sums are of 64 bits, as in Linux. */
function checkPlacement(block: InfoBlock, align: bigint, namespace: PfnNamespace, limits: PfnLimits): PfnRefusal | undefined {
  const [start, size] = [BigInt(namespace.start), BigInt(namespace.sizeBytes)];
  const { dataOffset, startPad, endTrunc } = block;
  const compat = BigInt(limits.compatAlign);
  if (align > size) {
    return opnotsupp(`alignment: ${align.toString(16)} exceeds capacity ${size.toString(16)}`, 'the alignment must not exceed the namespace');
  }
  if (dataOffset >= size) return opnotsupp(`pfn array size exceeds capacity of ${namespace.name}`, 'the data must begin inside the namespace');
  if (!isAligned(start + dataOffset + BigInt(startPad), align) || !isAligned(dataOffset, BigInt(limits.pageSize))) {
    return opnotsupp(`bad offset: ${hex(dataOffset)} dax disabled align: ${hex(align)}`, 'the data must begin on its alignment');
  }
  if (!isAligned(start + BigInt(startPad), compat)) return opnotsupp('resource start misaligned', `the mapping must begin on ${limits.compatAlign}`);
  if (!isAligned(start + size - BigInt(endTrunc), compat)) return opnotsupp('resource end misaligned', `the mapping must end on ${limits.compatAlign}`);
  if (dataOffset + BigInt(startPad) + BigInt(endTrunc) > size) {
    return opnotsupp(`pfn array size exceeds capacity of ${namespace.name}`, 'what is given up at both ends must not exceed the namespace');
  }
  return undefined;
}

/** IS_ALIGNED: a mask, so that a grain which is no power of two has the effect that it has in Linux. */
function isAligned(value: bigint, grain: bigint): boolean {
  return (BigInt.asUintN(64, value) & (grain - 1n)) === 0n;
}

/** The highest bit set; of 0, what x86 makes of shifting by -1. */
function ilog2(value: bigint): bigint {
  return value === 0n ? 63n : BigInt(value.toString(2).length - 1);
}

function opnotsupp(log: string, rule: string): PfnRefusal {
  return { code: 'EOPNOTSUPP', log, rule };
}

function refuse(code: ErrnoName, rule: string): InfoBlockCheck {
  return { refused: { code, rule } };
}
