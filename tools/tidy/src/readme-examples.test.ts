/**
 * Runs the first example of each package's README and compares what it prints with what it says it prints,
 * so that a README cannot go stale.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ModuleKind, ScriptTarget, transpileModule } from 'typescript';
import { describe, expect, it } from 'vitest';
import { PACKAGES } from '@holdfast/layers';

const PACKAGES_DIR = join(import.meta.dirname, '../../../packages');

/** The code of the first ```ts block. */
function firstExample(readme: string): string | undefined {
  return /```ts\n(.*?)```/s.exec(readme)?.[1];
}

/** What the example says it prints: the comments behind its console.log lines, in order. */
function promised(code: string): string[] {
  return [...code.matchAll(/\/\/ → ?(.*)$/gm)].map((match) => match[1]!.trim());
}

/** Turn static imports into dynamic ones, so that the code can run inside a function of this module. */
function runnable(code: string): string {
  const js = transpileModule(code, { compilerOptions: { module: ModuleKind.ESNext, target: ScriptTarget.ES2022, verbatimModuleSyntax: false } }).outputText;
  return js.replace(/^import \{([^}]*)\} from '([^']+)';$/gm, (_line, names: string, from: string) => `const {${names.replaceAll(' as ', ': ')}} = await load('${from}');`);
}

async function printed(code: string): Promise<string[]> {
  const lines: string[] = [];
  const log = (...values: unknown[]): void => void lines.push(values.map((value) => (typeof value === 'bigint' ? `${value}n` : String(value))).join(' ').trim());
  const load = async (name: string): Promise<unknown> => {
    if (!/^@holdfast\/[a-z0-9-]+(\/node)?$/.test(name)) throw new Error(`a README example imports Holdfast's packages only, not ${name}`);
    const [, pkg, entry] = /^@holdfast\/([a-z0-9-]+)(?:\/(node))?$/.exec(name)!;
    return (await import(`${PACKAGES_DIR}/${pkg}/src/${entry ? 'node/index' : 'index'}.ts`)) as unknown;
  };
  // eslint-disable-next-line @typescript-eslint/no-implied-eval -- the code is the project's own README
  const run = new Function('console', 'load', `return (async () => { ${runnable(code)} })();`) as (console: unknown, load: unknown) => Promise<void>;
  await run({ log }, load);
  return lines;
}

describe('the example of the README of', () => {
  it.each(PACKAGES)('%s prints what it says', async (name) => {
    const code = firstExample(readFileSync(join(PACKAGES_DIR, name, 'README.md'), 'utf8'));
    expect(code, 'the README opens with a ```ts block').toBeDefined();
    expect(promised(code!), 'each console.log line ends with // → what it prints').not.toHaveLength(0);
    expect(await printed(code!)).toEqual(promised(code!));
  });
});
