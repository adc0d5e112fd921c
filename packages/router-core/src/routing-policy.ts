/**
 * The routing policy as data: the tiers, and the rules that choose among them.
 *
 * A rule's `when` is both the condition and the reason that clients are shown. It is parsed once,
 * when the policy is made; rules are read top-down and the first that matches wins.
 *
 *     when       := 'default' | condition (' and ' condition)*
 *     condition  := 'code' | feature operator number
 *     feature    := 'words' | 'max_tokens' | 'temperature' | 'prompt_tokens'
 *     operator   := '>' | '>=' | '<' | '<='
 */
import { z } from 'zod';

/** One tier and its context window in tokens. Tiers are listed from least to most precise. */
export interface TierWindow {
  name: string;
  maxModelLen: number;
}

/** A rule, parsed. `when` is written in one form (`words>150`), so that it can be a metric's label. */
export interface RoutingRule {
  tier: string;
  when: string;
  /** All of them must hold; none for `default`. */
  conditions: RuleCondition[];
}

export type RuleCondition =
  | { kind: 'code' }
  | { kind: 'compare'; feature: ComparedFeature; operator: Operator; value: number };

export interface RoutingPolicy {
  tiers: TierWindow[];
  rules: RoutingRule[];
  defaultTemperature: number;
  /** Tokens. */
  defaultMaxTokens: number;
}

/** A rule as it is written in a configuration. */
export interface WrittenRule {
  tier: string;
  when: string;
}

/** Of a request that names none: warm, so that only who asks for precision by a low one gets it. */
const DEFAULT_TEMPERATURE = 0.7;

/** Tokens. A request without a limit is sent upstream with this one. */
const DEFAULT_MAX_TOKENS = 512;

/** Characters. A rule that compares every feature needs about half; a longer one is a mistake. */
const WHEN_CHARS_MAX = 200;

/** Far more than anyone can reason about; each request may read all of them. */
const RULES_MAX = 100;
const TIERS_MAX = 16;

const comparedFeatureSchema = z.enum(['words', 'max_tokens', 'temperature', 'prompt_tokens']);
const operatorSchema = z.enum(['>', '>=', '<', '<=']);
type ComparedFeature = z.infer<typeof comparedFeatureSchema>;
type Operator = z.infer<typeof operatorSchema>;

const tierSchema = z.object({
  name: z
    .string()
    .regex(/^[a-z][a-z0-9-]{0,31}$/, 'use 1 to 32 of a-z, 0-9 and "-", a letter first')
    .refine((name) => name !== 'auto', 'choose another name: "auto" means that the router chooses'),
  maxModelLen: z.int().positive(),
});

/** Rules as written, to rules parsed. A bad expression is an issue at `[index, 'when']`. */
export const routingRulesSchema = z
  .array(z.strictObject({ tier: z.string(), when: z.string() }))
  .min(1, 'write at least one rule, the last of them "default"')
  .max(RULES_MAX)
  .transform(parseRules);

/**
 * 4-bit weights lose about 3 % on code and mathematics, so code and long outputs never go to
 * `fast`, whatever the temperature. The word counts are those of long questions and documents.
 */
export const DEFAULT_ROUTING_RULES: RoutingRule[] = routingRulesSchema.parse([
  { tier: 'precise', when: 'code' },
  { tier: 'precise', when: 'max_tokens>1024' },
  { tier: 'precise', when: 'words>300 and temperature<=0.3' },
  { tier: 'balanced', when: 'words>150' },
  { tier: 'balanced', when: 'max_tokens>512' },
  { tier: 'fast', when: 'default' },
]);

const policySchema = z
  .object({
    tiers: z.array(tierSchema).min(1, 'name at least one tier').max(TIERS_MAX),
    rules: z
      .array(z.object({ tier: z.string(), when: z.string() }))
      .min(1, 'write at least one rule, the last of them "default"')
      .max(RULES_MAX)
      .transform(parseRules),
    defaultTemperature: z.number().min(0).max(2).default(DEFAULT_TEMPERATURE),
    defaultMaxTokens: z.int().positive().default(DEFAULT_MAX_TOKENS),
  })
  .superRefine(checkReferences);

/**
 * Validates a policy and parses its rules, written or already parsed.
 *
 * @throws Error with one line that names the first wrong field and says what to change.
 */
