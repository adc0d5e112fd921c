/** The answer of one attempt: collected while it is published, and timed. */
import type { AttemptLog, ClaimedJob } from '@qarr/job-store';
import type { Timings } from '@qarr/router-core';
import type { WorkerMetrics } from './metrics.ts';

export interface Answer {
  readonly hasBegun: boolean;
  add(delta: { text: string; reasoning: string }): void;
  read(): { text: string; reasoning?: string };
  timings(job: Pick<ClaimedJob, 'queueWaitMs'>): Timings;
}

export function createAnswer(
  attemptLog: Pick<AttemptLog, 'append'>,
  metrics: Pick<WorkerMetrics, 'firstToken' | 'nextToken'>,
): Answer {
  const beganMs = performance.now();
  let firstMs: number | null = null;
  let lastMs = beganMs;
  let text = '';
  let reasoning = '';
  return {
    get hasBegun() {
      return firstMs !== null;
    },
    add(delta) {
      const nowMs = performance.now();
      if (firstMs === null) {
        firstMs = nowMs;
        metrics.firstToken(nowMs - beganMs);
      } else {
        metrics.nextToken(nowMs - lastMs);
      }
      lastMs = nowMs;
      text += delta.text;
      reasoning += delta.reasoning;
      attemptLog.append(delta);
    },
    read: () => (reasoning === '' ? { text } : { text, reasoning }),
    timings: ({ queueWaitMs }) => ({
      // By Redis's clock, which may be set back.
      queue_wait_ms: Math.max(0, queueWaitMs),
      ttft_ms: firstMs === null ? null : round(firstMs - beganMs),
      run_ms: round(performance.now() - beganMs),
    }),
  };
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}
