/** `holdfast memmap` on real machines' maps, on rules one by one, and on text that is no option. */
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type MemmapReport, tryOption } from '../src/memmap-command.js';
import { quotedFor } from '../src/memmap/boot-loader-quotes.js';
import { runProgram } from '../src/program.js';

const MAPS = join(import.meta.dirname, '../../../tools/golden/real-e820');
const REAL = readdirSync(MAPS).filter((name) => name.endsWith('.txt'));

async function memmap(...args: string[]): Promise<{ status: number; out: string; err: string }> {
  let [out, err] = ['', ''];
  const status = await runProgram(['memmap', ...args], { interactive: false, out: (text) => void (out += String(text)), err: (text) => void (err += text) });
  return { status, out, err };
}

async function report(...args: string[]): Promise<MemmapReport> {
  return JSON.parse((await memmap(...args, '--json')).out) as MemmapReport;
}

describe('holdfast memmap', () => {
  it.each([
    { name: 'a good place', memory: '20G', option: '4G!12G', rules: [] },
    { name: 'over holes and what the firmware keeps', memory: '8G', option: '2G!3G', rules: ['not-ram', 'not-ram', 'align-2m', 'align-2m', 'below-4g', 'below-4g', 'pieces'] },
    { name: 'where there is nothing', memory: '2G', option: '4G!4G', rules: ['not-ram', 'target-node'] },
    { name: 'at the end of RAM', memory: '8G', option: '4G!5G', rules: ['target-node'] },
    { name: 'off the 2 MiB grid', memory: '8G', option: '512M!0x100010000', rules: ['align-2m'] },
    { name: 'off the 16 MiB grid', memory: '8G', option: '100M!4G', rules: ['align-16m'] },
    { name: 'off the sections', memory: '8G', option: '64M!4G', rules: ['align-section'] },
    { name: 'off the GiB', memory: '8G', option: '1G!4224M', rules: ['align-1g'] },
    { name: 'most of the RAM below 4 GiB', memory: '8G', option: '2900M!100M', rules: ['align-16m', 'below-4g', 'low-ram'] },
    { name: 'nearly all RAM', memory: '2G', option: '1536M!512M', rules: ['not-ram', 'align-2m', 'align-2m', 'below-4g', 'below-4g', 'pieces', 'remaining-ram', 'target-node', 'target-node'] },
    { name: 'reserve, not protect', memory: '8G', option: '1G$4G', rules: ['no-pmem'] },
    { name: 'only a size, which is mem=', memory: '8G', option: '4G', rules: ['mem'] },
    { name: 'a unit that is none', memory: '8G', option: '4GB!4G', rules: ['unread', 'mem'] },
    { name: 'a start with something behind it', memory: '8G', option: '1G!4Gi', rules: ['unread'] },
    { name: 'nonsense', memory: '4G', option: 'banana', rules: ['ignored'] },
    { name: 'all that the kernel lies in', memory: '1G', option: '1G!0', rules: ['boot'] },
  ])('$name: $option', async ({ memory, option, rules }) => {
    const { warnings } = await report('--memory', memory, option);
    expect(warnings.map(({ rule }) => rule).sort()).toEqual([...rules].sort());
    // What is advised has none of what it is advised against.
    for (const { rule, nearest } of warnings) {
      if (nearest === undefined) continue;
      const better = await tryOption({ memory }, nearest);
      expect(better.warnings.map((warning) => warning.rule)).not.toContain(rule);
    }
  });

  it('counts the room for a crash kernel', async () => {
    const { warnings } = await report('--memory', '2G', '--cmdline', 'crashkernel=512M', '1600M!128M');
    expect(warnings.map(({ rule }) => rule)).toContain('crashkernel');
  });

  it('puts it before the options of init, and tells how to type what has nothing against it', async () => {
    const { warnings, regions } = await report('--memory', '8G', '--cmdline', 'quiet -- --init-option', '1G!4G');
    expect({ warnings, disks: regions.map(({ disk }) => disk) }).toEqual({ warnings: [], disks: ['pmem0'] });
    expect((await memmap('--memory', '8G', '1G!4G')).out).toContain('as typed in:');
    expect((await memmap('--memory', '8G', '1G!40G')).out).not.toContain('as typed in:');
  });

  it.each(REAL)('finds a place on the real map of %s, or says that there is none', async (file) => {
    const { option, warnings, regions } = await report('--firmware', join(MAPS, file), '--kernel', '6.1', '--size', '1G');
    if (option === '') {
      expect(warnings.map(({ rule }) => rule)).toEqual(['no-place']);
      return;
    }
    expect(warnings.filter(({ level }) => level !== 'note')).toEqual([]);
    expect(regions.some(({ start, end, disk }) => end - start === 2 ** 30 && disk !== undefined && option === `memmap=1G!${start % 2 ** 30 === 0 ? `${start / 2 ** 30}G` : `${start / 2 ** 20}M`}`)).toBe(true);
  });

  it('takes any text for an option without a fault of its own', async () => {
    const piece = fc.constantFrom('4G', '!', '$', '#', '@', '%', '4', '0x', '-1', 'K', 'exactmap', ',', '+', 'nn', '16E', '99999999999999999999', '%4G-1+12', '\u{1F600}', '\\', '=');
    await fc.assert(fc.asyncProperty(fc.array(piece, { minLength: 1, maxLength: 5 }), async (pieces) => {
      const { status, out, err } = await memmap('--memory', '1G', '--', pieces.join(''));
      expect([0, 1, 2]).toContain(status);
      expect(status === 2 ? err : out).not.toBe('');
    }), { numRuns: 25 });
  });

  it.each([[[], 'memmap: give an option, such as 4G!12G, or --size'], [['a b'], "memmap 'a b': expected one option, without spaces or quotes, such as 4G!12G"], [['--size', '0'], 'memmap --size: expected more than 0'], [['4G!4G', '--size', '1G'], 'memmap: give an option, such as 4G!12G, or --size']])('refuses %j', async (args, message) => {
    expect(await memmap(...args)).toEqual({ status: 2, out: '', err: `holdfast: ${message}\n` });
  });
});

