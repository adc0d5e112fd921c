/**
 * The worker's side of a claim: a queue entry becomes an attempt, or a reason why it does not. The
 * decision is the script's; what it cannot know, whether another worker lives, is found out here.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { engineRequestSchema } from '@qarr/router-core';
import type { EngineRequest, JobState, OnInterrupt } from '@qarr/router-core';
import { pipelineOf } from './redis-client.ts';
import type { RedisClient } from './redis-client.ts';
import type { Closing } from './closing.ts';
import { runDeadline } from './deadlines.ts';
import type { StopReason } from './appends.ts';
import type { AttemptLog, EventLog } from './event-log.ts';
import type { JobChanges } from './job-changes.ts';
import type { Keys } from './keys.ts';
import type { Ledger } from './ledger.ts';
import type { QueueEntry } from './queues.ts';
import { DUE_EVENTS } from './retention.ts';
import { runScript } from './scripts.ts';
import { readSoFar } from './so-far.ts';
import type { SoFar } from './so-far.ts';
import type { Verdict, Workers } from './workers.ts';

/** A job that has ended this many workers is not given to another. */
const DEATHS_MAX = 3;
const RETRY_MS = 200;
/** Each round may find another former worker, where a job changes hands meanwhile. */
const JUDGEMENTS_MAX = 3;

/** A job that this worker may run now. Times are milliseconds. */
export interface ClaimedJob {
  readonly jobId: string;
  readonly attempt: number;
  /** By earlier attempts; null where nobody knows. */
  readonly tokensBefore: number | null;
  /** Tries that have failed before. */
  readonly failures: number;
  /** Attempts that were spared: no engine took the request. */
  readonly spared: number;
  /** From the submission to this job's first start, by Redis's clock. */
  readonly queueWaitMs: number;
  /** What is left of the time that it may run. */
  readonly runLeftMs: number;
  readonly onInterrupt: OnInterrupt;
  readonly request: EngineRequest;
  /** W3C trace context of the request that made the job. */
  readonly traceparent: string | null;
  /** By which its client was answered; null where the record is of before it was kept. */
  readonly requestId: string | null;
  /** Workers that have died of it, as far as anybody knows. */
  readonly deaths: number;
  /** Text that was published before is void from here on. */
  readonly isReset: boolean;
}

export type Claim =
  | {
      kind: 'run';
      job: ClaimedJob;
      openLog: (onStop: (reason: StopReason) => void) => AttemptLog;
      /** What was published before and shall be carried on; null when the answer begins here. */
      readSoFar: () => Promise<SoFar | null>;
    }
  | { kind: 'drop'; reason: 'gone' | 'stale' | JobState }
  /** It has ended workers, all but one that it may, and runs only where nothing else does. */
  | { kind: 'alone' }
  /** Its former worker may be alive or dead: nobody can tell yet. */
  | { kind: 'unclear' };

/** Who claims, and how. */
export interface Claimant {
  readonly worker: string;
  /** Unique to this delivery. */
  readonly token: string;
  /** Nothing else runs on this worker, and nothing will meanwhile. Default: no. */
  readonly isAlone?: boolean;
}

export interface Claims {
  claim(entry: QueueEntry, claimant: Claimant): Promise<Claim>;
}

