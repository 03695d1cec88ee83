import { KernelError } from '@holdfast/lib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nodeLines, synthUevent, ueventFile } from './sysfs-uevent.js';

function fileWith(log: string[]): ReturnType<typeof ueventFile> {
  return ueventFile({ devpath: '/devices/x/pmem0', who: () => 'block pmem0', lines: () => nodeLines(259, 0, 'pmem0'), printk: (line) => void log.push(line) });
}

describe('the file uevent', () => {
  it('says what events of the device say', () => {
    expect(fileWith([]).read!()).toBe('MAJOR=259\nMINOR=0\nDEVNAME=pmem0\n');
  });

  it.each(['add', 'change\n', 'remove', 'offline', 'bind', 'add fe4d7c9d-b8c6-4a70-9ef1-3d8a58d18eed', 'add fe4d7c9d-b8c6-4a70-9ef1-3d8a58d18eed A=1 B=abc\n'])('takes %j', (text) => {
    const log: string[] = [];
    fileWith(log).write!(text);
    expect(log).toEqual([]);
  });

  it.each([
    ['bogus', 'unknown uevent action string'],
    ['', 'unknown uevent action string'],
    ['ADD', 'unknown uevent action string'],
    ['add 12', 'incorrect uevent action arguments'],
    ['add fe4d7c9d-b8c6-4a70-9ef1-3d8a58d18eed A', 'incorrect uevent action arguments'],
  ])('refuses %j with two lines in the log', (text, why) => {
    const log: string[] = [];
    expect(() => fileWith(log).write!(text)).toThrow(KernelError);
    expect(log).toEqual([`synth uevent: /devices/x/pmem0: ${why}`, 'block pmem0: uevent: failed to send synthetic uevent: -22']);
  });

  it('of a bus tells the log one', () => {
    const log: string[] = [];
    expect(() => synthUevent('/bus/nd', (line) => void log.push(line)).write!('no')).toThrow(KernelError);
    expect(log).toEqual(['synth uevent: /bus/nd: unknown uevent action string']);
  });

  it('answers any text by nothing or by EINVAL', () => {
    fc.assert(fc.property(fc.string(), (text) => {
      try {
        fileWith([]).write!(text);
      } catch (error) {
        expect((error as KernelError).code).toBe('EINVAL');
      }
    }));
  });
});
