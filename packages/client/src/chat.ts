/** A whole answer in the foreground, and what there is instead while the tier is broken. */
import type { ChatAnswer, Job } from './answers.ts';
import { createAnswerCache } from './answer-cache.ts';
import type { Breakers } from './breakers.ts';
import { QarrClientError, invalidOption } from './errors.ts';
import type { Http } from './http.ts';
import type { ChatOptions } from './options.ts';
import type { ChatRequest, JobRequest } from './requests.ts';
import { withRetries } from './retry.ts';
import type { Settings } from './settings.ts';

const PATH = '/v1/chat/completions';

export interface ChatDeps {
  readonly http: Http;
  readonly settings: Settings;
  readonly breakers: Breakers;
  submit(
    request: JobRequest,
    options: { signal: AbortSignal | undefined },
  ): Promise<{ id: string }>;
  wait(id: string, options: { signal: AbortSignal | undefined }): Promise<Job>;
  cancel(id: string): Promise<unknown>;
}

export function createChat({ http, settings, breakers, ...queue }: ChatDeps) {
  const cache = createAnswerCache({ entriesMax: settings.cacheEntriesMax });

  return async function chat(
    request: ChatRequest,
    { signal, fallback = settings.fallback }: ChatOptions = {},
  ): Promise<ChatAnswer> {
    if ('stream' in request && request.stream === true) {
      throw invalidOption('chat gives whole answers; submit the request, and follow it by stream');
    }
    try {
      // Without an idempotency key: the job lives with its connection, so that whoever gives up
      // also ends it, and a second try never runs beside the first.
      const answer = await withRetries(
        () => breakers.guard(breakerName(request), () => ask(request, signal)),
        { ...settings, signal },
      );
      if (fallback === 'cache') cache.keep(request, answer);
      return answer;
    } catch (error) {
      if (!(error instanceof QarrClientError) || error.code !== 'breaker_open') throw error;
      if (fallback === 'queue') return askQueue(request, signal);
      const kept = fallback === 'cache' ? (cache.find(request) as ChatAnswer | null) : null;
      if (kept === null) throw error;
      return { ...kept, cached: true, via: 'cache' };
    }
  };

  async function ask(request: ChatRequest, signal: AbortSignal | undefined): Promise<ChatAnswer> {
    const { body, headers } = await http.send({
      method: 'POST',
      path: PATH,
      body: request,
      timeoutMs: settings.chatTimeoutMs,
      signal,
    });
    const answer = body as Omit<ChatAnswer, 'cached' | 'via'>;
    return { ...answer, cached: headers.get('x-qarr-cache') === 'hit', via: 'foreground' };
  }

  async function askQueue(
    request: ChatRequest,
    signal: AbortSignal | undefined,
  ): Promise<ChatAnswer> {
    const { id } = await queue.submit(request, { signal });
    try {
      return answerOf(await queue.wait(id, { signal }));
    } catch (error) {
      // As in the foreground. Not waited for: whoever gives up has waited long enough.
      if (signal?.aborted === true) void queue.cancel(id).catch(ignoreLostCancel);
      throw error;
    }
  }
}

/** Each name that requests may pin to has its own; what the router sends anywhere shares one. */
export function breakerName({ tier, model }: ChatRequest): string {
  return tier ?? model ?? 'auto';
}

/** A job's result in the form of a foreground answer. */
function answerOf(job: Job): ChatAnswer {
  if (job.result === null) throw jobFailure(job);
  return {
    id: `chatcmpl-${job.id}`,
    created: job.created_at,
    model: job.tier,
    choices: (job.result.choices ?? [job.result]).map((choice, index) => ({
      index,
      message: {
        role: 'assistant',
        content: choice.text === '' && choice.tool_calls !== undefined ? null : choice.text,
        ...(choice.reasoning === undefined ? {} : { reasoning: choice.reasoning }),
        ...(choice.tool_calls === undefined ? {} : { tool_calls: choice.tool_calls }),
      },
      logprobs: choice.logprobs ?? null,
      finish_reason: choice.finish_reason,
    })),
    usage: job.usage,
    cached: job.result.cached ?? false,
    via: 'queue',
  };
}

function jobFailure({ id, status, error }: Job): QarrClientError {
  return new QarrClientError({
    code: error?.code ?? `job_${status}`,
    message: error?.message ?? `The job was ${status}.`,
    retryable: error?.retryable ?? false,
    jobId: id,
  });
}

function ignoreLostCancel(): void {
  // The job ends by itself, later.
}
