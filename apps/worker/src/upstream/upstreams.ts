/** The engines of one worker: which of them gets the next job, and how many jobs they take. */
import type { UpstreamStatus, WorkerStatus } from '@qarr/router-core';
import type { ServedModel } from './served-model.ts';
import type { Slot } from './slot.ts';
import type { Upstream } from './upstream.ts';

export interface Upstreams {
  /**
   * The least loaded engine's; null when none can take a job now. The one to avoid is taken only
   * where there is no other.
   */
  acquire(options?: { avoid?: string | undefined }): Slot | null;
  capacity(): Capacity;
  /**
   * A guess of how many tokens per second the slots make when all are in use, by how long the engines
   * took for one when they were warmed; null where nobody knows.
   */
  firstTokensPerS(): number | null;
  statuses(): UpstreamStatus[];
  /** What the worker's heartbeat says of them. */
  summary(): Pick<
    WorkerStatus,
    'slots' | 'breaker' | 'retry_in_ms' | 'upstream' | 'model' | 'max_model_len' | 'upstreams'
  >;
  stop(): Promise<void>;
}

interface Capacity {
  /** The sum of the ready engines' limits. */
  readonly slots: number;
  /** Those that are not taken. */
  readonly free: number;
  /**
   * Jobs that the worker may have at once: what runs, wherever, and what is free. A job that hangs
   * on an engine that is not ready must not take a place from one that is.
   */
  readonly jobsMax: number;
}

export function createUpstreams({
  upstreams,
  servedModel,
  fallbackModel,
}: {
  upstreams: readonly [Upstream, ...Upstream[]];
  servedModel: ServedModel;
  fallbackModel: string;
}): Upstreams {
  const ready = () => upstreams.filter(({ isReady }) => isReady);
  /** Grows, so that engines which are equally loaded take turns. */
  let turn = 0;

  return {
    acquire({ avoid } = {}) {
      // A limit may have been lowered while the job was on its way.
      const able = upstreams.filter(({ isAble }) => isAble);
      const others = able.filter(({ url }) => url !== avoid);
      const takers = others.length > 0 ? others : able;
      turn += 1;
      const inTurn = takers.map((_, index) => takers[(index + turn) % takers.length]);
      const [best] = inTurn.toSorted((a, b) => load(a) - load(b));
      return best?.acquire() ?? null;
    },

    capacity() {
      const slots = sum(ready().map(({ limit }) => limit));
      const free = sum(upstreams.map((upstream) => upstream.free));
      return { slots, free, jobsMax: free + sum(upstreams.map(({ running }) => running)) };
    },

    firstTokensPerS() {
      const known = ready().flatMap(({ limit, tokenMs }) =>
        tokenMs === null ? [] : { limit, tokenMs },
      );
      if (known.length === 0) return null;
      return sum(known.map(({ limit, tokenMs }) => (limit * 1_000) / tokenMs));
    },

    statuses: () => upstreams.map((upstream) => upstream.status()),

    summary() {
      const [first = upstreams[0]] = ready();
      // While none is ready, what they were is the best guess of what they will be.
      const asked = ready().length > 0 ? ready() : upstreams;
      const windows = asked.flatMap(({ maxModelLen }) => maxModelLen ?? []);
      const statuses = this.statuses();
      return {
        slots: this.capacity().slots,
        ...breakerOf(upstreams),
        upstream: first.url,
        model: servedModel.expected() ?? fallbackModel,
        max_model_len: windows.length === 0 ? null : Math.min(...windows),
        upstreams: statuses,
      };
    },

    async stop() {
      await Promise.all(upstreams.map((upstream) => upstream.stop()));
    },
  };
}

/**
 * An engine that is out gets no jobs either, though its breaker may not be open yet, or closed again. The
 * worker pulls where one of its engines lets it.
 */
function breakerOf(upstreams: readonly Upstream[]): Pick<WorkerStatus, 'breaker' | 'retry_in_ms'> {
  const all = upstreams.map((upstream) => ({ ...upstream.status(), isOut: upstream.isOut }));
  const kinds = all.map(({ state, breaker, isOut }) =>
    state === 'gone' || (isOut && breaker !== 'half_open') ? 'open' : breaker,
  );
  if (kinds.some((kind) => kind === 'closed')) return { breaker: 'closed', retry_in_ms: null };
  if (kinds.includes('half_open')) return { breaker: 'half_open', retry_in_ms: null };
  const retries = all.flatMap(({ retry_in_ms: retryInMs }) => retryInMs ?? []);
  return { breaker: 'open', retry_in_ms: retries.length === 0 ? null : Math.min(...retries) };
}

function load(upstream: Upstream | undefined): number {
  return upstream === undefined ? 0 : upstream.running / upstream.limit;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
