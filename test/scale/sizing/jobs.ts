/** Jobs of a known size. */
import { waitUntil } from '../../harness/wait-until.ts';

const AT_ONCE = 32;
/** Nobody may be there to take them. */
const QUEUE_TIMEOUT_MS = 86_400_000;
const TAKEN_WITHIN_MS = 60_000;
const OVER_WITHIN_MS = 600_000;

export interface JobSize {
  readonly promptBytes: number;
  readonly tokens: number;
}

/** Returns their ids when all are acknowledged. */
export async function submitJobs(
  base: string,
  { count, promptBytes, tokens }: JobSize & { count: number },
): Promise<string[]> {
  const numbers = Array.from({ length: count }, (_, index) => index).values();
  const ids: string[] = [];
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (const number of numbers) {
        const prompt = `${number} `.padEnd(promptBytes, 'words of a prompt ');
        ids.push(await submit(base, { prompt, max_tokens: tokens }));
      }
    }),
  );
  return ids;
}

/** Again where it is not taken: a machine that has much else to do may be too slow for once. */
async function submit(base: string, body: object): Promise<string> {
  return waitUntil(
    'a job is taken',
    async () => {
      const response = await fetch(`${base}/v1/jobs`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          ...body,
          tier: 'fast',
          fallback: 'none',
          ignore_eos: true,
          queue_timeout_ms: QUEUE_TIMEOUT_MS,
        }),
      });
      return ((await response.json()) as { id?: string }).id;
    },
    { timeoutMs: TAKEN_WITHIN_MS, everyMs: 200 },
  );
}

/** Waits until all of these are completed. */
export async function untilCompleted(base: string, ids: readonly string[]): Promise<void> {
  for (const id of ids) {
    await waitUntil(
      `${id} is completed`,
      async () => {
        const { status } = (await (await fetch(`${base}/v1/jobs/${id}`)).json()) as {
          status: string;
        };
        return status === 'completed';
      },
      { timeoutMs: OVER_WITHIN_MS, everyMs: 200 },
    );
  }
}
