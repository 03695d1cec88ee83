/**
 * A process: an address space, open files, and a CPU that runs what its owner tells it to. The door for programs that use this kernel.
 * Mirrors the system calls of mm/mmap.c, mm/msync.c, fs/read_write.c, kernel/fork.c and kernel/exit.c.
 *
 * Invariant: after exit nothing of it is left: no frame, no table, no reference.
 * Differs from Linux: one thread, which runs when it is called; no scheduler. Where Linux would send a signal, the call throws {@link Signal}.
 */
import { KernelError, PAGE_SIZE } from '@holdfast/lib';
import { type GupFlags, MAP, type MmStruct, PROT, type UserFrames, type UserPages, createMmStruct, pinUserPages } from '@holdfast/mm';
import type { FileOpener, OpenFile, OpenOptions, UserBuffer } from './open-file.js';
import { Signal } from './signal.js';
import type { UserAccess } from './user-access.js';

export interface ProcessMmap {
  /** A wish; with MAP.FIXED an order. */
  readonly address?: number;
  /** Bytes into the file. Default 0. */
  readonly offset?: number;
  readonly length: number;
  /** Default PROT.READ | PROT.WRITE of anonymous memory, PROT.READ of files. */
  readonly prot?: number;
  /** Default MAP.SHARED of a file, private anonymous memory without one. */
  readonly flags?: number;
}

/** Addresses are virtual, lengths and offsets bytes. Touches throw {@link Signal}, system calls KernelError. */
export interface Process {
  readonly pid: number;
  readonly comm: string;
  readonly mm: MmStruct;

  /** @throws KernelError ENOENT, EACCES, EISDIR … */
  open(path: string, options?: OpenOptions): number;
  close(fd: number): void;
  /** @throws KernelError EBADF, ENODEV where a file cannot be mapped, and MmStruct.mmap's */
  mmap(fd: number | null, request: ProcessMmap): number;
  munmap(address: number, length: number): void;
  mprotect(address: number, length: number, prot: number): void;
  /** fsync of what is mapped there. @throws KernelError ENOMEM if nothing is, EIO */
  msync(address: number, length: number): void;

  /** Loads: into `target`, or that many bytes. */
  load(address: number, what: Uint8Array | number): Uint8Array;
  store(address: number, source: Uint8Array): void;
  /** Non-temporal stores (movnt). */
  storeNt(address: number, source: Uint8Array): void;
  /** Copy by loads and plain stores. */
  memcpy(to: number, from: number, length: number): void;
  /** Copy by loads and non-temporal stores. */
  memcpyNt(to: number, from: number, length: number): void;
  clflush(address: number, length: number): void;
  clflushopt(address: number, length: number): void;
  clwb(address: number, length: number): void;
  sfence(): void;

  /** @throws KernelError EFAULT for a bad buffer, EINVAL for O_DIRECT that is not aligned, EIO … */
  pread(fd: number, address: number, length: number, offset: number): number;
  pwrite(fd: number, address: number, length: number, offset: number): number;
  /** From where the last one ended. */
  read(fd: number, address: number, length: number): number;
  write(fd: number, address: number, length: number): number;
  fsync(fd: number): void;

  /** Hold the pages behind `[address, address + length)`, as a device driver does for DMA. @throws what getUserPages throws */
  pin(address: number, length: number, flags?: Omit<GupFlags, 'pin'>): UserFrames;
  /** @throws KernelError ENOMEM */
  fork(): Process;
  exit(): void;
}

export interface ProcessNeeds {
  readonly pages: UserPages;
  readonly access: UserAccess;
  readonly files: FileOpener;
  readonly nextPid: () => number;
  /** All that have not exited: filled and emptied here. */
  readonly running: Set<Process>;
}

/** An open file description, which a child shares with its parent. */
interface Descriptor {
  readonly file: OpenFile;
  position: number;
  /** Descriptors that name it. */
  users: number;
}

/** @throws KernelError ENOMEM */
export function createProcess(needs: ProcessNeeds, comm: string): Process {
  return processOver(needs, comm, createMmStruct(needs.pages), new Map());
}

