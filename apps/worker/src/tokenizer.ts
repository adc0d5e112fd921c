/** An engine's own tokenizer, over HTTP. */
import type { EngineMessage } from '@qarr/router-core';
import type { Agent } from 'undici';
import { z } from 'zod';
import { failureOfConnection, failureOfProtocol, failureOfStatus } from './engine-failure.ts';
import type { EngineFailure } from './engine-failure.ts';

/** A prompt of a million tokens, as JSON numbers. */
const BODY_BYTES_MAX = 16 * 1024 * 1024;

export type Asked<Value> =
  | { kind: 'answer'; value: Value }
  | { kind: 'failed'; failure: EngineFailure };

export interface Tokenizer {
  /** The tokens of a conversation, in its chat template. `continues`: its last message is open. */
  tokenize(options: {
    model: string;
    messages: readonly EngineMessage[];
    continues: boolean;
    signal: AbortSignal;
  }): Promise<Asked<readonly number[]>>;
  detokenize(options: {
    model: string;
    tokens: readonly number[];
    signal: AbortSignal;
  }): Promise<Asked<string>>;
}

const tokensSchema = z.object({ tokens: z.array(z.int().nonnegative()) });
const promptSchema = z.object({ prompt: z.string() });

export function createTokenizer({
  agent,
  baseUrl,
  authorization,
  timeoutMs,
}: {
  agent: Agent;
  baseUrl: string;
  authorization: Record<string, string>;
  timeoutMs: number;
}): Tokenizer {
  async function ask<Value>(
    path: string,
    { body, schema, signal }: { body: object; schema: z.ZodType<Value>; signal: AbortSignal },
  ): Promise<Asked<Value>> {
    const { origin, pathname } = new URL(`${baseUrl}${path}`);
    try {
      const response = await agent.request({
        origin,
        path: pathname,
        method: 'POST',
        headers: { 'content-type': 'application/json', ...authorization },
        body: JSON.stringify(body),
        signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
      });
      const text = await readBounded(response.body);
      if (response.statusCode !== 200) {
        return { kind: 'failed', failure: failureOfStatus(response.statusCode, text) };
      }
      return { kind: 'answer', value: schema.parse(JSON.parse(text)) };
    } catch (error) {
      return { kind: 'failed', failure: failureOf(error as Error) };
    }
  }

  return {
    async tokenize({ model, messages, continues, signal }) {
      const body = {
        model,
        messages,
        add_generation_prompt: !continues,
        ...(continues ? { continue_final_message: true } : {}),
      };
      const asked = await ask('/tokenize', { body, schema: tokensSchema, signal });
      return asked.kind === 'failed' ? asked : { kind: 'answer', value: asked.value.tokens };
    },
    async detokenize({ model, tokens, signal }) {
      const body = { model, tokens };
      const asked = await ask('/detokenize', { body, schema: promptSchema, signal });
      return asked.kind === 'failed' ? asked : { kind: 'answer', value: asked.value.prompt };
    },
  };
}

async function readBounded(body: AsyncIterable<Buffer>): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of body) {
    bytes += part.length;
    if (bytes > BODY_BYTES_MAX) throw new TypeError('too long');
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

/** Whoever listens but does not answer like a tokenizer is no engine to go on with. */
function failureOf(error: Error): EngineFailure {
  const code = 'code' in error ? error.code : undefined;
  if (code === 'ECONNREFUSED' || code === 'UND_ERR_CONNECT_TIMEOUT') {
    return failureOfConnection(error, { reached: 'nobody' });
  }
  if (typeof code === 'string') return failureOfConnection(error, { reached: 'no answer' });
  return failureOfProtocol('The engine did not tell the tokens of the answer.');
}
