/** A program that begins everything that takes time, gives it up, and has nothing left to do. */
import { QarrClientError, createClient } from '@qarr/client';

const baseUrl = process.argv[2] ?? '';
const client = createClient({ baseUrl });
const nobody = createClient({ baseUrl: 'http://127.0.0.1:1', maxRetries: 1_000 });
const outcomes: Record<string, string> = {};
// A tier without a worker: its jobs wait.
const request = { prompt: 'Hello', tier: 'balanced' };

const giving = new AbortController();
const { signal } = giving;
const job = await client.submit(request);
const begun = [
  note('submit', () => client.submit(request, { signal: AbortSignal.abort() })),
  note('stream', () => readAll()),
  note('wait', () => client.wait(job, { signal })),
  note('chat', () => client.chat(request, { signal })),
  note('backoff', () => nobody.tiers({ signal })),
];
for await (const _event of client.stream(job)) break;
outcomes['left'] = 'left';
giving.abort();
await Promise.all(begun);
process.stdout.write(JSON.stringify(outcomes));

async function readAll(): Promise<void> {
  for await (const _event of client.stream(job, { signal })) {
    // It waits for more.
  }
}

async function note(name: string, call: () => Promise<unknown>): Promise<void> {
  try {
    await call();
    outcomes[name] = 'ended';
  } catch (error) {
    outcomes[name] = error instanceof QarrClientError ? error.code : String(error);
  }
}
