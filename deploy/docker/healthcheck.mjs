/**
 * Ends with 0 where this container's process answers. Without an argument it asks the ops port, which
 * every process has but the simulator; with one, that URL.
 */
const ANSWERS_WITHIN_MS = 4_000;

const { OPS_PORT } = process.env;
const url = process.argv[2] ?? `http://127.0.0.1:${OPS_PORT || 9464}/healthz`;
try {
  const { ok } = await fetch(url, { signal: AbortSignal.timeout(ANSWERS_WITHIN_MS) });
  process.exitCode = ok ? 0 : 1;
} catch {
  // Nobody listens, or not in time: what that means is for whoever asked.
  process.exitCode = 1;
}