export function createClaims({
  redis,
  keys,
  tier,
  workers,
  log,
  ledger,
  closing,
  changes,
  onError,
}: {
  redis: RedisClient;
  keys: Keys;
  tier: string;
  workers: Pick<Workers, 'judge'>;
  log: EventLog;
  ledger: Pick<Ledger, 'start'>;
  closing: Closing;
  changes: Pick<JobChanges, 'tell'>;
  onError: (error: Error) => void;
}): Claims {
  /** The job is claimed: there is no way back but by reading. */
  async function soFarOf(jobId: string, continued: number): Promise<SoFar> {
    for (;;) {
      try {
        return await readSoFar({ redis, logKey: keys.log(jobId), continued });
      } catch (error) {
        onError(error as Error);
        // The store was stopped.
        if (redis.status === 'end') throw error;
        await sleep(RETRY_MS);
      }
    }
  }

  /** Claims, and says of a former worker whether it lives where the script asks for that. */
  async function claimJudging(
    { jobId, epoch }: QueueEntry,
    { worker, token, isAlone = false }: Claimant,
  ): Promise<ClaimReply> {
    let judged: { id: string; verdict: Verdict | '' } = { id: '', verdict: '' };
    for (let round = 0; ; round += 1) {
      const reply = (await runScript(redis, 'claim', {
        keys: [keys.job(jobId), keys.log(jobId)],
        args: [
          jobId,
          epoch,
          worker,
          token,
          DEATHS_MAX,
          isAlone ? 1 : 0,
          judged.id,
          judged.verdict,
          DUE_EVENTS.expired,
          DUE_EVENTS.cancelledUnrun,
          DUE_EVENTS.cancelledAfterRun,
          DUE_EVENTS.ranTooLong,
          DUE_EVENTS.poison,
          DUE_EVENTS.workerLost,
        ],
      })) as ClaimReply;
      if (reply[0] !== 'judge' || round === JUDGEMENTS_MAX) return reply;
      const id = reply[1];
      const verdict = id === worker ? 'alive' : await workers.judge(tier, id);
      if (verdict === 'unknown') return reply;
      judged = { id, verdict };
    }
  }

  function claimed(jobId: string, { token }: Claimant, reply: RunReply): Claim {
    const [, attempt, nextSeq, failures, spared, now, createdAt, startedAt, ...rest] = reply;
    const [runTimeoutMs, onInterrupt, request, traceparent, continued, hasText, ...more] = rest;
    const [tokens, requestId, deaths, isReset] = more;
    const tokensBefore = tokens === '' ? null : tokens;
    return {
      kind: 'run',
      job: {
        jobId,
        attempt,
        tokensBefore,
        failures,
        spared,
        queueWaitMs: startedAt - createdAt,
        runLeftMs: startedAt + runTimeoutMs - now,
        onInterrupt,
        request: engineRequestSchema.parse(JSON.parse(request)),
        traceparent: traceparent || null,
        requestId: requestId || null,
        deaths,
        isReset: isReset === 1,
      },
      openLog: (onStop) =>
        log.openAttempt({ jobId, attempt, token, nextSeq, tokensBefore, onStop }),
      readSoFar: async () => (hasText === 1 ? soFarOf(jobId, continued) : null),
    };
  }

  /** From now on its time to run counts. Where this is lost, the sweep finds it missing. */
  function noteStart(jobId: string, reply: RunReply): void {
    const [, , , , , , createdAt, startedAt, runTimeoutMs] = reply;
    pipelineOf(redis)
      .zadd(keys.deadlines, runDeadline({ startedAt, runTimeoutMs }), jobId)
      .zadd(keys.started, createdAt, jobId)
      .exec()
      .catch(onError);
    ledger.start(tier, jobId).catch(onError);
  }

  return {
    async claim(entry, claimant) {
      const { jobId } = entry;
      const reply = await claimJudging(entry, claimant);
      switch (reply[0]) {
        case 'judge':
          return { kind: 'unclear' };
        case 'alone':
          if (reply[1] === 1) void changes.tell(jobId, 'requeued');
          return { kind: 'alone' };
        case 'drop':
          // Its worker has not ended it, so that nobody else tells.
          if (reply[2] === 1) void changes.tell(jobId, reply[1]);
          if (reply[1] !== 'stale') closing.close(jobId).catch(onError);
          return { kind: 'drop', reason: reply[1] };
        case 'run':
          noteStart(jobId, reply);
          return claimed(jobId, claimant, reply);
        default:
          return reply satisfies never;
      }
    },
  };
}

type RunReply = Extract<ClaimReply, ['run', ...unknown[]]>;

type ClaimReply =
  | ['judge', formerWorker: string]
  | ['alone', wasRunning: 0 | 1]
  | ['drop', 'gone' | 'stale']
  | ['drop', JobState, hasEnded?: 1]
  | [
      'run',
      attempt: number,
      nextSeq: number,
      failures: number,
      spared: number,
      now: number,
      createdAt: number,
      startedAt: number,
      runTimeoutMs: number,
      onInterrupt: OnInterrupt,
      request: string,
      traceparent: string,
      continued: number,
      hasText: 0 | 1,
      tokensBefore: number | '',
      requestId: string,
      deaths: number,
      isReset: 0 | 1,
    ];
