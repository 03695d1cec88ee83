import { GIB, MIB } from '@holdfast/lib';
import { describe, expect, it } from 'vitest';
import { parseCrashkernel } from './crash-reserve.js';

describe('parseCrashkernel', () => {
  it.each([
    { text: '128M', ram: GIB, want: { sizeBytes: 128 * MIB, base: 0, high: false } },
    { text: '64M@16M', ram: GIB, want: { sizeBytes: 64 * MIB, base: 16 * MIB, high: false } },
    { text: '256M,high', ram: GIB, want: { sizeBytes: 256 * MIB, base: 0, high: true } },
    { text: '1G-4G:192M,4G-64G:256M,64G-:512M', ram: 3 * GIB, want: { sizeBytes: 192 * MIB, base: 0, high: false } },
    { text: '1G-4G:192M,4G-64G:256M,64G-:512M', ram: 4 * GIB, want: { sizeBytes: 256 * MIB, base: 0, high: false } },
    { text: '1G-4G:192M,4G-64G:256M,64G-:512M', ram: 1536 * GIB, want: { sizeBytes: 512 * MIB, base: 0, high: false } },
    { text: '1G-:64M@32M', ram: 2 * GIB, want: { sizeBytes: 64 * MIB, base: 32 * MIB, high: false } },
    { text: '2G-:64M', ram: GIB, want: undefined },
    { text: 'lots', ram: GIB, want: undefined },
    { text: '128Mx', ram: GIB, want: undefined },
    { text: '', ram: GIB, want: undefined },
  ])("reads '$text' on a machine with $ram bytes", ({ text, ram, want }) => expect(parseCrashkernel(text, ram)).toEqual(want));
});
