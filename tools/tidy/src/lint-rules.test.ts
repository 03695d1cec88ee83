/**
 * Lint must bite: an upward import, a deep import, a Node module or a clock in a core package is an error.
 */
import { join } from 'node:path';
import { ESLint } from 'eslint';
import { describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '../../..');

/** Lint text as if it stood in a file of the project; type-aware rules are left out, as the file has no program. */
async function messages(file: string, text: string): Promise<string[]> {
  const eslint = new ESLint({ cwd: ROOT });
  const config = (await eslint.calculateConfigForFile(join(ROOT, file))) as { rules: Record<string, unknown> };
  const rules = Object.fromEntries(Object.entries(config.rules).filter(([name]) => name.startsWith('no-restricted')));
  const plain = new ESLint({ cwd: ROOT, overrideConfigFile: true, overrideConfig: { files: ['**/*.ts', '**/*.js'], rules: rules as never } });
  const results = await plain.lintText(text, { filePath: 'sample.js' });
  return results.flatMap((result) => result.messages.map(({ ruleId }) => ruleId ?? 'parse'));
}

describe('lint refuses', () => {
  it.each([
    { what: 'an import from a layer above', file: 'packages/mm/src/memblock.ts', text: "import { boot } from '@holdfast/kernel';\nboot();\n", rule: 'no-restricted-imports' },
    { what: 'an import of another package’s files', file: 'packages/mm/src/memblock.ts', text: "import { roundUp } from '@holdfast/lib/src/align.js';\nroundUp();\n", rule: 'no-restricted-imports' },
    { what: 'a Node module in a core package', file: 'packages/lib/src/align.ts', text: "import { readFileSync } from 'node:fs';\nreadFileSync();\n", rule: 'no-restricted-imports' },
    { what: 'the host’s clock', file: 'packages/lib/src/align.ts', text: 'Date.now();\n', rule: 'no-restricted-properties' },
    { what: 'unseeded chance', file: 'packages/lib/src/align.ts', text: 'Math.random();\n', rule: 'no-restricted-properties' },
  ])('$what', async ({ file, text, rule }) => expect(await messages(file, text)).toEqual([rule]));

  it('nothing that is allowed', async () => {
    expect(await messages('packages/mm/src/memblock.ts', "import { roundUp } from '@holdfast/lib';\nroundUp();\n")).toEqual([]);
    expect(await messages('packages/cli/src/main.ts', "import { readFileSync } from 'node:fs';\nreadFileSync();\n")).toEqual([]);
  });
});
