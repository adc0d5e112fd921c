/** Chooses the tier of a request, and says why. Read this first; the rest is what it looks at. */
import { fits } from './context-window.ts';
import type { RoutingPolicy, RuleCondition, TierWindow } from './routing-policy.ts';
import { extractFeatures } from './text-features.ts';
import type { RequestFeatures, RoutableRequest } from './text-features.ts';

/** `fits` says for each tier whether prompt and answer fit its context window. */
export type Routing =
  | {
      kind: 'routed';
      tier: string;
      /** `pinned`, or the rule that matched, and `context` where its window was too small. */
      reasons: string[];
      features: RequestFeatures;
      fits: Record<string, boolean>;
    }
  | {
      kind: 'refused';
      code: 'context_length_exceeded' | 'unknown_tier' | 'model_not_found' | 'conflicting_pin';
      param: 'tier' | 'model' | 'messages' | 'prompt' | 'max_tokens';
      message: string;
      /** The tier whose window was too small. */
      tier?: string;
      features: RequestFeatures;
      fits: Record<string, boolean>;
    };

export interface ClassifyOptions {
  /** Ids that the engines serve; they mean `auto`. Where none are known, any model name does. */
  servedModels?: readonly string[] | undefined;
  /** By tier, in tokens, from the tier's own tokenizer; replaces the estimate. */
  exactPromptTokens?: Readonly<Record<string, number>> | undefined;
}

/**
 * A pin is obeyed or refused, never changed. Otherwise the first rule that matches names the tier,
 * and a request too long for it goes up, never down: tiers are listed from least to most precise.
 */
export function classify(
  request: RoutableRequest,
  policy: RoutingPolicy,
  options: ClassifyOptions = {},
): Routing {
  const features = extractFeatures(request, policy);
  const promptTokens = (tier: TierWindow): number =>
    exactTokens(tier, options) ?? features.promptTokens;
  const fitsTier = (tier: TierWindow): boolean =>
    fits({
      promptTokens: promptTokens(tier),
      maxTokens: features.maxTokens,
      maxModelLen: tier.maxModelLen,
    });
  const refusalFor = (tier: TierWindow): Refusal =>
    tooLong(tier, {
      promptTokens: promptTokens(tier),
      maxTokens: features.maxTokens,
      promptField: request.isRaw === true ? 'prompt' : 'messages',
    });
  const shown = {
    features,
    fits: Object.fromEntries(policy.tiers.map((tier) => [tier.name, fitsTier(tier)])),
  };

  const pin = readPin(request, policy, options);
  if (pin.kind === 'refused') return { ...pin, ...shown };
  if (pin.kind === 'pinned') {
    return fitsTier(pin.tier)
      ? { kind: 'routed', tier: pin.tier.name, reasons: ['pinned'], ...shown }
      : { ...refusalFor(pin.tier), ...shown };
  }

  const rule = policy.rules.find(({ conditions }) =>
    conditions.every((condition) => holds(condition, features)),
  );
  const ruled = policy.tiers.findIndex(({ name }) => name === rule?.tier);
  if (rule === undefined || ruled === -1) {
    throw new Error('The policy has no rule for this request; make policies with createPolicy.');
  }

  const allowed = policy.tiers.slice(ruled);
  const chosen = allowed.find(fitsTier);
  if (chosen === undefined) {
    const largest = allowed.reduce((a, b) => (b.maxModelLen > a.maxModelLen ? b : a));
    return { ...refusalFor(largest), ...shown };
  }
  const reasons = chosen.name === rule.tier ? [rule.when] : [...named(rule.when), 'context'];
  return { kind: 'routed', tier: chosen.name, reasons, ...shown };
}

type Refusal = Omit<Extract<Routing, { kind: 'refused' }>, 'features' | 'fits'>;

type Pin = { kind: 'none' } | { kind: 'pinned'; tier: TierWindow } | Refusal;

/** What the client asked for by name: `tier` first, then a `model` that is a tier's name. */
function readPin(
  { tier, model }: RoutableRequest,
  { tiers }: RoutingPolicy,
  { servedModels = [] }: ClassifyOptions,
): Pin {
  const known = tiers.map(({ name }) => name).join(', ');
  const byTier = tiers.find(({ name }) => name === tier);
  const byModel = tiers.find(({ name }) => name === model);

  if (byTier === undefined && isNamed(tier)) {
    const message = `The tier ${quote(tier)} does not exist; use auto or one of: ${known}.`;
    return { kind: 'refused', code: 'unknown_tier', param: 'tier', message };
  }
  if (byModel === undefined && isNamed(model)) {
    if (servedModels.length > 0 && !servedModels.includes(model)) {
      const message = `The model ${quote(model)} does not exist; use auto or one of: ${known}.`;
      return { kind: 'refused', code: 'model_not_found', param: 'model', message };
    }
  }
  if (byTier !== undefined && byModel !== undefined && byTier !== byModel) {
    const message = `tier names "${byTier.name}" and model names "${byModel.name}"; send one of them.`;
    return { kind: 'refused', code: 'conflicting_pin', param: 'tier', message };
  }
  const pinned = byTier ?? byModel;
  return pinned === undefined ? { kind: 'none' } : { kind: 'pinned', tier: pinned };
}

function isNamed(name: string | undefined): name is string {
  return typeof name === 'string' && name !== 'auto';
}

function holds(condition: RuleCondition, features: RequestFeatures): boolean {
  if (condition.kind === 'code') return features.code;

  const value = {
    words: features.words,
    max_tokens: features.maxTokens,
    temperature: features.temperature,
    prompt_tokens: features.promptTokens,
  }[condition.feature];
  switch (condition.operator) {
    case '>':
      return value > condition.value;
    case '>=':
      return value >= condition.value;
    case '<':
      return value < condition.value;
    case '<=':
      return value <= condition.value;
    default:
      return condition.operator satisfies never;
  }
}

/** `default` says that there was no reason, so it is none. */
function named(when: string): string[] {
  return when === 'default' ? [] : [when];
}

function exactTokens(tier: TierWindow, { exactPromptTokens }: ClassifyOptions): number | undefined {
  const isKnown = exactPromptTokens !== undefined && Object.hasOwn(exactPromptTokens, tier.name);
  return isKnown ? exactPromptTokens[tier.name] : undefined;
}

/** In OpenAI's words, which clients search for. */
function tooLong(
  { name, maxModelLen }: TierWindow,
  {
    promptTokens,
    maxTokens,
    promptField,
  }: { promptTokens: number; maxTokens: number; promptField: 'prompt' | 'messages' },
): Refusal {
  const message =
    `This model's maximum context length is ${maxModelLen} tokens. However, you requested ` +
    `${promptTokens + maxTokens} tokens (${promptTokens} in the ${promptField}, ${maxTokens} in ` +
    `the completion). Please reduce the length of the ${promptField} or completion. (Tier: ${name}.)`;
  const param = maxTokens >= maxModelLen ? 'max_tokens' : promptField;
  return { kind: 'refused', code: 'context_length_exceeded', param, message, tier: name };
}

/** Characters of a client's own text that a message may repeat. */
const QUOTED_CHARS_MAX = 64;

function quote(name: string): string {
  return JSON.stringify(name.slice(0, QUOTED_CHARS_MAX));
}
