/**
 * Lint: type-aware rules, import direction, no circles, and no Node or clock in packages that a browser must run.
 */
import importX from 'eslint-plugin-import-x';
import { createTypeScriptImportResolver } from 'eslint-import-resolver-typescript';
import tseslint from 'typescript-eslint';
import { NODE_ALLOWED, PACKAGES, importableBy } from './tools/layers/layers.js';

const CLOCKS_AND_CHANCE = [
  { object: 'Date', property: 'now', message: 'Time is virtual: take the clock as a parameter.' },
  { object: 'Math', property: 'random', message: 'Chance is seeded: take a Random of @holdfast/lib as a parameter.' },
  { object: 'performance', property: 'now', message: 'Time is virtual: take the clock as a parameter.' },
];

const DEEP_IMPORT = { group: ['@holdfast/*/src/*', '@holdfast/*/dist/*'], message: 'Import the package, not its files; export what is missing on purpose.' };
const NODE_IMPORT = { group: ['node:*'], message: 'This package runs in a browser: take what you need as a parameter (tools/layers/layers.js).' };

function importsOf(name) {
  const allowed = new Set(importableBy(name));
  const upward = PACKAGES.filter((other) => other !== name && !allowed.has(other));
  return upward.length === 0
    ? []
    : [{ group: upward.flatMap((other) => [`@holdfast/${other}`, `@holdfast/${other}/*`]), message: `${name} lies below it: declare an interface here and let the upper package implement it (tools/layers/layers.js).` }];
}

export default tseslint.config(
  { ignores: ['**/dist/**', '**/node_modules/**', '**/coverage/**'] },
  ...tseslint.configs.recommendedTypeChecked,
  {
    files: ['**/*.ts'],
    plugins: { 'import-x': importX },
    languageOptions: { parserOptions: { project: './tsconfig.json', tsconfigRootDir: import.meta.dirname } },
    settings: { 'import-x/resolver-next': [createTypeScriptImportResolver({ project: './tsconfig.json', conditionNames: ['@holdfast/source', 'types', 'import', 'node', 'default'] })] },
    rules: {
      'import-x/no-cycle': 'error',
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/explicit-module-boundary-types': 'error',
      '@typescript-eslint/no-non-null-assertion': 'off',
      eqeqeq: 'error',
      'no-console': 'error',
    },
  },
  { files: ['**/*.js'], ...tseslint.configs.disableTypeChecked },
  ...PACKAGES.map((name) => ({
    files: [`packages/${name}/**/*.ts`],
    rules: { 'no-restricted-imports': ['error', { patterns: [DEEP_IMPORT, ...importsOf(name)] }] },
  })),
  ...PACKAGES.map((name) => ({
    files: [`packages/${name}/src/**/*.ts`],
    ignores: [...NODE_ALLOWED, '**/*.test.ts'],
    rules: {
      'no-restricted-imports': ['error', { patterns: [DEEP_IMPORT, NODE_IMPORT, ...importsOf(name)] }],
      'no-restricted-properties': ['error', ...CLOCKS_AND_CHANCE],
    },
  })),
  { files: ['packages/cli/**/*.ts', 'tools/**/*'], rules: { 'no-console': 'off' } },
  {
    files: ['**/*.test.ts'],
    rules: { '@typescript-eslint/unbound-method': 'off', '@typescript-eslint/no-unsafe-assignment': 'off', '@typescript-eslint/no-unsafe-member-access': 'off' },
  },
);
