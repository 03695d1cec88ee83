import { KERN } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { type LogLine, createKernelLog, formatLogLine } from './kernel-log.js';

describe('the kernel log', () => {
  it('keeps lines in order, with their virtual time and level, and shows each to the console', () => {
    let now = 0;
    const seen: LogLine[] = [];
    const log = createKernelLog(() => now, (line) => seen.push(line));
    log.printk('first');
    now = 1_234_567_890;
    log.printk('second', KERN.debug);
    expect(log.lines).toEqual([
      { ns: 0, level: 6, text: 'first' },
      { ns: 1_234_567_890, level: 7, text: 'second' },
    ]);
    expect(seen).toEqual(log.lines);
    expect(log.lines.map(formatLogLine)).toEqual(['[    0.000000] first', '[    1.234567] second']);
  });
});
