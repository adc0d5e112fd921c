/** Submits jobs that nobody follows. */
import { Pool } from 'undici';
import { WrongAnswers } from './scenario.ts';
import type { LiveQarr } from '../world.ts';

const CONNECTIONS = 16;
/** None may expire while it waits. */
const QUEUE_TIMEOUT_MS = 86_400_000;
const PROMPT_BYTES = 700;

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
  return {
    connections: CONNECTIONS,
    async submit() {
      const response = await pool.request({
        method: 'POST',
        path: '/v1/jobs',
        headers: { ...headers, 'content-type': 'application/json' },
        body,
      });
      const text = await response.body.text();
      if (response.statusCode !== 202) throw new WrongAnswers(`A job was refused: ${text}`);
      return (JSON.parse(text) as { id: string }).id;
    },
    stop: () => pool.close(),
  };
}
