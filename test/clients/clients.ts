/**
 * The client libraries as applications use them, unmodified, and what an application sees of one
 * chat: the same words for all of them, so that a table can say what each makes of a wire.
 */
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { ChatOpenAI } from '@langchain/openai';
import { generateText, streamText } from 'ai';
import OpenAI from 'openai';

/** How it ended, as the application sees it. */
export interface Outcome {
  /** All text that it was given. */
  text: string;
  /** The finish reason that it was told. */
  finish: string | null;
  /** Something was not as the client's types say. */
  junk: boolean;
  /** What the client threw, or gave in place of a part. */
  error: unknown;
  threw: boolean;
}

interface Target {
  readonly baseURL: string;
  readonly model?: string;
  readonly maxRetries?: number;
  readonly headers?: Record<string, string>;
  readonly signal?: AbortSignal;
}

export type Ask = (target: Target) => Promise<Outcome>;

const PROMPT = 'Hello';
const messages = [{ role: 'user' as const, content: PROMPT }];

function openai({ baseURL, maxRetries = 0, headers }: Target): OpenAI {
  return new OpenAI({
    baseURL,
    apiKey: 'unused',
    maxRetries,
    defaultHeaders: headers,
    // By itself it writes to the console what it cannot read.
    logLevel: 'off',
  });
}

async function settled(read: (outcome: Outcome) => Promise<void>): Promise<Outcome> {
  const outcome: Outcome = { text: '', finish: null, junk: false, error: null, threw: false };
  try {
    await read(outcome);
  } catch (error) {
    Object.assign(outcome, { error, threw: true });
  }
  return outcome;
}

/** Streams one chat. */
export const STREAMING: Readonly<Record<string, Ask>> = {
  'openai create': (target) =>
    settled(async (outcome) => {
      const stream = await openai(target).chat.completions.create(
        { model: target.model ?? 'auto', messages, stream: true },
        { signal: target.signal },
      );
      for await (const { choices } of stream) {
        // A chunk that is none has no choices.
        outcome.junk ||= !Array.isArray(choices);
        outcome.text += choices?.[0]?.delta?.content ?? '';
        outcome.finish = choices?.[0]?.finish_reason ?? outcome.finish;
      }
    }),
  'openai stream': (target) =>
    settled(async (outcome) => {
      const stream = openai(target).chat.completions.stream(
        { model: target.model ?? 'auto', messages },
        { signal: target.signal },
      );
      stream.on('content', (delta) => (outcome.text += delta));
      const { choices } = await stream.finalChatCompletion();
      outcome.finish = choices[0]?.finish_reason ?? null;
      outcome.junk = choices[0]?.message.content !== outcome.text;
    }),
  'ai openai': (target) => {
    const provider = createOpenAI(settings(target));
    return streamed(provider.chat(target.model ?? 'auto'), target);
  },
  'ai compatible': (target) => {
    const provider = createOpenAICompatible({ name: 'qarr', ...settings(target) });
    return streamed(provider(target.model ?? 'auto'), target);
  },
  langchain: (target) =>
    settled(async (outcome) => {
      for await (const chunk of await langchain(target).stream(PROMPT, signalOf(target))) {
        outcome.text += chunk.text;
        outcome.finish = finishOf(chunk.response_metadata) ?? outcome.finish;
      }
    }),
};

