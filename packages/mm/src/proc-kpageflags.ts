/**
 * Which frames have a struct page that anyone may look at, and which of them are reserved: /proc/kpageflags, told in runs.
 * Mirrors kpageflags_read and stable_page_flags of fs/proc/page.c of 6.1, of whose flags it keeps KPF_NOPAGE, KPF_RESERVED, KPF_OFFLINE and KPF_HWPOISON.
 */
import { PAGES_PER_SECTION, PAGES_PER_SUBSECTION, type Range } from '@holdfast/lib';
import { PG_HWPOISON_MASK, PG_RESERVED_MASK } from './page-flags.js';
import { PAGE_FLAGS, PAGE_TYPE, PAGE_TYPE_OFFLINE, WORDS_PER_PAGE } from './page.js';
import type { Vmemmap } from './vmemmap.js';
import type { Pgdat } from './zone.js';

export type PageFlagsWord = 'nopage' | 'reserved' | 'offline' | 'hwpoison' | '-';

/** `count` frames from `first` with the same flags. */
export interface PageFlagsRun {
  readonly first: number;
  readonly count: number;
  readonly flags: PageFlagsWord;
}

/** All frames up to the end of the section of the highest, in runs. A frame whose 2 MiB unit holds no online memory has no page here. */
export function kpageflagsRuns(nodes: readonly Pgdat[], vmemmap: Vmemmap): PageFlagsRun[] {
  const runs: PageFlagsRun[] = [];
  let at = 0;
  for (const { start, end } of onlineUnits(nodes)) {
    append(runs, at, start, 'nopage');
    for (const part of describe(vmemmap, start, end)) append(runs, part.start, part.end, part.flags);
    at = end;
  }
  append(runs, at, Math.ceil(at / PAGES_PER_SECTION) * PAGES_PER_SECTION, 'nopage');
  return runs;
}

/** One run a line, as a text. */
export function formatKpageflags(nodes: readonly Pgdat[], vmemmap: Vmemmap): string {
  return kpageflagsRuns(nodes, vmemmap).map(({ first, count, flags }) => `${first} ${count} ${flags}\n`).join('');
}

/** Whole 2 MiB units that hold memory, ascending and disjoint. */
function onlineUnits(nodes: readonly Pgdat[]): Range[] {
  const units: { start: number; end: number }[] = [];
  const ranges = nodes.flatMap(({ zones }) => zones.flatMap((zone) => zone.ranges)).toSorted((a, b) => a.start - b.start);
  for (const range of ranges) {
    const start = Math.floor(range.start / PAGES_PER_SUBSECTION) * PAGES_PER_SUBSECTION;
    const end = Math.ceil(range.end / PAGES_PER_SUBSECTION) * PAGES_PER_SUBSECTION;
    const last = units.at(-1);
    if (last !== undefined && start <= last.end) last.end = Math.max(last.end, end);
    else units.push({ start, end });
  }
  return units;
}

interface FlagsRange extends Range {
  readonly flags: PageFlagsWord;
}

function describe(vmemmap: Vmemmap, start: number, end: number): FlagsRange[] {
  const pristine = vmemmap.pristineRuns(start, end).map(({ startPfn, endPfn, state }): FlagsRange => {
    const flags = state === 'offline' ? 'offline' : state === 'reserved' || state === 'device' ? 'reserved' : '-';
    return { start: startPfn, end: endPfn, flags };
  });
  const made = vmemmap.madeSections(start, end).flatMap((sectionNr) => describeMade(vmemmap, sectionNr, start, end));
  return [...pristine, ...made].toSorted((a, b) => a.start - b.start);
}

function describeMade(vmemmap: Vmemmap, sectionNr: number, start: number, end: number): FlagsRange[] {
  const words = vmemmap.memmap(sectionNr);
  const sectionPfn = sectionNr * PAGES_PER_SECTION;
  const parts: { start: number; end: number; flags: PageFlagsWord }[] = [];
  for (let pfn = Math.max(start, sectionPfn); pfn < Math.min(end, sectionPfn + PAGES_PER_SECTION); pfn++) {
    const flags = flagsWord(words, (pfn - sectionPfn) * WORDS_PER_PAGE);
    const last = parts.at(-1);
    if (last?.flags === flags) last.end++;
    else parts.push({ start: pfn, end: pfn + 1, flags });
  }
  return parts;
}

function flagsWord(words: Int32Array, at: number): PageFlagsWord {
  const flagsLo = words[at + PAGE_FLAGS]!;
  if (words[at + PAGE_TYPE] === PAGE_TYPE_OFFLINE) return 'offline';
  if ((flagsLo & PG_RESERVED_MASK) !== 0) return 'reserved';
  return (flagsLo & PG_HWPOISON_MASK) !== 0 ? 'hwpoison' : '-';
}

function append(runs: PageFlagsRun[], start: number, end: number, flags: PageFlagsWord): void {
  if (end <= start) return;
  const last = runs.at(-1);
  if (last?.flags === flags && last.first + last.count === start) runs[runs.length - 1] = { ...last, count: last.count + end - start };
  else runs.push({ first: start, count: end - start, flags });
}
