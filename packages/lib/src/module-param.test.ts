import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseCmdline } from './cmdline.js';
import { boolParam, intParam, moduleParams, stringParam, uintParam, wordParam } from './module-param.js';
import type { ModuleParams } from './module-param.js';

const specs = { idle: boolParam(false, 0o644), level: intParam(-1, 0o444), ratio: uintParam(301, 0o600), some_name: stringParam('none', 0), policy: wordParam(['slow', 'fast'], 'slow', 0o644) };

function read(cmdline: string): ModuleParams<typeof specs> & { log: string[] } {
  const log: string[] = [];
  return Object.assign(moduleParams('mod', specs, parseCmdline(cmdline), (text) => log.push(text)), { log });
}

describe('module parameters', () => {
  it('hold their defaults until the command line says otherwise; the last word wins', () => {
    expect(read('quiet other.level=3').values).toEqual({ idle: false, level: -1, ratio: 301, some_name: 'none', policy: 'slow' });
    expect(read('mod.idle=y mod.level=0x10 mod.ratio=1 mod.ratio=2 mod.some-name="a b" mod.policy=fast').values)
      .toEqual({ idle: true, level: 16, ratio: 2, some_name: 'a b', policy: 'fast' });
  });

  it('take the name of a switch alone as Y', () => expect(read('mod.idle').values.idle).toBe(true));

  it.each([
    ['mod.level', "Booting kernel: `' invalid for parameter `mod.level'"],
    ['mod.level=ten', "Booting kernel: `ten' invalid for parameter `mod.level'"],
    ['mod.level=2147483648', "Booting kernel: `2147483648' invalid for parameter `mod.level'"],
    ['mod.ratio=-1', "Booting kernel: `-1' invalid for parameter `mod.ratio'"],
    ['mod.idle=maybe', "Booting kernel: `maybe' invalid for parameter `mod.idle'"],
    ['mod.policy=medium', "Booting kernel: `medium' invalid for parameter `mod.policy'"],
    [`mod.some_name=${'x'.repeat(1025)}`, `Booting kernel: \`${'x'.repeat(1025)}' too large for parameter \`mod.some_name'`],
  ])('log what they cannot read (%.20s) and keep their value', (cmdline, line) => {
    const { values, log } = read(cmdline);
    expect(log).toEqual([line]);
    expect(values).toEqual({ idle: false, level: -1, ratio: 301, some_name: 'none', policy: 'slow' });
  });

  it('show themselves as files, and change when those are written', () => {
    const { values, attributes } = read('mod.idle=1');
    expect(attributes.map(({ name, mode, show }) => [name, mode, show!()])).toEqual([['idle', 0o644, 'Y\n'], ['level', 0o444, '-1\n'], ['ratio', 0o600, '301\n'], ['policy', 0o644, 'slow\n']]);
    const [idle, level, ratio, policy] = attributes;
    idle!.store!('n\n');
    ratio!.store!('7\n');
    policy!.store!('fast\n');
    expect(values).toMatchObject({ idle: false, ratio: 7, policy: 'fast' });
    expect(level!.store).toBeUndefined();
    expect(() => ratio!.store!('-7\n')).toThrow(expect.objectContaining({ code: 'ERANGE' }));
    expect(values.ratio).toBe(7);
  });

  it('answer any text with a value of their type', () => {
    fc.assert(fc.property(fc.constantFrom('idle', 'level', 'ratio', 'policy'), fc.string(), (name, text) => {
      const { values } = moduleParams('mod', specs, [{ name: `mod.${name}`, value: text }], () => {});
      expect([typeof values.idle, Number.isInteger(values.level), values.ratio >= 0, /^(slow|fast)$/.test(values.policy)]).toEqual(['boolean', true, true, true]);
    }));
  });
});
