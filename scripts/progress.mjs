/** Lines that say what is being done and how long it took. Plain text: they end in CI logs too. */

/**
 * @typedef {object} Progress
 * @property {(text: string) => void} start begins a step that takes a while
 * @property {(text: string) => void} done ends it
 */

/** @returns {Progress} */
export function createProgress() {
  // Whoever reads may go away (`npm start | head`); that must not end the stack in disorder.
  process.stdout.on('error', () => {});
  let startedAtMs = performance.now();
  return {
    start(text) {
      startedAtMs = performance.now();
      console.log(`… ${text}`);
    },
    done(text) {
      console.log(`✓ ${text} (${((performance.now() - startedAtMs) / 1000).toFixed(1)} s)`);
      startedAtMs = performance.now();
    },
  };
}
