/**
 * The bytes of a stream, taken in exact numbers by code that reads from top to bottom: a generator yields how many bytes it wants next, and
 * gets them once they have come.
 */

/** Yields how many bytes it wants, and is resumed with them. They may be a view of what was received. */
export type Reading<T> = Generator<number, T, Buffer>;

export interface ByteQueue<T> {
  /** More has come. @returns the end of the reading, once it is reached @throws what the reading throws */
  push(data: Buffer): { readonly value: T } | undefined;
  /** What came behind the end of the reading, or before it is reached. */
  rest(): Buffer;
}

export function createByteQueue<T>(reading: Reading<T>): ByteQueue<T> {
  let parts: Buffer[] = [];
  let held = 0;
  let wanted = reading.next();

  const take = (length: number): Buffer => {
    const all = parts.length === 1 ? parts[0]! : Buffer.concat(parts);
    parts = all.length > length ? [all.subarray(length)] : [];
    held -= length;
    return all.subarray(0, length);
  };

  return {
    push(data) {
      parts.push(data);
      held += data.length;
      while (!wanted.done && held >= wanted.value) wanted = reading.next(take(wanted.value));
      return wanted.done ? { value: wanted.value } : undefined;
    },
    rest: () => take(held),
  };
}
