/** Leads one engine through its life: does what its state asks for. The life: `upstream-state.ts`. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '@qarr/process';
import type { UpstreamStatus } from '@qarr/router-core';
import { NO_CAPABILITIES } from '../capabilities.ts';
import type { Capabilities } from '../capabilities.ts';
import type { RestLimits } from '../config.ts';
import type { Engine, EngineOutcome } from '../engine.ts';
import { identify } from './describe.ts';
import type { Described } from './describe.ts';
import { doubtOf } from './doubt.ts';
import { createLoad } from './load.ts';
import type { Probe } from './probe.ts';
import type { ServedModel } from './served-model.ts';
import { FULL_TRUST, judge } from './trust.ts';
import { createTransitionLog } from './transition-log.ts';
import { transition } from './upstream-state.ts';
import type { Identity, UpstreamEvent, UpstreamState } from './upstream-state.ts';

/** An engine that only hiccuped is back at once; one that loads its model takes minutes. */
const ASK_AGAIN_BASE_MS = 250;
const ASK_AGAIN_CAP_MS = 5_000;

export interface Upstream {
  readonly url: string;
  readonly isReady: boolean;
  /** Jobs at once; counts only while it is ready. */
  readonly limit: number;
  readonly running: number;
  /** Null before it has told for the first time. */
  readonly maxModelLen: number | null;
  /** How long it took for one token when it was warmed, at best; null where that is not known. */
  readonly tokenMs: number | null;
  acquire(): Slot;
  status(): UpstreamStatus;
  stop(): Promise<void>;
}

/** A place for one job. */
export interface Slot {
  readonly url: string;
  readonly engine: Engine;
  readonly model: string;
  readonly capabilities: Capabilities;
  /** A sign of life. */
  sawToken(): void;
  /** To be called as soon as the outcome is known: it may say something of the engine. */
  report(outcome: EngineOutcome): void;
  /** To be called once, when the job is done with. */
  release(): void;
}

export interface UpstreamOptions {
  readonly url: string;
  readonly engine: Engine;
  readonly probe: Probe;
  /** Jobs at once, at most. */
  readonly ceiling: number;
  readonly canaryEveryMs: number;
  readonly rest: RestLimits;
  readonly servedModel: ServedModel;
  /** The name to use with engines that tell none. */
  readonly fallbackModel: string;
  /** Its state, limit or number of jobs is another. */
  readonly onChange: () => void;
  readonly log: Logger;
  readonly random?: () => number;
  readonly askAgainBaseMs?: number;
  readonly scrapeEveryMs?: number;
}

