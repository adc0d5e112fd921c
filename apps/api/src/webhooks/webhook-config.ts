/** The switches of webhooks: their variables, and what these mean. */
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { ConfigurationError, flag, milliseconds, wholeNumber } from '@qarr/process';
import type { Logger } from '@qarr/process';
import { z } from 'zod';

const SECONDS = 1_000;
const MINUTES = 60 * SECONDS;
const HOURS = 60 * MINUTES;

/** The pauses that the specification of Standard Webhooks recommends. */
const RETRIES_MS = [
  5 * SECONDS,
  5 * MINUTES,
  30 * MINUTES,
  2 * HOURS,
  5 * HOURS,
  10 * HOURS,
  14 * HOURS,
  20 * HOURS,
  24 * HOURS,
];
const RETRY_MS_MAX = 7 * 24 * HOURS;
/** More than anybody waits for; each is a further delivery to somebody who does not answer. */
const RETRIES_MAX = 100;
/** The new one and the one that it replaces. */
const SECRETS_MAX = 2;
const SECRET_PREFIX = 'whsec_';
/** The specification's limits of a key. */
const KEY_BYTES_MIN = 24;
const KEY_BYTES_MAX = 64;

export const webhookVariables = {
  QARR_WEBHOOK_SECRETS: z
    .string()
    .optional()
    .describe(
      'What webhooks are signed with: `whsec_` and 24 to 64 bytes in base64. Two, separated by a comma, while a secret is replaced: the first is the new one. Not set: no webhooks',
    ),
  QARR_WEBHOOK_SECRETS_FILE: z
    .string()
    .optional()
    .describe('A file that holds the same, in place of the variable; a line break separates, too'),
  QARR_WEBHOOK_PORTS: z
    .string()
    .default('443,8443')
    .describe('The ports that a `webhook_url` may have, separated by commas'),
  QARR_WEBHOOK_ALLOW_PRIVATE: flag()
    .default(false)
    .describe('Development only: webhooks also by http, to any port and to private addresses'),
  QARR_WEBHOOK_DNS_SERVERS: z
    .string()
    .optional()
    .describe(
      "Addresses of the DNS servers that are asked for webhooks' hosts, separated by commas. Not set: the system's",
    ),
  QARR_WEBHOOK_TIMEOUT_MS: milliseconds(100, 60_000)
    .default(15_000)
    .describe('From the beginning of a delivery to the status of its answer, in ms'),
  QARR_WEBHOOK_RETRIES_MS: z
    .string()
    .default(RETRIES_MS.join(','))
    .describe(
      'Pauses before the second and each further delivery, in ms, separated by commas; up to a fifth longer, at random. `none`: only one delivery',
    ),
  QARR_WEBHOOK_CONCURRENCY: wholeNumber(1, 1_024)
    .default(64)
    .describe('Deliveries at once, in each API process'),
  QARR_WEBHOOK_HOST_CONCURRENCY: wholeNumber(1, 1_024).default(4).describe('The same to one host'),
  QARR_WEBHOOK_ANSWER_BYTES_MAX: wholeNumber(0, 1_048_576)
    .default(65_536)
    .describe("How much of an answer's body is taken before the connection is closed, in bytes"),
};

export interface WebhookConfig {
  /** The keys to sign with; without any there are no webhooks. */
  readonly keys: readonly Buffer[];
  readonly ports: readonly number[];
  readonly allowPrivate: boolean;
  /** Null: the system's. */
  readonly dnsServers: readonly string[] | null;
  readonly timeoutMs: number;
  readonly retriesMs: readonly number[];
  readonly concurrency: number;
  readonly hostConcurrency: number;
  readonly answerBytesMax: number;
}

const variablesSchema = z.object(webhookVariables);

/** Throws a ConfigurationError of one line that never repeats a secret. */
export function webhookConfig(variables: z.output<typeof variablesSchema>): WebhookConfig {
  const servers = variables.QARR_WEBHOOK_DNS_SERVERS;
  return {
    keys: secretsOf(variables),
    ports: listOf(variables.QARR_WEBHOOK_PORTS, {
      name: 'QARR_WEBHOOK_PORTS',
      allowed: 'port numbers such as 443,8443',
      read: (item) => numberIn(item, { min: 1, max: 65_535 }),
    }),
    allowPrivate: variables.QARR_WEBHOOK_ALLOW_PRIVATE,
    dnsServers:
      servers === undefined
        ? null
        : listOf(servers, {
            name: 'QARR_WEBHOOK_DNS_SERVERS',
            allowed:
              'IP addresses, each with or without a port, such as 9.9.9.9 or [2620:fe::fe]:53',
            read: dnsServer,
          }),
    timeoutMs: variables.QARR_WEBHOOK_TIMEOUT_MS,
    retriesMs: retriesOf(variables.QARR_WEBHOOK_RETRIES_MS),
    concurrency: variables.QARR_WEBHOOK_CONCURRENCY,
    hostConcurrency: variables.QARR_WEBHOOK_HOST_CONCURRENCY,
    answerBytesMax: variables.QARR_WEBHOOK_ANSWER_BYTES_MAX,
  };
}

