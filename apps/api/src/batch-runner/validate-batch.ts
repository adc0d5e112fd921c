/** Reads an input file once: is it right, where does each line stand, and which tier is it for? */
import { setImmediate } from 'node:timers/promises';
import { classify, createBatchChecker, parseLineBody, routedOfLine } from '@qarr/router-core';
import type {
  BatchEndpoint,
  BatchError,
  BatchLimits,
  BatchLine,
  RoutingPolicy,
} from '@qarr/router-core';
import { NO_TIER, createLineIndexBuilder } from './line-index.ts';
import type { LineIndex } from './line-index.ts';
import { splitLines } from './split-lines.ts';

/** Whoever else this process serves waits no longer, but for a single line that takes longer. */
const BUSY_MS_MAX = 10;

export type Validation =
  | {
      readonly kind: 'valid';
      readonly total: number;
      /** Null where they do not all name the same. */
      readonly model: string | null;
      readonly index: LineIndex;
    }
  | { readonly kind: 'invalid'; readonly errors: readonly BatchError[] };

export interface PlanOptions {
  readonly endpoint: BatchEndpoint;
  readonly policy: RoutingPolicy;
  /** Ids that the engines serve. */
  readonly servedModels: readonly string[];
}

/** Throws what `content` throws, or the signal's reason. */
export async function validateBatch(
  content: AsyncIterable<Uint8Array>,
  { limits, signal, ...options }: PlanOptions & { limits: BatchLimits; signal: AbortSignal },
): Promise<Validation> {
  const checker = createBatchChecker({ ...limits, endpoint: options.endpoint });
  const index = createLineIndexBuilder();
  const models = new Set<string | null>();
  let busySince = performance.now();

  for await (const raw of splitLines(content, limits)) {
    signal.throwIfAborted();
    const line = checker.line(raw);
    if (checker.isFull) break;
    if (line !== null) {
      const { tier, model } = planOf(line, options);
      index.add({ ...raw, tier });
      // Two say already that there is not one.
      if (models.size < 2) models.add(model);
    }
    if (performance.now() - busySince > BUSY_MS_MAX) {
      await setImmediate();
      busySince = performance.now();
    }
  }
  signal.throwIfAborted();
  const errors = checker.end();
  if (errors.length > 0) return { kind: 'invalid', errors };
  const [model = null] = models.size === 1 ? models : [];
  return { kind: 'valid', total: checker.total, model, index: index.build() };
}

/** The tier as it is now, by an estimate: it is looked at again when the line is fed. */
function planOf(
  { body }: BatchLine,
  { endpoint, policy, servedModels }: PlanOptions,
): { tier: string; model: string | null } {
  const reading = parseLineBody(endpoint, body);
  if (reading.kind === 'refused') return { tier: NO_TIER, model: null };
  const { request } = reading;
  const { model = null } = request.body;
  const routing = classify(routedOfLine(request), policy, { servedModels });
  // One that seems too long may be shortened, or fit by the count of the tier's own tokenizer.
  return { tier: routing.tier ?? NO_TIER, model };
}
