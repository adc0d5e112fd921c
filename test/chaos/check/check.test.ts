/** Each check finds what it is for: one healthy job, and one thing at a time that is wrong with it. */
import type { JobEvent } from '@qarr/router-core';
import { expect, test } from 'vitest';
import { digestOf } from '../history.ts';
import type { Entry, EntryBody, OpEntry } from '../history.ts';
import { checkAll } from './check.ts';
import type { Dump, DumpedJob } from './dump.ts';
import { gatherEvidence } from './evidence.ts';
import type { Surroundings } from './evidence.ts';
import { tally } from './tally.ts';

const ID = 'job_1';
const TIMINGS = { queue_wait_ms: 1, ttft_ms: 1, run_ms: 1 };
const USAGE = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 };

/** All that is known of a run with one job. Tests change parts of it. */
interface Known {
  readonly events: JobEvent[];
  readonly record: Record<string, string>;
  readonly entries: EntryBody[];
  /** Numbers of the events that its reader has. */
  readonly read: number[];
  readonly jobs: Map<string, DumpedJob>;
  readonly queues: Map<string, number>;
  readonly otherKeys: { name: string; ttlMs: number }[];
  readonly indexes: Map<string, string[]>;
  readonly engines: { name: string; running: number | null }[];
  ids: (index: number) => string;
  ttlMs: number;
  gentle: boolean;
  isReady: boolean;
  answer: string;
}

function healthy(): Known {
  const request = { messages: [{ role: 'user', content: '[op-1] Tell me.' }], max_tokens: 9 };
  return {
    events: [
      { type: 'queued', tier: 'fast', route: ['pinned'], position: 1, estimated_wait_ms: null },
      { type: 'started', tier: 'fast', worker: 'w', attempt: 1 },
      { type: 'delta', text: 'Hello' },
      { type: 'delta', text: ' there' },
      { type: 'completed', finish_reason: 'stop', usage: USAGE, timings: TIMINGS, continued: 0 },
    ],
    record: {
      state: 'completed',
      tier: 'fast',
      attempt: '1',
      on_interrupt: 'restart',
      request: JSON.stringify(request),
      queue_deadline: '2000',
      started_at: '1000',
      finished_at: '1500',
      run_timeout_ms: '9000',
      result: JSON.stringify({ text: 'Hello there', finish_reason: 'stop', continued: 0 }),
    },
    entries: [
      {
        t: 'op',
        op: 'op-1',
        surface: 'job',
        tier: 'fast',
        fallback: 'any',
        key: 'key-1',
        onInterrupt: 'restart',
        queueTimeoutMs: 1_000,
        runTimeoutMs: null,
      },
      submitted(ID),
      {
        t: 'lookup',
        jobId: ID,
        api: 'api-1',
        status: 200,
        jobState: 'completed',
        text: 'Hello there',
      },
    ],
    read: [1, 2, 3, 4, 5],
    jobs: new Map(),
    queues: new Map([['{qarr:fast}:wait', 0]]),
    otherKeys: [
      { name: '{qarr:fast}:meta', ttlMs: -1 },
      { name: '{qarr:fast}_batch:meta', ttlMs: -1 },
      { name: '{qarr:fast}:ledger-counts', ttlMs: -1 },
      { name: 'qarr:idem:anonymous:key-1', ttlMs: 60_000 },
    ],
    indexes: new Map([['qarr:kept', [`completed ${ID} anonymous`]]]),
    engines: [{ name: 'engine-1', running: 0 }],
    ids: (index) => `0-${index + 1}`,
    ttlMs: 60_000,
    gentle: true,
    isReady: true,
    answer: 'Hello there',
  };
}

function submitted(jobId: string): Extract<EntryBody, { t: 'submit' }> {
  return {
    t: 'submit',
    op: 'op-1',
    api: 'api-1',
    fromMs: 1,
    outcome: 'acknowledged',
    status: 202,
    code: null,
    jobId,
    conflicting: false,
  };
}

const HOP = { type: 'rerouted', from: 'fast', to: 'precise', reason: 'breaker_open' } as const;

