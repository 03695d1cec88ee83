/**
 * A drive with a volatile write cache, as hardware: what it has acknowledged and not flushed, a power cut may take back.
 *
 * A write is made of atoms, which the medium writes whole: sectors of 512 bytes, or blocks of 4 KiB. The drive may write its cached atoms
 * to the medium at any time and in any order; only a flush, or FUA for one write, says when. So after a power cut each atom holds what it
 * held at the last flush, or anything that was written to it since, whatever the others hold: NVMe Base Specification 2.0, "Volatile Write
 * Cache", and SBC-4, SYNCHRONIZE CACHE.
 *
 * Invariant: `chunks` hold what a reader sees; `open` holds, for each atom that is not on the medium for sure, what it may fall back to.
 * Invariant: an image file holds no byte that is not on the medium, and every one that is.
 */
import { KernelError, type Random, bugOn, seededRandom } from '@holdfast/lib';
import { CHUNK_SIZE, type FrozenImage, type ImageBacking, chunkRun, createFrozenLayers, frozenImage } from '@holdfast/machine';

/** What the drive is. */
export interface DriveSpec {
  readonly sizeBytes: number;
  /** Smallest request: 512 or 4096. Default 512. */
  readonly sectorBytes?: number;
  /** What the medium writes whole: a multiple of the sector, at most 4096. Default: the sector. A larger write may be torn between atoms. */
  readonly atomBytes?: number;
  /** Bytes of the cache: what exceeds it is written to the medium, oldest first. Default 16 MiB; 0: no volatile cache. */
  readonly cacheBytes?: number;
  readonly backing?: ImageBacking;
}

/** An atom whose fate is open: `images[0]` is on the medium, the last one is what a reader sees. All differ. */
export interface OpenAtom {
  readonly offset: number;
  readonly images: readonly Uint8Array[];
  /** The writes since the last flush in program order, with the image that each of them left; the first entry is the medium, serial -1. */
  readonly history: readonly { readonly serial: number; readonly image: number }[];
}

export interface Drive {
  readonly sizeBytes: number;
  readonly sectorBytes: number;
  readonly atomBytes: number;
  /** Is there a volatile cache? */
  readonly writeCache: boolean;
  /** Bytes that the medium wrote. */
  readonly bytesWritten: number;
  read(offset: number, target: Uint8Array, targetOffset: number, length: number): void;
  write(offset: number, source: Uint8Array, sourceOffset: number, length: number, fua: boolean): void;
  /** Zeros, whether trimmed or written: durable as a write is. Costs what was ever written there. */
  zero(offset: number, length: number): void;
  /** Everything acknowledged so far is on the medium when this returns. */
  flush(): void;
  /** How many bytes from `offset` on are alike, at most `length`: positive where data may be, negative where nothing was written, or all was zeroed. */
  run(offset: number, length: number): number;
  /** What a power cut now would leave open, in the order of offsets. */
  undecided(): OpenAtom[];
  /** The power fails: each open atom is left with the image of that number. Returns how many fell back. */
  applyOutcome(choices: readonly number[]): number;
  /** The same, chosen by a seed: some cuts lose all they can, some nothing. */
  powercut(seed: number): { readonly undecided: number; readonly lost: number };
  /** What the medium holds now, to be read later, however it changes meanwhile. Only when nothing is open. */
  freeze(): FrozenImage;
}

/** What an atom held before one of the writes that are open. */
interface Version {
  readonly bytes: Uint8Array;
  /** Of the write that overwrote it. */
  readonly serial: number;
}

const DEFAULT_CACHE_BYTES = 16 * 2 ** 20;
/** Contents that one atom can fall back to; of more, the oldest have reached the medium meanwhile. */
const MAX_VERSIONS = 8;

