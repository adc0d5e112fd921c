/**
 * Exact counts of prompt tokens, from the tier's own engine, for requests whose estimate is too
 * near the context window to decide by. Where the engine does not tell, the estimate has to do.
 */
import { createHash } from 'node:crypto';
import { isLoopback } from '@qarr/router-core';
import type { EngineInput, TierStatus } from '@qarr/router-core';
import { z } from 'zod';

const TIMEOUT_MS = 1_000;
const CACHED_MAX = 1_000;

const replySchema = z.object({ count: z.int().nonnegative() });

export interface Tokenizer {
  /** Tokens of a conversation with its chat template, or of a raw prompt; null where nobody tells. */
  count(tier: TierStatus, input: EngineInput): Promise<number | null>;
}

/** @param options.host where this process runs */
export function createTokenizer({ host }: { host: string }): Tokenizer {
  const cached = new Map<string, number>();

  return {
    async count({ name, workers }, input) {
      // The loopback address of another host is somebody else here, who must not get a prompt.
      const worker = workers.find(
        ({ breaker, upstream, host: its }) =>
          breaker === 'closed' && (its === host || !isLoopback(upstream)),
      );
      if (worker === undefined) return null;
      const template = 'messages' in input ? { add_generation_prompt: true } : {};
      const body = JSON.stringify({ model: worker.model, ...input, ...template });
      const key = createHash('sha256').update(name).update(body).digest('base64');
      const known = cached.get(key);
      if (known !== undefined) return known;

      const count = await ask(tokenizeUrl(worker.upstream), body);
      if (count === null) return null;
      const [oldest] = cached.keys();
      if (cached.size >= CACHED_MAX && oldest !== undefined) cached.delete(oldest);
      cached.set(key, count);
      return count;
    },
  };
}

async function ask(url: string, body: string): Promise<number | null> {
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    return replySchema.parse(await response.json()).count;
  } catch {
    // Another kind of engine, or one that this process cannot reach.
    return null;
  }
}

function tokenizeUrl(upstream: string): string {
  return `${upstream.replace(/\/+$/, '').replace(/\/v1$/, '')}/tokenize`;
}