function processOver(needs: ProcessNeeds, comm: string, mm: MmStruct, descriptors: Map<number, Descriptor>): Process {
  const { access, files } = needs;
  const descriptorOf = (fd: number): Descriptor => {
    const there = descriptors.get(fd);
    if (!there) throw new KernelError('EBADF', `${comm}: ${fd} is not open`);
    return there;
  };
  const bufferAt = (address: number, length: number): UserBuffer => ({
    mm,
    address,
    length,
    copyTo: (source) => orFault(() => access.store(mm, address, source)),
    copyFrom: (target) => orFault(() => access.load(mm, address, target)),
    part: (offset, partLength) => bufferAt(address + offset, partLength),
  });
  const copy = (to: number, from: number, length: number, store: (at: number, bytes: Uint8Array) => void): void => {
    const bytes = new Uint8Array(length);
    access.load(mm, from, bytes);
    store(to, bytes);
  };
  const moveOn = (fd: number, call: (position: number) => number): number => {
    const descriptor = descriptorOf(fd);
    const count = call(descriptor.position);
    descriptor.position += count;
    return count;
  };

  const process: Process = {
    pid: needs.nextPid(),
    comm,
    mm,
    open(path, options = {}) {
      const file = files.open(path, options, comm);
      let fd = 3; // behind the standard streams
      while (descriptors.has(fd)) fd++;
      descriptors.set(fd, { file, position: 0, users: 1 });
      return fd;
    },
    close(fd) {
      release(descriptorOf(fd));
      descriptors.delete(fd);
    },
    mmap(fd, { address, offset = 0, length, prot, flags }) {
      const place = address === undefined ? {} : { address };
      if (fd === null) {
        return mm.mmap({ ...place, length, prot: prot ?? PROT.READ | PROT.WRITE, flags: MAP.ANONYMOUS | (flags ?? MAP.PRIVATE) });
      }
      const { path, mmapFile } = descriptorOf(fd).file;
      if (!mmapFile) throw new KernelError('ENODEV', `${path} cannot be mapped: it has no memory of its own to show, and no page cache`);
      return mm.mmap({ ...place, offset, length, prot: prot ?? PROT.READ, flags: flags ?? MAP.SHARED, file: mmapFile });
    },
    munmap: (address, length) => mm.munmap(address, length),
    mprotect: (address, length, prot) => mm.mprotect(address, length, prot),
    msync(address, length) {
      for (const vma of mm.areas) {
        if (vma.end <= address || vma.start >= address + length || !vma.file) continue;
        const from = vma.pgoff * PAGE_SIZE + Math.max(0, address - vma.start);
        const to = vma.pgoff * PAGE_SIZE + Math.min(vma.end, address + length) - vma.start;
        vma.file.fsync?.(from, to);
      }
    },
    load(address, what) {
      const target = typeof what === 'number' ? new Uint8Array(what) : what;
      access.load(mm, address, target);
      return target;
    },
    store: (address, source) => access.store(mm, address, source),
    storeNt: (address, source) => access.storeNt(mm, address, source),
    memcpy: (to, from, length) => copy(to, from, length, (at, bytes) => access.store(mm, at, bytes)),
    memcpyNt: (to, from, length) => copy(to, from, length, (at, bytes) => access.storeNt(mm, at, bytes)),
    clflush: (address, length) => access.flush(mm, 'clflush', address, length),
    clflushopt: (address, length) => access.flush(mm, 'clflushopt', address, length),
    clwb: (address, length) => access.flush(mm, 'clwb', address, length),
    sfence: () => access.sfence(),
    pread: (fd, address, length, offset) => descriptorOf(fd).file.read(bufferAt(address, length), offset),
    pwrite: (fd, address, length, offset) => descriptorOf(fd).file.write(bufferAt(address, length), offset),
    read: (fd, address, length) => moveOn(fd, (position) => process.pread(fd, address, length, position)),
    write: (fd, address, length) => moveOn(fd, (position) => process.pwrite(fd, address, length, position)),
    fsync: (fd) => descriptorOf(fd).file.fsync(),
    pin: (address, length, flags) => pinUserPages(mm, address, Math.ceil(((address % PAGE_SIZE) + length) / PAGE_SIZE), flags),
    fork() {
      const child = mm.fork();
      for (const descriptor of descriptors.values()) descriptor.users++;
      return processOver(needs, comm, child, new Map(descriptors));
    },
    exit() {
      needs.running.delete(process);
      mm.exit();
      for (const descriptor of descriptors.values()) release(descriptor);
      descriptors.clear();
    },
  };
  needs.running.add(process);
  return process;
}

function release(descriptor: Descriptor): void {
  if (--descriptor.users === 0) descriptor.file.close();
}

/** A system call that touches a bad buffer is refused; it gets no signal. */
function orFault(copy: () => void): void {
  try {
    copy();
  } catch (error) {
    if (!(error instanceof Signal)) throw error;
    throw new KernelError('EFAULT', `bad buffer: ${error.message}`, { cause: error });
  }
}
