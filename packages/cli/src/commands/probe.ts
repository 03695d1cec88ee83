/**
 * probe: one system call on a file, and what it answers. Not a tool that machines have, but the one of the golden captures' guests.
 *
 * What moves bytes or maps goes through a process of its own, so that O_DIRECT meets pages and addresses as a program's would: `direct` opens
 * so, `bufskew` puts the buffer where no sector may begin. It sees the kernel's own files.
 */
import { type BlockFile, MAP, PROT, type Process, Signal, resolvePath } from '@holdfast/kernel';
import { KernelError, PAGE_SIZE, SECTOR_SIZE, roundDown, roundUp, strerror } from '@holdfast/lib';
import type { Command, CommandIo } from '../console/command.js';
import { type RequestForm, explanationOf } from '../console/explain.js';
import { UsageError } from '../console/getopt.js';
import { textAt } from '../facts/sysfs.js';

const TWO_MIB = 2 ** 21;
/** Bytes that a skewed buffer starts past a page: no multiple of what any device asks of an address. */
const SKEW = 4;
const MAP_FLAGS: Readonly<Record<string, number>> = { shared: MAP.SHARED, private: MAP.PRIVATE, sync: MAP.SHARED_VALIDATE | MAP.SYNC };

/** The path as it was opened. */
interface Opened {
  readonly io: CommandIo;
  readonly process: Process;
  readonly fd: number;
  readonly path: string;
  readonly args: readonly string[];
}

interface Call {
  /** Open for writing, too. */
  readonly writes?: boolean | ((args: readonly string[]) => boolean);
  /** What stands behind `=`. @throws KernelError */
  answer(opened: Opened): string;
  /** A failure of the call is the status of the command, too. */
  readonly fails?: boolean;
  /** Its arguments are answered by a line of its own, without `=`. */
  readonly plain?: boolean;
}

const CALLS: Readonly<Record<string, Call>> = {
  mmap: { writes: true, answer: mmap },
  pread: {
    fails: true,
    answer: ({ process, fd, args: [offset, length, ...how] }) => String(process.pread(fd, bufferFor(process, length, how), number(length), number(offset))),
  },
  pwrite: {
    writes: true,
    fails: true,
    answer({ process, fd, args: [offset, length, ...how] }) {
      const written = process.pwrite(fd, bufferFor(process, length, how), number(length), number(offset));
      process.fsync(fd);
      return `${written}\n  fsync = 0`;
    },
  },
  fsync: {
    answer({ process, fd }) {
      process.fsync(fd);
      return '0';
    },
  },
  open: { writes: ([mode]) => mode === 'rw', fails: true, answer: () => '0' },
  seekend: { answer: ({ io, path }) => String(sizeOf(io, path)) },
  'ioctl-size': { plain: true, fails: true, answer: ioctlSize },
  discard: {
    writes: true,
    fails: true,
    answer: ({ io, path, args: [offset, length] }) => ioctl(io, path, (file) => file.discard(number(offset), number(length))),
  },
  secdiscard: {
    writes: true,
    fails: true,
    answer: ({ io, path }) => ioctl(io, path, () => {
      throw new KernelError('EOPNOTSUPP', 'no driver here has secure erase');
    }),
  },
  zeroout: {
    writes: true,
    fails: true,
    answer: ({ io, path, args: [offset, length] }) => ioctl(io, path, (file) => file.zeroout(number(offset), number(length))),
  },
};

