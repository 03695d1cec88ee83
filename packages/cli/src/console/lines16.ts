/**
 * Bytes in lines of 16, as hexdump and od show them: a run of lines equal to the one before becomes one `repeated` line.
 */
export interface Line16 {
  /** Of the line's first byte. */
  readonly offset: number;
  readonly bytes: Uint8Array;
  readonly repeated: boolean;
}

/** The last line tells where the bytes end; it may be empty. Each line is used before the next is asked for. */
export function* lines16(pieces: Iterable<Uint8Array>, start: number, squeeze: boolean): Generator<Line16> {
  const line = new Uint8Array(16);
  const before = new Uint8Array(16);
  let filled = 0;
  let offset = start;
  let same = false;
  let any = false;
  for (const piece of pieces) {
    for (let at = 0; at < piece.length; ) {
      const count = Math.min(16 - filled, piece.length - at);
      line.set(piece.subarray(at, at + count), filled);
      filled += count;
      at += count;
      if (filled < 16) continue;
      const equal = squeeze && any && line.every((byte, index) => byte === before[index]);
      if (!equal) yield { offset, bytes: line, repeated: false };
      else if (!same) yield { offset, bytes: line, repeated: true };
      same = equal;
      any = true;
      before.set(line);
      offset += 16;
      filled = 0;
    }
  }
  yield { offset, bytes: line.subarray(0, filled), repeated: false };
}
