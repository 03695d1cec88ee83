/** Boots of a Linux 6.1 kernel, captured: the map's lines in the log, word for word and in order, and what it left in sysfs. */
import { readFileSync } from 'node:fs';
import { DEFAULT_RELEASE, KERN } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { parseE820Text } from '../src/index.js';
import { type Replay, replay } from './replay.js';

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

const cases = JSON.parse(readFileSync(new URL('data/golden-6.1.json', import.meta.url), 'utf8')) as GoldenCase[];
const finished = cases.filter((golden) => !golden.consoleOnly);

function replayCase({ e820, cmdline, maxArchPfn, pciWindows }: GoldenCase): Replay {
  return replay(parseE820Text(e820.join('\n')), cmdline, DEFAULT_RELEASE, maxArchPfn, pciWindows);
}

describe('a captured boot of Linux 6.1', () => {
  it.each(cases)('$name logs the same', (golden) => {
    const [heading, ...rest] = golden.log;
    const want = [heading!, ...golden.e820, ...rest];
    const { lines } = replayCase(golden);
    const shown = golden.consoleOnly ? lines.filter(({ level }) => level < KERN.debug).slice(0, want.length) : lines;
    expect(shown.map(({ text }) => text)).toEqual(want);
  });

  it.each(finished)('$name shows the same /sys/firmware/memmap', (golden) => {
    expect(replayCase(golden).firmwareMemmap).toEqual(golden.firmwareMemmap);
  });

  const E820_NAME = /System RAM$|Reserved$|ACPI|Persistent Memory|RAM buffer|Unusable|Unknown/;
  it.each(finished)('$name has the same ranges in /proc/iomem', (golden) => {
    const ranges = (iomem: readonly string[]): string[] => iomem.filter((range) => E820_NAME.test(range));
    expect(ranges(replayCase(golden).iomem)).toEqual(ranges(golden.iomem));
  });
});
