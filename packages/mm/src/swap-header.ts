/**
 * The first page of a swap area, version 1. Mirrors include/linux/swap.h: union swap_header, and mm/swapfile.c: read_swap_header.
 *
 * ```
 * byte 0      1024      1028        1032          1036   1052     1536       4086
 *      boot   version   last_page   nr_badpages   uuid   volume   badpages   "SWAPSPACE2"
 * ```
 */
import { KERN, KernelError, type LogLevel, PAGE_SIZE, type Printk, ascii, bytes, layout, u32 } from '@holdfast/lib';

const HEADER = layout('swap header', PAGE_SIZE, {
  version: u32(1024),
  lastPage: u32(1028),
  nrBadPages: u32(1032),
  uuid: bytes(1036, 16),
  volume: ascii(1052, 16),
  magic: ascii(4086, 10),
});

const MAGIC = 'SWAPSPACE2';
const BADPAGES_AT = 1536;
/** What fits between the list's start and the magic. */
const MAX_SWAP_BADPAGES = Math.floor((HEADER.fields.magic.at - BADPAGES_AT) / 4);

/** What mkswap(8) chooses. */
export interface SwapHeaderSpec {
  /** Pages of the area, the header's own included. */
  readonly nrPages: number;
  readonly uuid: Uint8Array;
  /** At most 15 characters. */
  readonly label?: string;
}

/** The page that makes an area of a device. */
export function encodeSwapHeader({ nrPages, uuid, label = '' }: SwapHeaderSpec): Uint8Array {
  const page = new Uint8Array(PAGE_SIZE);
  HEADER.encode({ version: 1, lastPage: nrPages - 1, nrBadPages: 0, uuid, volume: label.slice(0, 15), magic: MAGIC }, page);
  return page;
}

/**
 * How many pages can be swapped to: all but the header and bad ones.
 * @param page the first page of the device
 * @param devicePages how many whole pages the device has
 * @throws KernelError EINVAL, after Linux's line in the log
 */
export function readSwapHeader(page: Uint8Array, devicePages: number, printk: Printk): number {
  const refuse = (line: string, level: LogLevel = KERN.warning): never => {
    printk(line, level);
    throw new KernelError('EINVAL', `swap header: ${line}`);
  };
  const raw = HEADER.decode(page);
  if (raw.magic !== MAGIC) refuse('Unable to find swap-space signature', KERN.err);
  // Made on a machine of the other byte order: every word is turned round.
  const isSwapped = raw.version === 0x0100_0000;
  const view = new DataView(page.buffer, page.byteOffset, PAGE_SIZE);
  const word = (at: number): number => view.getUint32(at, !isSwapped);
  const { version, lastPage, nrBadPages } = HEADER.fields;
  if (word(version.at) !== 1) refuse(`Unable to handle swap header version ${word(version.at) | 0}`);
  const last = word(lastPage.at);
  if (last === 0) refuse('Empty swap-file');
  if (last + 1 > devicePages) refuse('Swap area shorter than signature indicates');
  const bad = word(nrBadPages.at);
  if (bad > MAX_SWAP_BADPAGES) throw new KernelError('EINVAL', `swap header: ${bad} bad pages, at most ${MAX_SWAP_BADPAGES} fit`);
  const badPages = Array.from({ length: bad }, (_, i) => word(BADPAGES_AT + 4 * i));
  const wild = badPages.find((nr) => nr === 0 || nr > last);
  if (wild !== undefined) throw new KernelError('EINVAL', `swap header: bad page ${wild}, expected one from 1 to ${last}`);
  const good = last - bad;
  if (good <= 0) refuse('Empty swap-file');
  return good;
}
