import { KernelPanic, physAddr } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { type Machine, createDram, createMachine, createNvdimm } from './index.js';

const NV = 0x1_0000_0000;
const SIZE = 4 * 1024 * 1024;

function machine(): Machine {
  return createMachine({ media: [{ start: 0, medium: createDram(SIZE) }, { start: NV, medium: createNvdimm({ sizeBytes: SIZE }) }] });
}

describe('poison', () => {
  it('takes the lines that it touches, and gives back those that a clear covers whole', () => {
    const { poison } = machine();
    poison.inject(NV + 100, 30);
    expect(poison.within(0, NV + SIZE)).toEqual([{ start: NV + 64, end: NV + 192 }]);
    poison.clear(NV + 65, 127);
    expect(poison.within(NV, SIZE)).toEqual([{ start: NV + 64, end: NV + 128 }]);
    poison.clear(NV, 4096);
    expect(poison.within(NV, SIZE)).toEqual([]);
  });

  it('is no matter of volatile memory', () => {
    const { poison } = machine();
    poison.inject(4096, 64);
    expect(poison.within(0, SIZE)).toEqual([]);
  });

  it('stops a load that is ready for it at the first lost line, and is told', () => {
    const host = machine();
    const mapping = host.cpu.map(physAddr(NV), SIZE, 'WB');
    mapping.writeFlushCache(0, new Uint8Array(512).fill(7), 0, 512);
    host.poison.inject(NV + 256, 64);
    const checks: number[] = [];
    const quiet = host.onMachineCheck((addr) => checks.push(addr));
    const target = new Uint8Array(512);
    expect([mapping.readRecoverable(0, target, 0, 512), target[255], target[256]]).toEqual([256, 7, 0]);
    expect([mapping.readRecoverable(300, target, 0, 100), mapping.readRecoverable(320, target, 0, 100)]).toEqual([100, 0]);
    expect(checks).toEqual([NV + 256, NV + 256]);
    quiet();
    mapping.readRecoverable(256, target, 0, 1);
    expect(checks).toHaveLength(2);
    expect(() => mapping.read(0, target, 0, 512)).toThrow(KernelPanic);
    expect(() => mapping.read(0, target, 0, 256)).not.toThrow();
  });

  it('outlives power cycles and stores, and goes with its medium to another slot', () => {
    const host = machine();
    const medium = host.mediumAt(physAddr(NV))!;
    host.poison.inject(NV + 8192, 512);
    host.onMachineCheck(() => expect.unreachable('a listener of the kernel before'));
    host.powercut(1);
    host.poweroff();
    const mapping = host.cpu.map(physAddr(NV), SIZE, 'WB');
    mapping.writeFlushCache(8192, new Uint8Array(512), 0, 512);
    expect(mapping.readRecoverable(8192, new Uint8Array(512), 0, 512)).toBe(512);
    host.detach(medium);
    expect(host.poison.within(NV, SIZE)).toEqual([]);
    host.attach({ start: 2 * NV, medium });
    expect(host.poison.within(2 * NV, SIZE)).toEqual([{ start: 2 * NV + 8192, end: 2 * NV + 8704 }]);
  });
});

describe('timers', () => {
  it('run at their times while somebody waits, and not after the power was gone', () => {
    const { clock, poweroff } = machine();
    const log: string[] = [];
    const note = (name: string) => (): void => void log.push(`${name} ${clock.now}`);
    clock.after(30, note('c'));
    clock.after(10, () => (note('a')(), clock.after(10, note('b'))));
    clock.after(20, note('never'))();
    clock.advance(25);
    expect([log, clock.now]).toEqual([['a 10', 'b 20'], 25]);
    poweroff();
    clock.advance(100);
    expect(log).toHaveLength(2);
  });
});
