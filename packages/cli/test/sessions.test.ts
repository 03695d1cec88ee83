/**
 * docs/sessions answers what people asked: every block of it is run here and its output compared, and no question of rows.json that is
 * known for certain is without a session or a reason. With HOLDFAST_WRITE_SESSIONS=1 the files are written anew instead.
 */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { type BootCommandOptions, bootFromOptions } from '../src/boot-command.js';
import { createCommandRunner } from '../src/index.js';
import { runProgram } from '../src/program.js';
import { splitShellWords } from './shell-line.js';

const ROOT = join(import.meta.dirname, '../../..');
const SESSIONS = join(ROOT, 'docs/sessions');
const FILES = readdirSync(SESSIONS).filter((name) => name.endsWith('.md') && name !== 'README.md');
const WRITE = process.env.HOLDFAST_WRITE_SESSIONS === '1';

interface Row {
  readonly row: number;
  readonly links: readonly string[];
  readonly confidence: string;
  readonly outside?: string;
}

/** What a terminal shows of a block: the lines that are typed, each with what it prints. */
async function show(block: string): Promise<string> {
  let shown = '';
  const say = (data: string | Uint8Array): void => void (shown += typeof data === 'string' ? data : new TextDecoder().decode(data));
  let console: { run(line: string): Promise<void>; close(): void } | undefined;
  for (const line of block.split('\n').filter((text) => /^[$#] /.test(text))) {
    say(`${line}\n`);
    if (line.startsWith('# ')) {
      await console!.run(line.slice(2));
      continue;
    }
    console?.close();
    console = undefined;
    const words = splitShellWords(line.slice('$ npx holdfast '.length)).map((word) => word.replace(/^(?=(?:tools|docs)\/)/, `${ROOT}/`));
    if (words[0] === 'boot') console = await startConsole(words.slice(1), say);
    else await runProgram(words, { interactive: false, out: say, err: say });
  }
  console?.close();
  return shown;
}

async function startConsole(words: readonly string[], say: (data: string | Uint8Array) => void): Promise<{ run(line: string): Promise<void>; close(): void }> {
  const options = optionsOf(words);
  const system = await bootFromOptions(options);
  const { run } = createCommandRunner(system, { output: { out: say, err: say }, explain: options.explain === true });
  return { run, close: () => system.close() };
}

function optionsOf(words: readonly string[]): BootCommandOptions {
  const each = (value: string, before: string[] = []): string[] => [...before, value];
  return new Command().option('--memory <size>').option('--firmware <path>').option('--cmdline <text>').option('--nvdimm <spec>', '', each).option('--explain').exitOverride().parse([...words], { from: 'user' }).opts();
}

describe.each(FILES)('docs/sessions/%s', (file) => {
  const path = join(SESSIONS, file);
  const blocks = [...readFileSync(path, 'utf8').matchAll(/^## (.*?)$[^]*?```console\n([^]*?)```/gm)].map(([, heading, block]) => ({ heading: heading!, block: block! }));
  it.each(blocks)('$heading', async ({ block }) => {
    const shown = await show(block);
    if (WRITE) writeFileSync(path, readFileSync(path, 'utf8').replace(block, () => shown));
    else expect(shown).toBe(block);
  });
});

describe('the questions of rows.json', () => {
  const rows = JSON.parse(readFileSync(join(SESSIONS, 'rows.json'), 'utf8')) as Row[];
  const text = FILES.map((file) => readFileSync(join(SESSIONS, file), 'utf8')).join('\n');
  const sessionOf = ({ row }: Row): string | undefined => new RegExp(String.raw`^## ${row}\. [^]*?(?=^## |$(?![^]))`, 'm').exec(text)?.[0];

  it.each(rows.filter(({ confidence }) => confidence === 'A'))('$row has either a session that names its links, or a reason why it has none', (row) => {
    const session = sessionOf(row);
    expect([row.row, session === undefined]).toEqual([row.row, row.outside !== undefined]);
    if (session === undefined) return;
    for (const link of row.links) expect(session).toContain(`<${link}>`);
    expect(session).toMatch(/```console\n[^]*?```/);
  });
});
