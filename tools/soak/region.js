/**
 * A part of a disk that one connection has to itself, and what each of its blocks may hold: the newest content always, and after a power
 * cut any that was written since it was last durable.
 *
 * A content is a generation, in each of the block's 8-byte words beside the block's number; generation 0 is zeros.
 */
export const BLOCK_BYTES = 4096;

export function createRegion(first, nrBlocks) {
  let generation = 0;
  /** By block: the generations that it may have, the newest last. */
  const versions = Array.from({ length: nrBlocks }, () => [0]);
  /** How many older ones it cannot have any more: versions are counted from the first that ever was. */
  const dropped = new Float64Array(nrBlocks);
  const busy = new Uint8Array(nrBlocks);

  /** Forget the versions of a block before number `nr`, but not the newest. */
  const forget = (block, nr) => {
    const list = versions[block];
    const count = Math.min(nr - dropped[block], list.length - 1);
    if (count <= 0) return;
    list.splice(0, count);
    dropped[block] += count;
  };

  const fill = (bytes, at, block, gen) => {
    for (let i = at; i < at + BLOCK_BYTES; i += 8) {
      bytes.writeUInt32LE(gen === 0 ? 0 : first + block, i);
      bytes.writeUInt32LE(gen, i + 4);
    }
  };

  return {
    nrBlocks,
    offsetOf: (block) => (first + block) * BLOCK_BYTES,
    /** Take `[block, block + count)` for one request; false if another one is on its way there. */
    take(block, count) {
      for (let i = block; i < block + count; i++) if (busy[i] !== 0) return false;
      busy.fill(1, block, block + count);
      return true;
    },
    release: (block, count) => void busy.fill(0, block, block + count),
    releaseAll: () => void busy.fill(0),
    /** A new content for these blocks, which they may have from now on; zeros if told so. */
    next(block, count, zeros) {
      const gen = zeros ? 0 : ++generation;
      const bytes = Buffer.alloc(count * BLOCK_BYTES);
      for (let i = 0; i < count; i++) {
        versions[block + i].push(gen);
        fill(bytes, i * BLOCK_BYTES, block + i, gen);
      }
      return bytes;
    },
    /** What was written to these blocks last is durable. */
    settle(block, count) {
      for (let i = block; i < block + count; i++) forget(i, Infinity);
    },
    /** Call when a flush is sent; the returned function, when it was answered: what had been answered before is durable. */
    beginFlush() {
      // What is on its way may be newer than the flush, so that the content before it stays possible.
      const covered = versions.map((list, i) => dropped[i] + list.length - 1 - busy[i]);
      return () => covered.forEach((nr, i) => forget(i, nr));
    },
    /** Do these bytes hold the newest content? */
    isNewest(bytes, block, count) {
      const wanted = Buffer.alloc(count * BLOCK_BYTES);
      for (let i = 0; i < count; i++) fill(wanted, i * BLOCK_BYTES, block + i, versions[block + i].at(-1));
      return bytes.equals(wanted);
    },
    /** After a power cut: is each word of the region one that it may hold? */
    isAdmissible(bytes) {
      for (let block = 0; block < nrBlocks; block++) {
        const allowed = new Set(versions[block]);
        for (let i = block * BLOCK_BYTES; i < (block + 1) * BLOCK_BYTES; i += 8) {
          const gen = bytes.readUInt32LE(i + 4);
          if (!allowed.has(gen) || bytes.readUInt32LE(i) !== (gen === 0 ? 0 : first + block)) return false;
        }
      }
      return true;
    },
  };
}
