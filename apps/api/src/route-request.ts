/** Which tier a request goes to, and what is sent there. */
import { inSpan } from '@qarr/process';
import type { Tracing } from '@qarr/process';
import {
  NO_LOAD,
  QarrError,
  classify,
  dropOldestTurns,
  estimateToolTokens,
  extractFeatures,
  inputOf,
  isRaw,
  nearLimit,
  toEngineRequest,
} from '@qarr/router-core';
import type {
  ChatRequest,
  EngineRequest,
  JobRequest,
  RawRequest,
  RequestFeatures,
  Routing,
  RoutingPolicy,
  TierStatus,
} from '@qarr/router-core';
import { errorType } from './request-span.ts';
import type { TierWatch } from './tier-watch.ts';
import type { Tokenizer } from './tokenizer.ts';

export interface RoutedRequest {
  readonly tier: string;
  /** The tier that the client named, or null. */
  readonly requestedTier: string | null;
  readonly reasons: string[];
  readonly features: RequestFeatures;
  readonly fits: Record<string, boolean>;
  readonly engineRequest: EngineRequest;
  /** Messages left out because the request allowed it and would not fit otherwise. */
  readonly droppedMessages: number;
}

/** What is routed: a conversation, or a raw prompt. */
export type RoutedBody = ChatRequest | JobRequest | RawRequest;

export interface RouteDeps {
  readonly watch: Pick<TierWatch, 'policy' | 'statuses' | 'servedModels'>;
  readonly tokenizer: Tokenizer;
}

/** In a span that says how long the prompt was and what became of it. */
export async function routeTraced(
  request: RoutedBody,
  parent: string,
  deps: RouteDeps & { readonly tracing: Pick<Tracing, 'span'> },
): Promise<RoutedRequest> {
  const span = deps.tracing.span('route_inference', { parent });
  return inSpan(span, errorType, async () => {
    const route = await routeRequest(request, deps);
    if (span.isRecorded) span.set(routeAttributes(route));
    return route;
  });
}

export function routeAttributes({
  tier,
  requestedTier,
  reasons,
  engineRequest,
  droppedMessages,
}: RoutedRequest) {
  return {
    'prompt.length': promptChars(engineRequest),
    'route.tier': tier,
    'route.requested_tier': requestedTier ?? undefined,
    'route.reasons': reasons,
    'route.dropped_messages': droppedMessages,
  };
}

/** Of all of its messages together. */
function promptChars(request: EngineRequest): number {
  if (isRaw(request)) return request.prompt.length;
  return request.messages.reduce((sum, { content }) => sum + content.length, 0);
}

/** Throws a `QarrError` for a request that fits nowhere or names what does not exist. */
export async function routeRequest(
  request: RoutedBody,
  { watch, tokenizer }: RouteDeps,
): Promise<RoutedRequest> {
  const policy = watch.policy();
  const routing = await classifyExactly(request, { policy, watch, tokenizer });
  if (routing.kind === 'routed') return routed({ request, routing, droppedMessages: 0 });

  const isTooLong = routing.code === 'context_length_exceeded';
  if (isTooLong && !('isRaw' in request) && request.truncation === 'auto') {
    const shorter = shorten(request, { policy, tier: routing.tier, features: routing.features });
    if (shorter !== null) {
      const again = await classifyExactly(shorter.request, { policy, watch, tokenizer });
      if (again.kind === 'routed') {
        const { dropped } = shorter;
        return routed({ request: shorter.request, routing: again, droppedMessages: dropped });
      }
    }
  }
  throw new QarrError(routing.code, { message: routing.message, param: routing.param });
}

/** Classifies; asks the tokenizers of tiers for which the estimate is too near to the limit. */
async function classifyExactly(
  request: RoutedBody,
  { policy, watch, tokenizer }: RouteDeps & { policy: RoutingPolicy },
): Promise<Routing> {
  const servedModels = watch.servedModels();
  const routing = classify(request, policy, { servedModels });
  if (routing.kind === 'refused' && routing.code !== 'context_length_exceeded') return routing;
  const { promptTokens, maxTokens } = routing.features;
  const unsure = policy.tiers.filter(({ maxModelLen }) =>
    nearLimit({ promptTokens, maxTokens, maxModelLen }),
  );
  if (unsure.length === 0) return routing;

  const input = inputOf(engineRequestOf(request, routing.features));
  const counts = await Promise.all(
    unsure.map(async ({ name }) => {
      const status = watch.statuses().find((tier) => tier.name === name) ?? unknownTier(name);
      return [name, await tokenizer.count(status, input)] as const;
    }),
  );
  // Tokenizers are asked for the messages only: not every engine takes tools there.
  const toolTokens = 'isRaw' in request ? 0 : estimateToolTokens(request);
  const exactPromptTokens = Object.fromEntries(
    counts.flatMap(([name, count]) => (count === null ? [] : [[name, count + toolTokens]])),
  );
  return classify(request, policy, { servedModels, exactPromptTokens });
}

function shorten(
  request: ChatRequest | JobRequest,
  {
    policy,
    tier,
    features,
  }: { policy: RoutingPolicy; tier: string | undefined; features: RequestFeatures },
): { request: ChatRequest | JobRequest; dropped: number } | null {
  const window = policy.tiers.find(({ name }) => name === tier);
  if (window === undefined || request.messages === undefined) return null;
  const shorter = dropOldestTurns({
    messages: request.messages,
    maxTokens: features.maxTokens,
    maxModelLen: window.maxModelLen,
    estimateTokens: (messages) =>
      extractFeatures({ messages, tools: request.tools }, policy).promptTokens,
  });
  if (shorter === null) return null;
  return { request: { ...request, messages: shorter.messages }, dropped: shorter.dropped };
}

function routed({
  request,
  routing,
  droppedMessages,
}: {
  request: RoutedBody;
  routing: Extract<Routing, { kind: 'routed' }>;
  droppedMessages: number;
}): RoutedRequest {
  const { tier, reasons, features, fits } = routing;
  const isPinned = reasons.includes('pinned');
  return {
    tier,
    requestedTier: isPinned ? tier : null,
    reasons,
    features,
    fits,
    engineRequest: engineRequestOf(request, features),
    droppedMessages,
  };
}

function engineRequestOf(
  request: RoutedBody,
  { maxTokens, temperature }: RequestFeatures,
): EngineRequest {
  return toEngineRequest(request, { maxTokens, temperature });
}

function unknownTier(name: string): TierStatus {
  return { name, depth: 0, load: NO_LOAD, workers: [] };
}
