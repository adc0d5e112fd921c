/** Reads a file of lines as the API will, without it: what is wrong, and in which line. */
import { createReadStream } from 'node:fs';
import {
  batchEndpointSchema,
  classify,
  createBatchChecker,
  parseLineBody,
  routedOfLine,
} from '@qarr/router-core';
import type {
  BatchEndpoint,
  BatchError,
  BatchLine,
  LineRequest,
  RoutingPolicy,
} from '@qarr/router-core';
import { readLines } from './rows.ts';

/** The API's own limits, where nobody has set others. */
export const LINES_MAX = 50_000;
const LINE_BYTES_MAX = 10_485_760;
const ERRORS_MAX = 100;

const DEFAULT_ENDPOINT: BatchEndpoint = '/v1/chat/completions';

export interface CheckedFile {
  readonly endpoint: BatchEndpoint;
  /** Lines that are neither blank nor wrong; those that are refused are among them. */
  readonly lines: number;
  /** For which the whole batch would fail; the first of them. */
  readonly errors: readonly BatchError[];
  /** Lines that would run, and fail by what they ask for; the first of them. */
  readonly refused: readonly BatchError[];
  readonly refusedCount: number;
  /** Lines whose `model` is no tier: it stands, where it is one that an engine serves. */
  readonly unknownModels: number;
  /** How many lines would go where. */
  readonly tiers: Readonly<Record<string, number>>;
}

/**
 * @param policy by which lines are routed; null: what they ask for is looked at, not where it would go
 * @param endpoint without it that of the first line
 */
export async function checkFile({
  path,
  endpoint: given,
  policy,
  signal,
}: {
  path: string;
  endpoint: BatchEndpoint | undefined;
  policy: RoutingPolicy | null;
  signal: AbortSignal;
}): Promise<CheckedFile> {
  const endpoint = given ?? (await endpointOf(path)) ?? DEFAULT_ENDPOINT;
  const checker = createBatchChecker({
    endpoint,
    linesMax: LINES_MAX,
    lineBytesMax: LINE_BYTES_MAX,
    errorsMax: ERRORS_MAX,
  });
  const bodies = createBodyCheck(endpoint, policy);
  for await (const raw of readLines(createReadStream(path, { signal }), LINE_BYTES_MAX)) {
    const line = checker.line(raw);
    if (line !== null) bodies.look(line, raw.number);
    if (checker.isFull) break;
  }
  return { endpoint, lines: checker.total, errors: checker.end(), ...bodies.found() };
}

function createBodyCheck(endpoint: BatchEndpoint, policy: RoutingPolicy | null) {
  const refused: BatchError[] = [];
  const tiers: Record<string, number> = {};
  let unknownModels = 0;
  let refusedCount = 0;

  function refuse(line: number, { code, message }: { code: string; message: string }): void {
    refusedCount += 1;
    if (refused.length < ERRORS_MAX) refused.push({ code, message, param: null, line });
  }

  return {
    look({ body }: BatchLine, number: number): void {
      const read = parseLineBody(endpoint, body);
      if (read.kind === 'refused') return refuse(number, read.error);
      if (policy === null) return;
      const routing = classify(routedOfLine(read.request), policy);
      if (routing.kind === 'refused') return refuse(number, routing);
      if (namesModel(read.request, policy)) unknownModels += 1;
      tiers[routing.tier] = (tiers[routing.tier] ?? 0) + 1;
    },
    found: () => ({ refused, refusedCount, tiers, unknownModels }),
  };
}

/** Which models are served is the API's to know. */
function namesModel({ body: { model } }: LineRequest, { tiers }: RoutingPolicy): boolean {
  return model !== undefined && model !== 'auto' && !tiers.some(({ name }) => name === model);
}

/** Null where the first line does not say. */
async function endpointOf(path: string): Promise<BatchEndpoint | null> {
  for await (const line of readLines(createReadStream(path), LINE_BYTES_MAX)) {
    if (line.kind !== 'text' || line.number > 2 * LINES_MAX) return null;
    if (line.text.trim() === '') continue;
    try {
      const { url } = JSON.parse(line.text) as { url?: unknown };
      return batchEndpointSchema.safeParse(url).data ?? null;
    } catch {
      // What is wrong with it is said when all lines are looked at.
      return null;
    }
  }
  return null;
}
