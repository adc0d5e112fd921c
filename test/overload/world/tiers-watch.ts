/** Looks at `/v1/tiers` all the time. Fields that an API does not have are null. */
import { askJson } from '../load/json-call.ts';
import { nowMs } from '../load/outcome.ts';

const EVERY_MS = 500;

export interface TierSample {
  readonly atMs: number;
  readonly tier: string;
  readonly depth: number;
  readonly running: number;
  readonly alert: boolean | null;
  readonly breaker: string | null;
  /** Workers that pull, as they say themselves. */
  readonly closedWorkers: number;
  readonly estimatedWaitMs: number | null;
  readonly fallbackJobs: number | null;
}

export interface TiersWatch {
  readonly samples: readonly TierSample[];
  stop(): void;
}

export function watchTiers(apis: readonly string[]): TiersWatch {
  const samples: TierSample[] = [];
  let looks = 0;
  const clock = setInterval(() => void look(), EVERY_MS);

  async function look(): Promise<void> {
    // One replica after the other: they must agree.
    const api = apis[looks % apis.length];
    looks += 1;
    const reply = await askJson(`${api}/v1/tiers`);
    const atMs = nowMs();
    const tiers = reply?.status === 200 ? reply.body['tiers'] : [];
    for (const tier of Array.isArray(tiers) ? (tiers as Record<string, unknown>[]) : []) {
      samples.push({
        atMs,
        tier: String(tier['name']),
        depth: numberIn(tier['depth']) ?? 0,
        running: numberIn(tier['running']) ?? 0,
        alert: typeof tier['alert'] === 'boolean' ? tier['alert'] : null,
        breaker: typeof tier['breaker'] === 'string' ? tier['breaker'] : null,
        closedWorkers: closedIn(tier['workers']),
        estimatedWaitMs: numberIn(tier['estimated_wait_ms']),
        fallbackJobs: numberIn(tier['fallback_jobs']),
      });
    }
  }

  return { samples, stop: () => clearInterval(clock) };
}

function numberIn(value: unknown): number | null {
  return typeof value === 'number' ? value : null;
}

function closedIn(workers: unknown): number {
  if (!Array.isArray(workers)) return 0;
  return (workers as { breaker?: unknown }[]).filter(({ breaker }) => breaker === 'closed').length;
}
