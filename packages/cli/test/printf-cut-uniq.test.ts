/** printf, cut and uniq: what busybox 1.35 prints for the same lines. Where it is installed, it is asked itself as well. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fakeSystem } from './fake-kernel.js';
import { type Outcome, runLines } from './run-lines.js';

const BUSYBOX = '/usr/bin/busybox';
const hasBusybox = existsSync(BUSYBOX);

const ours = (line: string): Promise<Outcome> => runLines(fakeSystem(), [line], 'latin1');

function real(line: string): Outcome {
  const { status, stdout, stderr } = spawnSync(BUSYBOX, ['sh', '-c', line], { encoding: 'latin1' });
  return { rc: status ?? -1, out: stdout, err: stderr };
}

const LINES = "printf 'a b 1\\na c 2\\nA c 3\\nx\\nx\\nx\\ny\\n'";
const FIELDS = "printf 'a:b:c:d\\nnone\\n1:2\\n'";

const SAID: readonly [line: string, rc: number, out: string, err?: string][] = [
  ["printf '%d %s|' 1 a 2 b", 0, '1 a|2 b|'],
  ['printf %d abc', 1, '0', "sh: invalid number 'abc'\n"],
  ['printf %d 12abc', 1, '0', "sh: invalid number '12abc'\n"],
  ["printf '%5.2f|%-6s|%06d|%x|%X|%o|%c\\n' 3.14159 ab 42 255 255 8 xyz", 0, ' 3.14|ab    |000042|ff|FF|10|x\n'],
  ["printf '%b|' 'a\\tb\\0101\\c' z", 0, 'a\tbA'],
  ["printf 'a\\101\\x41\\e[0m\\n'", 0, 'aAA\x1b[0m\n'],
  ["printf '%s %s\\n' a", 0, 'a \n'],
  ["printf '%z' 1", 1, '', 'sh: %: invalid format\n'],
  ["printf '%%|%5%|\\n'", 1, '%|', 'sh: %5%|\\n: invalid format\n'],
  ["printf '%*d|%-*s|\\n' 5 42 6 ab", 0, '   42|ab    |\n'],
  ["printf '%u\\n' -1", 0, '18446744073709551615\n'],
  ['printf \'%d %d %d\\n\' 0x10 010 "\'A"', 0, '16 8 65\n'],
  ["printf 'no\\n' extra", 0, 'no\n'],
  ["printf '%s\\n' a b c", 0, 'a\nb\nc\n'],
  ["printf '%i %e %g %G\\n' 5 12345.678 0.0001 1e20", 0, '5 1.234568e+04 0.0001 1E+20\n'],
  ["printf '%.3s|%10.3s|\\n' abcdef abcdef", 0, 'abc|       abc|\n'],
  ["printf '%+d % d %#x %#o\\n' 5 5 255 8", 0, '+5  5 0xff 010\n'],
  ["printf '%d\\n' ''", 1, '0\n', "sh: invalid number ''\n"],
  ['printf', 2, '', 'sh: usage: printf FORMAT [ARGUMENT...]\n'],
  ["printf '%5'", 1, '', 'sh: %5: invalid format\n'],
  ["printf '%ld %lld %hd\\n' 5 6 7", 0, '5 6 7\n'],
  ["printf '%x\\n' -5", 0, 'fffffffffffffffb\n'],
  ["printf -- '-%s\\n' x", 0, '-x\n'],
  ["printf '\\377' | od -An -tx1", 0, ' ff\n'],
  [`${LINES} | uniq`, 0, 'a b 1\na c 2\nA c 3\nx\ny\n'],
  [`${LINES} | uniq -c`, 0, '      1 a b 1\n      1 a c 2\n      1 A c 3\n      3 x\n      1 y\n'],
  [`${LINES} | uniq -d`, 0, 'x\n'],
  [`${LINES} | uniq -u`, 0, 'a b 1\na c 2\nA c 3\ny\n'],
  [`${LINES} | uniq -cd`, 0, '      3 x\n'],
  [`${LINES} | uniq -f 1`, 0, 'a b 1\na c 2\nA c 3\nx\n'],
  [`${LINES} | uniq -s 2`, 0, 'a b 1\na c 2\nA c 3\nx\n'],
  [`${LINES} | uniq -iw 1`, 0, 'a b 1\nx\ny\n'],
  ['uniq /nope', 1, '', "uniq: can't open '/nope': No such file or directory\n"],
  [`${FIELDS} | cut -d: -f2`, 0, 'b\nnone\n2\n'],
  [`${FIELDS} | cut -d : -f 1,3-`, 0, 'a:c:d\nnone\n1:\n'],
  [`${FIELDS} | cut -d: -f-2`, 0, 'a:b\nnone\n1:2\n'],
  [`${FIELDS} | cut -d: -f 1,4,5`, 0, 'a:d:\nnone\n1::\n'],
  [`${FIELDS} | cut -d: -f 1-3,2`, 0, 'a:b:c\nnone\n1:2:\n'],
  [`${FIELDS} | cut -s -d: -f2`, 0, 'b\n2\n'],
  [`${FIELDS} | cut -c2-3`, 0, ':b\non\n:2\n'],
  [`${FIELDS} | cut -c-2,4`, 0, 'a::\nnoe\n1:\n'],
  [`${FIELDS} | cut -c 3,1`, 0, 'ab\nnn\n12\n'],
  [`${FIELDS} | cut -d: -O - -f1,2`, 0, 'a-b\nnone\n1-2\n'],
  [`${FIELDS} | cut -c 0`, 0, 'a\nn\n1\n'],
  [`${FIELDS} | cut`, 1, '', 'cut: expected a list of bytes, characters, or fields\n'],
  [`${FIELDS} | cut -f x`, 1, '', "cut: invalid number 'x'\n"],
  [`${FIELDS} | cut -c2 -d:`, 1, '', 'cut: a delimiter may be specified only when operating on fields\n'],
  [`${FIELDS} | cut -c1- -s`, 1, '', 'cut: suppressing non-delimited lines makes sense only when operating on fields\n'],
  ['cut -c1 /nope', 1, '', 'cut: /nope: No such file or directory\n'],
];

describe('say', () => {
  it.each(SAID)('%s', async (line, rc, out, err = '') => {
    expect(await ours(line)).toEqual({ rc, out, err });
  });

  it.skipIf(!hasBusybox).each(SAID.map(([line]) => line))('as busybox does: %s', async (line) => {
    expect(await ours(line)).toEqual(real(line));
  });
});

it('cuts whatever it is given without an exception', async () => {
  const list = fc.stringMatching(/^[0-9,-]{1,6}$/);
  await fc.assert(fc.asyncProperty(list, fc.string({ maxLength: 20 }), async (ranges, text) => {
    const shown = text.replaceAll("'", '').replaceAll('\\', '').replaceAll('%', '');
    const { rc, err } = await ours(`printf '${shown}' | cut -c '${ranges}'`);
    expect(rc === 0 ? err === '' : err.startsWith('cut: ') || err.startsWith('sh: ')).toBe(true);
  }), { numRuns: 100 });
});

it.skipIf(!hasBusybox)('formats any integer as busybox does', async () => {
  const word = fc.record({ flags: fc.constantFrom('', '-', '+', ' ', '#', '0', '+0', '-#'), width: fc.nat(12), conversion: fc.constantFrom('d', 'i', 'u', 'o', 'x', 'X'), value: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }) });
  await fc.assert(fc.asyncProperty(fc.array(word, { minLength: 1, maxLength: 30 }), async (words) => {
    const format = words.map(({ flags, width, conversion }) => `%${flags}${width === 0 ? '' : width}${conversion}|`).join('');
    const line = `printf '${format}' ${words.map(({ value }) => value).join(' ')}`;
    expect((await ours(line)).out).toBe(execFileSync(BUSYBOX, ['sh', '-c', line], { encoding: 'latin1' }));
  }), { numRuns: 40 });
});