/** It was moved by consent before it was started. */
function moved({ events, record, read }: Known): JobEvent[] {
  events.splice(1, 1, HOP, { type: 'started', tier: 'precise', worker: 'w', attempt: 1 });
  record['tier'] = 'precise';
  record['rerouted'] = JSON.stringify({ from: HOP.from, reason: HOP.reason });
  read.push(events.length);
  return events;
}

function cancelled(jobState: string): EntryBody {
  return { t: 'cancel', jobId: ID, api: 'api-1', fromMs: 1, status: 200, jobState };
}

function evidenceOf(known: Known) {
  const log = known.events.map((event, index) => ({
    id: known.ids(index),
    type: event.type,
    json: JSON.stringify(event),
  }));
  const record = { seq: String(log.length), final: log.at(-1)?.json ?? '', ...known.record };
  const read = {
    t: 'read',
    reader: 'op-1/0',
    jobId: ID,
    api: 'api-1',
    fromMs: 1,
    after: 0,
    events: known.read.map((seq) => [seq, digestOf(log[seq - 1]?.json ?? '')] as const),
    end: 'over',
    status: 200,
  } as const;
  const dump: Dump = {
    jobs: new Map([
      [ID, { record, log, recordTtlMs: known.ttlMs, logTtlMs: known.ttlMs }],
      ...known.jobs,
    ]),
    indexes: known.indexes,
    otherKeys: known.otherKeys,
    queues: known.queues,
  };
  const surroundings: Surroundings = {
    undisturbed: new Map([
      [
        ID,
        {
          texts: [known.answer],
          finishReasons: ['stop'],
          promptTokens: 3,
          completionTokens: 2,
        },
      ],
    ]),
    engines: known.engines,
    isReady: known.isReady,
    gentle: known.gentle,
  };
  const entries: Entry[] = [...known.entries, read].map((entry, atMs) => ({ ...entry, atMs }));
  return gatherEvidence(entries, dump, surroundings);
}

test('finds nothing where nothing is wrong', () => {
  const evidence = evidenceOf(healthy());
  expect(checkAll(evidence)).toEqual([]);
  expect(tally(evidence)).toMatchObject({
    attempts: 1,
    acknowledged: 1,
    ok: 1,
    lost: 0,
    unexpected: 0,
    duplicated: 0,
    recovered: 0,
    states: { completed: 1 },
  });
});

test('finds nothing wrong with a job that was moved by consent', () => {
  const known = healthy();
  moved(known);
  expect(checkAll(evidenceOf(known))).toEqual([]);
});