/** @throws KernelError EINVAL for a size or a unit that does not fit */
export function createDrive(spec: DriveSpec): Drive {
  const { sizeBytes, sectorBytes = 512, backing, cacheBytes = DEFAULT_CACHE_BYTES } = spec;
  const { atomBytes = sectorBytes } = spec;
  check(sizeBytes, sectorBytes, atomBytes);
  if (backing && backing.sizeBytes !== sizeBytes) throw new KernelError('EINVAL', `drive: its image has ${backing.sizeBytes} bytes, expected ${sizeBytes}`);
  const chunks = new Map<number, Uint8Array>();
  /** By atom number, in the order of the first write: what came before what `chunks` hold, the medium's content first. */
  const open = new Map<number, Version[]>();
  /** Chunks that were zeroed whole, and not written since: nothing is there, though it may be in the image still. */
  const trimmed = new Set<number>();
  const frozen = createFrozenLayers();
  let serial = 0;
  const maxOpen = Math.floor(cacheBytes / atomBytes);
  let bytesWritten = 0;

  const lengthOf = (nr: number): number => Math.min(CHUNK_SIZE, sizeBytes - nr * CHUNK_SIZE);

  /** A chunk's bytes; undefined for one that reads as zeros, unless it is to be made. */
  const chunkAt = (nr: number, make: boolean): Uint8Array | undefined => {
    const there = chunks.get(nr);
    if (there) return there;
    const saved = frozen.latest(nr);
    const empty = saved === undefined ? !backing || backing.isKnownZero(nr * CHUNK_SIZE, lengthOf(nr)) : saved === null;
    if (empty && !make) return undefined;
    const bytes = new Uint8Array(lengthOf(nr));
    if (saved) bytes.set(saved);
    else if (!empty) backing!.read(nr * CHUNK_SIZE, bytes, 0, bytes.length);
    frozen.keepOriginal(nr, empty || frozen.isEmpty ? null : bytes.slice());
    chunks.set(nr, bytes);
    return bytes;
  };

  const mayHold = (nr: number): boolean => {
    if (trimmed.has(nr)) return false;
    if (chunks.has(nr)) return true;
    const saved = frozen.latest(nr);
    return saved === undefined ? backing !== undefined && !backing.isKnownZero(nr * CHUNK_SIZE, lengthOf(nr)) : saved !== null;
  };

  const atomOf = (nr: number): Uint8Array => {
    const at = nr * atomBytes;
    const chunk = chunkAt(Math.floor(at / CHUNK_SIZE), true)!;
    return chunk.subarray(at % CHUNK_SIZE, (at % CHUNK_SIZE) + atomBytes);
  };

  /** Remember what an atom holds, before it is overwritten. */
  const keep = (nr: number): void => {
    const version = { bytes: atomOf(nr).slice(), serial };
    const versions = open.get(nr);
    if (!versions) open.set(nr, [version]);
    else if (versions.push(version) > MAX_VERSIONS) versions.shift();
  };

  /** Atoms `[from, to)` are on the medium as a reader sees them. */
  const store = (from: number, to: number): void => {
    bytesWritten += (to - from) * atomBytes;
    if (!backing) return;
    for (let at = from * atomBytes; at < to * atomBytes; ) {
      const nr = Math.floor(at / CHUNK_SIZE);
      const length = Math.min(to * atomBytes, (nr + 1) * CHUNK_SIZE) - at;
      backing.write(at, chunkAt(nr, true)!, at - nr * CHUNK_SIZE, length);
      at += length;
    }
  };

  const storeOpen = (): void => {
    const atoms = [...open.keys()].sort((a, b) => a - b);
    open.clear();
    for (let i = 0; i < atoms.length; ) {
      let end = i + 1;
      while (end < atoms.length && atoms[end] === atoms[end - 1]! + 1) end++;
      store(atoms[i]!, atoms[end - 1]! + 1);
      i = end;
    }
  };

  /** The cache is full: its oldest atoms go to the medium. */
  const evict = (): void => {
    for (const nr of open.keys()) {
      if (open.size <= maxOpen) return;
      open.delete(nr);
      store(nr, nr + 1);
    }
  };

  const copyIn = (offset: number, source: Uint8Array, sourceOffset: number, length: number): void => {
    for (let done = 0; done < length; ) {
      const nr = Math.floor((offset + done) / CHUNK_SIZE);
      const within = offset + done - nr * CHUNK_SIZE;
      const count = Math.min(length - done, CHUNK_SIZE - within);
      trimmed.delete(nr);
      chunkAt(nr, true)!.set(source.subarray(sourceOffset + done, sourceOffset + done + count), within);
      done += count;
    }
  };

  /** Let `change` overwrite a range of whole sectors: through the cache, or at once. */
  const overwrite = (offset: number, length: number, durable: boolean, change: () => void): void => {
    const first = Math.floor(offset / atomBytes);
    const end = Math.ceil((offset + length) / atomBytes);
    if (durable || maxOpen === 0) {
      for (let nr = first; nr < end; nr++) open.delete(nr);
      change();
      store(first, end);
      return;
    }
    for (let nr = first; nr < end; nr++) keep(nr);
    serial++;
    change();
    if (open.size > maxOpen) evict();
  };

  const undecided = (): OpenAtom[] =>
    [...open.entries()]
      .sort(([a], [b]) => a - b)
      .map(([nr, versions]) => ({ offset: nr * atomBytes, ...distinctImages(versions, atomOf(nr).slice()) }))
      .filter(({ images }) => images.length > 1);

  const fail = (atoms: readonly OpenAtom[], choose: (atom: OpenAtom, i: number) => number): number => {
    let lost = 0;
    atoms.forEach((atom, i) => {
      const choice = choose(atom, i);
      if (choice === atom.images.length - 1) return;
      lost++;
      copyIn(atom.offset, atom.images[choice]!, 0, atomBytes);
    });
    storeOpen();
    return lost;
  };

  return {
    sizeBytes,
    sectorBytes,
    atomBytes,
    writeCache: maxOpen > 0,
    get bytesWritten() {
      return bytesWritten;
    },
    read(offset, target, targetOffset, length) {
      for (let done = 0; done < length; ) {
        const nr = Math.floor((offset + done) / CHUNK_SIZE);
        const within = offset + done - nr * CHUNK_SIZE;
        const count = Math.min(length - done, CHUNK_SIZE - within);
        const chunk = chunkAt(nr, false);
        const at = targetOffset + done;
        if (chunk) target.set(chunk.subarray(within, within + count), at);
        else target.fill(0, at, at + count);
        done += count;
      }
    },
    write: (offset, source, sourceOffset, length, fua) => overwrite(offset, length, fua, () => copyIn(offset, source, sourceOffset, length)),
    zero(offset, length) {
      for (let done = 0; done < length; ) {
        const nr = Math.floor((offset + done) / CHUNK_SIZE);
        const within = offset + done - nr * CHUNK_SIZE;
        const count = Math.min(length - done, CHUNK_SIZE - within);
        const chunk = chunkAt(nr, false);
        if (chunk) {
          overwrite(offset + done, count, false, () => chunk.fill(0, within, within + count));
          if (count === lengthOf(nr)) trimmed.add(nr);
        }
        done += count;
      }
    },
    flush: storeOpen,
    run: (offset, length) => chunkRun(offset, length, mayHold),
    undecided,
    applyOutcome(choices) {
      const atoms = undecided();
      if (choices.length !== atoms.length) throw new KernelError('EINVAL', `drive: ${choices.length} choices for ${atoms.length} open atoms`);
      atoms.forEach(({ offset, images }, i) => {
        if (images[choices[i]!] === undefined) {
          throw new KernelError('EINVAL', `drive: choice ${choices[i]} for the atom at ${offset}, expected 0 to ${images.length - 1}`);
        }
      });
      return fail(atoms, (_, i) => choices[i]!);
    },
    powercut(seed) {
      const atoms = undecided();
      return { undecided: atoms.length, lost: fail(atoms, chooser(seededRandom(seed))) };
    },
    freeze() {
      bugOn(open.size > 0, `drive: ${open.size} atoms are open`);
      const layer = frozen.freeze(chunks);
      chunks.clear();
      return frozenImage(frozen, layer, { sizeBytes, phase: 0, backing });
    },
  };
}

