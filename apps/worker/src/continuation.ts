/**
 * How an answer that was interrupted is carried on by another engine of the same model.
 *
 * By token ids where the engines tell them: the prompt's and the answer's ids become the prompt of
 * `/v1/completions`, so the engine goes on exactly where the other one stopped. Else by text: the
 * published text becomes the last message, which vLLM is asked to continue; where the prompt is raw,
 * it is simply joined to it.
 *
 * Only the plain text of one choice can be carried on. Completions know nothing of tools and of
 * structure, and log probabilities of the published tokens are lost.
 */
import { holdsPlaceholder, isRaw } from '@qarr/router-core';
import type { EngineMessage, EngineRequest, Usage } from '@qarr/router-core';
import type { SoFar } from '@qarr/job-store';
import { failureOfContinuation } from './engine-failure.ts';
import type { EngineFailure } from './engine-failure.ts';
import { COMPLETIONS_PATH, pathOf } from './engine-route.ts';
import type { RunOptions } from './engine.ts';
import type { JointOptions } from './joint.ts';
import type { Tokenized, Tokenizer } from './tokenizer.ts';

export type Continuation =
  | {
      kind: 'request';
      path: string;
      body: object;
      joint: Omit<JointOptions, 'onDelta' | 'close'>;
      /** From the usage of the request to that of the whole answer. */
      usageOf: (usage: Usage | null) => Usage | null;
    }
  /** The former engine had used up `max_tokens`: only this text was not let out yet. */
  | { kind: 'complete'; text: string; usage: Usage | null }
  | { kind: 'failed'; failure: EngineFailure };

interface Inputs {
  readonly request: EngineRequest;
  readonly soFar: SoFar;
  readonly options: Pick<RunOptions, 'model' | 'capabilities' | 'signal'>;
  readonly tokenizer: Tokenizer;
}

/** Whether the answer to this request could be carried on at all. */
export function isContinuable(request: EngineRequest): boolean {
  const { logprobs, n = 1 } = request;
  return isPlain(request) && logprobs === undefined && n === 1;
}

function isPlain(request: EngineRequest): boolean {
  if (isRaw(request)) return true;
  return request.response_format === undefined && request.tools === undefined;
}

export async function planContinuation(inputs: Inputs): Promise<Continuation> {
  const { request, soFar, options } = inputs;
  if (!isContinuable(request) || soFar.hasMore) {
    return impossible({ why: 'it is more than the text of one choice', mayBe: false });
  }
  const { tokenIds, tokenizes, continuesText } = options.capabilities;
  if (tokenIds && tokenizes && soFar.tokenIds !== null) {
    const plan = await planByIds({ ...inputs, generatedIds: soFar.tokenIds });
    if (plan !== 'other text') return plan;
  }
  if (tokenizes && (continuesText || isRaw(request))) return planByText(inputs);
  return impossible({ why: 'the engine cannot do that', mayBe: false });
}

async function planByIds({
  request,
  soFar,
  options: { model, signal },
  tokenizer,
  generatedIds,
}: Inputs & { generatedIds: readonly number[] }): Promise<Continuation | 'other text'> {
  const [prompt, generated] = await Promise.all([
    tokenizer.tokenize({ model, input: begun(request), signal }),
    tokenizer.detokenize({ model, tokens: generatedIds, signal }),
  ]);
  if (prompt.kind === 'failed') return unlessLater(prompt.failure);
  if (generated.kind === 'failed') return unlessLater(generated.failure);
  const text = withoutUnfinished(generated.value);
  if (!text.startsWith(soFar.text)) return 'other text';
  const heldBack = text.slice(soFar.text.length);
  const promptTokens = prompt.value.length;
  const left = request.max_tokens - generatedIds.length;
  if (left <= 0) {
    const usage = usageOf(promptTokens, promptTokens + generatedIds.length);
    return { kind: 'complete', text: heldBack, usage };
  }
  return {
    kind: 'request',
    path: COMPLETIONS_PATH,
    body: {
      ...samplingOf(request),
      model,
      prompt: [...prompt.value, ...generatedIds],
      ...restOf(request, { done: generatedIds.length }),
    },
    joint: { heldBack, stops: stopsAfter(request, generatedIds.length), echo: '', repeated: '' },
    usageOf: (usage) => usage && usageOf(promptTokens, usage.total_tokens),
  };
}

