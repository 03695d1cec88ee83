/**
 * What works: each probe tries one thing on the running kernel, and checks the bytes that it moved. Nothing is known beforehand.
 */
import { BLK_STS, REQ_OP, allocBio, bioAddPage, blkStatusToErrno, sgTableFromPages, submitBioWait } from '@holdfast/block';
import { MAP, PROT, type Process, Signal } from '@holdfast/kernel';
import { KernelError, PAGE_SIZE, pfn, physAddr, sector } from '@holdfast/lib';
import { DEV_DAX_ALIGN, withDevDax } from './dev-dax.js';
import { DISK, OTHER_DISK, type Rig } from './rig.js';

/** `yes`, or the errno, signal or fault that came instead. */
export type Outcome = string;

/** A process with the disk mapped and a page of its own. */
interface Bench {
  readonly rig: Rig;
  readonly process: Process;
  /** The disk, opened for DAX. */
  readonly dax: number;
  /** Where its first {@link MAPPED_PAGES} pages are mapped; a probe uses the page that bears its number. */
  readonly mapped: number;
  /** Pages of anonymous memory. */
  readonly heap: number;
}

const MAPPED_PAGES = 64;
const RW = PROT.READ | PROT.WRITE;

type Probe = (bench: Bench, page: number) => void;

/** In the order in which they run: the last ones leave nothing to try on. */
export const PROBES = {
  bufferedIo(bench, page) {
    const fd = bench.process.open(DISK, { write: true });
    writeThenCheck(bench, fd, page);
    bench.process.fsync(fd);
    bench.process.close(fd);
    checkDisk(bench, page);
  },
  directIo(bench, page) {
    const fd = bench.process.open(DISK, { write: true, direct: true });
    writeThenCheck(bench, fd, page);
    bench.process.close(fd);
  },
  daxRead({ process, dax, mapped, heap }, page) {
    process.store(mapped + page * PAGE_SIZE, pattern(page));
    process.pread(dax, heap, PAGE_SIZE, page * PAGE_SIZE);
    expectBytes(process.load(heap, PAGE_SIZE), page);
  },
  daxWrite(bench, page) {
    writeThenCheck(bench, bench.dax, page);
  },
  daxMmap({ process, dax, mapped }, page) {
    process.store(mapped + page * PAGE_SIZE, pattern(page));
    process.msync(mapped, MAPPED_PAGES * PAGE_SIZE);
    const again = process.mmap(dax, { offset: page * PAGE_SIZE, length: PAGE_SIZE, flags: MAP.SHARED });
    expectBytes(process.load(again, PAGE_SIZE), page);
  },
  getUserPages({ process, mapped }, page) {
    process.pin(mapped + page * PAGE_SIZE, PAGE_SIZE, { write: true }).put();
  },
  directIoFromDax({ process, mapped, heap }, page) {
    process.store(mapped + page * PAGE_SIZE, pattern(page));
    const fd = process.open(OTHER_DISK, { write: true, direct: true });
    process.pwrite(fd, mapped + page * PAGE_SIZE, PAGE_SIZE, page * PAGE_SIZE);
    process.pread(fd, heap, PAGE_SIZE, page * PAGE_SIZE);
    process.close(fd);
    expectBytes(process.load(heap, PAGE_SIZE), page);
  },
  splice({ rig, process, mapped, heap }, page) {
    process.store(mapped + page * PAGE_SIZE, pattern(page));
    const held = process.pin(mapped + page * PAGE_SIZE, PAGE_SIZE);
    try {
      const bio = allocBio(rig.kernel.block.disks.find(({ name }) => `/dev/${name}` === OTHER_DISK)!.part0, 1, REQ_OP.WRITE);
      bio.sector = sector(page * 8);
      bioAddPage(bio, held.pfns[0]!, PAGE_SIZE, 0);
      const status = submitBioWait(bio);
      if (status !== BLK_STS.OK) throw new KernelError(blkStatusToErrno(status)!, 'the other disk refused the page');
    } finally {
      held.put();
    }
    const fd = process.open(OTHER_DISK, { direct: true });
    process.pread(fd, heap, PAGE_SIZE, page * PAGE_SIZE);
    process.close(fd);
    expectBytes(process.load(heap, PAGE_SIZE), page);
  },
  dma({ rig, process, mapped, heap }, page) {
    process.store(mapped + page * PAGE_SIZE, pattern(page));
    process.store(heap, new Uint8Array(PAGE_SIZE));
    const target = process.pin(heap, PAGE_SIZE, { write: true });
    try {
      const from = pfn(rig.start() / PAGE_SIZE + page);
      transfer(rig, sgTableFromPages(target.pfns, 0, PAGE_SIZE), sgTableFromPages([from], 0, PAGE_SIZE));
    } finally {
      target.put();
    }
    expectBytes(process.load(heap, PAGE_SIZE), page);
  },
  longtermPin({ process, mapped }, page) {
    process.pin(mapped + page * PAGE_SIZE, PAGE_SIZE, { write: true, longterm: true }).put();
  },
  forkWithMapping({ process, mapped }, page) {
    const child = process.fork();
    try {
      child.store(mapped + page * PAGE_SIZE, pattern(page));
      expectBytes(process.load(mapped + page * PAGE_SIZE, PAGE_SIZE), page);
    } finally {
      child.exit();
    }
  },
  removeWhileMapped({ rig, process, mapped }, page) {
    process.store(mapped + page * PAGE_SIZE, pattern(page));
    rig.detach();
    try {
      process.load(mapped + page * PAGE_SIZE, 1);
    } catch (error) {
      if (error instanceof Signal && error.signal === 'SIGBUS') return;
      throw error;
    }
    throw new KernelError('EIO', 'the mapping still reads what is gone');
  },
  longtermPinDevDax({ rig, process }, page) {
    rig.detach();
    withDevDax(rig.kernel, (path) => {
      const mapped = process.mmap(process.open(path, { write: true }), { length: DEV_DAX_ALIGN, prot: RW, flags: MAP.SHARED });
      process.store(mapped + page * PAGE_SIZE, pattern(page));
      process.pin(mapped + page * PAGE_SIZE, PAGE_SIZE, { write: true, longterm: true }).put();
      expectBytes(process.load(mapped + page * PAGE_SIZE, PAGE_SIZE), page);
      process.munmap(mapped, DEV_DAX_ALIGN);
    });
  },
  poisonedPage({ rig, process, mapped }, page) {
    rig.machine.poison.inject(physAddr(rig.start() + page * PAGE_SIZE), 64);
    expectBytes(process.load(mapped + (page + 1) * PAGE_SIZE, PAGE_SIZE), undefined);
    try {
      process.load(mapped + page * PAGE_SIZE, 64);
    } catch (error) {
      if (error instanceof Signal && error.signal === 'SIGBUS') return;
      throw error;
    }
    throw new KernelError('EIO', 'a load of poison gave bytes');
  },
} satisfies Record<string, Probe>;

