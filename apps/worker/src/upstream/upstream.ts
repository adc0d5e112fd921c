/**
 * Leads one engine through its life: does what its state asks for. The life: `upstream-state.ts`.
 *
 * Beside it stands the engine's breaker (`circuit.ts`), which says whether it is asked for anything at
 * all. When that opens, the engine is gone. While it is half-open, the worker that probes it leads it
 * to `ready` with one request at a time; then single jobs are the probes, or canaries where none comes.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '@qarr/process';
import type {
  BreakerName,
  BreakerOptions,
  BreakerTold,
  CallOutcome,
  Permit,
  UpstreamStatus,
} from '@qarr/router-core';
import { NO_CAPABILITIES } from '../capabilities.ts';
import type { Engine, EngineOutcome } from '../engine.ts';
import { createCircuit } from './circuit.ts';
import type { CircuitSharing } from './circuit.ts';
import { identify } from './describe.ts';
import type { Described } from './describe.ts';
import { doubtOf } from './doubt.ts';
import { createLoad } from './load.ts';
import type { Probe } from './probe.ts';
import type { ServedModel } from './served-model.ts';
import { createSlot } from './slot.ts';
import type { Slot } from './slot.ts';
import { createTransitionLog } from './transition-log.ts';
import { transition } from './upstream-state.ts';
import type { Identity, UpstreamEvent, UpstreamState } from './upstream-state.ts';

/** An engine that only hiccuped is back at once; one that loads its model takes minutes. */
const ASK_AGAIN_BASE_MS = 250;
const ASK_AGAIN_CAP_MS = 5_000;
/** A job is a better probe than a canary: it is waited for so long. */
const PROBE_JOB_MS = 1_000;

export interface Upstream {
  readonly url: string;
  /** It gets jobs, though it may be that there is no place now. */
  readonly isReady: boolean;
  /**
   * It was gone, or did not answer a request of its warm-up, and has not been ready since: however
   * long it is warmed now, nobody shall count on it.
   */
  readonly isOut: boolean;
  /** Jobs at once; counts only while it is ready. */
  readonly limit: number;
  /** Places that are not taken; none while it is not ready. */
  readonly free: number;
  /** It can bear one more job, which may be beyond a limit that has just been lowered. */
  readonly isAble: boolean;
  readonly running: number;
  /** Null before it has told for the first time. */
  readonly maxModelLen: number | null;
  /** How long it took for one token when it was warmed, at best; null where that is not known. */
  readonly tokenMs: number | null;
  /** It must be able. */
  acquire(): Slot;
  /** Others have made its breaker this. */
  follow(told: BreakerTold): void;
  status(): UpstreamStatus;
  stop(): Promise<void>;
}

export interface UpstreamOptions {
  readonly url: string;
  readonly engine: Engine;
  readonly probe: Probe;
  /** Jobs at once, at most. */
  readonly ceiling: number;
  readonly canaryEveryMs: number;
  readonly breaker: BreakerOptions;
  readonly shared: CircuitSharing;
  readonly servedModel: ServedModel;
  /** The name to use with engines that tell none. */
  readonly fallbackModel: string;
  /** Its state, limit or number of jobs is another. */
  readonly onChange: () => void;
  /** Its breaker has become this. */
  readonly onBreaker: (kind: BreakerName) => void;
  readonly log: Logger;
  readonly random?: () => number;
  readonly askAgainBaseMs?: number;
  readonly probeProvesEveryMs?: number;
  readonly scrapeEveryMs?: number;
}

