import {
  type Chunk,
  type ChunkChoice,
  mapChoices,
  readChunk,
  textOfChoice,
  withText,
} from './chunk.ts';
import { decorate, replaceEvents } from './decorate.ts';
import type { StreamFaults } from './stream-fault.ts';

/** Chunks that look unusual and say the same. */
export const CHUNK_SHAPES: StreamFaults<'empty_delta' | 'merged' | 'extra_fields' | 'null_fields'> =
  {
    empty_delta: (inner, _params, injection) =>
      replaceEvents(inner, (data) => {
        const chunk = readChunk(data);
        const isOver = chunk?.choices.some((choice) => choice.finish_reason !== null);
        if (chunk === undefined || isOver === true) return [data];
        injection.took();
        return [data, JSON.stringify({ ...chunk, choices: chunk.choices.map(emptied) })];
      }),

    merged(inner, params, injection) {
      let held: { chunk: Chunk; choice: ChunkChoice; chunks: number } | undefined;

      function release(): void {
        if (held !== undefined) inner.send(JSON.stringify(chunkOf(held)));
        held = undefined;
      }

      return decorate(inner, {
        send(data) {
          const chunk = readChunk(data);
          const choice = chunk === undefined ? undefined : mergeableChoice(chunk);
          if (chunk === undefined || choice === undefined) {
            release();
            inner.send(data);
            return;
          }
          if (held === undefined || held.choice.index !== choice.index) {
            release();
            held = { chunk, choice, chunks: 1 };
          } else {
            injection.took();
            // What stands beside the choices, such as usage, is that of the later chunk.
            held = { chunk, choice: merge(held.choice, choice), chunks: held.chunks + 1 };
          }
          if (held.chunks === params.chunks || choice.finish_reason !== null) release();
        },
        end() {
          release();
          inner.end();
        },
      });
    },

    extra_fields: (inner, _params, injection) =>
      replaceEvents(inner, (data) => {
        if (readChunk(data) === undefined) return [data];
        injection.took();
        const changed = mapChoices(data, (choice) => ({
          ...UNKNOWN,
          ...choice,
          ...(choice.delta === undefined ? {} : { delta: { ...UNKNOWN, ...choice.delta } }),
        }));
        return [JSON.stringify({ ...UNKNOWN, ...readChunk(changed) })];
      }),

    null_fields: (inner, _params, injection) =>
      replaceEvents(inner, (data) => {
        if (readChunk(data) === undefined) return [data];
        injection.took();
        const changed = mapChoices(data, (choice) => ({
          ...NULLS.choice,
          ...choice,
          ...(choice.delta === undefined ? {} : { delta: { ...NULLS.delta, ...choice.delta } }),
        }));
        return [JSON.stringify({ ...NULLS.chunk, ...readChunk(changed) })];
      }),
  };

/** Of every JSON type, with names that mislead a reader who looks for substrings. */
const UNKNOWN = {
  x_content: 'not the text',
  x_finish_reason: { choices: [{ delta: { content: 'not the text' } }] },
  x_error: false,
  x_usage: [null, 1.5e300, -0.0],
};

/** What OpenAI's API knows and vLLM leaves out when it was never set. */
const NULLS = {
  chunk: { usage: null, service_tier: null, system_fingerprint: null, error: null },
  choice: { stop_reason: null, token_ids: null, logprobs: null },
  delta: {
    role: null,
    content: null,
    refusal: null,
    reasoning: null,
    reasoning_content: null,
    function_call: null,
    tool_calls: null,
  },
};

function emptied(choice: ChunkChoice): ChunkChoice {
  const text = choice.delta === undefined ? { text: '' } : { delta: {} };
  return { ...choice, ...text, logprobs: null, token_ids: null };
}

/** The choice of a chunk that carries text and nothing else, such as a role or a tool call. */
function mergeableChoice(chunk: Chunk): ChunkChoice | undefined {
  const [choice, ...others] = chunk.choices;
  if (choice === undefined || others.length > 0) return undefined;
  const fields = Object.keys(choice.delta ?? {});
  return fields.every((field) => field === 'content') ? choice : undefined;
}

function merge(earlier: ChunkChoice, later: ChunkChoice): ChunkChoice {
  return {
    ...later,
    ...earlier,
    // The first chunk alone has prompt_token_ids, the last alone a finish reason.
    ...withoutNulls(withText(later, textOfChoice(earlier) + textOfChoice(later))),
    ...(Array.isArray(earlier.token_ids)
      ? { token_ids: [...earlier.token_ids, ...(later.token_ids ?? [])] }
      : {}),
    logprobs: mergeLogprobs(earlier.logprobs, later.logprobs),
  };
}

function withoutNulls(choice: ChunkChoice): Partial<ChunkChoice> {
  return Object.fromEntries(Object.entries(choice).filter(([, value]) => value !== null));
}

/** Every field of log probabilities is a list with an entry per token. */
function mergeLogprobs(
  earlier: ChunkChoice['logprobs'],
  later: ChunkChoice['logprobs'],
): Readonly<Record<string, unknown>> | null {
  if (earlier === undefined || earlier === null) return later ?? null;
  const lists = Object.entries(earlier).map(([field, list]) => {
    const more = later?.[field];
    const both = Array.isArray(list) && Array.isArray(more) ? [...list, ...more] : list;
    return [field, both] as const;
  });
  return Object.fromEntries(lists);
}

function chunkOf(held: { chunk: Chunk; choice: ChunkChoice }): Chunk {
  return { ...held.chunk, choices: [held.choice] };
}
