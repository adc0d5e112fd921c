/** Asks one question of each tier, and shows how the answer comes. */
import { createClient } from '@qarr/client';
import type { CompletedEvent, QarrClient, StreamEvent } from '@qarr/client';
import { CliError } from '../cli-error.ts';
import { asProblem } from '../client-problem.ts';
import type { TierPlan } from '../config.ts';
import { promptsFor } from './demo-prompts.ts';
import type { DemoPrompt } from './demo-prompts.ts';
import type { Screen } from '../screen.ts';

/** An engine that needs longer for a hundred tokens is not worth a demonstration. */
const ANSWER_MS_MAX = 120_000;
const SHOWN_PROMPT_CHARS = 100;
/** A second break in one short answer is not bad luck any more. */
const RECONNECTS_MAX = 1;

interface DemoDeps {
  readonly baseUrl: string;
  /** Null: the API asks for none. */
  readonly apiKey: string | null;
  readonly screen: Screen;
  readonly signal: AbortSignal;
}

interface AnswerDeps {
  readonly client: QarrClient;
  readonly screen: Screen;
  readonly tiers: readonly TierPlan[];
  readonly signal: AbortSignal;
}

/** Throws a CliError of one line when an answer does not come to a good end. */
export async function runDemo({
  tiers,
  ...deps
}: DemoDeps & { tiers: readonly TierPlan[] }): Promise<void> {
  const prompts = promptsFor(tiers.map((tier) => tier.name));
  const { baseUrl, apiKey } = deps;
  const client = createClient({
    baseUrl,
    apiKey: apiKey ?? undefined,
    reconnectsMax: RECONNECTS_MAX,
  });
  for (const [index, prompt] of prompts.entries()) {
    const limit = AbortSignal.timeout(ANSWER_MS_MAX);
    try {
      deps.screen.line();
      deps.screen.line(deps.screen.style('dim', `── ${index + 1} of ${prompts.length}`));
      const signal = AbortSignal.any([deps.signal, limit]);
      await showAnswer(prompt, { client, screen: deps.screen, tiers, signal });
    } catch (error) {
      deps.signal.throwIfAborted();
      if (!limit.aborted)
        throw asProblem(error, { baseUrl, path: '/v1/jobs', hasKey: apiKey !== null });
      throw new CliError(`the answer took more than ${ANSWER_MS_MAX / 1000} s`, { cause: error });
    }
  }
}

async function showAnswer(
  { prompt, maxTokens }: DemoPrompt,
  { client, screen, signal, tiers }: AnswerDeps,
): Promise<void> {
  screen.line(`${screen.style('bold', 'prompt')}  ${shorten(prompt)}`);
  const submittedAtMs = performance.now();
  const job = await client.submit({ prompt, max_tokens: maxTokens }, { signal });
  const precision = tiers.find((tier) => tier.name === job.tier)?.precision ?? 'unknown';
  const quantized = precision === 'unknown' ? '' : ` (${precision})`;
  screen.line(
    `${screen.style('bold', 'tier')}    ${screen.style('cyan', job.tier)}${quantized}, because: ${job.route.join(', ')}`,
  );
  let firstTextMs: number | null = null;
  for await (const event of client.stream(job, { signal })) {
    if (event.type === 'delta') firstTextMs ??= performance.now() - submittedAtMs;
    showEvent(event, screen);
    if (event.type === 'completed') {
      const totalMs = performance.now() - submittedAtMs;
      screen.line(screen.style('dim', summarise(event, { firstTextMs, totalMs })));
    }
  }
}

function showEvent(event: StreamEvent, screen: Screen): void {
  switch (event.type) {
    case 'delta':
      screen.write(event.text);
      return;
    case 'reset':
      screen.line(screen.style('dim', '(interrupted; the answer starts again)'));
      return;
    case 'position':
    case 'queued':
    case 'rerouted':
    case 'started':
    case 'completed':
      return;
    case 'failed':
    case 'expired':
      throw new CliError(`the answer failed (${event.error.code}): ${event.error.message}`);
    case 'cancelled':
      throw new CliError('the answer was cancelled');
    default:
      event satisfies never;
  }
}

/** `queue wait 3 ms · first token 41 ms · 87 tokens · 1.9 s`, as far as it is known. */
function summarise(
  { usage, timings }: CompletedEvent,
  { firstTextMs, totalMs }: { firstTextMs: number | null; totalMs: number },
): string {
  return [
    `queue wait ${milliseconds(timings.queue_wait_ms)}`,
    ...(firstTextMs === null ? ['no text'] : [`first token ${milliseconds(firstTextMs)}`]),
    ...(usage === null ? [] : [`${usage.completion_tokens} tokens`]),
    `${(totalMs / 1000).toFixed(1)} s`,
  ].join(' · ');
}

function milliseconds(value: number): string {
  return `${Math.round(value)} ms`;
}

/** The beginning of a prompt, on one line. */
export function shorten(prompt: string): string {
  const line = prompt.replaceAll(/\s+/g, ' ').trim();
  if (line.length <= SHOWN_PROMPT_CHARS) return line;
  return `${line.slice(0, SHOWN_PROMPT_CHARS - 1).trimEnd()}…`;
}
