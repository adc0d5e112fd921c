/** How a client of `/v1/jobs` asks to be told that its job has ended. */
import { z } from 'zod';
import { text } from './request-fields.ts';

/** Longer URLs are cut or refused on their way by many servers. */
const URL_CHARS_MAX = 2_048;

/** The ends of a job, by their states. */
const WEBHOOK_EVENTS = ['completed', 'failed', 'cancelled', 'expired'] as const;
const EVENTS_ERROR = `must be a list of some of ${WEBHOOK_EVENTS.join(', ')}, each once`;
export type WebhookEvent = (typeof WEBHOOK_EVENTS)[number];

/** Where a job's end is announced, and which ends are. */
export interface JobWebhook {
  readonly url: string;
  readonly events: readonly WebhookEvent[];
}

export const webhookFields = {
  /** Whether it may be called is decided where the settings are known. */
  webhook_url: text(URL_CHARS_MAX).min(1, 'must not be empty').optional(),
  webhook_events: z
    .array(z.enum(WEBHOOK_EVENTS, EVENTS_ERROR), EVENTS_ERROR)
    .min(1, EVENTS_ERROR)
    .refine((events) => new Set(events).size === events.length, EVENTS_ERROR)
    .meta({ uniqueItems: true })
    .optional()
    .describe('Default: all of them'),
};

export function checkWebhook(
  request: { webhook_url?: string | undefined; webhook_events?: WebhookEvent[] | undefined },
  context: z.RefinementCtx,
): void {
  if (request.webhook_events === undefined || request.webhook_url !== undefined) return;
  context.addIssue({ code: 'custom', path: ['webhook_events'], message: 'needs webhook_url' });
}

/** What the two fields mean together; undefined where the client asks for nothing. */
export function webhookOf(request: {
  webhook_url?: string | undefined;
  webhook_events?: WebhookEvent[] | undefined;
}): JobWebhook | undefined {
  const { webhook_url: url, webhook_events: events = [...WEBHOOK_EVENTS] } = request;
  return url === undefined ? undefined : { url, events };
}