async function planByText({
  request,
  soFar,
  options: { model, capabilities, signal },
  tokenizer,
}: Inputs): Promise<Continuation> {
  const repeated = lastWord(soFar.text);
  const content = soFar.text.slice(0, soFar.text.length - repeated.length);
  const opened = opening(request, content);
  if (holdsPlaceholder(isRaw(request) ? request.prompt + content : content)) {
    return impossible({ why: 'it holds the placeholder of a picture', mayBe: false });
  }
  const [prompt, whole] = await Promise.all([
    tokenizer.tokenize({ model, input: begun(request), signal }),
    tokenizer.tokenize({ model, input: opened.input, signal }),
  ]);
  if (prompt.kind === 'failed') return unlessLater(prompt.failure);
  if (whole.kind === 'failed') return unlessLater(whole.failure);
  const promptTokens = prompt.value.length;
  // A raw prompt may end within a token that the answer completes.
  const done = Math.max(0, whole.value.length - promptTokens);
  if (done >= request.max_tokens) {
    return { kind: 'complete', text: '', usage: usageOf(promptTokens, whole.value.length) };
  }
  return {
    kind: 'request',
    path: pathOf(request),
    body: { ...samplingOf(request), model, ...opened.fields, ...restOf(request, { done }) },
    joint: {
      heldBack: '',
      stops: [],
      echo: capabilities.echoesContinued && !isRaw(request) ? content : '',
      repeated,
    },
    usageOf: (usage) => usage && usageOf(promptTokens, usage.total_tokens),
  };
}

/** The request without what is asked. */
function samplingOf(request: EngineRequest): object {
  if (isRaw(request)) {
    const { prompt: _prompt, ...sampling } = request;
    return sampling;
  }
  const { messages: _messages, ...sampling } = request;
  return sampling;
}

/** Where the answer began. */
function begun(request: EngineRequest): Tokenized {
  if (isRaw(request)) return { prompt: request.prompt };
  return { messages: request.messages, continues: false };
}

/** The request that goes on after this text, and how its tokens are counted. */
function opening(request: EngineRequest, content: string): { input: Tokenized; fields: object } {
  if (isRaw(request)) {
    const input = { prompt: request.prompt + content };
    return { input, fields: input };
  }
  // Where there is no whole word yet, the engine begins anew and says all of it again.
  if (content === '') return { input: begun(request), fields: { messages: request.messages } };
  const messages: EngineMessage[] = [...request.messages, { role: 'assistant', content }];
  return {
    input: { messages, continues: true },
    // Both, or the template refuses: see vLLM's own check.
    fields: { messages, continue_final_message: true, add_generation_prompt: false },
  };
}

/**
 * The last word of a text and the space around it. A text may have been cut in the middle of a
 * token, and chat templates trim: only between words is it sure to mean the same to the engine.
 */
function lastWord(text: string): string {
  const word = /\s*\S*$/.exec(text.slice(-WORD_CHARS_MAX))?.[0] ?? '';
  return word.length < WORD_CHARS_MAX ? word : Array.from(word).slice(-LETTERS).join('');
}

/** Longer than words are: what is longer has no words. */
const WORD_CHARS_MAX = 64;
/** Of a script without spaces. */
const LETTERS = 4;

function restOf(request: EngineRequest, { done }: { done: number }): object {
  const { max_tokens, min_tokens } = request;
  return {
    max_tokens: max_tokens - done,
    ...(min_tokens === undefined ? {} : { min_tokens: Math.max(0, min_tokens - done) }),
  };
}

/** A character whose bytes have not all come decodes to replacement characters. */
function withoutUnfinished(text: string): string {
  let end = text.length;
  while (text[end - 1] === '\uFFFD') end -= 1;
  return text.slice(0, end);
}

/** Before `min_tokens` nothing stops an answer. */
function stopsAfter({ stop = [], min_tokens = 0 }: EngineRequest, done: number): readonly string[] {
  return done >= min_tokens ? stop : [];
}

/** Null where the engine's counts contradict each other. */
function usageOf(promptTokens: number, totalTokens: number): Usage | null {
  if (totalTokens < promptTokens) return null;
  return {
    prompt_tokens: promptTokens,
    completion_tokens: totalTokens - promptTokens,
    total_tokens: totalTokens,
  };
}

/** A tokenizer that fails may answer later; one that refuses will not. */
function unlessLater(failure: EngineFailure): Continuation {
  if (failure.retryable) return { kind: 'failed', failure };
  return impossible({ why: 'the engine does not tell its tokens', mayBe: false });
}

function impossible(reason: Parameters<typeof failureOfContinuation>[0]): Continuation {
  return { kind: 'failed', failure: failureOfContinuation(reason) };
}
