/**
 * Does again what a trace tells, to a machine that is made like the recorded one.
 */
import { openSync, closeSync, fstatSync, readSync } from 'node:fs';
import { KernelError } from '@holdfast/lib';
import type { FaultSpec } from '../faults/fault-spec.js';
import type { NbdDisk } from '../disk.js';
import type { Cut } from '../power/cut.js';
import { type TraceEvent, type TraceHeader, type TraceRecord, TRACE_MAGIC, decodeRecord } from './trace-format.js';

/** A window of the file that is held at a time; larger than any record. */
const WINDOW_BYTES = 64 * 1024 * 1024;

export interface TraceReader {
  readonly header: TraceHeader;
  /** Bytes behind the last whole record, once all are read: what a writer that died left. */
  readonly tornBytes: number;
  /** The records behind the header, with their numbers, from 1 on. */
  records(): Generator<{ readonly nr: number; readonly record: Exclude<TraceRecord, { kind: 'header' }> }>;
  close(): void;
}

/** @throws KernelError EINVAL for what is no trace, and the host's error */
export function openTrace(file: string): TraceReader {
  const fd = openSync(file, 'r');
  try {
    const { size } = fstatSync(fd);
    const magic = Buffer.alloc(TRACE_MAGIC.length);
    readSync(fd, magic, 0, magic.length, 0);
    if (magic.toString('latin1') !== TRACE_MAGIC) throw new KernelError('EINVAL', `${file}: no trace of holdfast nbd: expected '${TRACE_MAGIC}' at its start`);
    const all = readRecords(fd, size);
    const first = all.next();
    if (first.done || first.value.record.kind !== 'header') throw new KernelError('EINVAL', `${file}: expected a header as the first record`);
    let tornBytes = 0;
    return {
      header: first.value.record.header,
      get tornBytes() {
        return tornBytes;
      },
      *records() {
        for (let nr = 1; ; nr++) {
          const next = all.next();
          if (next.done) {
            tornBytes = next.value;
            return;
          }
          const { record, at } = next.value;
          if (record.kind === 'header') throw new KernelError('EINVAL', `${file}: a second header at byte ${at}`);
          yield { nr, record };
        }
      },
      close: () => closeSync(fd),
    };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** @returns how many bytes at the end are no whole record */
function* readRecords(fd: number, size: number): Generator<{ record: TraceRecord; at: number }, number> {
  let from = TRACE_MAGIC.length;
  for (;;) {
    const window = Buffer.alloc(Math.min(WINDOW_BYTES, size - from));
    readSync(fd, window, 0, window.length, from);
    const isLast = from + window.length === size;
    let at = 0;
    for (let next = decodeRecord(window, at); next !== 'torn'; next = decodeRecord(window, at)) {
      yield { record: next.record, at: from + at };
      at = next.end;
    }
    if (isLast || at === 0) return window.length - at;
    from += at;
  }
}

/** A machine to do it to. */
export interface ReplayMachine {
  /** The disk of an export, as the kernel that runs now has it. */
  disk(name: string): NbdDisk | undefined;
  addFault(spec: FaultSpec): void;
  clearFaults(fault: number | undefined): void;
  cut(options: Pick<Cut, 'keep' | 'seed'>): Cut;
  restore(): void;
}

/** Where to stop: behind the first mark of that name, or behind the record with that number. */
export type Until = { readonly mark: string } | { readonly record: number };

export interface ReplayReport {
  /** Number of the last record that was done again. */
  readonly records: number;
  readonly requests: number;
  /** With the digests as recorded and as they came out now. */
  readonly cuts: readonly { readonly cut: number; readonly digest: string; readonly recorded: string }[];
  readonly reached: boolean;
}

/** @throws KernelError EINVAL for a record that the machine has no disk for */
export function replay({ records }: Pick<TraceReader, 'records'>, machine: ReplayMachine, until?: Until): ReplayReport {
  const cuts: { cut: number; digest: string; recorded: string }[] = [];
  const names = new Map<number, string>();
  let [done, requests] = [0, 0];

  const happen = (event: TraceEvent): void => {
    if (event.event === 'disk') names.set(event.disk, event.name);
    else if (event.event === 'fault') machine.addFault(event.spec);
    else if (event.event === 'clear') machine.clearFaults(event.fault);
    else if (event.event === 'restore') machine.restore();
    else if (event.event === 'cut') cuts.push({ cut: event.cut, digest: machine.cut({ keep: event.keep, seed: event.seed }).digest, recorded: event.digest });
  };
  if (until && 'record' in until && until.record === 0) return { records: 0, requests, cuts, reached: true };
  for (const { nr, record } of records()) {
    if (record.kind === 'event') happen(record.event);
    else if (record.kind !== 'base') {
      const name = names.get(record.disk);
      const disk = name === undefined ? undefined : machine.disk(name);
      if (!disk) throw new KernelError('EINVAL', `trace: record ${nr} is about disk ${record.disk} (${name ?? 'no name'}), which is not there now`);
      request(disk, record);
      requests++;
    }
    done = nr;
    const isMark = until && 'mark' in until && record.kind === 'event' && record.event.event === 'mark' && record.event.name === until.mark;
    if (isMark || (until && 'record' in until && nr === until.record)) return { records: done, requests, cuts, reached: true };
  }
  return { records: done, requests, cuts, reached: until === undefined };
}

type DiskRecord = Exclude<TraceRecord, { kind: 'header' | 'event' | 'base' }>;

/** Its outcome is not looked at: what failed then fails now. */
function request(disk: NbdDisk, record: DiskRecord): void {
  if (record.kind === 'flush') return void disk.flush();
  if (record.kind === 'trim') return void disk.trim(record.offset, record.length, record.fua);
  if (record.kind === 'zero') return void disk.writeZeroes(record.offset, record.length, record.fua, record.noHole);
  const slab = disk.allocSlab();
  if (record.kind === 'write') {
    slab.bytes.set(record.bytes);
    disk.write(slab, 0, record.offset, record.bytes.length, record.fua);
  } else {
    disk.read(slab, 0, record.offset, record.length);
  }
  slab.free();
}
