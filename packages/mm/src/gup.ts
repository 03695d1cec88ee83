/**
 * get_user_pages: the frames behind a process's addresses, held for somebody who reaches them without its page tables.
 * Mirrors mm/gup.c: __get_user_pages, check_vma_flags, follow_page_pte, follow_devmap_pmd, faultin_page, unpin_user_pages (6.1).
 *
 * Invariant: whoever got frames gives each back once.
 * Differs from Linux: getUserPfns also gives frames without struct pages, by number, where their owner lets I/O name them so (the PFN
 * scatterlists of 2015); nothing holds those but the mapping. Shared anonymous pages are not unshared for a read pin.
 */
import { KernelError, PAGE_SIZE, type Pfn, hex, roundDown } from '@holdfast/lib';
import { faultIn, isNormalPage, isSignal } from './handle-fault.js';
import type { MmStruct } from './mm-struct.js';
import type { Leaf } from './page-table.js';
import { PTE } from './pte.js';
import { type VmArea, VM } from './vm-area.js';

export interface GupFlags {
  /** The holder will write to them (FOLL_WRITE). */
  readonly write?: boolean;
  /** For data, not for the struct page: DMA (FOLL_PIN). */
  readonly pin?: boolean;
  /** They stay for good, as RDMA does it (FOLL_LONGTERM). */
  readonly longterm?: boolean;
}

/** Frames that are held. */
export interface UserFrames {
  readonly pfns: readonly Pfn[];
  /** For each: has it a struct page? Always, but from {@link getUserPfns}. */
  readonly hasPage: readonly boolean[];
  /** Give all of them back. */
  put(): void;
}

type Hold = () => void;
const nothingHeld: Hold = () => {};

/**
 * Hold the pages behind `count` pages from `start` on. Where only the first ones are to be had, they are the answer.
 * @throws KernelError for the first page: EFAULT if it is not mapped, not allowed or has no struct page, EOPNOTSUPP for a page of a file
 * system's DAX that is to stay for good, ENOMEM, and what DevicePages.getPage throws
 */
export function getUserPages(mm: MmStruct, start: number, count: number, flags: GupFlags = {}): UserFrames {
  return collect(mm, start, count, flags, false);
}

/** The same, for I/O that names frames by number: frames without struct pages count where their owner agrees. */
export function getUserPfns(mm: MmStruct, start: number, count: number, flags: GupFlags = {}): UserFrames {
  return collect(mm, start, count, flags, true);
}

/** getUserPages with FOLL_PIN: for those who touch the data. */
export function pinUserPages(mm: MmStruct, start: number, count: number, flags: Omit<GupFlags, 'pin'> = {}): UserFrames {
  return getUserPages(mm, start, count, { ...flags, pin: true });
}

function collect(mm: MmStruct, start: number, count: number, flags: GupFlags, byPfn: boolean): UserFrames {
  const pfns: Pfn[] = [];
  const hasPage: boolean[] = [];
  const holds: Hold[] = [];
  const first = roundDown(start, PAGE_SIZE);
  if (flags.pin) mm.hasPinned = true;
  try {
    for (let nr = 0; nr < count; nr++) {
      const address = first + nr * PAGE_SIZE;
      checkArea(mm.find(address), address, flags);
      const leaf = faultPage(mm, address, flags.write === true);
      const pfn = (leaf.pfn + (address - leaf.start) / PAGE_SIZE) as Pfn;
      const isBare = byPfn && !isNormalPage(leaf) && mm.pages.deviceOf(pfn)?.ioByPfn === true;
      holds.push(isBare ? nothingHeld : hold(mm, leaf, pfn, flags));
      hasPage.push(!isBare);
      pfns.push(pfn);
    }
  } catch (error) {
    if (!(error instanceof KernelError) || pfns.length === 0) throw error;
  }
  return {
    pfns,
    hasPage,
    put() {
      for (let release = holds.pop(); release; release = holds.pop()) release();
    },
  };
}

/** check_vma_flags. */
function checkArea(vma: VmArea | undefined, address: number, { write, longterm }: GupFlags): void {
  const refuse = (why: string): never => {
    throw new KernelError('EFAULT', `${hex(address)} ${why}`);
  };
  if (!vma) return refuse('is not mapped');
  if ((vma.flags & (VM.IO | VM.PFNMAP)) !== 0) refuse(`maps frames that nobody may hold (${vma.file?.name})`);
  if (longterm && vma.file?.isFsDax) throw new KernelError('EOPNOTSUPP', `${vma.file.name} may have to take its pages back: no pin can stay for good`);
  if (write && (vma.flags & VM.WRITE) === 0) refuse('is mapped for reading');
  if ((vma.flags & VM.READ) === 0) refuse('is not mapped for reading');
}

function faultPage(mm: MmStruct, address: number, write: boolean): Leaf {
  const result = faultIn(mm, address, write);
  if (!isSignal(result)) return result;
  throw new KernelError(result.code === 'OOM' ? 'ENOMEM' : 'EFAULT', `${hex(address)}: a touch is answered with ${result.signal} (${result.code})`);
}

/** Take a reference to what an entry maps. Returns how to give it back. */
function hold({ pages }: MmStruct, leaf: Leaf, pfn: Pfn, { pin, longterm }: GupFlags): Hold {
  if (pages.isZeroPage(pfn)) return nothingHeld;
  if (isNormalPage(leaf)) {
    if (pin) {
      pages.pinPage(pfn);
      return () => pages.unpinPage(pfn);
    }
    pages.getPage(pfn);
    return () => pages.putPage(pfn);
  }
  const device = pages.deviceOf(pfn);
  if ((leaf.flags & PTE.DEVMAP) === 0) throw new KernelError('EFAULT', `frame ${hex(pfn)}${device ? ` of ${device.owner}` : ''} has no struct page`);
  if (!device) throw new KernelError('EFAULT', `the device of frame ${hex(pfn)} is gone`);
  pages.holdDevicePage(device, pfn, longterm === true);
  return () => pages.putDevicePage(device, pfn);
}
