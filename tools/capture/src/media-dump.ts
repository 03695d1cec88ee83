/**
 * The metadata on a backing file, as text: the first 64 KiB of each persistent range, info blocks wherever they are, the head of a BTT's map and
 * log, the label area. Lines are `offset: 32 bytes in hex`; lines of zeroes are left out, and `*N` stands for N more lines like the one before.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** Bytes of a file, half-open. */
export interface MediaRange {
  readonly start: number;
  readonly end: number;
}

export interface MediaLayout {
  /** What is persistent. */
  readonly ranges: readonly MediaRange[];
  /** The label area at the end of the file, behind them; 0 if it has none. */
  readonly labelBytes: number;
}

interface Area {
  readonly name: string;
  readonly offset: number;
  readonly length: number;
  /** Lines behind it. */
  readonly notes?: readonly string[];
}

type Read = (offset: number, length: number) => Buffer;

const HEAD_BYTES = 64 * 2 ** 10;
const BLOCK = 4096;
const LOG_HEAD_BYTES = 1024;
const LINE = 32;
const STEP = 2 ** 20;
const SIGNATURES = [['pfn-info', 'NVDIMM_PFN_INFO'], ['dax-info', 'NVDIMM_DAX_INFO'], ['btt-info', 'BTT_ARENA_INFO']] as const;
/** Offsets of an arena's parts, relative to its info block: where in it they stand (Linux: struct btt_sb). */
const ARENA_PARTS = { nextoff: 80, dataoff: 88, mapoff: 96, logoff: 104, info2off: 112 };

export function dumpMedia(path: string, { ranges, labelBytes }: MediaLayout): string {
  const file = openSync(path, 'r');
  try {
    const { size } = fstatSync(file);
    const read: Read = (offset, length) => {
      const buffer = Buffer.alloc(length);
      readSync(file, buffer, 0, length, offset);
      return buffer;
    };
    const lines = [`# size ${size}`];
    for (const range of ranges) {
      lines.push(`# range ${range.start}-${range.end - 1}`);
      const areas = areasOf(read, range).sort((a, b) => a.offset - b.offset);
      for (const area of areas) lines.push(...areaLines(read, area));
    }
    if (labelBytes > 0) lines.push(...areaLines(read, { name: 'label-area', offset: size - labelBytes, length: labelBytes }));
    return `${lines.join('\n')}\n`;
  } finally {
    closeSync(file);
  }
}

function areasOf(read: Read, range: MediaRange): Area[] {
  const areas: Area[] = [];
  const inRange = ({ offset, length }: Area): boolean => offset >= range.start && offset + length <= range.end;
  const headEnd = Math.min(range.start + HEAD_BYTES, range.end);
  const headNotes: string[] = [];
  for (const { name, offset } of infoBlocks(read, range)) {
    const parts = name === 'btt-info' ? arenaParts(read(offset, BLOCK)) : {};
    const notes = Object.entries(parts).map(([part, value]) => `# btt at ${offset}: ${part}=${value}`);
    if (offset < headEnd) headNotes.push(...notes);
    else areas.push({ name, offset, length: BLOCK, notes });
    if (name !== 'btt-info') continue;
    areas.push(
      { name: 'btt-map-head', offset: offset + parts['mapoff']!, length: BLOCK },
      { name: 'btt-log-head', offset: offset + parts['logoff']!, length: LOG_HEAD_BYTES },
    );
  }
  return [{ name: 'head', offset: range.start, length: headEnd - range.start, notes: headNotes }, ...areas.filter(inRange)];
}

function arenaParts(info: Buffer): Record<string, number> {
  return Object.fromEntries(Object.entries(ARENA_PARTS).map(([name, place]) => [name, Number(info.readBigUInt64LE(place))]));
}

/** A sparse file of many gigabytes is read once, in steps. */
function* infoBlocks(read: Read, { start, end }: MediaRange): Generator<{ name: string; offset: number }> {
  for (let from = start; from < end; from += STEP) {
    const step = read(from, Math.min(STEP, end - from));
    for (let block = 0; block < step.length; block += BLOCK) {
      const found = SIGNATURES.find(([, text]) => step.toString('latin1', block, block + text.length) === text);
      if (found) yield { name: found[0], offset: from + block };
    }
  }
}

/** Nothing of an area that holds only zeroes. */
function areaLines(read: Read, { name, offset, length, notes = [] }: Area): string[] {
  const lines = hexLines(read(offset, length), offset);
  return lines.length === 0 ? [] : [`[${name} offset=${offset} length=${length}]`, ...lines, ...notes];
}

export function hexLines(bytes: Buffer, offset: number): string[] {
  const lines: string[] = [];
  let [last, repeats] = ['', 0];
  for (let at = 0; at < bytes.length; at += LINE) {
    const hex = bytes.toString('hex', at, Math.min(at + LINE, bytes.length));
    const isZero = /^0*$/.test(hex);
    if (hex === last && !isZero) {
      repeats++;
      continue;
    }
    if (repeats > 0) lines.push(`*${repeats}`);
    [last, repeats] = [hex, 0];
    if (!isZero) lines.push(`${(offset + at).toString(16).padStart(10, '0')}: ${hex}`);
  }
  if (repeats > 0) lines.push(`*${repeats}`);
  return lines;
}
