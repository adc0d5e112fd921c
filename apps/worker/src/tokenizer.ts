/** An engine's own tokenizer, over HTTP. */
import type { EngineMessage } from '@qarr/router-core';
import { z } from 'zod';
import { failureOfConnection, failureOfProtocol, failureOfStatus } from './engine-failure.ts';
import type { EngineFailure } from './engine-failure.ts';
import type { Exchange, Exchanges } from './upstream/exchange.ts';

/** What an answer may weigh beside the tokens: names, brackets. */
const ENVELOPE_BYTES = 65_536;
/** An id and its comma, for each character of a prompt; the text of a token, escaped. */
const ID_BYTES = 12;
const TOKEN_BYTES = 1_024;

type Asked<Value> = { kind: 'answer'; value: Value } | { kind: 'failed'; failure: EngineFailure };

export interface Tokenizer {
  tokenize(options: {
    model: string;
    input: Tokenized;
    signal: AbortSignal;
  }): Promise<Asked<readonly number[]>>;
  detokenize(options: {
    model: string;
    tokens: readonly number[];
    signal: AbortSignal;
  }): Promise<Asked<string>>;
}

/** A conversation, in its chat template, or a text as it is. `continues`: its last message is open. */
export type Tokenized =
  | { readonly messages: readonly EngineMessage[]; readonly continues: boolean }
  | { readonly prompt: string };

const tokensSchema = z.object({ tokens: z.array(z.int().nonnegative()) });
const promptSchema = z.object({ prompt: z.string() });

export function createTokenizer({
  exchanges,
  timeoutMs,
}: {
  exchanges: Pick<Exchanges, 'send'>;
  timeoutMs: number;
}): Tokenizer {
  async function ask<Value>(
    path: string,
    {
      body,
      schema,
      bytesMax,
      signal,
    }: { body: object; schema: z.ZodType<Value>; bytesMax: number; signal: AbortSignal },
  ): Promise<Asked<Value>> {
    const exchange = await exchanges.send(path, { body, timeoutMs, bytesMax, signal });
    if (exchange.kind !== 'answer') return { kind: 'failed', failure: failureOf(exchange) };
    if (exchange.status !== 200) {
      return { kind: 'failed', failure: failureOfStatus(exchange.status, exchange.text) };
    }
    const parsed = schema.safeParse(parseJson(exchange.text));
    if (parsed.success) return { kind: 'answer', value: parsed.data };
    const failure = failureOfProtocol('The engine did not tell the tokens of the answer.');
    return { kind: 'failed', failure };
  }

  return {
    async tokenize({ model, input, signal }) {
      const body = { model, ...fieldsOf(input) };
      const chars = JSON.stringify(body).length;
      const bytesMax = ENVELOPE_BYTES + ID_BYTES * chars;
      const asked = await ask('/tokenize', { body, schema: tokensSchema, bytesMax, signal });
      return asked.kind === 'failed' ? asked : { kind: 'answer', value: asked.value.tokens };
    },
    async detokenize({ model, tokens, signal }) {
      const body = { model, tokens };
      const bytesMax = ENVELOPE_BYTES + TOKEN_BYTES * tokens.length;
      const asked = await ask('/detokenize', { body, schema: promptSchema, bytesMax, signal });
      return asked.kind === 'failed' ? asked : { kind: 'answer', value: asked.value.prompt };
    },
  };
}

function fieldsOf(input: Tokenized): object {
  if ('prompt' in input) return input;
  const { messages, continues } = input;
  return {
    messages,
    add_generation_prompt: !continues,
    ...(continues ? { continue_final_message: true } : {}),
  };
}

function failureOf({ kind, cause }: Exclude<Exchange, { kind: 'answer' }>): EngineFailure {
  const reached = kind === 'unreachable' ? 'nobody' : 'no answer';
  return failureOfConnection(cause, { reached });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Not what was asked for, like any other JSON.
    return null;
  }
}