export type ProbeName = keyof typeof PROBES;

/** Probes that unbind the disk. */
const REMOVES: readonly ProbeName[] = ['removeWhileMapped', 'longtermPinDevDax'];

/** Try everything on a machine with the design attached, whose disk is not what it was afterwards. `attach` binds the disk again. */
export function runProbes(rig: Rig, attach: () => void): Record<ProbeName, Outcome> {
  const names = Object.keys(PROBES) as ProbeName[];
  let bench: Bench | undefined;
  const outcomes = names.map((name, page): [ProbeName, Outcome] => {
    const outcome = outcomeOf(() => PROBES[name]((bench ??= benchOn(rig)), page));
    if (REMOVES.includes(name)) {
      bench?.process.exit();
      bench = undefined;
      if (!rig.kernel.pmem.has('pmem0')) attach();
    }
    return [name, outcome];
  });
  return Object.fromEntries(outcomes) as Record<ProbeName, Outcome>;
}

function benchOn(rig: Rig): Bench {
  const process = rig.kernel.createProcess('probe');
  const dax = process.open(DISK, { write: true, dax: true });
  const mapped = process.mmap(dax, { length: MAPPED_PAGES * PAGE_SIZE, prot: RW, flags: MAP.SHARED });
  return { rig, process, dax, mapped, heap: process.mmap(null, { length: PAGE_SIZE }) };
}

function outcomeOf(probe: () => void): Outcome {
  try {
    probe();
    return 'yes';
  } catch (error) {
    if (error instanceof KernelError) return error.code;
    if (error instanceof Signal) return error.signal;
    if (error instanceof Error && error.name.includes('Panic')) return 'panic';
    throw error;
  }
}

function writeThenCheck({ process, heap }: Bench, fd: number, page: number): void {
  process.store(heap, pattern(page));
  process.pwrite(fd, heap, PAGE_SIZE, page * PAGE_SIZE);
  process.store(heap, new Uint8Array(PAGE_SIZE));
  process.pread(fd, heap, PAGE_SIZE, page * PAGE_SIZE);
  expectBytes(process.load(heap, PAGE_SIZE), page);
}

/** What the medium holds, past every cache. */
function checkDisk({ rig }: Bench, page: number): void {
  const bytes = new Uint8Array(PAGE_SIZE);
  rig.machine.memory.read(physAddr(rig.start() + page * PAGE_SIZE), bytes);
  expectBytes(bytes, page);
}

function transfer({ kernel }: Rig, to: Parameters<(typeof kernel.dma)[number]['submit']>[0], from: typeof to): void {
  const channel = kernel.dma[0];
  if (!channel) throw new KernelError('ENODEV', 'there is no DMA engine');
  let failed: KernelError | undefined;
  channel.submit(to, from, (error) => {
    if (error) failed = new KernelError(error, 'the DMA engine refused');
  });
  channel.issuePending();
  if (failed) throw failed;
}

function pattern(page: number): Uint8Array {
  return Uint8Array.from({ length: PAGE_SIZE }, (_, i) => (i * 7 + page + 1) & 255);
}

/** @param page whose pattern is expected; undefined: any bytes will do */
function expectBytes(bytes: Uint8Array, page: number | undefined): void {
  if (page === undefined) return;
  const wanted = pattern(page);
  if (!bytes.every((byte, i) => byte === wanted[i])) throw new KernelError('EIO', 'other bytes than were written');
}

