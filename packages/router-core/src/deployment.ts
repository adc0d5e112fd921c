/**
 * The configuration file (`qarr.config.yaml`): which tiers exist, where their engines are, and by
 * which rules requests are routed. Every process reads the same file.
 */
import { z } from 'zod';
import { DEFAULT_ROUTING_RULES, createPolicy, routingRulesSchema } from './routing-policy.ts';
import type { RoutingPolicy } from './routing-policy.ts';

/** A worker watches each of its engines; more of them need more workers. */
const UPSTREAMS_MAX = 64;
/** More warm nothing more, and keep jobs waiting. */
const WARMUP_REQUESTS_MAX = 1_000;

/** A tier's name appears in queue names, metrics and URLs. */
const tierNameSchema = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,31}$/, 'must be 1 to 32 of a-z, 0-9 and -, beginning with a letter')
  .refine((name) => name !== 'auto', 'must not be "auto", which means: classify');

const tierSchema = z.strictObject({
  name: tierNameSchema,
  /** What the weights are quantized to; shown to users, never interpreted. */
  precision: z.string().min(1).default('unknown'),
  /** Base URLs of the tier's engines, with or without a final /v1. */
  upstreams: z
    .array(z.url({ protocol: /^https?$/ }))
    .max(UPSTREAMS_MAX)
    .default([]),
  /** The model's name at the engine; learnt from its /v1/models when absent. */
  model: z.string().min(1).optional(),
  /** Small requests that an engine gets before its first job; the worker has a default. */
  warmup_requests: z.int().min(0).max(WARMUP_REQUESTS_MAX).optional(),
  /** Context window, in tokens, until an engine of the tier has told its own. */
  max_model_len: z.int().positive().default(8192),
});
export type TierConfig = z.infer<typeof tierSchema>;

const DEFAULT_TIERS: z.input<typeof tierSchema>[] = [
  { name: 'fast', precision: 'awq-int4', max_model_len: 2048 },
  { name: 'balanced', precision: 'fp8', max_model_len: 8192 },
  { name: 'precise', precision: 'bf16', max_model_len: 32_768 },
];

const deploymentSchema = z.strictObject({
  /** From the least to the most precise. */
  tiers: z
    .array(tierSchema)
    .min(1)
    .default(() => DEFAULT_TIERS.map((tier) => tierSchema.parse(tier))),
  routing: z
    .strictObject({
      rules: routingRulesSchema.default(DEFAULT_ROUTING_RULES),
      default_temperature: z.number().min(0).max(2).default(0.7),
      default_max_tokens: z.int().positive().default(512),
    })
    .prefault({}),
});

export interface Deployment {
  readonly tiers: readonly TierConfig[];
  readonly policy: RoutingPolicy;
}

/**
 * Reads a parsed configuration file; `undefined` or null means the defaults.
 * Throws an Error whose one-line message names the option and what to change.
 */
export function createDeployment(file: unknown): Deployment {
  const parsed = deploymentSchema.safeParse(file ?? {});
  if (!parsed.success) throw new Error(firstProblem(parsed.error));
  const { tiers, routing } = parsed.data;
  const policy = createPolicy({
    tiers: tiers.map(({ name, max_model_len }) => ({ name, maxModelLen: max_model_len })),
    rules: routing.rules,
    defaultTemperature: routing.default_temperature,
    defaultMaxTokens: routing.default_max_tokens,
  });
  return { tiers, policy };
}

/** The first problem of a zod error as one line: `tiers.0.name must be …`. */
export function firstProblem(error: z.ZodError): string {
  const issue = error.issues[0];
  if (issue === undefined) return 'is not valid';
  const path = issue.path.join('.');
  return path === '' ? issue.message : `${path}: ${issue.message}`;
}