export function createUpstream({
  url,
  engine,
  probe,
  ceiling,
  canaryEveryMs,
  rest,
  servedModel,
  fallbackModel,
  onChange,
  log,
  random = Math.random,
  askAgainBaseMs = ASK_AGAIN_BASE_MS,
  scrapeEveryMs,
}: UpstreamOptions): Upstream {
  const stopping = new AbortController();
  const logTransition = createTransitionLog(log.child({ upstream: url }));
  let state: UpstreamState = { kind: 'starting' };
  /** What the present state does; it ends with the state. */
  let step = new AbortController();
  let lastIdentity: Identity | null = null;
  let tokenMs: number | null = null;
  /**
   * Counts how often it was lost and warmed: a report on an earlier life of it is no news. What
   * befalls many jobs at once is so one failure, not one for each of them.
   */
  let life = 0;
  let running = 0;
  let peak = 0;
  let trust = FULL_TRUST;
  /** Until then it gets no job, however well it answers. */
  let restsUntilMs = 0;
  /** The last sign of life. */
  let seenMs = performance.now();

  const load = createLoad({
    scrape: probe.scrape,
    ceiling,
    isWatched: () => state.kind === 'ready' || state.kind === 'suspect',
    running() {
      const was = peak;
      peak = running;
      return { now: running, peak: was };
    },
    listener: {
      onLimit: onChange,
      onProgress: () => (seenMs = performance.now()),
      onStall: () => apply({ kind: 'doubted', cause: 'its tokens stand still' }),
      onRestart: () => apply({ kind: 'restarted' }),
      onUnreachable: (cause) => apply({ kind: 'lost', cause }),
    },
    ...(scrapeEveryMs === undefined ? {} : { everyMs: scrapeEveryMs }),
  });

  function apply(event: UpstreamEvent): void {
    const before = state;
    state = transition(before, event);
    if (state === before || stopping.signal.aborted) return;
    step.abort();
    if (state.kind === 'gone' || state.kind === 'warming') life += 1;
    if (state.kind === 'warming') lastIdentity = state.identity;
    if (state.kind === 'ready') seenMs = performance.now();
    logTransition({ from: before, to: state, model: modelName() });
    onChange();
  }

  async function live(): Promise<void> {
    while (!stopping.signal.aborted) {
      step = new AbortController();
      const { signal } = step;
      const event = await act(state, signal);
      if (!signal.aborted) apply(event);
    }
  }

  /** Does what the state asks for, until that is done or the signal ends it. */
  async function act(now: UpstreamState, signal: AbortSignal): Promise<UpstreamEvent> {
    switch (now.kind) {
      case 'gone':
        await pause(Math.max(askAgainMs(now.tries), restsUntilMs - performance.now()), signal);
        return eventOf(await probe.describe(signal));
      case 'starting':
        return eventOf(await probe.describe(signal));
      case 'warming':
        return warm(now.identity, signal);
      case 'ready':
        await untilSilent(signal);
        return askCanary(signal);
      case 'suspect':
        return askCanary(signal);
      default:
        return now satisfies never;
    }
  }

  function askAgainMs(tries: number): number {
    const ceilingMs = Math.min(ASK_AGAIN_CAP_MS, askAgainBaseMs * 2 ** tries);
    // At least half: workers shall spread, none shall press.
    return (ceilingMs * (1 + random())) / 2;
  }

  function eventOf(described: Described): UpstreamEvent {
    if (described.kind !== 'described') return { kind: 'failed', cause: described.cause };
    const identified = identify(described.description, servedModel.expected());
    if (identified.kind === 'identified') {
      return { kind: 'described', identity: identified.identity };
    }
    return { kind: 'failed', cause: identified.cause };
  }

  async function warm(identity: Identity, signal: AbortSignal): Promise<UpstreamEvent> {
    const { version, model, maxModelLen } = identity;
    const warmed = await probe.warmUp({ model: modelName(), version, signal });
    if (warmed.kind !== 'warmed') return { kind: 'failed', cause: warmed.cause };
    tokenMs = warmed.tokenMs;
    await load.begin({ maxModelLen, signal });
    // Another engine may have been ready first, with another model.
    if (!signal.aborted && !servedModel.agree(model)) {
      return { kind: 'failed', cause: `serves ${model}, not ${servedModel.expected()}` };
    }
    return warmed;
  }

  async function askCanary(signal: AbortSignal): Promise<UpstreamEvent> {
    const askedMs = performance.now();
    const expected = servedModel.expected();
    const canary = await probe.canary({ model: modelName(), expected, signal });
    // A canary that waits behind work that goes on is not a bad sign.
    const goesOn = canary.kind === 'failed' && canary.cause === 'timeout' && seenMs > askedMs;
    if (canary.kind !== 'answered' && !goesOn) return canary;
    seenMs = performance.now();
    return { kind: 'answered' };
  }

  async function untilSilent(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const leftMs = seenMs + canaryEveryMs - performance.now();
      if (leftMs <= 0) return;
      await pause(leftMs, signal);
    }
  }

  function modelName(): string {
    return lastIdentity?.model ?? servedModel.expected() ?? fallbackModel;
  }

  const living = Promise.all([live(), load.watch(stopping.signal)]);

  return {
    url,
    get isReady() {
      return state.kind === 'ready';
    },
    get limit() {
      return load.limit;
    },
    get running() {
      return running;
    },
    get maxModelLen() {
      return lastIdentity?.maxModelLen ?? null;
    },
    get tokenMs() {
      return tokenMs;
    },

    acquire() {
      running += 1;
      peak = Math.max(peak, running);
      const since = life;
      return {
        url,
        engine,
        model: modelName(),
        capabilities: state.kind === 'ready' ? state.capabilities : NO_CAPABILITIES,
        sawToken: () => void (seenMs = performance.now()),
        report(outcome) {
          if (since !== life) return;
          const judged = judge(trust, outcome, { limits: rest, random: random() });
          trust = judged.trust;
          if (judged.restMs !== null) {
            restsUntilMs = performance.now() + judged.restMs;
            apply({ kind: 'lost', cause: 'fails its jobs' });
            return;
          }
          const doubt = doubtOf(outcome);
          if (doubt !== null) apply(doubt);
        },
        release() {
          running -= 1;
          onChange();
        },
      };
    },

    status() {
      const { metrics } = load;
      return {
        url,
        state: state.kind,
        running,
        slots: state.kind === 'ready' ? load.limit : 0,
        waiting: metrics?.waiting ?? null,
        kv_usage: metrics?.kvUsage ?? null,
        preemptions: metrics?.preemptions ?? null,
        model: lastIdentity?.model ?? null,
        max_model_len: lastIdentity?.maxModelLen ?? null,
        version: lastIdentity?.version ?? null,
      };
    },

    async stop() {
      stopping.abort();
      step.abort();
      await living;
      await Promise.all([probe.stop(), engine.stop()]);
    },
  };
}

/** Waits, but not longer than until the signal is aborted. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, null, { signal }).catch(() => {});
}