/** The outcome in a few words, for a table. */
export function inWords({ text, finish, junk, error, threw }: Outcome): string {
  if (error !== null) {
    const what = messageOf(error).split(/[:\n]/, 1)[0]?.slice(0, 60);
    return threw ? `throws ${what}` : `error part, finish ${finish}: ${what}`;
  }
  if (junk) return 'junk';
  if (text === 'Hello' && finish === 'stop') return 'ok';
  return `"${text}", finish ${finish ?? 'none'}`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Streams one response. */
export const RESPONSES: Readonly<Record<string, Ask>> = {
  'openai create': (target) =>
    settled(async (outcome) => {
      const stream = await openai(target).responses.create(
        { model: target.model ?? 'auto', input: PROMPT, stream: true },
        { signal: target.signal },
      );
      for await (const event of stream) {
        outcome.junk ||= !event.type.startsWith('response.');
        if (event.type === 'response.output_text.delta') outcome.text += event.delta;
        // It ends when the server ends: the application has to look at the events itself.
        if ('response' in event) outcome.finish = stopOf(event.response.status);
      }
    }),
  'openai stream': (target) =>
    settled(async (outcome) => {
      const stream = openai(target).responses.stream({
        model: target.model ?? 'auto',
        input: PROMPT,
      });
      stream.on('response.output_text.delta', ({ delta }) => (outcome.text += delta));
      const { status } = await stream.finalResponse();
      outcome.finish = stopOf(status);
    }),
  'ai openai': (target) => streamed(createOpenAI(settings(target))(target.model ?? 'auto'), target),
  langchain: (target) =>
    settled(async (outcome) => {
      const model = langchain(target, { useResponsesApi: true });
      for await (const chunk of await model.stream(PROMPT, signalOf(target))) {
        outcome.text += chunk.text;
        const { status } = chunk.response_metadata as { status?: string };
        outcome.finish = stopOf(status) ?? outcome.finish;
      }
    }),
};

/** Asks for an answer in one piece. */
export const WHOLE: Readonly<Record<string, Ask>> = {
  openai: (target) =>
    settled(async (outcome) => {
      const { choices } = await openai(target).chat.completions.create(
        { model: target.model ?? 'auto', messages },
        { signal: target.signal },
      );
      outcome.junk = !Array.isArray(choices);
      outcome.text = choices?.[0]?.message.content ?? '';
      outcome.finish = choices?.[0]?.finish_reason ?? null;
    }),
  'ai openai': (target) => {
    const provider = createOpenAI(settings(target));
    return generated(provider.chat(target.model ?? 'auto'), target);
  },
  'ai compatible': (target) => {
    const provider = createOpenAICompatible({ name: 'qarr', ...settings(target) });
    return generated(provider(target.model ?? 'auto'), target);
  },
  langchain: (target) =>
    settled(async (outcome) => {
      const message = await langchain(target).invoke(PROMPT, signalOf(target));
      outcome.text = message.text;
      outcome.finish = finishOf(message.response_metadata);
    }),
};

function settings({ baseURL, headers = {} }: Target) {
  return { baseURL, apiKey: 'unused', headers };
}

function signalOf({ signal }: Target) {
  return signal === undefined ? {} : { signal };
}

type Model = Parameters<typeof generateText>[0]['model'];

function streamed(model: Model, { maxRetries = 0, signal }: Target): Promise<Outcome> {
  return settled(async (outcome) => {
    const result = streamText({
      model,
      prompt: PROMPT,
      maxRetries,
      ...(signal === undefined ? {} : { abortSignal: signal }),
      // By itself it writes errors to the console.
      onError: ({ error }) => void (outcome.error ??= error),
    });
    for await (const part of result.fullStream) {
      if (part.type === 'text-delta') outcome.text += part.text;
      if (part.type === 'finish') outcome.finish = part.finishReason;
      if (part.type === 'error') outcome.error = part.error;
    }
  });
}

function generated(model: Model, { maxRetries = 0, signal }: Target): Promise<Outcome> {
  return settled(async (outcome) => {
    ({ text: outcome.text, finishReason: outcome.finish } = await generateText({
      model,
      prompt: PROMPT,
      maxRetries,
      ...(signal === undefined ? {} : { abortSignal: signal }),
    }));
  });
}

function langchain(
  { baseURL, model = 'auto', maxRetries = 0, headers }: Target,
  { useResponsesApi = false } = {},
): ChatOpenAI {
  const configuration = { baseURL, defaultHeaders: headers, logLevel: 'off' as const };
  return new ChatOpenAI({ model, apiKey: 'unused', maxRetries, useResponsesApi, configuration });
}

/** In the word of chats. */
function stopOf(status: string | undefined): string | null {
  return status === 'completed' ? 'stop' : (status ?? null);
}

function finishOf(metadata: Record<string, unknown>): string | null {
  const reason = metadata['finish_reason'];
  return typeof reason === 'string' ? reason : null;
}
