import { defineConfig } from 'vitest/config';

const redis = 'test/harness/global-redis.ts';

export default defineConfig({
  test: {
    // Most tests wait for processes rather than work: with as many files at a time as there are cores
    // a machine of two would be idle for nearly half of the time.
    maxWorkers: 3,
    projects: [
      {
        test: {
          name: 'unit',
          // No module has a state of its own, so nothing of a file is left for the next one; to load
          // every module anew for each file would take as long as the tests.
          isolate: false,
          // A machine may have other things to do; what hangs is found all the same.
          testTimeout: 30_000,
          include: [
            '{apps,packages}/*/src/**/*.test.ts',
            'bench/*/**/*.test.ts',
            'scripts/**/*.test.ts',
            'test/workspace/**/*.test.ts',
            'test/kubernetes/**/*.test.ts',
            'test/overload/**/*.test.ts',
          ],
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/{integration,clients,browser,security,fuzz}/**/*.test.ts'],
          globalSetup: [redis],
          testTimeout: 60_000,
          // What a file needs is started by its hooks.
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'conformance',
          include: ['test/conformance/**/*.test.ts'],
          globalSetup: [redis],
          testTimeout: 60_000,
          // It keeps two cores busy with the engines of all personas.
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'chaos',
          include: ['test/{chaos,batch,scale}/**/*.test.ts', 'bench/*.test.ts'],
          testTimeout: 60_000,
          // Each file starts whole systems of processes, and there may be two cores: one after another,
          // when all others are done.
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          globalSetup: [redis],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
