/** sed(1) for what scripts do to names: `s/PATTERN/TEXT/[gi]`, several with `;` between, on standard input or files. */
import type { Command } from '../console/command.js';
import { UsageError } from '../console/getopt.js';
import { concat, openFile, readPieces } from '../console/open-file.js';

export const sed: Command = {
  usage: 'sed s/PATTERN/TEXT/[gi][;…] [FILE]…',
  run({ args: [script, ...paths], root, resolve, stdin, out }) {
    if (script === undefined) throw new UsageError('no script given');
    const edits = parseScript(script);
    const bytes = paths.length === 0 ? stdin() : concat(paths.flatMap((path) => [...readPieces(openFile(root, resolve(path)))].map((piece) => piece.slice())));
    const lines = new TextDecoder().decode(bytes).split('\n');
    const last = lines.pop()!;
    for (const line of last === '' ? lines : [...lines, last]) out(`${edits.reduce((text, edit) => edit(text), line)}\n`);
  },
};

/** @throws UsageError */
function parseScript(script: string): ((line: string) => string)[] {
  const edits: ((line: string) => string)[] = [];
  let rest = script.trim();
  while (rest !== '') {
    const match = /^s([^\w\s\\])((?:\\.|(?!\1).)*)\1((?:\\.|(?!\1).)*)\1([gi]*)\s*(?:;\s*|$)/.exec(rest);
    if (!match) throw new UsageError(`unsupported command ${rest}`);
    const [whole, , pattern, replacement, flags] = match;
    const expression = compile(pattern!, flags!);
    const text = replacement!.replace(/\$/g, '$$$$').replace(/\\(\d)/g, '$$$1').replace(/(^|[^\\])&/g, '$1$$&').replace(/\\(.)/g, '$1');
    edits.push((line) => line.replace(expression, text));
    rest = rest.slice(whole.length);
  }
  return edits;
}

/** A basic regular expression in JavaScript's words: groups, braces and alternatives are escaped in one and plain in the other. */
function compile(pattern: string, flags: string): RegExp {
  const source = pattern.replace(/\\([(){}|+?])|[(){}|+?]/g, (found, escaped: string | undefined) => escaped ?? `\\${found}`);
  try {
    return new RegExp(source, flags);
  } catch {
    throw new UsageError(`bad regex '${pattern}'`);
  }
}
