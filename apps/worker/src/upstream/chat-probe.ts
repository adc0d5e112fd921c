/**
 * A small chat request and its streamed answer, judged as a job's would be: whole only with a legal
 * finish reason.
 */
import { finishReasonSchema } from '@qarr/router-core';
import { createParser } from 'eventsource-parser';
import { z } from 'zod';
import type { Exchange, Exchanges } from './exchange.ts';

/** A token takes some 300 bytes; engines that ignore `max_tokens` send more, but not endlessly. */
const ANSWER_BYTES_MAX = 262_144;
const FEW_IDS_MAX = 10_000;

export type ChatAnswer =
  | {
      kind: 'whole';
      text: string;
      /** Ids of the prompt and of the answer, where the engine gives them. */
      promptIds: readonly number[];
      ids: readonly number[];
      /** Every chunk has told how many tokens there are so far. */
      isCounted: boolean;
      /** The counts were those of the ids. */
      idsAddUp: boolean;
    }
  /** It does not take this request: 400 or 422. */
  | { kind: 'refused'; status: number }
  /** It has more to do than it can take: 429 or 503, which is also what a proxy says for it. */
  | { kind: 'busy'; status: number }
  | { kind: 'unreachable'; cause: string }
  | { kind: 'failed'; cause: string };

const REFUSALS: ReadonlySet<number> = new Set([400, 422]);
const BUSY: ReadonlySet<number> = new Set([429, 503]);

/** Asks for one token. `fields` come on top of the plainest request that there is. */
export async function askForToken(
  exchanges: Exchanges,
  {
    model,
    messages = [{ role: 'user', content: 'Hi' }],
    fields = {},
    timeoutMs,
    signal,
  }: {
    model: string;
    messages?: readonly { role: string; content: string }[];
    fields?: object;
    timeoutMs: number;
    signal: AbortSignal;
  },
): Promise<ChatAnswer> {
  const exchange = await exchanges.send('/v1/chat/completions', {
    body: { model, messages, max_tokens: 1, temperature: 0, stream: true, ...fields },
    timeoutMs,
    bytesMax: ANSWER_BYTES_MAX,
    signal,
    isComplete: (text) => DONE.test(`\n${text}`.slice(-DONE_CHARS)),
  });
  return judge(exchange);
}

/** Inside an event's JSON a line feed is escaped, so this is nothing that the model has said. */
const DONE = /[\r\n]data: ?\[DONE\]/;
const DONE_CHARS = 64;

export function judge(exchange: Exchange): ChatAnswer {
  if (exchange.kind === 'unreachable') return exchange;
  if (exchange.kind === 'broken') return { kind: 'failed', cause: exchange.cause };
  const { status, text } = exchange;
  if (REFUSALS.has(status)) return { kind: 'refused', status };
  if (BUSY.has(status)) return { kind: 'busy', status };
  if (status < 200 || status > 299) return { kind: 'failed', cause: `status ${status}` };
  return readAnswer(text);
}

const idsSchema = z.array(z.int().nonnegative()).max(FEW_IDS_MAX);
const chunkSchema = z.object({
  prompt_token_ids: idsSchema.nullish(),
  choices: z
    .array(
      z.object({
        delta: z.object({ content: z.string().nullish() }).nullish(),
        finish_reason: z.string().nullish(),
        token_ids: idsSchema.nullish(),
      }),
    )
    .nullish(),
  usage: z.object({ completion_tokens: z.int().nonnegative() }).nullish().catch(null),
});

function readAnswer(body: string): ChatAnswer {
  let text = '';
  let finishReason: string | null = null;
  let promptIds: readonly number[] = [];
  const ids: number[] = [];
  let isBroken = false;
  let isCounted = true;
  let idsAddUp = true;
  const parser = createParser({
    onEvent({ data }) {
      if (data === '[DONE]') return;
      const chunk = readChunk(data);
      isBroken ||= chunk === null;
      promptIds = chunk?.prompt_token_ids ?? promptIds;
      const choice = chunk?.choices?.[0];
      text += choice?.delta?.content ?? '';
      finishReason = choice?.finish_reason ?? finishReason;
      ids.push(...(choice?.token_ids ?? []));
      const counted = chunk?.usage?.completion_tokens;
      isCounted &&= counted !== undefined;
      idsAddUp &&= counted === undefined || counted === ids.length;
    },
  });
  parser.feed(body);
  parser.feed('\n\n');
  if (isBroken) return { kind: 'failed', cause: 'an answer that is no chat' };
  if (!finishReasonSchema.safeParse(finishReason).success) {
    return { kind: 'failed', cause: 'no legal finish reason' };
  }
  return { kind: 'whole', text, promptIds, ids, isCounted, idsAddUp };
}

/** Null for an error, and for what is no chunk. */
function readChunk(data: string): z.output<typeof chunkSchema> | null {
  try {
    const json: unknown = JSON.parse(data);
    if (typeof json === 'object' && json !== null && 'error' in json && json.error !== null) {
      return null;
    }
    return chunkSchema.parse(json);
  } catch {
    // Neither JSON nor a chunk.
    return null;
  }
}
