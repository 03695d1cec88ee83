/**
 * dd(1): copies blocks and counts them. Statistics are the two lines of records; there is no third with a speed, since a simulated
 * copy has none, and equal runs print equal lines.
 */
import { KernelError, strerror } from '@holdfast/lib';
import { parseByteCount } from '../console/byte-count.js';
import type { Command, CommandIo } from '../console/command.js';
import { UsageError } from '../console/getopt.js';
import { type OpenFile, type OpenMode, openFile } from '../console/open-file.js';

const NUMBERS = ['bs', 'ibs', 'obs', 'count', 'skip', 'seek'] as const;
const FLAGS: Record<string, readonly string[]> = {
  conv: ['fsync', 'fdatasync', 'notrunc', 'sync', 'noerror', 'nocreat'],
  iflag: ['direct', 'sync', 'dsync', 'fullblock', 'nonblock', 'count_bytes', 'skip_bytes'],
  oflag: ['direct', 'sync', 'dsync', 'append', 'seek_bytes', 'nonblock'],
};

interface Job {
  readonly input: string | undefined;
  readonly output: string | undefined;
  readonly bs: number;
  readonly count: number;
  readonly skip: number;
  readonly seek: number;
  readonly flags: ReadonlySet<string>;
  readonly quiet: boolean;
}

export const dd: Command = {
  usage: 'dd [if=FILE] [of=FILE] [bs=N] [count=N] [skip=N] [seek=N] [conv=LIST] [iflag=LIST] [oflag=LIST] [status=none]',
  help: [
    'N may end in c (1), w (2), b (512), k, M, G (powers of 1024), kB, MB (powers of 1000).',
    'conv:  fsync, fdatasync, notrunc, sync, noerror     iflag: direct, fullblock, count_bytes, skip_bytes',
    'oflag: direct, sync, dsync, append, seek_bytes',
  ].join('\n'),
  run(io) {
    const job = parseOperands(io.args);
    let opening = job.input ?? '';
    let source: OpenFile | undefined;
    let sink: OpenFile | undefined;
    try {
      if (job.input !== undefined) source = openLenient(io, job.input, { direct: job.flags.has('iflag:direct') });
      opening = job.output ?? '';
      if (job.output !== undefined) {
        sink = openLenient(io, job.output, { write: true, truncate: !job.flags.has('conv:notrunc'), direct: job.flags.has('oflag:direct') });
      }
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      io.explainError(error);
      io.err(`dd: can't open '${opening}': ${strerror(error.code)}`);
      return 1;
    }
    return copy(io, job, source ?? bytesFile(io.stdin()), sink);
  },
};

/** A block that O_DIRECT does not take, such as the last one, goes through the page cache, and so do those behind it (clear_O_DIRECT). */
function openLenient({ root, resolve }: CommandIo, path: string, mode: OpenMode): OpenFile {
  let file = openFile(root, resolve(path), mode);
  let direct = mode.direct ?? false;
  const retrying = (transfer: () => number): number => {
    try {
      return transfer();
    } catch (error) {
      if (!direct || !(error instanceof KernelError) || error.code !== 'EINVAL') throw error;
      file.close();
      file = openFile(root, resolve(path), { ...mode, truncate: false, direct: false });
      direct = false;
      return transfer();
    }
  };
  return {
    ...file,
    pread: (target, offset) => retrying(() => file.pread(target, offset)),
    pwrite: (source, offset) => retrying(() => file.pwrite(source, offset)),
    fsync: () => file.fsync(),
    close: () => file.close(),
  };
}