export function createPolicy(policy: {
  tiers: readonly Readonly<TierWindow>[];
  rules: readonly Readonly<WrittenRule>[];
  defaultTemperature?: number | undefined;
  defaultMaxTokens?: number | undefined;
}): RoutingPolicy {
  const parsed = policySchema.safeParse(policy);
  if (parsed.success) return parsed.data;

  const [issue] = parsed.error.issues;
  const field = (issue?.path ?? []).map(String).join('.');
  throw new Error(`Routing policy: ${field || 'policy'}: ${issue?.message ?? 'not valid'}`);
}

/** What holds without a configuration; the windows are replaced by what the engines say of theirs. */
export const DEFAULT_POLICY: RoutingPolicy = createPolicy({
  tiers: [
    { name: 'fast', maxModelLen: 2048 },
    { name: 'balanced', maxModelLen: 8192 },
    { name: 'precise', maxModelLen: 32_768 },
  ],
  rules: DEFAULT_ROUTING_RULES,
});

function parseRules(written: readonly WrittenRule[], context: z.RefinementCtx): RoutingRule[] {
  const rules: RoutingRule[] = [];
  for (const [index, rule] of written.entries()) {
    const conditions = parseConditions(rule.when);
    if (conditions === null) {
      context.addIssue({
        code: 'custom',
        path: [index, 'when'],
        message: `rule ${index} has a condition that cannot be read: ${JSON.stringify(rule.when.slice(0, WHEN_CHARS_MAX))}; write for example "words>300 and temperature<=0.3", "code" or "default"`,
      });
      continue;
    }
    rules.push({ tier: rule.tier, when: writeConditions(conditions), conditions });
  }
  return rules;
}

/** The conditions of one expression, none for `default`; null when it cannot be read. */
function parseConditions(when: string): RuleCondition[] | null {
  if (when.length > WHEN_CHARS_MAX) return null;
  if (when.trim() === 'default') return [];

  const conditions: RuleCondition[] = [];
  for (const part of when.trim().split(/\s+and\s+/)) {
    const condition = parseCondition(part);
    if (condition === null) return null;
    conditions.push(condition);
  }
  return conditions;
}

function parseCondition(part: string): RuleCondition | null {
  if (part === 'code') return { kind: 'code' };

  const match = /^(?<feature>[a-z_]+)\s*(?<operator>[<>]=?)\s*(?<value>\d+(?:\.\d+)?)$/.exec(part);
  const feature = comparedFeatureSchema.safeParse(match?.groups?.['feature']);
  const operator = operatorSchema.safeParse(match?.groups?.['operator']);
  if (!feature.success || !operator.success) return null;

  const value = Number(match?.groups?.['value']);
  return { kind: 'compare', feature: feature.data, operator: operator.data, value };
}

function writeConditions(conditions: readonly RuleCondition[]): string {
  if (conditions.length === 0) return 'default';
  return conditions
    .map((condition) =>
      condition.kind === 'code'
        ? 'code'
        : `${condition.feature}${condition.operator}${condition.value}`,
    )
    .join(' and ');
}

/** Names must be unique and known; exactly the last rule is `default`, or a request may match none. */
function checkReferences(
  policy: Pick<RoutingPolicy, 'tiers' | 'rules'>,
  context: z.RefinementCtx,
): void {
  const fail = (path: (string | number)[], message: string): void =>
    context.addIssue({ code: 'custom', path, message });
  const names = new Set<string>();

  for (const [index, { name }] of policy.tiers.entries()) {
    if (names.has(name)) fail(['tiers', index, 'name'], `"${name}" is named twice; rename one`);
    names.add(name);
  }
  for (const [index, { tier, when }] of policy.rules.entries()) {
    const isLast = index === policy.rules.length - 1;
    if (!names.has(tier)) {
      const known = [...names].join(', ');
      fail(['rules', index, 'tier'], `there is no tier "${tier}"; use one of: ${known}`);
    }
    if (isLast && when !== 'default') {
      fail(['rules', index, 'when'], `the last rule must be "default", not "${when}"; add one`);
    }
    if (!isLast && when === 'default') {
      fail(['rules', index, 'when'], 'rules after "default" never match; move it to the end');
    }
  }
}
