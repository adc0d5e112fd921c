/** What commands have in common: the API that they ask, how they are stopped, what they read. */
import { text as readAll } from 'node:stream/consumers';
import { createClient } from '@qarr/client';
import type { ClientOptions, QarrClient } from '@qarr/client';
import { InvalidArgumentError, Option } from 'commander';
import { CliError, EXIT_INTERRUPTED, badValue } from './cli-error.ts';
import { readApiKey, readApiUrl } from './config.ts';
import type { Output } from './screen.ts';
import { listenForStopSignals } from './stop-signals.ts';

/** Says how the process is to end, where that is not 0 and there is nothing more to say. */
export type EndWith = (exitCode: number) => void;

export interface CommandDeps {
  readonly client: QarrClient;
  /** Both for messages. */
  readonly baseUrl: string;
  readonly hasKey: boolean;
  readonly stdout: Output;
  readonly stderr: Output;
  /** Aborted when nobody wants to see more. */
  readonly signal: AbortSignal;
  /** Aborted when that is not enough. */
  readonly killSignal: AbortSignal;
}

export function urlOption(): Option {
  return new Option('--url <url>', 'the API; without it the one on this machine, at PORT or 8080');
}

export function jsonOption(what: string): Option {
  return new Option('--json', `${what} as JSON`);
}

/** Runs the command until it is done or told to stop; then it ends as a shell expects. */
export async function withClient(
  url: string | undefined,
  work: (deps: CommandDeps) => Promise<void>,
  options: Partial<ClientOptions> = {},
): Promise<void> {
  const { stdout, stderr } = process;
  const baseUrl = readApiUrl({ given: url });
  const apiKey = readApiKey();
  const client = createClient({ ...options, baseUrl, apiKey });
  const hasKey = apiKey !== undefined;
  await untilStopped(async ({ stop: signal, kill: killSignal }) => {
    await work({ client, baseUrl, hasKey, stdout, stderr, signal, killSignal });
  });
}

/** What a stop interrupts is no failure of its own: it has been said by then how to go on. */
export async function untilStopped(
  work: (signals: { stop: AbortSignal; kill: AbortSignal }) => Promise<void>,
): Promise<void> {
  const signals = listenForStopSignals({ onStop: () => {} });
  // Whoever read the output is gone (`qarr tiers | head -1`), or the terminal is.
  process.stdout.on('error', () => signals.request());
  process.stderr.on('error', () => signals.request());
  try {
    await work(signals);
  } catch (error) {
    if (!signals.stop.aborted || (error instanceof CliError && error.message !== '')) throw error;
    throw new CliError('', { exitCode: EXIT_INTERRUPTED, cause: error });
  }
}

/** Longer than any window of a model. */
const PROMPT_CHARS_MAX = 16_777_216;

/** As it was given; `-` is what stdin holds, without the line break at its end. */
export async function readPrompt(given: string): Promise<string> {
  if (given !== '-') return given;
  const prompt = await readAll(process.stdin);
  if (prompt.length > PROMPT_CHARS_MAX) throw badValue('the prompt on stdin has no end');
  return prompt.replace(/\r?\n$/, '');
}

export function wholeNumber(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('It must be a whole number.');
}

export function decimalNumber(text: string): number {
  if (/^\d{1,3}(?:\.\d{1,6})?$/.test(text)) return Number(text);
  throw new InvalidArgumentError('It must be a number.');
}
