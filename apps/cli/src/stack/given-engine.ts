/** Looks whether the engines that the user runs are up. */
import { get as getHttp } from 'node:http';
import { get as getHttps } from 'node:https';
import { CliError, messageOf } from '../cli-error.ts';

const ANSWERS_WITHIN_MS = 3000;

/**
 * Any HTTP answer will do: whether an engine is loaded, and wants a key, is the worker's business.
 * One of a tier's engines is enough: the workers go on asking the others.
 *
 * @returns what to say of those that do not answer in time
 * @throws CliError when none of them does
 */
export async function requireGivenEngines({
  urls,
  ...deps
}: {
  urls: readonly string[];
  /** What the URLs were given by, for the message. */
  source: string;
  apiKey: string | null;
  signal: AbortSignal;
}): Promise<string[]> {
  const asked = await Promise.allSettled(urls.map((url) => askGivenEngine({ url, ...deps })));
  const down = asked.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason] : []));
  if (down.length === urls.length) throw down[0];
  return down.map(messageOf);
}

async function askGivenEngine({
  url,
  source,
  apiKey,
  signal,
}: {
  url: string;
  source: string;
  apiKey: string | null;
  signal: AbortSignal;
}): Promise<void> {
  const limit = AbortSignal.timeout(ANSWERS_WITHIN_MS);
  try {
    await waitForAnswer({ url: modelsUrl(url), apiKey, signal: AbortSignal.any([signal, limit]) });
  } catch (error) {
    signal.throwIfAborted();
    const reason = limit.aborted
      ? `no answer within ${ANSWERS_WITHIN_MS / 1000} s`
      : messageOf(error);
    throw new CliError(
      `the engine at ${url} is down (${reason}); start it, or correct ${source} (without it, a simulator is used)`,
      { cause: error },
    );
  }
}

/** An engine may be given with or without the final /v1. */
export function modelsUrl(url: string): string {
  return `${url.replace(/\/+$/, '').replace(/\/v1$/, '')}/v1/models`;
}

/** Not by `fetch`, which refuses some ports and hides why a connection failed. */
function waitForAnswer({
  url,
  apiKey,
  signal,
}: {
  url: string;
  apiKey: string | null;
  signal: AbortSignal;
}): Promise<void> {
  const get = url.startsWith('https:') ? getHttps : getHttp;
  const headers = apiKey === null ? {} : { authorization: `Bearer ${apiKey}` };
  return new Promise((resolve, reject) => {
    get(url, { headers, signal }, (response) => {
      response.destroy();
      resolve();
    }).once('error', reject);
  });
}
