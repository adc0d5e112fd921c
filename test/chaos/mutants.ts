/** Planted bugs: what each breaks, by which faults it shows, and which invariant must find it. */
import type { LoadMix } from './load/plan.ts';
import { cutAnswers } from './nemesis/engine-faults.ts';
import type { Fault } from './nemesis/fault.ts';
import { freezeBusiest } from './nemesis/process-faults.ts';
import type { Edit } from './mutated-source.ts';

export interface Mutant {
  readonly name: string;
  readonly breaks: string;
  readonly edits: readonly Edit[];
  /** At least one violation of one of these invariants. */
  readonly expected: readonly string[];
  /** None: it shows without any. */
  readonly faults: readonly Fault[];
  readonly mix?: Partial<LoadMix>;
  readonly loadMs?: number;
  readonly perSecond?: number;
  readonly pauseMs?: readonly [min: number, max: number];
}

const LUA = 'packages/job-store/src/scripts';
const STORE = 'packages/job-store/src';

/** A worker that is gone is noticed within seconds, so that a run may be short. No bug. */
export const HASTE: readonly Edit[] = [
  {
    file: `${STORE}/consumer.ts`,
    text: 'lockDuration: LOCK_MS,',
    replacement: 'lockDuration: 2_000,',
  },
  {
    file: `${STORE}/consumer.ts`,
    text: 'stalledInterval: STALLED_CHECK_MS,',
    replacement: 'stalledInterval: 500,',
  },
];

/**
 * The worker that has most jobs is frozen, for longer than the lock lasts and the check takes; the
 * other one then has them. Answers last so long that both are in the middle of one.
 */
