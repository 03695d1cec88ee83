/**
 * Frames by number: no struct pages at all, and block I/O that does without them. After "evacuate struct page from the block layer" (Dan
 * Williams, March to August 2015), which was not merged; see pfn-io.ts of @holdfast/block.
 *
 * DAX maps with special page table entries, as in v4.1, and get_user_pages finds no page. But I/O that names frames by number may use the
 * mapping as its buffer, if every layer on its way agrees; else it ends with EOPNOTSUPP.
 *
 * Invariant: nothing is ever held, so nothing can be left behind: the mapping alone keeps the frames.
 */
import type { DesignDevice, PageDesign } from '../page-design.js';
import { noPages } from './none.js';

export const pfnScatterlists = {
  name: 'pfn',
  summary: 'no struct pages: I/O names frames by number, where every layer agrees',
  attach(device: DesignDevice) {
    const attached = noPages.attach(device);
    return { ...attached, pages: { ...attached.pages, ioByPfn: true } };
  },
} satisfies PageDesign;