function copy(io: CommandIo, job: Job, source: OpenFile, sink: OpenFile | undefined): number {
  const { bs, flags } = job;
  const records = { inFull: 0, inPartial: 0, outFull: 0, outPartial: 0 };
  const buffer = new Uint8Array(bs);
  const endIn = flags.has('iflag:count_bytes') ? job.count : job.count * bs;
  const fromIn = flags.has('iflag:skip_bytes') ? job.skip : job.skip * bs;
  let toOut = flags.has('oflag:seek_bytes') ? job.seek : job.seek * bs;
  // lseek(2) past the end of a block device; an input of which less can be skipped has nothing to read.
  if (sink?.deviceBytes !== undefined && toOut > sink.deviceBytes) {
    io.err(`dd: ${job.output}: ${strerror('EINVAL')}`);
    return 1;
  }
  let status = 0;
  const fail = (error: unknown): void => {
    if (!(error instanceof KernelError)) throw error;
    io.explainError(error);
    io.err(`dd: error writing '${job.output ?? 'standard output'}': ${strerror(error.code)}`);
    status = 1;
  };
  for (let at = 0; at < endIn && status === 0; ) {
    let got = 0;
    let bad = false;
    try {
      got = source.pread(buffer.subarray(0, Math.min(bs, endIn - at)), fromIn + at);
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      io.err(`dd: ${job.input ?? 'standard input'}: ${strerror(error.code)}`);
      if (!flags.has('conv:noerror')) return 1; // without a word on what was copied
      bad = true;
    }
    if (got === 0 && !bad) break;
    if (got === bs) records.inFull++;
    else records.inPartial++;
    at += bad ? bs : got;
    if (got < bs && flags.has('conv:sync')) got = buffer.fill(0, got).length;
    if (got === 0) continue;
    let put = 0;
    try {
      if (!sink) io.out(buffer.slice(0, got));
      while (put < got) put += sink ? sink.pwrite(buffer.subarray(put, got), toOut + put) : got;
      if (flags.has('oflag:sync') || flags.has('oflag:dsync')) sink?.fsync();
    } catch (error) {
      fail(error);
    }
    toOut += put;
    if (put === bs) records.outFull++;
    else if (put > 0 && put === got) records.outPartial++; // what failed half-way counts as nothing
  }
  try {
    if (status === 0 && (flags.has('conv:fsync') || flags.has('conv:fdatasync'))) sink?.fsync();
  } catch (error) {
    fail(error);
  }
  try {
    source.close();
    sink?.close();
  } catch (error) {
    fail(error);
  }
  if (!job.quiet) {
    io.err(`${records.inFull}+${records.inPartial} records in`);
    io.err(`${records.outFull}+${records.outPartial} records out`);
  }
  return status;
}

function bytesFile(content: Uint8Array): OpenFile {
  return {
    logicalBlockSize: undefined,
    pread(target, offset) {
      const part = content.subarray(offset, offset + target.length);
      target.set(part);
      return part.length;
    },
    pwrite: () => 0,
    fsync: () => {},
    close: () => {},
  };
}

function parseOperands(args: readonly string[]): Job {
  const numbers: Partial<Record<(typeof NUMBERS)[number], number>> = {};
  const flags = new Set<string>();
  let input: string | undefined;
  let output: string | undefined;
  let quiet = false;
  for (const arg of args) {
    const { 1: name, 2: value } = /^(\w+)=([^]*)$/.exec(arg) ?? ([] as unknown as RegExpExecArray);
    const number = NUMBERS.find((known) => known === name);
    if (name === undefined || value === undefined) throw new UsageError(`unrecognized operand '${arg}'`);
    if (name === 'if') input = value;
    else if (name === 'of') output = value;
    else if (name === 'status') quiet = value === 'none';
    else if (number) numbers[number] = parseNumber(number, value);
    else if (Object.hasOwn(FLAGS, name)) {
      for (const flag of value.split(',')) {
        if (!FLAGS[name]!.includes(flag)) throw new UsageError(`invalid ${name === 'conv' ? 'conversion' : `${name.slice(0, 1)}put flag`}: '${flag}'`);
        flags.add(`${name}:${flag}`);
      }
    } else throw new UsageError(`unrecognized operand '${arg}'`);
  }
  const bs = numbers.bs ?? numbers.obs ?? numbers.ibs ?? 512;
  return { input, output, bs, count: numbers.count ?? Infinity, skip: numbers.skip ?? 0, seek: numbers.seek ?? 0, flags, quiet };
}

const MAX_BLOCK = 256 * 1024 * 1024;

function parseNumber(name: string, text: string): number {
  const number = parseByteCount(text);
  const isSize = name.endsWith('bs');
  if (number === undefined || (isSize && (number === 0 || number > MAX_BLOCK))) throw new UsageError(`invalid number: '${text}'`);
  return number;
}