export const probe: Command = {
  usage: 'probe CALL FILE [ARGUMENT]…',
  help: [
    'mmap FILE OFFSET LENGTH shared|private|sync [w]     map, and read the first byte',
    'pread|pwrite FILE OFFSET LENGTH [direct] [bufskew]  with O_DIRECT, from an odd address',
    'discard|secdiscard|zeroout FILE OFFSET LENGTH       ioctls of block devices',
    'open FILE r|rw     fsync FILE     seekend FILE     ioctl-size FILE',
  ].join('\n'),
  run(io) {
    const [name, file, ...args] = io.args;
    const call = name !== undefined && Object.hasOwn(CALLS, name) ? CALLS[name] : undefined;
    if (!call || file === undefined) throw new UsageError(`expected one of ${Object.keys(CALLS).join(', ')}, and a file`);
    const path = io.resolve(file);
    const process = io.kernel.createProcess('probe');
    let opened = false;
    try {
      const write = typeof call.writes === 'function' ? call.writes(args) : (call.writes ?? false);
      const fd = process.open(path, { write, direct: args.includes('direct') });
      opened = true;
      const text = call.answer({ io, process, fd, path, args });
      io.out(`${io.args.join(' ')}${call.plain ? ' ' : ' = '}${text}\n`);
      return 0;
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      io.out(`${io.args.join(' ')}${opened ? '' : ' : open'} = -1 ${error.code} (${strerror(error.code)})\n`);
      io.explain(explanationOf(error, formOf(io.args)));
      io.refused();
      return call.fails || !opened ? 1 : 0;
    } finally {
      process.exit();
    }
  },
};

/** A call of mmap(2) again, with other flags or for whole pages. */
function formOf([name, file, offset, length, kind, ...access]: readonly string[]): RequestForm {
  const probeAgain = (...words: (string | number | undefined)[]): string =>
    ['probe', name, file, ...words, ...access].filter((word) => word !== undefined).join(' ');
  return {
    again: probeAgain(offset, length, kind),
    withValue: (value) => (value === 'MAP_SHARED' ? probeAgain(offset, length, 'shared') : undefined),
    withBytes: (what, bytes) =>
      what === 'align' ? probeAgain(roundDown(Number(offset), bytes), Math.max(bytes, roundUp(Number(length), bytes)), kind) : undefined,
  };
}

/** Memory of the process for that many bytes, at the start of a page unless it is to be skewed. */
function bufferFor(process: Process, length: string | undefined, how: readonly string[]): number {
  return process.mmap(null, { length: roundUp(number(length) + SKEW, PAGE_SIZE) }) + (how.includes('bufskew') ? SKEW : 0);
}

function mmap({ process, fd, args: [offset, length, kind, access] }: Opened): string {
  const address = process.mmap(fd, {
    offset: number(offset),
    length: number(length),
    prot: access === 'w' ? PROT.READ | PROT.WRITE : PROT.READ,
    flags: MAP_FLAGS[kind ?? ''] ?? MAP.SHARED,
  });
  return `mapped va-mod-2M=0x${(address % TWO_MIB).toString(16)} touch=${touch(process, address)}`;
}

function touch(process: Process, address: number): string {
  try {
    process.load(address, 1);
    return 'ok';
  } catch (error) {
    if (error instanceof Signal) return error.signal;
    throw error;
  }
}

/** BLKGETSIZE64, BLKSSZGET, BLKPBSZGET, BLKROGET, BLKALIGNOFF. */
function ioctlSize({ io, path }: Opened): string {
  let text = '';
  ioctl(io, path, (file) => {
    const alignment = textAt(io.root, `/sys/class/block/${path.split('/').at(-1)}/alignment_offset`) ?? '0';
    text = `size=${file.sizeBytes} ssz=${file.logicalBlockSize} pbsz=${file.physicalBlockSize} ro=${Number(file.readOnly)} alignoff=${alignment}`;
  });
  return text;
}

function ioctl({ root }: CommandIo, path: string, call: (file: BlockFile) => void): string {
  const { node } = resolvePath(root, path);
  if (node.kind !== 'block') throw new KernelError('ENOTTY', `${path} is no block device`);
  const file = node.open();
  try {
    call(file);
    return '0';
  } finally {
    file.close();
  }
}

/** A character device has no end. */
function sizeOf({ root }: CommandIo, path: string): number {
  const { node } = resolvePath(root, path);
  if (node.kind === 'regular') return node.stat().sizeBytes;
  if (node.kind !== 'block') return 0;
  return node.bdev.nrSectors * SECTOR_SIZE;
}

function number(text: string | undefined): number {
  const value = text === undefined || text === '' ? NaN : Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new UsageError(`'${text ?? ''}': expected a number of bytes`);
  return value;
}
