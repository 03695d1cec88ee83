/**
 * Bytes of a block device as metadata code sees them: blocks that are read, changed and written back somewhere.
 * Mirrors what fs/buffer.c is to file systems; `mkfs` works through the same interface from user space.
 */
export interface BlockStore {
  readonly sizeBytes: number;
  /** A copy of `length` bytes at byte `at`. @throws KernelError EIO */
  read(at: number, length: number): Uint8Array;
  /** Write; the bytes are the caller's again afterwards. @throws KernelError EIO */
  write(at: number, bytes: Uint8Array): void;
  /** Write zeros. @throws KernelError EIO */
  zero(at: number, length: number): void;
}

/** A device in memory, that holds what was written of it: for images of any size, and tests. */
export function createMemoryStore(sizeBytes: number): BlockStore & { readonly pages: ReadonlyMap<number, Uint8Array> } {
  const pages = new Map<number, Uint8Array>();
  const eachPage = (at: number, length: number, use: (index: number, from: number, done: number, count: number) => void): void => {
    for (let done = 0; done < length;) {
      const from = (at + done) % PAGE;
      const count = Math.min(PAGE - from, length - done);
      use(Math.floor((at + done) / PAGE), from, done, count);
      done += count;
    }
  };
  return {
    sizeBytes,
    pages,
    read(at, length) {
      const bytes = new Uint8Array(length);
      eachPage(at, length, (index, from, done, count) => {
        const page = pages.get(index);
        if (page) bytes.set(page.subarray(from, from + count), done);
      });
      return bytes;
    },
    write(at, bytes) {
      eachPage(at, bytes.length, (index, from, done, count) => {
        let page = pages.get(index);
        if (!page) pages.set(index, (page = new Uint8Array(PAGE)));
        page.set(bytes.subarray(done, done + count), from);
      });
    },
    zero(at, length) {
      eachPage(at, length, (index, from, _done, count) => pages.get(index)?.fill(0, from, from + count));
    },
  };
}

const PAGE = 4096;
