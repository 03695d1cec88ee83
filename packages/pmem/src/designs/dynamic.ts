/**
 * Struct pages that come and go: a section of 128 MiB gets its own, from the page allocator, when the first of its pages is asked for, and
 * loses them when the last reference comes back. For devices on any bus. Mirrors the idea of "pmem: Add support for page structs"
 * (Boaz Harrosh, 2014-15): sections added by the driver, in no zone's free lists and without memory blocks.
 *
 * Invariant: a section has struct pages exactly while references to its pages are held, or since somebody asked for all to be ready.
 */
import { KernelError, PAGES_PER_SECTION, PAGES_PER_SUBSECTION, PAGE_SIZE, STRUCT_PAGE_SIZE, hex, isAligned, pfnToPhys, physToPfn } from '@holdfast/lib';
import type { Pfn, PhysAddr } from '@holdfast/lib';
import type { PageDesign } from '../page-design.js';
import { checkIdle } from './counted-pages.js';

/** Part of the device that has struct pages now. */
interface LiveSection {
  readonly frames: number;
  readonly release: () => void;
  refs: number;
}

export const dynamicPages = {
  name: 'dynamic',
  summary: 'struct pages made for 128 MiB at a time when first used, and given back when unused',
  attach(device, host) {
    const { name, sizeBytes, nid } = device;
    const start = physToPfn(device.start);
    const end = physToPfn((device.start + sizeBytes) as PhysAddr);
    if (!isAligned(start, PAGES_PER_SUBSECTION) || !isAligned(end, PAGES_PER_SUBSECTION)) {
      throw new KernelError('EINVAL', `${name}: struct pages need both ends at multiples of 2 MiB`);
    }
    const live = new Map<number, LiveSection>();
    /** The whole device at once, since somebody asked for it. */
    let whole: (() => void) | undefined;
    let held = 0;
    const sectionOf = (frame: number): number => Math.floor(frame / PAGES_PER_SECTION);

    const makeSection = (nr: number): LiveSection => {
      const first = Math.max(start, nr * PAGES_PER_SECTION) as Pfn;
      const last = Math.min(end, (nr + 1) * PAGES_PER_SECTION);
      const release = host.memremapPages({ type: 'fs-dax', start: pfnToPhys(first), sizeBytes: (last - first) * PAGE_SIZE, owner: name }, nid);
      const section = { frames: last - first, release, refs: 0 };
      live.set(nr, section);
      return section;
    };
    const dropSection = (nr: number, section: LiveSection): void => {
      live.delete(nr);
      section.release();
    };
    const liveFrames = (): number => (whole ? end - start : [...live.values()].reduce((sum, { frames }) => sum + frames, 0));

    return {
      dataOffset: 0,
      dataSize: sizeBytes,
      pages: {
        start,
        end,
        owner: name,
        pte: 'devmap',
        ioByPfn: false,
        getPage(frame) {
          if (frame < start || frame >= end) throw new KernelError('EFAULT', `${name}: pfn ${hex(frame)} is not its`);
          const section = whole ? undefined : (live.get(sectionOf(frame)) ?? makeSection(sectionOf(frame)));
          host.pageRefs.get(frame);
          if (section) section.refs++;
          held++;
        },
        putPage(frame) {
          host.pageRefs.put(frame);
          held--;
          const section = live.get(sectionOf(frame));
          if (section && --section.refs === 0) dropSection(sectionOf(frame), section);
        },
      },
      ramPageBytes: () => liveFrames() * STRUCT_PAGE_SIZE,
      devicePageBytes: () => 0,
      held: () => held,
      /** Only while nobody holds a page: sections that are in use cannot become part of one range. */
      makeAllReady() {
        if (whole) return;
        checkIdle(name, held);
        whole = host.memremapPages({ type: 'fs-dax', start: device.start, sizeBytes, owner: name }, nid);
      },
      detach() {
        checkIdle(name, held);
        whole?.();
        whole = undefined;
      },
    };
  },
} satisfies PageDesign;
