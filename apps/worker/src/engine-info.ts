/** What an engine says of itself. Engines differ: what one does not tell is null. */
import { z } from 'zod';

const PROBE_TIMEOUT_MS = 3_000;

export interface EngineInfo {
  /** The first model that it serves. */
  readonly model: string | null;
  /** Context window, in tokens. */
  readonly maxModelLen: number | null;
  /** It understands `continuous_usage_stats`, so that a cancelled answer's tokens are known. */
  readonly countsContinuously: boolean;
}

const modelsSchema = z.object({
  data: z.array(z.object({ id: z.string(), max_model_len: z.int().positive().nullish() })).min(1),
});
const versionSchema = z.object({ version: z.string() });

/**
 * Asks `/v1/models` and `/version`. Any HTTP answer means that the engine is there; throws when
 * there is none.
 */
export async function describeEngine({
  baseUrl,
  apiKey,
}: {
  baseUrl: string;
  apiKey: string | undefined;
}): Promise<EngineInfo> {
  const headers: Record<string, string> =
    apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` };
  const [models, version] = await Promise.all([
    fetchJson(`${baseUrl}/v1/models`, headers),
    fetchJson(`${baseUrl}/version`, headers),
  ]);
  const served = modelsSchema.safeParse(models).data?.data[0];
  return {
    model: served?.id ?? null,
    maxModelLen: served?.max_model_len ?? null,
    // Only vLLM answers there with this shape.
    countsContinuously: versionSchema.safeParse(version).success,
  };
}

/** The body, or null where it is an error or no JSON. Throws when nobody answers. */
async function fetchJson(url: string, headers: Record<string, string>): Promise<unknown> {
  const response = await fetch(url, { headers, signal: AbortSignal.timeout(PROBE_TIMEOUT_MS) });
  const body = await response.text();
  if (!response.ok) return null;
  try {
    return JSON.parse(body);
  } catch {
    return null;
  }
}
