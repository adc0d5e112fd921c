/** Bugs in how a job begins, is read, and ends. */
import { INATTENTIVE, LUA, STORE } from './mutant.ts';
import type { Mutant } from './mutant.ts';

export const JOB_MUTANTS: readonly Mutant[] = [
  {
    name: 'the terminal event is lost',
    breaks: 'a job is completed, and its log has no end',
    edits: [
      {
        file: `${LUA}/prelude.lua`,
        text: '  lines[#lines + 1] = log_event(log_key, job_id, seq, state, json)\n',
        replacement:
          "  if state ~= 'completed' then lines[1] = log_event(log_key, job_id, seq, state, json) end\n",
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
        text: '  lines[#lines + 1] = log_event(log_key, job_id, seq, state, json)\n',
        replacement:
          '  lines[#lines + 1] = log_event(log_key, job_id, seq, state, json)\n  seq = seq + 1\n  lines[#lines + 1] = log_event(log_key, job_id, seq, state, json)\n',
      },
    ],
    expected: ['I3'],
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
        text: "return record[6] == '1' and 'cancel' or 'ok'",
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
      INATTENTIVE,
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
        text: 'const entry: QueueEntry = { jobId, epoch, class: jobClass };\n',
        replacement:
          'const entry = { jobId, epoch, class: jobClass };\n      if (/[0-3]$/.test(jobId)) return;\n',
      },
    ],
    expected: ['I1'],
    faults: [],
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
        text: "  redis.call('PEXPIRE', job_key, kept_ms)\n",
        replacement: '',
      },
    ],
    expected: ['I20'],
    faults: [],
  },
  {
    name: 'a key is taken anew each time',
    breaks: 'a submission that is sent again makes another job',
    edits: [
      { file: `${LUA}/take-key.lua`, text: 'if taken[1] then', replacement: 'if false then' },
    ],
    expected: ['I11'],
    faults: [],
    mix: { keys: true },
  },
  {
    name: 'a log outlives its deletion',
    breaks: 'a job is deleted, and its answer is not',
    edits: [
      {
        file: `${LUA}/delete.lua`,
        text: "redis.call('UNLINK', KEYS[1], KEYS[2])",
        replacement: "redis.call('UNLINK', KEYS[1])",
      },
    ],
    expected: ['I20'],
    faults: [],
    mix: { deletes: true },
  },
];
