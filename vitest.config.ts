import { defineConfig, mergeConfig } from 'vitest/config';
import shared from './vitest.shared.ts';

/** All packages' tests in one run: each source is transformed once, not once for each package that imports it. */
export default mergeConfig(
  shared,
  defineConfig({
    test: {
      include: ['{packages,tools}/*/{src,test}/**/*.test.ts', '{packages,tools}/*/*.test.ts'],
      maxWorkers: '100%', // by default one core stays idle: half of a small machine
    },
  }),
);