export function createUpstream({
  url,
  engine,
  probe,
  ceiling,
  canaryEveryMs,
  breaker,
  shared,
  servedModel,
  fallbackModel,
  onChange,
  onBreaker,
  log: workerLog,
  random = Math.random,
  askAgainBaseMs = ASK_AGAIN_BASE_MS,
  probeProvesEveryMs,
  scrapeEveryMs,
}: UpstreamOptions): Upstream {
  const stopping = new AbortController();
  const log = workerLog.child({ upstream: url });
  const logTransition = createTransitionLog(log);
  let state: UpstreamState = { kind: 'starting' };
  /** What the present state does; it ends with the state. */
  let step = new AbortController();
  /** A pause that need not be when its breaker closes. */
  let waiting = new AbortController();
  let isOut = false;
  let lastIdentity: Identity | null = null;
  let tokenMs: number | null = null;
  /**
   * Counts how often it was lost and warmed: a report on an earlier life of it is no news. What
   * befalls many jobs at once is so one failure, not one for each of them.
   */
  let life = 0;
  let running = 0;
  let peak = 0;
  /** The last sign of life. */
  let seenMs = performance.now();
  /** To lead it from being gone to being ready: one call, for its breaker. */
  let comeback: Permit | null = null;
  /** Since its breaker opened, or ever, it has not told what it is: when it does, much has changed. */
  let wasAway = false;

  const circuit = createCircuit({
    url,
    options: breaker,
    shared,
    log,
    random,
    listener: {
      onBreaker(kind) {
        comeback = null;
        if (kind === 'closed') waiting.abort();
        else apply({ kind: 'lost', cause: 'its breaker is open' });
        if (kind === 'open') wasAway = lastIdentity === null;
        onBreaker(kind);
        onChange();
      },
      onLeaseLost: () => apply({ kind: 'lost', cause: 'another worker probes it' }),
    },
  });

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
      onStall() {
        if (circuit.kind === 'half_open') circuit.fail();
        else apply({ kind: 'doubted', cause: 'its tokens stand still' });
      },
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
    if (state.kind !== 'warming') settleComeback('neutral');
    if (state.kind === 'gone' || state.kind === 'warming') life += 1;
    if (state.kind === 'gone') isOut = true;
    if (state.kind === 'ready') isOut = false;
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
        await untilAskedAgain(now.tries, signal);
        return look(now, signal);
      case 'starting':
        return look({ tries: 0, cause: 'its breaker is open' }, signal);
      case 'warming':
        return warm(now.identity, signal);
      case 'ready':
        await (circuit.kind === 'closed' ? untilSilent(signal) : pause(PROBE_JOB_MS, signal));
        return askCanary(signal);
      case 'suspect':
        return askCanary(signal);
      default:
        return now satisfies never;
    }
  }

  async function untilAskedAgain(tries: number, signal: AbortSignal): Promise<void> {
    waiting = new AbortController();
    const againMs = restMs(tries) * (1 + random());
    // Its breaker may let it be tried before that.
    const ms = Math.min(againMs, circuit.retryInMs ?? againMs);
    await pause(ms, AbortSignal.any([signal, waiting.signal]));
  }

  /** Half of the longest pause: workers shall spread, none shall press. */
  function restMs(tries: number): number {
    return Math.min(ASK_AGAIN_CAP_MS, askAgainBaseMs * 2 ** tries) / 2;
  }

  /**
   * Asks it what it is, as soon as this worker may ask. That costs an engine nothing, so it is done also
   * while its breaker is open: an engine that has come back is not left alone for what was before.
   */
  async function look(
    { tries, cause }: { tries: number; cause: string },
    signal: AbortSignal,
  ): Promise<UpstreamEvent> {
    await circuit.turn(signal);
    if (signal.aborted) return { kind: 'failed', cause };
    comeback = circuit.ask();
    const described = await probe.describe(signal);
    if (signal.aborted) return { kind: 'failed', cause };
    const event = eventOf(described);
    if (event.kind === 'failed') {
      settleComeback('failed');
      wasAway ||= described.kind !== 'described';
    } else {
      if (circuit.kind === 'open' && (wasAway || (await isNewProcess(signal)))) circuit.restart();
      comeback ??= circuit.ask();
      if (comeback !== null) return event;
    }
    circuit.rest(restMs(tries));
    return { kind: 'failed', cause: event.kind === 'failed' ? event.cause : cause };
  }

  async function isNewProcess(signal: AbortSignal): Promise<boolean> {
    const scraped = await probe.scrape(signal);
    return scraped.kind === 'scraped' && load.isNewProcess(scraped.metrics);
  }

  function eventOf(
    described: Described,
  ): { kind: 'failed'; cause: string } | { kind: 'described'; identity: Identity } {
    if (described.kind !== 'described') return { kind: 'failed', cause: described.cause };
    const identified = identify(described.description, servedModel.expected());
    if (identified.kind === 'identified') {
      return { kind: 'described', identity: identified.identity };
    }
    return { kind: 'failed', cause: identified.cause };
  }

  async function warm(identity: Identity, signal: AbortSignal): Promise<UpstreamEvent> {
    const { version, model, maxModelLen } = identity;
    const isCareful = circuit.kind !== 'closed';
    const warmed = await probe.warmUp({
      model: modelName(),
      version,
      isCareful,
      signal,
      onFailure(cause) {
        if (signal.aborted) return;
        log.warn({ cause }, 'warm-up request failed');
        isOut = true;
        onChange();
      },
    });
    if (!signal.aborted && warmed.kind !== 'warmed') {
      settleComeback(warmed.kind === 'busy' ? 'neutral' : 'failed');
    }
    if (warmed.kind !== 'warmed') return { kind: 'failed', cause: warmed.cause };
    tokenMs = warmed.tokenMs;
    await load.begin({ maxModelLen, signal });
    // Another engine may have been ready first, with another model.
    if (!signal.aborted && !servedModel.agree(model)) {
      return { kind: 'failed', cause: `serves ${model}, not ${servedModel.expected()}` };
    }
    if (!signal.aborted) settleComeback('succeeded');
    return warmed;
  }

  function settleComeback(outcome: CallOutcome): void {
    const permit = comeback;
    comeback = null;
    if (permit !== null) circuit.settle(permit, outcome);
  }

  async function askCanary(signal: AbortSignal): Promise<UpstreamEvent> {
    const isProbe = circuit.kind === 'half_open';
    const permit = circuit.ask();
    // A job is the probe: it will show.
    if (permit === null) return { kind: 'answered' };
    const askedMs = performance.now();
    const expected = servedModel.expected();
    const canary = await probe.canary({ model: modelName(), expected, signal });
    // A canary that waits behind work that goes on is not a bad sign.
    const goesOn = canary.kind === 'failed' && canary.cause === 'timeout' && seenMs > askedMs;
    const isAnswered = canary.kind === 'answered' || goesOn;
    if (isAnswered) seenMs = performance.now();
    // What answers its canaries may fail its jobs all the same.
    const answered = isProbe ? 'succeeded' : 'neutral';
    const settled = isAnswered ? answered : 'failed';
    circuit.settle(permit, signal.aborted ? 'neutral' : settled);
    onChange();
    return isAnswered ? { kind: 'answered' } : canary;
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

  const isReady = () => state.kind === 'ready';
  const limit = () => (circuit.kind === 'closed' ? load.limit : 1);

  function free(): number {
    if (!isReady() || load.isFull || !circuit.isFree) return 0;
    // What has run since before it was half-open is no probe.
    return circuit.kind === 'closed' ? Math.max(0, load.limit - running) : 1;
  }

  function acquire(): Slot {
    running += 1;
    peak = Math.max(peak, running);
    const since = life;
    return createSlot({
      offer: {
        url,
        engine,
        model: modelName(),
        capabilities: state.kind === 'ready' ? state.capabilities : NO_CAPABILITIES,
      },
      circuit,
      isNews: () => since === life,
      listener: {
        onToken: () => (seenMs = performance.now()),
        onOutcome,
        onRelease() {
          running -= 1;
          onChange();
        },
      },
      probeProvesEveryMs,
    });
  }

  function onOutcome(outcome: EngineOutcome): void {
    const doubt = doubtOf(outcome);
    if (doubt !== null) apply(doubt);
    const { ending } = outcome;
    if (ending.kind !== 'failed' || ending.failure.engine !== 'busy') return;
    load.refused({ running: running - 1, retryAfterMs: ending.failure.retryAfterMs });
  }

  const living = Promise.all([live(), load.watch(stopping.signal)]);

  return {
    url,
    get isReady() {
      return isReady();
    },
    get isOut() {
      return isOut;
    },
    get limit() {
      return limit();
    },
    get free() {
      return free();
    },
    get isAble() {
      return isReady() && running < ceiling && circuit.isFree && !load.isFull;
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
    acquire,
    follow: circuit.follow,

    status() {
      const { metrics } = load;
      return {
        url,
        state: state.kind,
        running,
        slots: isReady() ? limit() : 0,
        waiting: metrics?.waiting ?? null,
        kv_usage: metrics?.kvUsage ?? null,
        preemptions: metrics?.preemptions ?? null,
        model: lastIdentity?.model ?? null,
        max_model_len: lastIdentity?.maxModelLen ?? null,
        version: lastIdentity?.version ?? null,
        breaker: circuit.kind,
        retry_in_ms: circuit.retryInMs,
      };
    },

    async stop() {
      stopping.abort();
      step.abort();
      await living;
      await Promise.all([probe.stop(), engine.stop(), circuit.stop()]);
    },
  };
}

/** Waits, but not longer than until the signal is aborted. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, null, { signal }).catch(() => {});
}
