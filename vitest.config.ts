import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    maxWorkers: '100%', // by default one core stays idle: half of a small machine
    projects: ['packages/*/vitest.config.ts', 'tools/*/vitest.config.ts'],
  },
});
