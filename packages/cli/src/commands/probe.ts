/**
 * probe: one system call on a file, and what it answers. Not a tool that machines have, but the one of the golden captures' guests:
 * `mmap` maps a file and reads the first byte, `pread`, `pwrite`, `fsync` and `seekend` ask what their names say.
 */
import { resolvePath } from '@holdfast/kernel';
import { KernelError, strerror } from '@holdfast/lib';
import type { Command, CommandIo } from '../console/command.js';
import { UsageError } from '../console/getopt.js';
import { openFile } from '../console/open-file.js';

const TWO_MIB = 2 ** 21;

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

function mmap({ root }: CommandIo, path: string, [offset, length, kind]: readonly string[]): string {
  const { node } = resolvePath(root, path);
  if (node.kind !== 'char' || !node.mmap) throw new KernelError('ENODEV', `${path}: only device-dax can be mapped here`);
  const mapping = node.mmap({ offset: number(offset), length: number(length), shared: kind !== 'private', comm: 'probe' });
  return `mapped va-mod-2M=0x${(mapping.address % TWO_MIB).toString(16)} touch=${mapping.fault(0) === undefined ? 'SIGBUS' : 'ok'}`;
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
