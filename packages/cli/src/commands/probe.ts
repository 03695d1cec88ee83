/**
 * probe: one system call on a file, and what it answers. Not a tool that machines have, but the one of the golden captures' guests:
 * `mmap` maps a file and reads the first byte, `pread`, `pwrite`, `fsync` and `seekend` ask what their names say.
 */
import { MAP, PROT, type Process, Signal, resolvePath } from '@holdfast/kernel';
import { KernelError, strerror } from '@holdfast/lib';
import type { Command, CommandIo } from '../console/command.js';
import { UsageError } from '../console/getopt.js';
import { openFile } from '../console/open-file.js';

const TWO_MIB = 2 ** 21;
const MAP_FLAGS: Readonly<Record<string, number>> = { shared: MAP.SHARED, private: MAP.PRIVATE, sync: MAP.SHARED_VALIDATE | MAP.SYNC };

type Call = (io: CommandIo, path: string, args: readonly string[]) => string;

const CALLS: Readonly<Record<string, Call>> = {
  mmap,
  pread: (io, path, [offset, length]) => String(openFile(io.root, path).pread(new Uint8Array(number(length)), number(offset))),
  pwrite(io, path, [offset, length]) {
    const file = openFile(io.root, path, { write: true });
    const written = file.pwrite(new Uint8Array(number(length)), number(offset));
    file.fsync();
    return `${written}\n  fsync = 0`;
  },
  fsync(io, path) {
    openFile(io.root, path).fsync();
    return '0';
  },
  seekend: (io, path) => String(sizeOf(io, path)),
};

/** Calls whose failure is the status of the command, too. */
const FAIL_WITH_STATUS = ['pread', 'pwrite'];

export const probe: Command = {
  usage: 'probe mmap FILE OFFSET LENGTH shared|private|sync [w] | pread FILE OFFSET LENGTH | pwrite FILE OFFSET LENGTH | fsync FILE | seekend FILE',
  run(io) {
    const [name, path, ...args] = io.args;
    const call = name !== undefined && Object.hasOwn(CALLS, name) ? CALLS[name] : undefined;
    if (!call || path === undefined) throw new UsageError(`expected one of ${Object.keys(CALLS).join(', ')}, and a file`);
    const answer = (text: string): void => io.out(`${io.args.join(' ')} = ${text}\n`);
    try {
      answer(call(io, io.resolve(path), args));
      return 0;
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      answer(`-1 ${error.code} (${strerror(error.code)})`);
      io.explain({ rule: error.message });
      return FAIL_WITH_STATUS.includes(name!) ? 1 : 0;
    }
  },
};

function mmap({ kernel }: CommandIo, path: string, [offset, length, kind, access]: readonly string[]): string {
  const process = kernel.createProcess('probe');
  try {
    const isWritten = access === 'w';
    const fd = process.open(path, { write: true });
    const address = process.mmap(fd, {
      offset: number(offset), length: number(length), prot: isWritten ? PROT.READ | PROT.WRITE : PROT.READ, flags: MAP_FLAGS[kind ?? ''] ?? MAP.SHARED,
    });
    return `mapped va-mod-2M=0x${(address % TWO_MIB).toString(16)} touch=${touch(process, address)}`;
  } finally {
    process.exit();
  }
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

/** A character device has no end. */
function sizeOf({ root }: CommandIo, path: string): number {
  const { node } = resolvePath(root, path);
  return node.kind === 'block' ? node.open().sizeBytes : 0;
}

function number(text: string | undefined): number {
  const value = text === undefined || text === '' ? NaN : Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new UsageError(`'${text ?? ''}': expected a number of bytes`);
  return value;
}
