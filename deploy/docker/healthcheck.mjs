/**
 * Ends with 0 where this container's process answers well: at a URL that is given, or at the usual ops
 * port, which every process has but the simulator.
 */
const ANSWERS_WITHIN_MS = 4_000;

const url = process.argv[2] ?? 'http://127.0.0.1:9464/healthz';
try {
  const { ok } = await fetch(url, { signal: AbortSignal.timeout(ANSWERS_WITHIN_MS) });
  process.exitCode = ok ? 0 : 1;
} catch {
  // Nobody listens, or not in time: what that means is for whoever asked.
  process.exitCode = 1;
}
