/** What one client will do, drawn from the seed before it begins. */
import type { OpEntry, Surface } from '../history.ts';
import type { Random } from '../random.ts';

export interface OpPlan {
  readonly op: string;
  readonly surface: Surface;
  readonly tier: string | null;
  readonly fallback: OpEntry['fallback'];
  readonly onInterrupt: OpEntry['onInterrupt'];
  readonly queueTimeoutMs: number | null;
  readonly runTimeoutMs: number | null;
  readonly maxTokens: number;
  readonly choices: 1 | 2;
  readonly endless: boolean;
  readonly stop: string | null;
  /** Submits under one key, at once. Without a key there is one. */
  readonly key: string | null;
  readonly submits: number;
  /** Afterwards another body under the same key. */
  readonly conflicts: boolean;
  readonly readers: readonly ReaderPlan[];
  readonly cancel: CancelPlan | null;
  /** After its end. */
  readonly deletes: boolean;
  /** A chat whose client hangs up after so many pieces. */
  readonly leavesAfter: number | null;
}

export interface ReaderPlan {
  /** After the job was accepted. */
  readonly waitMs: number;
  /** Begins at a number drawn from those that are known to exist, instead of at the first. */
  readonly fromShare: number | null;
  /** Breaks off, and comes back, after so many events. */
  readonly breaksAfter: number | null;
  /** Never comes back then. */
  readonly leaves: boolean;
}

export interface CancelPlan {
  readonly waitMs: number;
  /** Not before there is text. */
  readonly whenRunning: boolean;
  /** At once, on any replica. */
  readonly times: number;
}

/** Which kinds of requests a load has. */
export interface LoadMix {
  /** None of these fails or expires by what it asks for: then no failure is allowed. */
  readonly gentle: boolean;
  readonly tiers: readonly string[];
  readonly keys: boolean;
  readonly deletes: boolean;
  /** In the end all jobs are listed. */
  readonly lists: boolean;
  readonly maxTokens: readonly [min: number, max: number];
  /** The share of answers that are as long as they may be. */
  readonly endless: number;
  /** Of all jobs, instead of a draw. */
  readonly onInterrupt?: OpEntry['onInterrupt'];
  /** The share of jobs that hardly wait to be started, and how long that is. */
  readonly impatient?: {
    readonly share: number;
    readonly ms: readonly [min: number, max: number];
  };
}

/** Some of them expire wherever the system is disturbed. */
const IMPATIENT = { share: 0.1, ms: [1, 1_500] } as const;
/** Long enough that only what was lost waits so long. */
const PATIENT_QUEUE_MS = 60_000;

export function planOp(number: number, mix: LoadMix, random: Random): OpPlan {
  const op = `op-${number}`;
  const surface = draw<Surface>(random, [
    ['job', 0.8],
    ['chat', 0.1],
    ['chat_stream', 0.1],
  ]);
  const isJob = surface === 'job';
  const hasKey = mix.keys && random.chance(0.5);
  const onInterrupt = draw<OpEntry['onInterrupt']>(random, [
    ['continue', 0.6],
    ['restart', 0.25],
    ['fail', mix.gentle ? 0 : 0.15],
  ]);
  const choices = !mix.gentle && random.chance(0.05) ? 2 : 1;
  const isCancelled = isJob && random.chance(0.15);
  return {
    op,
    surface,
    tier: random.chance(0.9) ? random.pick(mix.tiers) : null,
    onInterrupt: isJob
      ? (mix.onInterrupt ?? onInterrupt)
      : surface === 'chat'
        ? 'restart'
        : 'continue',
    queueTimeoutMs: isJob ? queueTimeout(mix, random) : null,
    runTimeoutMs: isJob && !mix.gentle && random.chance(0.04) ? random.int(200, 1_500) : null,
    maxTokens: random.int(...mix.maxTokens),
    choices,
    endless: random.chance(mix.endless),
    stop: random.chance(0.1) ? ' the' : null,
    key: hasKey ? `key-${op}` : null,
    submits: hasKey && random.chance(0.2) ? random.int(2, 6) : 1,
    conflicts: hasKey && isJob && random.chance(0.2),
    readers: isJob ? Array.from({ length: random.int(0, 3) }, () => planReader(random)) : [],
    cancel: isCancelled
      ? {
          waitMs: random.int(0, 300),
          whenRunning: random.chance(0.6),
          times: random.chance(0.3) ? 2 : 1,
        }
      : null,
    deletes: isJob && mix.deletes && random.chance(0.1),
    fallback: isJob && random.chance(0.5) ? random.pick(['any', 'up', 'down', 'none']) : null,
    leavesAfter: surface === 'chat_stream' && random.chance(0.3) ? random.int(0, 20) : null,
  };
}

function planReader(random: Random): ReaderPlan {
  return {
    waitMs: random.chance(0.7) ? 0 : random.int(0, 3_000),
    fromShare: random.chance(0.25) ? random.next() : null,
    breaksAfter: random.chance(0.5) ? random.int(0, 30) : null,
    leaves: random.chance(0.2),
  };
}

function queueTimeout(mix: LoadMix, random: Random): number {
  const { share, ms } = mix.impatient ?? IMPATIENT;
  return !mix.gentle && random.chance(share) ? random.int(...ms) : PATIENT_QUEUE_MS;
}

/** The body of the op; `conflicting`: another one, for the same key. */
export function bodyOf(plan: OpPlan, { conflicting = false } = {}): object {
  const marker = conflicting ? `${plan.op}-other` : plan.op;
  return {
    messages: [{ role: 'user', content: `[${marker}] Tell me about the sea.` }],
    max_tokens: plan.maxTokens,
    ...(plan.tier === null ? {} : { model: plan.tier }),
    ...(plan.choices === 1 ? {} : { n: plan.choices }),
    ...(plan.endless ? { ignore_eos: true } : {}),
    ...(plan.stop === null ? {} : { stop: plan.stop }),
    ...(plan.surface === 'chat_stream' ? { stream: true } : {}),
    ...(plan.surface === 'job'
      ? {
          on_interrupt: plan.onInterrupt,
          fallback: plan.fallback ?? undefined,
          queue_timeout_ms: plan.queueTimeoutMs ?? undefined,
          run_timeout_ms: plan.runTimeoutMs ?? undefined,
        }
      : {}),
  };
}

/** From the text of a request to the op that it belongs to; null where it is nobody's. */
export function markerOf(prompt: string): string | null {
  return /^\[(op-[^\]]+)\]/.exec(prompt)?.[1] ?? null;
}

function draw<Value>(random: Random, weighted: readonly (readonly [Value, number])[]): Value {
  const total = weighted.reduce((sum, [, weight]) => sum + weight, 0);
  let left = random.next() * total;
  for (const [value, weight] of weighted) {
    left -= weight;
    if (left < 0) return value;
  }
  throw new Error('Weights add up to nothing.');
}
