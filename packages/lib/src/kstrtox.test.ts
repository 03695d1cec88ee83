import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KernelError } from './kernel-error.js';
import { parseBool, parseInteger, parseU64 } from './kstrtox.js';

describe('parseBool', () => {
  it.each(['Y', 'y', '1', 'on', 'ON\n', 'yes', '1abc'])('reads %j as true', (text) => expect(parseBool(text)).toBe(true));
  it.each(['N', 'n', '0', 'off', 'oF', 'no\n'])('reads %j as false', (text) => expect(parseBool(text)).toBe(false));
  it.each(['', '\n', 'o', 'true', ' 1', '2'])('refuses %j with EINVAL', (text) => {
    expect(() => parseBool(text)).toThrow(expect.objectContaining({ code: 'EINVAL' }));
  });
});

describe('parseInteger', () => {
  it.each([
    ['301', 301], ['0', 0], ['-7\n', -7], ['+7', 7], ['0x1F', 31], ['010', 8], ['-0', 0], ['2147483647', 2147483647],
  ])('reads %j as %d', (text, want) => expect(parseInteger(text, -(2 ** 31), 2 ** 31 - 1)).toBe(want));
  it.each([
    ['', 'EINVAL'], ['1 ', 'EINVAL'], ['08', 'EINVAL'], ['0x', 'EINVAL'], ['1k', 'EINVAL'], ['1\n\n', 'EINVAL'],
    ['2147483648', 'ERANGE'], ['-2147483649', 'ERANGE'], ['9'.repeat(400), 'ERANGE'],
  ])('refuses %j with %s', (text, code) => {
    expect(() => parseInteger(text, -(2 ** 31), 2 ** 31 - 1)).toThrow(expect.objectContaining({ code }));
  });

  it('reads back any number in range, and answers any other text with a KernelError', () => {
    fc.assert(fc.property(fc.integer(), (value) => {
      expect(parseInteger(String(value), -(2 ** 31), 2 ** 31 - 1)).toBe(value);
    }));
    fc.assert(fc.property(fc.string(), (text) => {
      try {
        expect(Number.isInteger(parseInteger(text, 0, 2 ** 32 - 1))).toBe(true);
      } catch (error) {
        expect(error).toBeInstanceOf(KernelError);
      }
    }));
  });
});

describe('parseU64', () => {
  it.each([
    ['0x10000000\n', 0, 0x10000000n], ['010', 0, 8n], ['+7', 0, 7n], ['0', 0, 0n], ['18446744073709551615', 0, 2n ** 64n - 1n],
    ['100000000', 16, 0x100000000n], ['0x11ffFFfff', 16, 0x11fffffffn],
  ] as const)('reads %j in base %d', (text, base, want) => expect(parseU64(text, base)).toBe(want));
  it.each([
    ['', 0, 'EINVAL'], ['-1', 0, 'EINVAL'], ['08', 0, 'EINVAL'], ['1 ', 0, 'EINVAL'], ['g', 16, 'EINVAL'], ['0x', 16, 'EINVAL'],
    ['18446744073709551616', 0, 'ERANGE'], ['1'.padEnd(18, '0'), 16, 'ERANGE'],
  ] as const)('refuses %j in base %d with %s', (text, base, code) => {
    expect(() => parseU64(text, base)).toThrow(expect.objectContaining({ code }));
  });
});
