import { defineConfig } from 'vitest/config';

/** Not part of `npm test`: it needs a server that npm does not have. */
export default defineConfig({
  test: { include: ['packages/file-store/check/**/*.test.ts'], testTimeout: 60_000 },
});
