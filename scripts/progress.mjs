/** Lines that say what is being done and how long it took. Plain text: they end in CI logs too. */

/**
 * @typedef {object} Progress
 * @property {(text: string) => void} start begins a step that takes a while
 * @property {(text: string) => void} done ends it
 */

/**
 * @param {NodeJS.WritableStream} output
 * @returns {Progress}
 */
export function createProgress(output) {
  // Whoever reads may go away (`npm start | head`); that must not end the stack in disorder.
  output.on('error', () => {});
  let startedAtMs = performance.now();
  return {
    start(text) {
      startedAtMs = performance.now();
      output.write(`… ${text}\n`);
    },
    done(text) {
      output.write(`✓ ${text} (${((performance.now() - startedAtMs) / 1000).toFixed(1)} s)\n`);
      startedAtMs = performance.now();
    },
  };
}
