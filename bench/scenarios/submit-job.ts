/** Submits jobs that nobody follows. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'undici';
import { WrongAnswers } from './scenario.ts';
import type { LiveQarr } from '../world.ts';

const CONNECTIONS = 16;
/** None may expire while it waits. */
const QUEUE_TIMEOUT_MS = 86_400_000;
const PROMPT_BYTES = 700;
const RETRY_MS = 100;
const RETRIED_MS = 10_000;

export interface Submitter {
  /** At once, and kept open. */
  readonly connections: number;
  /** Returns the id of the job. Throws unless it is accepted. */
  submit(): Promise<string>;
  stop(): Promise<void>;
}

export function createSubmitter(
  { running: { apiUrl, headers } }: LiveQarr,
  { model }: { model: string },
): Submitter {
  const pool = new Pool(apiUrl, { connections: CONNECTIONS });
  const body = JSON.stringify({
    model,
    messages: [{ role: 'user', content: 'word '.repeat(PROMPT_BYTES / 5) }],
    max_tokens: 1,
    queue_timeout_ms: QUEUE_TIMEOUT_MS,
  });
  async function post(): Promise<{ status: number; text: string }> {
    const response = await pool.request({
      method: 'POST',
      path: '/v1/jobs',
      headers: { ...headers, 'content-type': 'application/json' },
      body,
    });
    return { status: response.statusCode, text: await response.body.text() };
  }
  return {
    connections: CONNECTIONS,
    async submit() {
      const untilMs = performance.now() + RETRIED_MS;
      for (;;) {
        const { status, text } = await post();
        if (status === 202) return (JSON.parse(text) as { id: string }).id;
        // Redis did not answer in time. That there may be two jobs then is nothing here.
        if (status !== 503 || performance.now() > untilMs) {
          throw new WrongAnswers(`A job was refused: ${text}`);
        }
        await sleep(RETRY_MS);
      }
    },
    stop: () => pool.close(),
  };
}
