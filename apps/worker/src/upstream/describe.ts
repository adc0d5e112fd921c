/** Asks an engine what it is, without a token: `/v1/models` and `/version`. */
import { z } from 'zod';
import type { Exchange, Exchanges } from './exchange.ts';
import type { Identity } from './upstream-state.ts';

export const DESCRIBE_TIMEOUT_MS = 3_000;
/** Lists of adapters are long, but not that long. */
const DESCRIPTION_BYTES_MAX = 1_048_576;
/** A proxy without an engine behind it, or an engine that loads its model. */
const NOT_YET: ReadonlySet<number> = new Set([502, 503, 504]);
const NAME_CHARS_MAX = 200;

export interface Description {
  readonly version: string | null;
  /** What it says to serve; empty where it does not say. */
  readonly models: readonly { readonly id: string; readonly maxModelLen: number | null }[];
}

export type Described =
  | { kind: 'described'; description: Description }
  | { kind: 'unreachable'; cause: string }
  | { kind: 'failed'; cause: string };

const modelsSchema = z.object({
  data: z.array(z.object({ id: z.string(), max_model_len: z.int().positive().nullish() })),
});
const versionSchema = z.object({ version: z.string() });

/** Engines of other kinds have no such pages: any other answer than "not yet" means: it is there. */
export async function describe(
  exchanges: Exchanges,
  { signal, timeoutMs = DESCRIBE_TIMEOUT_MS }: { signal: AbortSignal; timeoutMs?: number },
): Promise<Described> {
  const options = { timeoutMs, bytesMax: DESCRIPTION_BYTES_MAX, signal };
  const [models, version] = await Promise.all([
    exchanges.send('/v1/models', options),
    exchanges.send('/version', options),
  ]);
  for (const exchange of [models, version]) {
    if (exchange.kind === 'unreachable') return exchange;
    if (exchange.kind === 'broken') return { kind: 'failed', cause: exchange.cause };
  }
  if (models.kind === 'answer' && NOT_YET.has(models.status)) {
    return { kind: 'failed', cause: `status ${models.status}` };
  }
  return {
    kind: 'described',
    description: {
      version: versionSchema.safeParse(jsonOf(version)).data?.version ?? null,
      models: (modelsSchema.safeParse(jsonOf(models)).data?.data ?? []).map((model) => ({
        id: model.id,
        maxModelLen: model.max_model_len ?? null,
      })),
    },
  };
}

/** Null where it is an error or no JSON. */
function jsonOf(exchange: Exchange): unknown {
  if (exchange.kind !== 'answer' || exchange.status !== 200) return null;
  try {
    return JSON.parse(exchange.text);
  } catch {
    return null;
  }
}

/**
 * Who it is, where the model is one that is expected; otherwise what it serves instead. An engine
 * that does not say what it serves is taken at its operator's word.
 */
export function identify(
  { version, models }: Description,
  expected: string | null,
): { kind: 'identified'; identity: Identity } | { kind: 'other model'; cause: string } {
  const [first] = models;
  const served = expected === null ? first : models.find(({ id }) => id === expected);
  if (served === undefined && first !== undefined) {
    const serves = first.id.slice(0, NAME_CHARS_MAX);
    return { kind: 'other model', cause: `serves ${serves}, not ${expected}` };
  }
  const { id: model = null, maxModelLen = null } = served ?? {};
  return { kind: 'identified', identity: { version, model, maxModelLen } };
}
