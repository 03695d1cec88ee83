/**
 * What every package's tests share: workspace packages resolve to their TypeScript sources,
 * so that no build has to run first and a failure points at the line that was written.
 */
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const conditions = ['@holdfast/source', 'module', 'node', 'development|production'];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts', '*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // No module keeps state, so test files may share them: loading them anew for each file took longer than the tests.
    isolate: false,
    setupFiles: [fileURLToPath(new URL('vitest.setup.ts', import.meta.url))],
  },
});