/** What is set though it must not be in production. */
export function webhookWarnings(config: WebhookConfig, log: Logger): readonly string[] {
  if (!config.allowPrivate || config.keys.length === 0) return [];
  const problem = 'webhooks may be sent to private addresses: unset QARR_WEBHOOK_ALLOW_PRIVATE';
  log.warn({ problem }, 'private webhooks');
  return [problem];
}

function secretsOf({
  QARR_WEBHOOK_SECRETS: inline,
  QARR_WEBHOOK_SECRETS_FILE: path,
}: {
  QARR_WEBHOOK_SECRETS?: string | undefined;
  QARR_WEBHOOK_SECRETS_FILE?: string | undefined;
}): Buffer[] {
  if (inline !== undefined && path !== undefined) {
    throw new ConfigurationError(
      'QARR_WEBHOOK_SECRETS_FILE: set it or QARR_WEBHOOK_SECRETS, not both',
    );
  }
  if (path !== undefined) return keysOf(readSecrets(path), 'QARR_WEBHOOK_SECRETS_FILE');
  return inline === undefined ? [] : keysOf(inline, 'QARR_WEBHOOK_SECRETS');
}

function readSecrets(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new ConfigurationError(`QARR_WEBHOOK_SECRETS_FILE: there is no file ${path} to read`, {
      cause: error,
    });
  }
}

function keysOf(text: string, name: string): Buffer[] {
  const keys = itemsOf(text.replaceAll(/[\r\n]+/g, ',')).map(keyOf);
  const isRight = keys.length >= 1 && keys.length <= SECRETS_MAX;
  if (isRight && keys.every((key) => key !== null)) return keys;
  throw new ConfigurationError(
    `${name}: must hold one or two secrets: ${SECRET_PREFIX} and ${KEY_BYTES_MIN} to ${KEY_BYTES_MAX} random bytes in base64`,
  );
}

function keyOf(secret: string): Buffer | null {
  if (!secret.startsWith(SECRET_PREFIX)) return null;
  const text = secret.slice(SECRET_PREFIX.length);
  const key = Buffer.from(text, 'base64');
  // Node leaves out what is not base64; receivers may refuse it.
  if (key.toString('base64') !== text) return null;
  return key.length >= KEY_BYTES_MIN && key.length <= KEY_BYTES_MAX ? key : null;
}

function retriesOf(text: string): number[] {
  if (text.trim() === 'none') return [];
  const name = 'QARR_WEBHOOK_RETRIES_MS';
  const allowed = `\`none\` or up to ${RETRIES_MAX} whole numbers from 1 to ${RETRY_MS_MAX}`;
  const retries = listOf(text, {
    name,
    allowed,
    read: (item) => numberIn(item, { min: 1, max: RETRY_MS_MAX }),
  });
  if (retries.length > RETRIES_MAX) throw new ConfigurationError(`${name}: must be ${allowed}`);
  return retries;
}

function listOf<T>(
  text: string,
  { name, allowed, read }: { name: string; allowed: string; read: (item: string) => T | null },
): T[] {
  const list = itemsOf(text).map(read);
  if (list.length > 0 && list.every((item) => item !== null)) return list;
  throw new ConfigurationError(`${name}: must be ${allowed}`);
}

function itemsOf(text: string): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

function numberIn(item: string, { min, max }: { min: number; max: number }): number | null {
  const number = /^\d{1,10}$/.test(item) ? Number(item) : Number.NaN;
  return number >= min && number <= max ? number : null;
}

function dnsServer(item: string): string | null {
  const [, v6, v4] = /^(?:\[([\da-f:.]+)\]|([\d.]+))(?::\d{1,5})?$/i.exec(item) ?? [];
  return isIP(v6 ?? v4 ?? item) === 0 ? null : item;
}
