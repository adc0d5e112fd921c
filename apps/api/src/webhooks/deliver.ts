/** One delivery of a webhook, and what becomes of it. Read this first. */
import type { DueWebhook, WebhookVerdict } from '@qarr/job-store';
import type { Logger } from '@qarr/process';
import { guardedPost } from './guarded-post.ts';
import type { GuardedPostDeps, PostOutcome } from './guarded-post.ts';
import type { HostSign, Hosts } from './hosts.ts';
import { webhookBody } from './message.ts';
import { signatureHeaders } from './signature.ts';
import type { WebhookConfig } from './webhook-config.ts';
import { checkWebhookUrl } from './webhook-url.ts';

/** The longest pause that a receiver may ask for. */
const RETRY_AFTER_MS_MAX = 3_600_000;
/** A pause is longer by up to this share, so that what failed together does not come together. */
const JITTER_SHARE = 0.2;
/** Where a receiver that wants to be left alone does not say how long. */
const THROTTLE_MS = 5_000;

/**
 * What has become of an entry or of a delivery: `forbidden` would have led to a private address,
 * `retired` was answered 410, `gone` has no record any more.
 */
export const WEBHOOK_OUTCOMES = [
  'delivered',
  'failed',
  'forbidden',
  'given_up',
  'retired',
  'gone',
  'stalled',
] as const;
export type WebhookOutcome = (typeof WEBHOOK_OUTCOMES)[number];

export interface DeliverDeps {
  readonly config: WebhookConfig;
  readonly post: GuardedPostDeps;
  readonly hosts: Hosts;
  readonly random: () => number;
  readonly count: (outcome: WebhookOutcome) => void;
  readonly log: Logger;
}

export function createDeliver(deps: DeliverDeps): (webhook: DueWebhook) => Promise<WebhookVerdict> {
  const { config, hosts, count, log } = deps;

  return async (webhook) => {
    const { ended } = webhook;
    // The settings may have changed since it was accepted.
    const checked = checkWebhookUrl(ended.url, config);
    if (checked.kind === 'refused') {
      log.warn({ [`${ended.kind}_id`]: ended.id, reason: checked.reason }, 'webhook given up');
      count('given_up');
      return { kind: 'done' };
    }
    const { url } = checked;
    const turn = hosts.turn(url.host, performance.now());
    if (turn.kind === 'later') {
      return { kind: 'again', delayMs: turn.delayMs, hasFailed: false };
    }
    const outcome = await send(webhook, url, deps);
    turn.done(signOf(outcome), performance.now());
    return conclude(webhook, { outcome, host: url.host }, deps);
  };
}

async function send(
  { ended, now, signal }: DueWebhook,
  url: URL,
  { config, post }: DeliverDeps,
): Promise<PostOutcome> {
  const body = webhookBody(ended);
  const timestampS = Math.floor(now / 1_000);
  const headers = {
    'content-type': 'application/json',
    'content-length': String(Buffer.byteLength(body)),
    'user-agent': 'QARR-Webhooks',
    ...signatureHeaders({ id: ended.eventId, timestampS, body, keys: config.keys }),
  };
  return guardedPost({ url, headers, body, signal }, post);
}

function conclude(
  { ended, failures, keptMs }: DueWebhook,
  { outcome, host }: { outcome: PostOutcome; host: string },
  { config, random, count, log }: DeliverDeps,
): WebhookVerdict {
  // Stopped, or another replica has it: it is not the receiver's failure.
  if (outcome.kind === 'aborted') return { kind: 'again', delayMs: 0, hasFailed: false };
  const about = {
    [`${ended.kind}_id`]: ended.id,
    host,
    delivery: failures + 1,
    ...resultOf(outcome),
  };
  if (isSuccess(outcome)) {
    log.debug(about, 'webhook delivered');
    count('delivered');
    return { kind: 'done' };
  }
  if (outcome.kind === 'answered' && outcome.status === 410) {
    log.info(about, 'webhook retired');
    count('retired');
    return { kind: 'done' };
  }
  count(outcome.kind === 'forbidden' ? 'forbidden' : 'failed');
  const delayMs = retryDelayMs({ failures, outcome, retriesMs: config.retriesMs, random });
  // Nothing is left to announce when its record is gone.
  if (delayMs === null || delayMs >= keptMs) {
    log.warn(about, 'webhook given up');
    count('given_up');
    return { kind: 'done' };
  }
  log.info({ ...about, delay_ms: Math.floor(delayMs) }, 'webhook failed');
  return { kind: 'again', delayMs, hasFailed: true };
}

function isSuccess(outcome: PostOutcome): boolean {
  return outcome.kind === 'answered' && outcome.status >= 200 && outcome.status < 300;
}

/** Null when there is no further try. */
function retryDelayMs({
  failures,
  outcome,
  retriesMs,
  random,
}: {
  failures: number;
  outcome: PostOutcome;
  retriesMs: readonly number[];
  random: () => number;
}): number | null {
  const pauseMs = retriesMs[failures];
  if (pauseMs === undefined) return null;
  const askedMs = outcome.kind === 'answered' ? retryAfterMs(outcome.retryAfter) : 0;
  return Math.max(pauseMs * (1 + JITTER_SHARE * random()), askedMs);
}

/** Seconds or a date (RFC 9110, 10.2.3); 0 where it says nothing of use. */
function retryAfterMs(header: string | undefined): number {
  if (header === undefined) return 0;
  const ms = /^\d{1,9}$/.test(header) ? Number(header) * 1_000 : Date.parse(header) - Date.now();
  return Number.isNaN(ms) ? 0 : Math.min(Math.max(ms, 0), RETRY_AFTER_MS_MAX);
}

function signOf(outcome: PostOutcome): HostSign {
  switch (outcome.kind) {
    case 'failed':
      return { kind: 'silent' };
    // No connection was made, and none of ours is wanted.
    case 'forbidden':
    case 'aborted':
      return { kind: 'nothing' };
    case 'answered':
      break;
    default:
      return outcome satisfies never;
  }
  const { status, retryAfter } = outcome;
  if (status === 429 || (status === 503 && retryAfter !== undefined)) {
    return { kind: 'throttled', pauseMs: retryAfterMs(retryAfter) || THROTTLE_MS };
  }
  return { kind: status >= 502 && status <= 504 ? 'silent' : 'answered' };
}

/** For the log: neither the URL nor what was answered, which are the client's. */
function resultOf(outcome: PostOutcome): { status: number } | { cause: string } {
  if (outcome.kind === 'answered') return { status: outcome.status };
  return { cause: outcome.kind === 'failed' ? outcome.cause : outcome.kind };
}
