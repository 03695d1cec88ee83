/** grep(1) with -i, -v, -c, -q, -n, -o, -H, -h, -E, -F; patterns are JavaScript's, which agree with ERE in all that is common. */
import { KernelError, strerror } from '@holdfast/lib';
import type { Command, CommandIo } from '../console/command.js';
import { type Options, UsageError, getopt } from '../console/getopt.js';
import { openFile, readWhole } from '../console/open-file.js';

const SHORT = { i: 'ignore-case', v: 'invert-match', c: 'count', q: 'quiet', n: 'line-number', o: 'only-matching', H: 'with-filename' };
const MORE = { h: 'no-filename', E: 'extended-regexp', F: 'fixed-strings', s: 'no-messages', e: 'regexp' };

export const grep: Command = {
  usage: 'grep [-ivcqnoHhEF] PATTERN|-e PATTERN… [FILE]…',
  run(io) {
    const short = { ...SHORT, ...MORE };
    const long = { ...Object.fromEntries(Object.values(short).map((name) => [name, false])), regexp: true };
    const options = getopt(io.args, { short, long });
    const given = options.values('regexp');
    const patterns = given.length > 0 ? given : options.operands.slice(0, 1);
    const paths = given.length > 0 ? options.operands : options.operands.slice(1);
    if (patterns.length === 0) throw new UsageError('no pattern given');
    const matcher = compile(patterns.flatMap((pattern) => pattern.split('\n')), options);
    const named = options.has('with-filename') || (paths.length > 1 && !options.has('no-filename'));
    let found = false;
    let failed = false;
    for (const path of paths.length > 0 ? paths : ['-']) {
      try {
        found = grepFile(io, path, matcher, options, named) || found;
      } catch (error) {
        if (!(error instanceof KernelError)) throw error;
        failed = true;
        if (!options.has('no-messages')) io.err(`grep: ${path}: ${strerror(error.code)}`);
      }
    }
    if (options.has('quiet') && found) return 0;
    return failed ? 2 : found ? 0 : 1;
  },
};

/** A line matches if any of the patterns does. */
function compile(patterns: readonly string[], options: Options): RegExp {
  const sources = options.has('fixed-strings') ? patterns.map((pattern) => pattern.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')) : patterns;
  try {
    return new RegExp(sources.length === 1 ? sources[0]! : sources.map((source) => `(?:${source})`).join('|'), options.has('ignore-case') ? 'gi' : 'g');
  } catch {
    throw new UsageError(`bad regex '${patterns.join('|')}'`);
  }
}

function grepFile({ root, resolve, stdin, out }: CommandIo, path: string, matcher: RegExp, options: Options, named: boolean): boolean {
  const bytes = path === '-' ? stdin() : readWhole(openFile(root, resolve(path)));
  const lines = new TextDecoder().decode(bytes).split('\n');
  if (lines.at(-1) === '') lines.pop();
  const label = named ? `${path === '-' ? '(standard input)' : path}:` : '';
  let count = 0;
  for (const [index, line] of lines.entries()) {
    const matches = [...line.matchAll(matcher)];
    if (matches.length > 0 === options.has('invert-match')) continue;
    count++;
    if (options.has('quiet') || options.has('count')) continue;
    const prefix = label + (options.has('line-number') ? `${index + 1}:` : '');
    const shown = options.has('only-matching') ? matches.map((match) => match[0]).filter((text) => text !== '') : [line];
    for (const text of shown) out(`${prefix}${text}\n`);
  }
  if (options.has('count') && !options.has('quiet')) out(`${label}${count}\n`);
  return count > 0;
}
