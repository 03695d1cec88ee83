/**
 * What the log shows of a struct page that is in somebody's way. Mirrors mm/debug.c: dump_page.
 */
import { PAGES_PER_SECTION, type Printk, KERN } from '@holdfast/lib';
import { LAST_CPUPID_PGSHIFT, LAST_CPUPID_WIDTH } from './page-flags.js';
import { WORDS_PER_PAGE, decodePage, readWord64 } from './page.js';
import type { Vmemmap } from './vmemmap.js';

const WORDS_A_LINE = 4;

/** Log a frame's struct page, and why. */
export function dumpPage(vmemmap: Vmemmap, pfn: number, reason: string, printk: Printk): void {
  const section = Math.floor(pfn / PAGES_PER_SECTION);
  const words = vmemmap.copySection(section);
  const at = (pfn - section * PAGES_PER_SECTION) * WORDS_PER_PAGE;
  const page = decodePage(words, at, pfn);
  const pointer = (value: bigint): string => value.toString(16).padStart(16, '0');
  const cpupid = (page.flags >> BigInt(LAST_CPUPID_PGSHIFT)) & ((1n << BigInt(LAST_CPUPID_WIDTH)) - 1n);
  const flags = [...page.flagNames, `node=${page.nid}`, `zone=${page.zoneIndex}`, `lastcpupid=0x${cpupid.toString(16)}`].join('|');
  printk(
    `page:${pointer(hashPointer(pfn))} refcount:${page.refcount} mapcount:${page.mapcount + 1} mapping:${pointer(page.mapping)} ` +
      `index:0x${page.index.toString(16)} pfn:0x${pfn.toString(16)}`,
    KERN.warning,
  );
  printk(`flags: 0x${page.flags.toString(16)}(${flags})`, KERN.warning);
  const raw = Array.from({ length: WORDS_PER_PAGE / 2 }, (_, word) => pointer(readWord64(words, at + word * 2)));
  for (let word = 0; word < raw.length; word += WORDS_A_LINE) printk(`raw: ${raw.slice(word, word + WORDS_A_LINE).join(' ')}`, KERN.warning);
  printk(`page dumped because: ${reason}`, KERN.warning);
}

/** Linux does not print addresses, but a hash that tells one from another. */
function hashPointer(pfn: number): bigint {
  return (BigInt(pfn) * 0x9e3779b97f4a7c15n >> 16n) & 0xffff_ffffn;
}
