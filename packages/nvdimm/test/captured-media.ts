/**
 * Reads the dumps in test-data: what a Linux 6.1 with ndctl 76 left on its media, one line for each 32 bytes that are not zero.
 */
import { readFileSync } from 'node:fs';

const LINE = 32;

export interface CapturedSection {
  /** Such as `label-area`, `btt-info` or `head`. */
  name: string;
  offset: number;
  length: number;
}

export interface CapturedMedia {
  sections: CapturedSection[];
  /** Where the pmem lies in the dumped file. */
  rangeStart: number;
  /** Bytes of the file; what was not dumped reads as zeros. */
  read(offset: number, length: number): Uint8Array;
}

export function capturedMedia(name: string): CapturedMedia {
  const text = readFileSync(new URL(`../test-data/${name}.txt`, import.meta.url), 'utf8');
  const lines = new Map<number, Uint8Array>();
  const sections: CapturedSection[] = [];
  let rangeStart = 0;
  let last = 0;
  for (const line of text.split('\n')) {
    const range = /^# range (\d+)-/.exec(line);
    const section = /^\[(\S+) offset=(\d+) length=(\d+)\]$/.exec(line);
    const bytes = /^([0-9a-f]+): ([0-9a-f]+)$/.exec(line);
    const repeat = /^\*(\d+)$/.exec(line);
    if (range) rangeStart = Number(range[1]);
    else if (section) sections.push({ name: section[1]!, offset: Number(section[2]), length: Number(section[3]) });
    else if (bytes) lines.set((last = parseInt(bytes[1]!, 16)), Uint8Array.from(bytes[2]!.match(/../g)!, (pair) => parseInt(pair, 16)));
    else if (repeat) for (let again = Number(repeat[1]); again > 0; again--) lines.set(last + LINE, lines.get((last += LINE) - LINE)!);
  }
  const read = (offset: number, length: number): Uint8Array => {
    const target = new Uint8Array(length);
    for (let at = 0; at < length; at++) target[at] = lines.get(Math.floor((offset + at) / LINE) * LINE)?.[(offset + at) % LINE] ?? 0;
    return target;
  };
  return { sections, rangeStart, read };
}

/** The first section of that name. */
export function capturedSection(media: CapturedMedia, name: string): Uint8Array {
  const { offset, length } = media.sections.find((section) => section.name === name)!;
  return media.read(offset, length);
}

/** What is not zero, as lines to compare: fast, and a difference shows where it is. */
export function mediaLines(bytes: Uint8Array): string[] {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += LINE) {
    const line = bytes.subarray(at, at + LINE);
    if (line.some((byte) => byte !== 0)) lines.push(`${at.toString(16)}: ${Buffer.from(line).toString('hex')}`);
  }
  return lines;
}
