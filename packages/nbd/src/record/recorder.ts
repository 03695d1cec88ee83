/**
 * Records what clients ask of a machine's disks, and what else befalls it, while it happens.
 *
 * Invariant: what a flush or FUA has acknowledged is in the trace, as is all before an event; the rest follows at the latest when the
 * buffer is full. So the trace of a server that was killed knows everything that its image files are sure to hold.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import type { FaultSpec } from '../faults/fault-spec.js';
import type { NbdDisk } from '../disk.js';
import type { Cut } from '../power/cut.js';
import { type TraceEvent, type TraceHeader, RECORD, RECORD_FLAG, TRACE_MAGIC, encodeData, encodeFlush, encodeJson, encodeRange } from './trace-format.js';

const BUFFER_BYTES = 1024 * 1024;

export interface RecorderNeeds {
  readonly file: string;
  readonly header: TraceHeader;
  /** What the images of the header hold before the first request, as far as it is not zeros. */
  readonly base: Iterable<{ readonly image: number; readonly offset: number; readonly bytes: Uint8Array }>;
}

export interface Recorder {
  readonly file: string;
  /** Written so far, the header and what the images held included. */
  readonly records: number;
  /** `disk`, recorded. */
  wrap(name: string, disk: NbdDisk): NbdDisk;
  /** @returns the number of its record */
  mark(name: string): number;
  faultAdded(spec: FaultSpec): void;
  faultsCleared(fault: number | undefined): void;
  cut(cut: Cut): void;
  restore(): void;
  close(): void;
}

/** @throws the host's error if the file cannot be made: it must not be there */
export function createRecorder({ file, header, base }: RecorderNeeds): Recorder {
  const fd = openSync(file, 'wx', 0o600);
  let held: Buffer[] = [Buffer.from(TRACE_MAGIC)];
  let heldBytes = TRACE_MAGIC.length;
  let records = 0;
  const numbers = new Map<string, number>();

  const flush = (): void => {
    const all = Buffer.concat(held);
    held = [];
    heldBytes = 0;
    for (let done = 0; done < all.length; ) done += writeSync(fd, all, done);
  };
  const append = (record: Buffer): void => {
    held.push(record);
    heldBytes += record.length;
    records++;
    if (heldBytes >= BUFFER_BYTES) flush();
  };
  const event = (what: TraceEvent): void => {
    append(encodeJson(RECORD.EVENT, what));
    flush();
  };
  append(encodeJson(RECORD.HEADER, header));
  for (const { image, offset, bytes } of base) append(encodeData(RECORD.BASE, image, 0, offset, bytes));
  flush();

  return {
    file,
    get records() {
      return records;
    },
    wrap(name, disk) {
      const nr = numbers.get(name) ?? numbers.size;
      if (!numbers.has(name)) {
        numbers.set(name, nr);
        event({ event: 'disk', disk: nr, name });
      }
      const flags = (fua: boolean, noHole = false): number => (fua ? RECORD_FLAG.FUA : 0) | (noHole ? RECORD_FLAG.NO_HOLE : 0);
      return Object.assign(Object.create(disk) as NbdDisk, {
        write(slab, at, offset, length, fua) {
          append(encodeData(RECORD.WRITE, nr, flags(fua), offset, slab.bytes.subarray(at, at + length)));
          if (fua) flush();
          return disk.write(slab, at, offset, length, fua);
        },
        flush() {
          append(encodeFlush(nr));
          flush();
          return disk.flush();
        },
        trim(offset, length, fua) {
          append(encodeRange(RECORD.TRIM, nr, flags(fua), offset, length));
          if (fua) flush();
          return disk.trim(offset, length, fua);
        },
        writeZeroes(offset, length, fua, noHole) {
          append(encodeRange(RECORD.ZERO, nr, flags(fua, noHole), offset, length));
          if (fua) flush();
          return disk.writeZeroes(offset, length, fua, noHole);
        },
        read(slab, at, offset, length) {
          append(encodeRange(RECORD.READ, nr, 0, offset, length));
          return disk.read(slab, at, offset, length);
        },
      } satisfies Partial<NbdDisk>);
    },
    mark(name) {
      event({ event: 'mark', name });
      return records - 1;
    },
    faultAdded: (spec) => event({ event: 'fault', spec }),
    faultsCleared: (fault) => event({ event: 'clear', ...(fault === undefined ? {} : { fault }) }),
    cut: ({ nr, keep, seed, units, lost, digest }) => event({ event: 'cut', cut: nr, keep, seed, open: units.length, lost, digest }),
    restore: () => event({ event: 'restore' }),
    close() {
      flush();
      closeSync(fd);
    },
  };
}
