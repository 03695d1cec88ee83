/** Where a command's input comes from and its output goes to: the terminal, a file, a pipe, or a text that is collected. */
import { KernelError, strerror } from '@holdfast/lib';
import { type OpenFile, concat, toBytes } from './open-file.js';

/** A command's output goes here; `close` hands over what was collected, and throws what the file says to it. */
export interface Sink {
  write(data: string | Uint8Array): void;
  close(): void;
}

export interface Streams {
  in: Uint8Array | undefined;
  out: Sink;
  err: Sink;
}

/** A KernelError that came of writing the output, not of the command's own work. */
export class SinkError extends KernelError {}

/** A pipe holds at most so much: what is before it runs to its end first. */
const PIPE_LIMIT = 256 * 1024 * 1024;

export function fileSink(file: OpenFile, append: boolean): Sink {
  const parts: Uint8Array[] = [];
  let at = append && file.logicalBlockSize === undefined ? (file.sizeBytes ?? lengthOf(file)) : 0;
  return {
    write(data) {
      const bytes = toBytes(data);
      if (file.logicalBlockSize === undefined) {
        parts.push(bytes.slice());
        return;
      }
      for (let done = 0; done < bytes.length; ) done += pwriteSome(file, bytes.subarray(done), at + done);
      at += bytes.length;
    },
    close() {
      const bytes = concat(parts);
      try {
        for (let done = 0; done < bytes.length; ) done += pwriteSome(file, bytes.subarray(done), at + done);
      } finally {
        file.close();
      }
    },
  };
}

function lengthOf(file: OpenFile): number {
  const buffer = new Uint8Array(65_536);
  let length = 0;
  for (let count = -1; count !== 0; length += count) count = file.pread(buffer, length);
  return length;
}

function pwriteSome(file: OpenFile, bytes: Uint8Array, offset: number): number {
  try {
    return file.pwrite(bytes, offset);
  } catch (error) {
    if (error instanceof KernelError) throw new SinkError(error.code, error.message, { cause: error });
    throw error;
  }
}

/** Close a redirected output; a file that refuses what was written makes the command fail with status 1. */
export function closeSink(sink: Sink, name: string | undefined, errors: Sink, refused: (error: KernelError) => void): number | undefined {
  try {
    sink.close();
    return undefined;
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    refused(error);
    errors.write(`${name === undefined || name === 'echo' ? 'sh' : name}: write error: ${strerror(error.code)}\n`);
    return 1;
  }
}

export function pipeSink(): Sink & { content(): Uint8Array } {
  const parts: Uint8Array[] = [];
  let length = 0;
  return {
    write(data) {
      const bytes = toBytes(data);
      length += bytes.length;
      if (length > PIPE_LIMIT) throw new SinkError('ENOMEM', `a pipe of this shell holds at most ${PIPE_LIMIT} bytes`);
      parts.push(bytes.slice());
    },
    close: () => {},
    content: () => concat(parts),
  };
}
