/** Chats of the running API, on the wire and through every client: as they go well, and as they do not. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openStream, startApiWorld } from '../harness/api.ts';
import type { ApiWorld, TestAttempt, TestWorker } from '../harness/api.ts';
import { waitUntil } from '../harness/wait-until.ts';
import { STREAMING, WHOLE, inWords } from './clients.ts';
import type { Outcome } from './clients.ts';
import { chatStreamProblems } from './wire-check.ts';

const HEARTBEAT_MS = 100;

let world: ApiWorld;
let worker: TestWorker;
let baseURL: string;

beforeAll(async () => {
  world = await startApiWorld({ QARR_HEARTBEAT_MS: String(HEARTBEAT_MS) });
  worker = await world.startWorker('fast');
  baseURL = `${world.api.url}/v1`;
});
afterAll(() => world.stop());

/** What becomes of a job, and what each client is to see of it, in the words of the tables. */
interface Course {
  readonly run: (attempt: TestAttempt) => Promise<void>;
  /** All of the text, or the code of the error after the text before it. */
  readonly ends: { text: string } | { text: string; code: string };
}

const cancelled = async (attempt: TestAttempt) => {
  const url = `${baseURL}/jobs/${attempt.job.jobId}/cancel`;
  // As official clients do it: a JSON content type, and no body.
  const cancelling = fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
  });
  await waitUntil('the worker is told', () => attempt.stopped === 'told');
  await attempt.giveUp(1);
  await cancelling;
};

const COURSES: Readonly<Record<string, Course>> = {
  'goes well': {
    async run(attempt) {
      await attempt.say('Hel');
      await attempt.say('lo');
      await attempt.complete();
    },
    ends: { text: 'Hello' },
  },
  'has no text': { run: (attempt) => attempt.complete(), ends: { text: '' } },
  'is carried on by another attempt': {
    async run(attempt) {
      await attempt.say('Hel');
      await attempt.handBack();
      const next = await worker.next(attempt.job.jobId);
      // Of a whole answer nothing was sent: it begins anew.
      await next.say(next.job.onInterrupt === 'restart' ? 'Hello' : 'lo');
      await next.complete();
    },
    ends: { text: 'Hello' },
  },
  'fails in the middle': {
    async run(attempt) {
      await attempt.say('Hel');
      await attempt.fail('worker_lost');
    },
    ends: { text: 'Hel', code: 'worker_lost' },
  },
  'fails before its first text': {
    run: (attempt) => attempt.fail('upstream_error'),
    ends: { text: '', code: 'upstream_error' },
  },
  'is refused by the engine': {
    run: (attempt) => attempt.fail('upstream_rejected'),
    ends: { text: '', code: 'upstream_rejected' },
  },
  'runs out of time': {
    async run(attempt) {
      await attempt.say('Hel');
      await attempt.fail('run_timeout');
    },
    ends: { text: 'Hel', code: 'run_timeout' },
  },
  'is cancelled by somebody else': {
    async run(attempt) {
      await attempt.say('Hel');
      await cancelled(attempt);
    },
    ends: { text: 'Hel', code: 'job_cancelled' },
  },
};

describe.each(Object.entries(COURSES))('a chat that %s', (_name, { run, ends }) => {
  it.each(Object.entries(STREAMING))('is streamed to %s', async (_client, ask) => {
    const asking = ask({ baseURL });
    await run(await worker.next());
    const outcome = await asking;
    expect(outcome.text).toBe(ends.text);
    expectEnd(outcome, ends);
  });

  it.each(Object.entries(WHOLE))('is answered as a whole to %s', async (_client, ask) => {
    const asking = ask({ baseURL });
    await run(await worker.next());
    const outcome = await asking;
    expect(outcome.text).toBe('code' in ends ? '' : ends.text);
    expectEnd(outcome, ends);
  });

  it('has nothing on its wire that a client would fail on', async () => {
    const stream = await openChat({ stream_options: { include_usage: true } });
    await run(await worker.next());
    const text = await stream.end();
    expect(chatStreamProblems(text)).toEqual([]);
    expect(text.includes('"choices":[],"usage":{')).toBe(!('code' in ends));
  });
});

describe('a chat that waits', () => {
  it('says where it stands in comments, which every client passes over', async () => {
    const model = 'precise';
    const asking = Object.values(STREAMING).map((ask) => ask({ baseURL, model }));
    const raw = await openChat({ model });
    await raw.until(': queued position=');
    await raw.until(': hb\n: hb\n');
    const late = await world.startWorker('precise');
    for (let chats = asking.length + 1; chats > 0; chats -= 1) {
      const attempt = await late.next();
      await attempt.say('Hello');
      await attempt.complete();
    }
    expect((await Promise.all(asking)).map(inWords)).toEqual(asking.map(() => 'ok'));
    expect(chatStreamProblems(await raw.end())).toEqual([]);
    await late.stop();
  });

  it('is an error to every client when it is not started in time', async () => {
    const model = 'balanced';
    const asking = Object.values(STREAMING).map((ask) => ask({ baseURL, model }));
    const ids = await waitUntil('they wait', async () => {
      const waiting = await jobsOf('balanced');
      return waiting.length === asking.length ? waiting : null;
    });
    for (const id of ids) {
      await world.redis.hset(`qarr:{${id}}:job`, 'queue_deadline', 1);
      await world.redis.zadd('qarr:deadlines', 1, id);
    }
    for (const outcome of await Promise.all(asking)) {
      expectEnd(outcome, { text: '', code: 'queue_timeout' });
    }
  });
});

describe('a client that gives up', () => {
  it.each([
    ...Object.entries(STREAMING).map(([name, ask]) => [`${name}, streamed`, ask] as const),
    ...Object.entries(WHOLE).map(([name, ask]) => [`${name}, as a whole`, ask] as const),
  ])('stops its job: %s', async (_client, ask) => {
    const leaving = new AbortController();
    const asking = ask({ baseURL, signal: leaving.signal });
    const attempt = await worker.next();
    await attempt.say('Hel');
    leaving.abort();
    await waitUntil('the worker is told', () => attempt.stopped === 'told');
    await attempt.giveUp(1);
    await asking;
  });
});

async function jobsOf(tier: string): Promise<string[]> {
  const ids = await world.jobIds();
  const tiers = await Promise.all(ids.map((id) => world.redis.hget(`qarr:{${id}}:job`, 'tier')));
  return ids.filter((_id, at) => tiers[at] === tier);
}

function openChat(fields: object) {
  return openStream(`${baseURL}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ prompt: 'Hello', stream: true, ...fields }),
  });
}

/** A part never looks like a whole. */
function expectEnd(outcome: Outcome, ends: Course['ends']): void {
  const { finish, error, junk } = outcome;
  expect(junk).toBe(false);
  if ('code' in ends) {
    expect(error).not.toBeNull();
    expect(finish ?? 'error').toBe('error');
    // Where a client shows codes at all: the AI SDK has the body of the answer, or the message alone.
    const { code, responseBody } = error as { code?: string; responseBody?: string };
    const shown = code ?? responseBody;
    if (shown !== undefined) expect(shown).toContain(ends.code);
  } else {
    expect(error).toBeNull();
    expect(finish).toBe('stop');
  }
}
