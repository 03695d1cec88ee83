/** Boots of a Linux 6.1 kernel, captured: the map's lines in the log, word for word and in order, and what it left in sysfs. */
import { readFileSync } from 'node:fs';
import { DEFAULT_RELEASE, KERN } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { parseE820Text } from '../src/index.js';
import { replay } from './replay.js';

interface GoldenCase {
  readonly name: string;
  readonly cmdline: string;
  readonly maxArchPfn: number;
  /** The boot died early, and the log is what came over the console: no debug lines, and nothing after the map. */
  readonly consoleOnly: boolean;
  readonly e820: string[];
  readonly log: string[];
  readonly firmwareMemmap: string[];
  readonly iomem: string[];
  readonly pciWindows: string[];
}

const file = process.env.GOLDEN ?? new URL('data/golden-6.1.json', import.meta.url);
const cases = JSON.parse(readFileSync(file, 'utf8')) as GoldenCase[];

describe('a captured boot of Linux 6.1', () => {
  it.each(cases)('$name logs the same', ({ cmdline, maxArchPfn, consoleOnly, e820, log }) => {
    const { lines } = replay(parseE820Text(e820.join('\n')), cmdline, DEFAULT_RELEASE, maxArchPfn);
    const [heading, ...rest] = log;
    const want = [heading!, ...e820, ...rest];
    const texts = lines.filter(({ level }) => !consoleOnly || level < KERN.debug).map(({ text }) => text);
    expect(consoleOnly ? texts.slice(0, want.length) : texts).toEqual(want);
  });

  it.each(cases.filter((golden) => !golden.consoleOnly))('$name shows the same /sys/firmware/memmap', ({ cmdline, maxArchPfn, e820, firmwareMemmap }) => {
    expect(replay(parseE820Text(e820.join('\n')), cmdline, DEFAULT_RELEASE, maxArchPfn).firmwareMemmap).toEqual(firmwareMemmap);
  });

  const E820_NAME = /System RAM$|Reserved$|ACPI|Persistent Memory|RAM buffer|Unusable|Unknown/;
  it.each(cases.filter((golden) => !golden.consoleOnly))('$name has the same ranges in /proc/iomem', ({ cmdline, maxArchPfn, e820, iomem, pciWindows }) => {
    const got = replay(parseE820Text(e820.join('\n')), cmdline, DEFAULT_RELEASE, maxArchPfn, pciWindows).iomem;
    expect(got.filter((line) => E820_NAME.test(line))).toEqual(iomem.filter((line) => E820_NAME.test(line)));
  });
});