describe('the option as it is typed', () => {
  const word = fc.stringMatching(/^memmap=[\w!$#@%+,\\`'*?&;|<>{}()~^-]{1,16}$/);
  const text = (option: string, place: string): string => quotedFor(option).find((each) => each.place.startsWith(place))!.text;

  it('stays two words where it is two options', () => {
    expect(text('memmap=1G$4G memmap=1G!8G', '/etc/default/grub')).toBe(String.raw`GRUB_CMDLINE_LINUX="memmap=1G\\\$4G memmap=1G!8G"`);
    expect(text('memmap=1G$4G memmap=1G!8G', 'grub.cfg')).toBe(String.raw`memmap=1G\$4G memmap=1G!8G`);
    expect(text('memmap=1G$4G memmap=1G!8G', 'a shell')).toBe("'memmap=1G$4G' 'memmap=1G!8G'");
    expect(text('memmap=1G$4G memmap=1G!8G', 'QEMU')).toBe("-append 'memmap=1G$4G memmap=1G!8G'");
  });

  it('comes out of a shell as it is', () => {
    fc.assert(fc.property(word, (option) => {
      expect(execFileSync('/bin/sh', ['-c', `printf %s ${text(option, 'a shell')}`], { encoding: 'utf8' })).toBe(option);
    }), { numRuns: 50 });
  });

  it('comes out of /etc/default/grub and GRUB as it is', () => {
    fc.assert(fc.property(word, (option) => {
      const inGrubCfg = execFileSync('/bin/sh', ['-c', `${text(option, '/etc/default/grub')}\nprintf %s "$GRUB_CMDLINE_LINUX"`], { encoding: 'utf8' });
      expect(inGrubCfg).toBe(text(option, 'grub.cfg'));
      // GRUB takes a backslash off, and would put variables where a dollar sign stands without one.
      expect(inGrubCfg.replaceAll(/\\(.)/g, (_, letter: string) => (letter === '$' ? '\0' : letter))).not.toContain('$');
      expect(inGrubCfg.replaceAll(/\\(.)/g, '$1')).toBe(option);
    }), { numRuns: 50 });
  });
});
