/**
 * Runs the thread's tests with one mutation after the other. The sources on disk stay as they are: Vite's transform gives the tests another
 * text of one file.
 */
import { createVitest, type TestCase, type TestSpecification, type Vitest } from 'vitest/node';
import { join } from 'node:path';
import { type Mutation, mutate } from './mutations.js';
import { ROOT, THREAD_TESTS, rowsIn } from './rows.js';

/** What became of the tests of a mutation's rows. */
export interface Outcome {
  readonly mutation: Mutation;
  /** Names of tests. */
  readonly failed: readonly string[];
  readonly passed: readonly string[];
}

const KERNEL = join(ROOT, 'packages/kernel');

/** @param told of each outcome as it comes @throws Error if the tests fail without any mutation */
export async function runMutations(mutations: readonly Mutation[], told: (outcome: Outcome) => void): Promise<void> {
  let current: Mutation | undefined;
  const plugin = {
    name: 'thread-mutation',
    enforce: 'pre' as const,
    transform: (code: string, id: string) => (current && id === join(ROOT, current.file) ? mutate(current, code) : undefined),
  };
  const vitest = await createVitest(
    'test',
    { root: KERNEL, config: join(KERNEL, 'vitest.config.ts'), watch: false, isolate: true, reporters: [{}] },
    { plugins: [plugin] },
  );
  try {
    const tests = (await run(vitest, await vitest.globTestSpecifications([THREAD_TESTS]))).filter(({ name }) => rowsIn(name).length > 0);
    const broken = tests.filter((test) => !test.ok());
    if (broken.length > 0) throw new Error(`with every design in place, tests fail: ${broken.map(({ name }) => name).join('; ')}`);
    for (const mutation of mutations) {
      const own = tests.filter(({ name }) => rowsIn(name).some((row) => mutation.rows.includes(row)));
      current = mutation;
      vitest.invalidateFile(join(ROOT, mutation.file));
      const results = await run(vitest, specificationsOf(own));
      current = undefined;
      vitest.invalidateFile(join(ROOT, mutation.file));
      if (results.length !== own.length) {
        throw new Error(
          `without ${mutation.without}, ${results.length} of ${own.length} tests ran: expected an edit with which the kernel still loads`,
        );
      }
      const namesOf = (ok: boolean): string[] => results.filter((test) => test.ok() === ok).map(({ name }) => name);
      told({ mutation, failed: namesOf(false), passed: namesOf(true) });
    }
  } finally {
    await vitest.close();
  }
}

async function run(vitest: Vitest, specifications: readonly TestSpecification[]): Promise<TestCase[]> {
  const ran = new Set(specifications.map(({ moduleId }) => moduleId));
  // Vitest tells of all modules that it has ever run.
  const { testModules } = await vitest.runTestSpecifications([...specifications]);
  return testModules
    .filter(({ moduleId }) => ran.has(moduleId))
    .flatMap((module) => [...module.children.allTests()])
    .filter((test) => test.result().state !== 'skipped');
}

/** These tests and no others. */
function specificationsOf(tests: readonly TestCase[]): TestSpecification[] {
  const modules = new Map(tests.map(({ module }) => [module.moduleId, module.project]));
  return [...modules].map(([moduleId, project]) => project.createSpecification(moduleId, {
    testIds: tests.filter(({ module }) => module.moduleId === moduleId).map(({ id }) => id),
  }));
}
