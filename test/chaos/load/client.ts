/** What all clients of a run share: the replicas, the history, and how long they wait. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { History } from '../history.ts';
import type { Random } from '../random.ts';
import type { Member } from '../world/member.ts';

/** A replica that does not answer in this time may be frozen: the client goes elsewhere. */
export const REPLY_TIMEOUT_MS = 5_000;

export interface ClientContext {
  readonly apis: readonly Member[];
  readonly history: History;
  /** Aborted when nobody waits any longer. */
  readonly givenUp: AbortSignal;
  /** The newest event that any reader of a job has seen: what a later reader may begin at. */
  readonly newest: Map<string, number>;
}

export interface Reply {
  readonly status: number;
  readonly body: Record<string, unknown>;
  readonly jobId: string | null;
}

/** Null when no whole reply came: what became of the request is unknown. */
export async function ask(
  url: string,
  { method = 'GET', headers = {}, body, signal, timeoutMs = REPLY_TIMEOUT_MS }: AskOptions,
): Promise<Reply | 'refused' | null> {
  try {
    const response = await fetch(url, {
      method,
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    });
    const text = await response.text();
    const jobId = response.headers.get('x-qarr-job');
    return { status: response.status, body: text === '' ? {} : JSON.parse(text), jobId };
  } catch (error) {
    return isRefused(error) ? 'refused' : null;
  }
}

interface AskOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: object;
  readonly signal: AbortSignal;
  readonly timeoutMs?: number;
}

/** Nobody listened: the request was not sent. */
export function isRefused(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error && 'code' in cause && cause.code === 'ECONNREFUSED';
}

export function codeOf(body: Record<string, unknown>): string | null {
  const error = body['error'];
  if (typeof error !== 'object' || error === null || !('code' in error)) return null;
  return typeof error.code === 'string' ? error.code : null;
}

export function textIn(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

export function pickApi({ apis }: ClientContext, random: Random): Member {
  return random.pick(apis);
}

/** Resolves early when everybody has given up. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, null, { signal }).catch(() => {});
}
