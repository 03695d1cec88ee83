/**
 * The persistency model again, simple and slow: for every line and word, the list of images that a power cut may leave, kept forwards
 * from the rules and without any undo. One medium at address 0; the newest image is always the last of a list.
 */
const LINE = 64;
const WORD = 8;

interface LineModel {
  /** Open stores to the line are cached ones: what each prefix of them leaves. One entry when nothing is open. */
  cached: Uint8Array[];
  /** Open stores to word w are combining ones: what each prefix leaves. */
  words: Uint8Array[][];
}

export type Access = 'cached' | 'combining' | 'through' | 'uncached';

export class PersistencyModel {
  readonly #lines: LineModel[];
  /** Flushes that wait for the fence: line, and how many of its images were there. */
  #pending: { line: LineModel; image: Uint8Array }[] = [];
  readonly #cachesArePersistent: boolean;

  constructor(sizeBytes: number, cachesArePersistent = false) {
    this.#cachesArePersistent = cachesArePersistent;
    this.#lines = Array.from({ length: sizeBytes / LINE }, () => ({
      cached: [new Uint8Array(LINE)],
      words: Array.from({ length: LINE / WORD }, () => [new Uint8Array(WORD)]),
    }));
  }

  store(access: Access, at: number, bytes: Uint8Array): void {
    if (access === 'uncached') for (const line of this.#lines) settleWords(line);
    for (let done = 0; done < bytes.length; ) {
      const length = Math.min(bytes.length - done, WORD - ((at + done) % WORD));
      this.#storeWord(access, at + done, bytes.subarray(done, done + length));
      done += length;
    }
  }

  flush(at: number, length: number): void {
    for (const line of this.#linesOf(at, length)) this.#pending.push({ line, image: line.cached.at(-1)! });
  }

  flushNow(at: number, length: number): void {
    for (const line of this.#linesOf(at, length)) settle(line);
  }

  fence(): void {
    for (const { line, image } of this.#pending) {
      const from = line.cached.indexOf(image);
      if (from > 0) line.cached.splice(0, from);
    }
    this.#pending = [];
    for (const line of this.#lines) settleWords(line);
  }

  clone(): PersistencyModel {
    const copy = new PersistencyModel(0, this.#cachesArePersistent);
    copy.#lines.push(...this.#lines.map(({ cached, words }) => ({ cached: [...cached], words: words.map((images) => [...images]) })));
    return copy; // without the pending flushes: it is only asked what is legal
  }

  /** What a line or word may hold, without duplicates; words are those with open combining stores. */
  undecided(): { addr: number; images: string[] }[] {
    return this.#lines.flatMap((line, nr) => {
      const asLine = [{ addr: nr * LINE, images: distinct(line.cached) }];
      const asWords = line.words.map((images, w) => ({ addr: nr * LINE + w * WORD, images: distinct(images) }));
      return (line.cached.length > 1 ? asLine : asWords).filter(({ images }) => images.length > 1);
    });
  }

  /** The first address that holds what the model forbids, or undefined. */
  firstIllegal(media: Uint8Array): number | undefined {
    const nr = this.#lines.findIndex((_, i) => !this.isLegalLine(i, media));
    return nr < 0 ? undefined : nr * LINE;
  }

  /** May line `nr` be left as `media` has it? */
  isLegalLine(nr: number, media: Uint8Array): boolean {
    const { cached, words } = this.#lines[nr]!;
    const held = media.subarray(nr * LINE, (nr + 1) * LINE);
    if (cached.length > 1) return cached.some((image) => same(image, held));
    return words.every((images, w) => images.some((image) => same(image, held.subarray(w * WORD, (w + 1) * WORD))));
  }

  #storeWord(access: Access, at: number, bytes: Uint8Array): void {
    const line = this.#lines[Math.floor(at / LINE)]!;
    if (access === 'combining') settleCached(line);
    else settleWords(line);
    const image = line.cached.at(-1)!.slice();
    image.set(bytes, at % LINE);
    const w = Math.floor((at % LINE) / WORD);
    if (access === 'combining') {
      line.words[w]!.push(image.slice(w * WORD, (w + 1) * WORD));
      line.cached = [image];
      return;
    }
    line.cached.push(image);
    if (access !== 'cached' || this.#cachesArePersistent) settleCached(line);
    line.words = wordsOf(image);
  }

  #linesOf(at: number, length: number): LineModel[] {
    return length === 0 ? [] : this.#lines.slice(Math.floor(at / LINE), Math.ceil((at + length) / LINE));
  }
}

function settle(line: LineModel): void {
  settleCached(line);
  settleWords(line);
}

function settleCached(line: LineModel): void {
  line.cached = [line.cached.at(-1)!];
}

function settleWords(line: LineModel): void {
  line.words = line.words.map((images) => [images.at(-1)!]);
}

function wordsOf(image: Uint8Array): Uint8Array[][] {
  return Array.from({ length: LINE / WORD }, (_, w) => [image.slice(w * WORD, (w + 1) * WORD)]);
}

function distinct(images: readonly Uint8Array[]): string[] {
  return [...new Set(images.map(String))].sort();
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.every((byte, i) => byte === b[i]);
}