/** What is wrong, the invariants that say so, and how it comes about. */
const WRONGS: readonly (readonly [string, readonly string[], (known: Known) => void])[] = [
  ['a job that is gone', ['I1'], ({ entries }) => void entries.push(submitted('job_2'))],
  [
    'a job that never ended',
    ['I1', 'I10', 'I20'],
    ({ events, record, read }) => {
      events.pop();
      read.pop();
      record['state'] = 'running';
    },
  ],
  [
    'a job that nobody asked for',
    ['I2'],
    ({ jobs, record, events }) => {
      const request = JSON.stringify({ messages: [{ role: 'user', content: 'Hello' }] });
      const log = events.map((event, index) => ({
        id: `0-${index + 1}`,
        type: event.type,
        json: JSON.stringify(event),
      }));
      jobs.set('job_2', {
        record: { ...record, request, seq: '5', final: log[4]?.json ?? '' },
        log,
        recordTtlMs: 1,
        logTtlMs: 1,
      });
    },
  ],
  ['two jobs for one key', ['I1', 'I11'], ({ entries }) => void entries.push(submitted('job_2'))],
  [
    'another body that is taken under the same key',
    ['I11'],
    ({ entries }) => void entries.push({ ...submitted(ID), conflicting: true }),
  ],
  [
    'another body that is refused for another reason',
    ['I11'],
    ({ entries }) => {
      const refused = { outcome: 'refused', status: 404, code: null, jobId: null } as const;
      entries.push({ ...submitted(ID), ...refused, conflicting: true });
    },
  ],
  [
    'two terminal events',
    ['I3'],
    ({ events, read }) => {
      const [last] = events.slice(-1);
      if (last !== undefined) events.push(last);
      read.push(6);
    },
  ],
  [
    'text after the end',
    ['I3', 'I7'],
    ({ events, read }) => {
      events.push({ type: 'delta', text: '!' });
      read.push(6);
    },
  ],
  ['a state that the log does not have', ['I3'], ({ record }) => (record['state'] = 'failed')],
  ['another end in the record', ['I3'], ({ record }) => (record['final'] = '{}')],
  [
    'text before an attempt',
    ['I5'],
    ({ events }) => void events.splice(1, 2, ...events.slice(1, 3).toReversed()),
  ],
  [
    'an attempt that leaves a number out',
    ['I5'],
    ({ events }) => {
      events[1] = { type: 'started', tier: 'fast', worker: 'w', attempt: 2 };
    },
  ],
  [
    'a new attempt that voids nothing',
    ['I5'],
    ({ events, record, read }) => {
      events.splice(3, 0, { type: 'started', tier: 'fast', worker: 'w', attempt: 2 });
      record['attempt'] = '2';
      read.push(6);
    },
  ],
  ['attempts that are counted wrongly', ['I5'], ({ record }) => (record['attempt'] = '2')],
  ['a job that is tried too often', ['I16'], ({ record }) => (record['failures'] = '4')],
  ['a log with a gap', ['I6'], (known) => (known.ids = (index) => `0-${index + 2}`)],
  ['a sequence number that is too high', ['I6'], ({ record }) => (record['seq'] = '9')],
  ['a reader with a gap', ['I6'], ({ read }) => void read.splice(1, 1)],
  ['a reader with an event twice', ['I6'], ({ read }) => void read.splice(1, 0, 1)],
  ['a reader who was sent away too early', ['I6'], ({ read }) => void read.pop()],
  [
    'a reader who waits in vain',
    ['L4'],
    ({ entries }) => void entries.push({ t: 'starved', reader: 'r', jobId: ID, last: 2 }),
  ],
  [
    'a result that was not published',
    ['I7', 'I10'],
    ({ record }) =>
      (record['result'] = JSON.stringify({ text: 'Hello', finish_reason: 'stop', continued: 0 })),
  ],
  ['text that no engine says', ['I7'], (known) => (known.answer = 'Hello there!')],
  [
    'tokens that are counted wrongly',
    ['I7'],
    ({ events }) => {
      events[4] = {
        type: 'completed',
        finish_reason: 'stop',
        usage: { prompt_tokens: 3, completion_tokens: 3, total_tokens: 6 },
        timings: TIMINGS,
        continued: 0,
      };
    },
  ],
  [
    'a finish reason that differs',
    ['I8'],
    ({ record }) =>
      (record['result'] = JSON.stringify({
        text: 'Hello there',
        finish_reason: 'length',
        continued: 0,
      })),
  ],
  [
    'a look-up that says something else',
    ['I10'],
    ({ entries }) =>
      void entries.push({
        t: 'lookup',
        jobId: ID,
        api: 'api-2',
        status: 200,
        jobState: 'running',
        text: null,
      }),
  ],
  [
    'a job that goes on after its cancel',
    ['I13'],
    ({ entries }) => void entries.push(cancelled('cancelled')),
  ],
  [
    'a job that was told to stop and did not',
    ['I13'],
    ({ entries }) => void entries.push(cancelled('running')),
  ],
  ['a start after the deadline', ['I14'], ({ record }) => (record['started_at'] = '2000')],
  [
    'a job of another tier',
    ['I15'],
    ({ events }) => {
      events[1] = { type: 'started', tier: 'precise', worker: 'w', attempt: 1 };
    },
  ],
  [
    'a job that was moved twice',
    ['I15'],
    (known) => {
      moved(known).splice(2, 0, { ...HOP, from: 'precise', to: 'fast' });
      known.read.push(known.events.length);
    },
  ],
  [
    'a job that was moved without consent',
    ['I15'],
    (known) => {
      moved(known);
      known.entries[0] = { ...(known.entries[0] as OpEntry), fallback: 'none' };
    },
  ],
  [
    'a job that was moved and does not say so',
    ['I15'],
    (known) => void (moved(known) && delete known.record['rerouted']),
  ],
  [
    'a job that runs where it was moved from',
    ['I15'],
    (known) => {
      moved(known)[2] = { type: 'started', tier: 'fast', worker: 'w', attempt: 1 };
    },
  ],
  ['an engine that still works', ['I17'], ({ engines }) => void (engines[0]!.running = 1)],
  ['a job that is kept for ever', ['I20'], (known) => (known.ttlMs = -1)],
  [
    'an index that holds what is over',
    ['I20'],
    ({ indexes }) => void indexes.set('qarr:open', [ID]),
  ],
  [
    'a list of the wrong state',
    ['I20'],
    ({ indexes }) => void indexes.set('qarr:jobs:anonymous:failed', [ID]),
  ],
  [
    'a list that leaves a job out',
    ['I10'],
    ({ entries }) => void entries.push({ t: 'list', api: 'api-1', jobs: [] }),
  ],
  [
    'a list with a job twice',
    ['I10'],
    ({ entries }) => {
      const row = [ID, 'completed'] as const;
      entries.push({ t: 'list', api: 'api-1', jobs: [row, row] });
    },
  ],
  ['an entry in a ledger', ['I20'], ({ queues }) => void queues.set('{qarr:fast}:ledger', 1)],
  [
    'an entry in a ledger',
    ['I20'],
    ({ otherKeys }) => void otherKeys.push({ name: '{qarr:fast}:ledger', ttlMs: -1 }),
  ],
  ['an entry in a queue', ['I20'], ({ queues }) => void queues.set('{qarr:fast}:wait', 1)],
  [
    'a key that nobody explains',
    ['I20'],
    ({ otherKeys }) => void otherKeys.push({ name: '{qarr:fast}:job_1:lock', ttlMs: 9_000 }),
  ],
  [
    'what was deleted and is there',
    ['I20'],
    ({ entries }) =>
      void entries.push({ t: 'delete', jobId: ID, api: 'api-1', fromMs: 1, status: 200 }),
  ],
  ['a worker without its engines', ['L2'], (known) => (known.isReady = false)],
  [
    'a failure that nothing explains',
    ['I1'],
    ({ events, record, entries, read }) => {
      const error = { code: 'upstream_error', message: '', retryable: true } as const;
      events[4] = { type: 'failed', error, usage: null, timings: TIMINGS };
      record['state'] = 'failed';
      delete record['result'];
      entries.pop();
      read.splice(5);
    },
  ],
];

