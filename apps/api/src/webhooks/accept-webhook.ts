/** Whether the end of a job or a batch may be announced where its client asks for it. */
import { QarrError, webhookOf } from '@qarr/router-core';
import type { JobRequest, JobWebhook } from '@qarr/router-core';
import type { WebhookConfig } from './webhook-config.ts';
import { checkWebhookUrl } from './webhook-url.ts';

const PARAM = 'webhook_url';

/** Throws where it may not, so that nobody waits for what will never come. */
export function acceptWebhook(
  request: Pick<JobRequest, 'webhook_url' | 'webhook_events'>,
  config: Pick<WebhookConfig, 'keys' | 'ports' | 'allowPrivate'>,
): JobWebhook | undefined {
  const webhook = webhookOf(request);
  if (webhook === undefined) return undefined;
  if (config.keys.length === 0) {
    throw new QarrError('unsupported_parameter', {
      param: PARAM,
      message: `${PARAM} is not offered here: its operator has not set QARR_WEBHOOK_SECRETS.`,
    });
  }
  const checked = checkWebhookUrl(webhook.url, config);
  if (checked.kind === 'refused') {
    throw new QarrError('invalid_request', {
      param: PARAM,
      message: `${PARAM} ${checked.reason}.`,
    });
  }
  return { ...webhook, url: checked.url.href };
}
