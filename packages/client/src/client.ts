/** The client: read this first. */
import type {
  AcceptedJob,
  Cancellation,
  ChatAnswer,
  Job,
  JobToken,
  Route,
  Tiers,
} from './answers.ts';
import { createBatches } from './batches.ts';
import type { Batches, Files } from './batch-calls.ts';
import { createBreakers } from './breakers.ts';
import { breakerName, createChat } from './chat.ts';
import { QarrClientError, invalidOption } from './errors.ts';
import type { StreamEvent } from './events.ts';
import { readEventStream } from './event-stream.ts';
import { createFiles } from './files.ts';
import { follow } from './follow.ts';
import { createHttp } from './http.ts';
import type { CallApi } from './http.ts';
import type {
  CallOptions,
  ChatOptions,
  ClientOptions,
  JobRef,
  StreamOptions,
  SubmitOptions,
} from './options.ts';
import { randomKey } from './random-key.ts';
import type { ChatRequest, JobRequest, RouteRequest } from './requests.ts';
import { withRetries } from './retry.ts';
import { readOptions } from './settings.ts';
import { sleep } from './within.ts';

/** All throw a `QarrClientError`. */
export interface QarrClient {
  /** Resolves when the job is accepted. Sent again as often as it must, it makes one job. */
  submit(request: JobRequest, options?: SubmitOptions): Promise<AcceptedJob>;
  /** Each event of the job once and in order, over any number of connections, to its last one. */
  stream(job: JobRef, options?: StreamOptions): AsyncGenerator<StreamEvent, void, undefined>;
  /** The job when it has ended, however it has. */
  wait(job: JobRef, options?: CallOptions): Promise<Job>;
  get(job: JobRef, options?: CallOptions): Promise<Job>;
  /** Says whether it ever ran. Harmless for a job that has ended. */
  cancel(job: JobRef, options?: CallOptions): Promise<Cancellation>;
  /** By which somebody without a key can follow this job, for some minutes. */
  token(job: JobRef, options?: CallOptions): Promise<JobToken>;
  /** A whole answer at once, behind the tier's circuit breaker. Giving up ends the work. */
  chat(request: ChatRequest, options?: ChatOptions): Promise<ChatAnswer>;
  /** Where a request would go, and why; nothing is run. */
  route(request: RouteRequest, options?: CallOptions): Promise<Route>;
  tiers(options?: CallOptions): Promise<Tiers>;
  /** What batches are made from, and what they leave. */
  readonly files: Files;
  /** Many requests at once, for whoever can wait. */
  readonly batches: Batches;
}

export function createClient(options: ClientOptions): QarrClient {
  const settings = readOptions(options);
  const http = createHttp(settings, options);
  const breakers = createBreakers(options);

  const call: CallApi = async <Body>(request: Parameters<CallApi>[0]) => {
    const { signal } = request;
    const { timeoutMs } = settings;
    const answer = await withRetries(() => http.send({ ...request, timeoutMs }), {
      ...settings,
      signal,
    });
    return answer.body as Body;
  };

  async function submit(
    request: JobRequest,
    { signal, idempotencyKey = randomKey() }: SubmitOptions = {},
  ): Promise<AcceptedJob> {
    try {
      const headers = { 'idempotency-key': idempotencyKey };
      return await call({ method: 'POST', path: '/v1/jobs', body: request, headers, signal });
    } catch (error) {
      breakers.tell(breakerName(request), error);
      throw error;
    }
  }

  function stream(
    job: JobRef,
    { after = 0, token, signal }: StreamOptions = {},
  ): AsyncGenerator<StreamEvent, void, undefined> {
    const jobId = idOf(job);
    const { silenceMs, answerCharsMax: eventCharsMax } = settings;
    return follow({
      ...settings,
      jobId,
      after,
      connect: (last) =>
        readEventStream({ http, jobId, after: last, token, silenceMs, eventCharsMax, signal }),
      sleep: (ms) => sleep(ms, signal),
      now: () => performance.now(),
      random: Math.random,
    });
  }

  async function wait(job: JobRef, { signal }: CallOptions = {}): Promise<Job> {
    try {
      for await (const _event of stream(job, { signal })) {
        // It ends by itself after the last one.
      }
    } catch (error) {
      if (!(error instanceof QarrClientError) || error.code !== 'events_gone') throw error;
    }
    return get(job, { signal });
  }

  async function get(job: JobRef, { signal }: CallOptions = {}): Promise<Job> {
    return await call({ method: 'GET', path: pathOf(job), signal });
  }

  async function cancel(job: JobRef, { signal }: CallOptions = {}): Promise<Cancellation> {
    return await call({ method: 'POST', path: `${pathOf(job)}/cancel`, signal });
  }

  return {
    submit,
    stream,
    wait,
    get,
    cancel,
    token: async (job, { signal } = {}) =>
      await call({ method: 'POST', path: `${pathOf(job)}/token`, signal }),
    chat: createChat({ http, settings, breakers, submit, wait, cancel }),
    route: (request, { signal } = {}) =>
      call({ method: 'POST', path: '/v1/route', body: request, signal }),
    tiers: ({ signal } = {}) => call({ method: 'GET', path: '/v1/tiers', signal }),
    files: createFiles({ http, call, settings }),
    batches: createBatches(call),
  };
}

function idOf(job: JobRef): string {
  // Without the help of types it may be anything.
  const given = job as JobRef | null | undefined;
  const id: unknown = typeof given === 'string' ? given : given?.id;
  if (typeof id === 'string' && id !== '') return id;
  throw invalidOption('It needs a job, or the id of one.');
}

function pathOf(job: JobRef): string {
  return `/v1/jobs/${encodeURIComponent(idOf(job))}`;
}
