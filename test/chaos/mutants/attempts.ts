/** Bugs in what an attempt writes, and in how one follows on another. */
import { cutAnswers } from '../nemesis/engine-faults.ts';
import { freezeBusiest } from '../nemesis/process-faults.ts';
import { INATTENTIVE, LUA, STORE } from './mutant.ts';
import type { Mutant } from './mutant.ts';

/**
 * The worker that has most jobs is frozen, for longer than the lock lasts and the check takes. Nobody
 * comes any more then, so the other one has places for its jobs. Answers last so long that both
 * are in the middle of one.
 */
export const FROZEN_RUN = {
  // It draws many jobs, and few that are cancelled or short.
  seed: 'nothing',
  faults: [freezeBusiest({ ms: 4_500 })],
  pauseMs: [2_000, 2_000],
  mix: { maxTokens: [300, 350], endless: 1 },
  arrivalsMs: 1_900,
  loadMs: 7_000,
  perSecond: 6,
  // Slowly, so that two such runs at once leave the machine time to notice.
  timeScale: 2,
} as const;

export const ATTEMPT_MUTANTS: readonly Mutant[] = [
  {
    name: 'appends are not fenced',
    breaks: 'a worker that was frozen writes beside its successor',
    edits: [
      {
        file: `${LUA}/append.lua`,
        text: "if record[1] ~= 'running' or record[2] ~= ARGV[at + 1] or record[3] ~= ARGV[at + 2] then",
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
      {
        file: `${LUA}/finish.lua`,
        text: 'if record[6] ~= ARGV[6] then',
        replacement: 'if false then',
      },
      { file: `${LUA}/finish.lua`, text: 'if first ~= seq + 1 then', replacement: 'if false then' },
      // Else it would not come so far: each append, its queue and a look tell it of its successor.
      INATTENTIVE,
      {
        file: `${STORE}/consumer.ts`,
        text: "worker.cancelJob(id, 'lock lost')",
        replacement: 'onError(new Error(id))',
      },
      {
        file: `${STORE}/event-log.ts`,
        text: "if (outcome !== 'ok') stop(attempt, outcome);",
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
        file: 'apps/worker/src/conclusion.ts',
        text: 'usage,\n          timings,\n          continued: result.continued,',
        replacement:
          'usage: usage && { ...usage, completion_tokens: usage.completion_tokens + 1, total_tokens: usage.total_tokens + 1 },\n          timings,\n          continued: result.continued,',
      },
    ],
    expected: ['I7'],
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
];