test.each(WRONGS)('finds %s', (_name, invariants, spoil) => {
  const known = healthy();
  spoil(known);
  const found = new Set(checkAll(evidenceOf(known)).map(({ invariant }) => invariant));
  for (const invariant of invariants) expect(found).toContain(invariant);
});

test.each([
  [422, 'idempotency_key_reused'],
  [503, 'shutting_down'],
])('takes a %i for a right answer to another body under a used key', (status, code) => {
  const known = healthy();
  const { entries } = known;
  entries.push({
    ...submitted(ID),
    outcome: 'refused',
    status,
    code,
    jobId: null,
    conflicting: true,
  });
  expect(checkAll(evidenceOf(known))).toEqual([]);
});

test('counts what was accepted without the knowledge of its client', () => {
  const known = healthy();
  known.entries[1] = { ...submitted(ID), outcome: 'unknown', status: null, jobId: null };
  const evidence = evidenceOf(known);
  expect(checkAll(evidence)).toEqual([]);
  expect(tally(evidence)).toMatchObject({ acknowledged: 0, recovered: 1, lost: 0, unexpected: 0 });
});

test('takes a job that its client has deleted for no loss', () => {
  const known = healthy();
  known.entries.push(submitted('job_2'), {
    t: 'delete',
    jobId: 'job_2',
    api: 'api-1',
    fromMs: 1,
    status: 204,
  });
  const found = checkAll(evidenceOf(known)).filter(({ invariant }) => invariant === 'I1');
  expect(found).toEqual([]);
});