const FROZEN_RUN = {
  faults: [freezeBusiest({ ms: 3_500 })],
  pauseMs: [1_500, 1_500],
  mix: { maxTokens: [500, 600], endless: 1 },
  loadMs: 5_500,
  perSecond: 5,
} as const;

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'appends are not fenced',
    breaks: 'a worker that was frozen writes beside its successor',
    edits: [
      {
        file: `${LUA}/append.lua`,
        text: "if record[1] ~= 'running' or record[2] ~= ARGV[2] then",
        replacement: "if record[1] ~= 'running' then",
      },
      { file: `${LUA}/append.lua`, text: 'if first > seq + 1 then', replacement: 'if false then' },
      { file: `${LUA}/append.lua`, text: 'if first == seq + 1 then', replacement: 'if true then' },
    ],
    // The successor may also be put off for good, by numbers that are not its own.
    expected: ['I1', 'I7'],
    ...FROZEN_RUN,
  },
  {
    name: 'the end is not fenced',
    breaks: 'a worker that was frozen ends the job of its successor',
    edits: [
      {
        file: `${LUA}/finish.lua`,
        text: "if record[2] ~= ARGV[2] then\n  return 'superseded'",
        replacement: "if false then\n  return 'superseded'",
      },
      { file: `${LUA}/finish.lua`, text: 'if first ~= seq + 1 then', replacement: 'if false then' },
      // Else it would not come so far: each append, and its queue, tell it that it was superseded.
      {
        file: `${STORE}/consumer.ts`,
        text: "worker.cancelJob(id, 'lock lost')",
        replacement: 'onError(new Error(id))',
      },
      {
        file: `${STORE}/event-log.ts`,
        text: "if (outcome !== 'ok') stop(attempt, outcome as StopReason);",
        replacement: "if (outcome === 'cancel') stop(attempt, outcome);",
      },
    ],
    // The successor may also be put off for good, by numbers that are not its own.
    expected: ['I1', 'I7'],
    ...FROZEN_RUN,
  },
  {
    name: 'a number is skipped',
    breaks: 'the log has a gap before each attempt',
    edits: [
      {
        file: `${LUA}/claim.lua`,
        text: 'seq = seq + 1\nlocal started',
        replacement: 'seq = seq + 2\nlocal started',
      },
    ],
    expected: ['I6'],
    faults: [],
  },
  {
    name: 'the terminal event is lost',
    breaks: 'a job is completed, and its log has no end',
    edits: [
      {
        file: `${LUA}/prelude.lua`,
        text: '  emit(log_key, job_id, seq, state, json, followers)\n',
        replacement:
          "  if state ~= 'completed' then emit(log_key, job_id, seq, state, json, followers) end\n",
      },
    ],
    expected: ['I3'],
    faults: [],
  },
  {
    name: 'the terminal event comes twice',
    breaks: 'a log goes on after its end',
    edits: [
      {
        file: `${LUA}/prelude.lua`,
        text: '  emit(log_key, job_id, seq, state, json, followers)\n',
        replacement:
          '  emit(log_key, job_id, seq, state, json, followers)\n  seq = seq + 1\n  emit(log_key, job_id, seq, state, json, followers)\n',
      },
    ],
    expected: ['I3'],
    faults: [],
  },
  {
    name: 'the result lacks its end',
    breaks: 'the stored text is not what was published',
    edits: [
      {
        file: 'apps/worker/src/answer.ts',
        text: '  return {\n    text,',
        replacement: '  return {\n    text: text.slice(0, -1),',
      },
    ],
    expected: ['I7'],
    faults: [],
  },
  {
    name: 'a counter is wrong',
    breaks: 'the usage is one token too high',
    edits: [
      {
        file: 'apps/worker/src/process-job.ts',
        text: 'usage,\n          timings,\n          continued: result.continued,',
        replacement:
          'usage: usage && { ...usage, completion_tokens: usage.completion_tokens + 1, total_tokens: usage.total_tokens + 1 },\n          timings,\n          continued: result.continued,',
      },
    ],
    expected: ['I7'],
    faults: [],
  },
  {
    name: 'a reader who comes back misses an event',
    breaks: 'following goes on one number too late',
    edits: [
      {
        file: `${STORE}/followers.ts`,
        text: 'let last = after;',
        replacement: 'let last = after === 0 ? 0 : after + 1;',
      },
    ],
    expected: ['I6'],
    faults: [],
  },
  {
    name: 'a cancel is forgotten',
    breaks: 'a job goes on to its end after its client was told that it will not',
    edits: [
      {
        file: `${LUA}/append.lua`,
        text: "return record[5] == '1' and 'cancel' or 'ok'",
        replacement: "return 'ok'",
      },
      {
        file: `${LUA}/finish.lua`,
        text: "if record[5] == '1' and ARGV[4] ~= 'cancelled' then",
        replacement: 'if false then',
      },
      {
        file: 'apps/worker/src/main.ts',
        text: 'onCancel: (jobId) => worker?.cancel(jobId),',
        replacement: 'onCancel: () => {},',
      },
    ],
    expected: ['I13'],
    faults: [],
    mix: { maxTokens: [350, 400], endless: 1 },
  },
  {
    name: 'text follows a cancel',
    breaks: 'a delta is published after the terminal event',
    edits: [
      {
        file: `${LUA}/prelude.lua`,
        text: "  redis.call('HSET', job_key, 'state', state, 'seq', seq,",
        replacement:
          "  if state == 'cancelled' then\n    seq = seq + 1\n    emit(log_key, job_id, seq, 'delta', '{\"type\":\"delta\",\"text\":\"x\"}', followers)\n  end\n  redis.call('HSET', job_key, 'state', state, 'seq', seq,",
      },
    ],
    expected: ['I3'],
    faults: [],
  },
  {
    name: 'a late cancel wins',
    breaks: 'a completed job becomes a cancelled one',
    edits: [
      {
        file: `${LUA}/cancel.lua`,
        text: "elseif state == 'queued' then",
        replacement: "elseif state ~= 'cancelled' then",
      },
    ],
    expected: ['I3'],
    faults: [],
    mix: { maxTokens: [1, 10] },
  },
  {
    name: 'queue entries get lost',
    breaks: 'a job is accepted, and nobody ever runs it',
    edits: [
      {
        file: `${STORE}/queues.ts`,
        text: 'async add(tier, entry) {\n',
        replacement: 'async add(tier, entry) {\n      if (/[0-3]$/.test(entry.jobId)) return;\n',
      },
    ],
    expected: ['I1'],
    faults: [],
  },
  {
    name: 'a word is repeated',
    breaks: 'an answer that is carried on begins again a little before its joint',
    edits: [
      {
        file: 'apps/worker/src/continuation.ts',
        text: 'const heldBack = text.slice(soFar.text.length);',
        replacement: 'const heldBack = text.slice(Math.max(0, soFar.text.length - 5));',
      },
    ],
    expected: ['I7'],
    faults: [cutAnswers()],
  },
  {
    name: 'a new attempt voids nothing',
    breaks: 'an answer that is restarted follows on the text of the former attempt',
    edits: [
      {
        file: `${LUA}/claim.lua`,
        text: "  seq = seq + 1\n  followers = emit(KEYS[2], ARGV[1], seq, 'reset', cjson.encode({ type = 'reset', attempt = attempt }), followers)\n",
        replacement: '',
      },
    ],
    expected: ['I5'],
    faults: [cutAnswers()],
    mix: { onInterrupt: 'restart' },
  },
  {
    name: 'a deadline is ignored',
    breaks: 'a job is started that has waited too long',
    edits: [
      {
        file: `${LUA}/claim.lua`,
        text: 'if attempt == 0 and now >= queue_deadline then',
        replacement: 'if false then',
      },
    ],
    expected: ['I14'],
    faults: [],
    mix: { impatient: { share: 0.7, ms: [1, 3] } },
  },
  {
    name: 'indexes are never closed',
    breaks: 'a job that is over stays among the open ones',
    edits: [
      {
        file: `${STORE}/closing.ts`,
        text: 'zrem(keys.open, jobId)',
        replacement: 'zrem(keys.open, `not ${jobId}`)',
      },
    ],
    expected: ['I20'],
    faults: [],
  },
  {
    name: 'records are kept for ever',
    breaks: 'a job that is over has no time to live',
    edits: [
      {
        file: `${LUA}/prelude.lua`,
        text: "  redis.call('PEXPIRE', job_key, kept[1] or 86400000)\n",
        replacement: '',
      },
    ],
    expected: ['I20'],
    faults: [],
  },
];
