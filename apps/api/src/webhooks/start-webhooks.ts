/** Delivers webhooks in this process, until it is stopped. */
import { createWebhookConsumer } from '@qarr/job-store';
import type { WebhookConsumer } from '@qarr/job-store';
import { createErrorLog } from '@qarr/process';
import type { Logger } from '@qarr/process';
import { createDeliver } from './deliver.ts';
import type { WebhookOutcome } from './deliver.ts';
import { createFindAddresses } from './find-addresses.ts';
import { createHosts } from './hosts.ts';
import { isPublicAddress } from './public-address.ts';
import type { WebhookConfig } from './webhook-config.ts';

/** Null where no secret is set: then there are no webhooks. */
export async function startWebhooks({
  config,
  redisUrl,
  count,
  log,
}: {
  config: WebhookConfig;
  redisUrl: string;
  count: (outcome: WebhookOutcome) => void;
  log: Logger;
}): Promise<WebhookConsumer | null> {
  if (config.keys.length === 0) return null;
  const { allowPrivate, dnsServers, timeoutMs, answerBytesMax } = config;
  return createWebhookConsumer({
    redisUrl,
    concurrency: config.concurrency,
    deliver: createDeliver({
      config,
      post: {
        findAddresses: createFindAddresses({ servers: dnsServers, allowPrivate }),
        isAllowed: (address) => allowPrivate || isPublicAddress(address),
        timeoutMs,
        answerBytesMax,
      },
      hosts: createHosts({ concurrency: config.hostConcurrency, random: Math.random }),
      random: Math.random,
      count,
      log,
    }),
    onDrop(id, why) {
      log.info({ id, why }, 'webhook dropped');
      count(why);
    },
    onError: createErrorLog(log, 'webhook queue'),
  });
}