/** Each content once, the newest last; and which write left which. */
function distinctImages(versions: readonly Version[], now: Uint8Array): Pick<OpenAtom, 'images' | 'history'> {
  const states = [...versions.map(({ bytes }) => bytes), now];
  const images = states.filter((image, i) => !states.slice(i + 1).some((later) => same(image, later)));
  const history = states.map((state, i) => ({ serial: i === 0 ? -1 : versions[i - 1]!.serial, image: images.findIndex((image) => same(image, state)) }));
  return { images, history };
}

/** One cut in eight loses all it can, one in eight nothing; the others have odds of their own. */
function chooser(random: Random): (atom: OpenAtom) => number {
  const kind = random.below(8);
  const keep = kind === 0 ? 0 : kind === 1 ? 256 : random.below(256);
  return ({ images }) => {
    if (random.below(256) < keep) return images.length - 1;
    return kind === 0 ? 0 : random.below(images.length - 1);
  };
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

function check(sizeBytes: number, sectorBytes: number, atomBytes: number): void {
  if (sectorBytes !== 512 && sectorBytes !== 4096) throw new KernelError('EINVAL', `drive: sectors of ${sectorBytes} bytes, expected 512 or 4096`);
  if (atomBytes < sectorBytes || atomBytes > 4096 || 4096 % atomBytes !== 0 || atomBytes % sectorBytes !== 0) {
    throw new KernelError('EINVAL', `drive: atoms of ${atomBytes} bytes, expected a multiple of the sector that divides 4096`);
  }
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes <= 0 || sizeBytes % 4096 !== 0) {
    throw new KernelError('EINVAL', `drive: ${sizeBytes} bytes, expected a multiple of 4096 above 0`);
  }
}
