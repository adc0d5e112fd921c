/** `qarr submit` and `qarr stream`: one job, its text as it comes. */
import type { JobRequest, QarrClient } from '@qarr/client';
import { CliError } from '../cli-error.ts';
import { asProblem } from '../client-problem.ts';
import type { Output } from '../screen.ts';
import { printable, printableText } from '../tiers/printable.ts';

const MESSAGE_CHARS_MAX = 300;

export interface JobDeps {
  readonly client: QarrClient;
  /** Both for messages. */
  readonly baseUrl: string;
  readonly hasKey: boolean;
  readonly stdout: Output;
  readonly stderr: Output;
  /** Aborted when nobody wants to see more; the job goes on. */
  readonly signal: AbortSignal;
}

/** Prints the job's id; or its answer, where that is waited for. Throws a CliError of one line. */
export async function submitPrompt(
  request: JobRequest,
  { waits, ...deps }: JobDeps & { waits: boolean },
): Promise<void> {
  const { client, baseUrl, hasKey, stdout, signal } = deps;
  const job = await client.submit(request, { signal }).catch((error: unknown) => {
    throw asProblem(error, { baseUrl, path: '/v1/jobs', hasKey });
  });
  if (waits) await streamAnswer(job.id, deps);
  else stdout.write(`${printable(job.id)}\n`);
}

/** Prints the text of a job's first choice, from the beginning. Throws a CliError of one line. */
export async function streamAnswer(id: string, deps: JobDeps): Promise<void> {
  const { baseUrl, hasKey, stderr, signal } = deps;
  try {
    await writeAnswer(id, deps);
  } catch (error) {
    if (signal.aborted) stderr.write(`the job goes on: qarr stream ${printable(id)}\n`);
    const path = `/v1/jobs/${encodeURIComponent(id)}`;
    throw asProblem(error, { baseUrl, path, hasKey });
  }
}

async function writeAnswer(id: string, { client, stdout, signal }: JobDeps): Promise<void> {
  let isLineOpen = false;
  const write = (text: string) => {
    if (text === '') return;
    stdout.write(text);
    isLineOpen = !text.endsWith('\n');
  };
  try {
    for await (const event of client.stream(id, { signal })) {
      switch (event.type) {
        case 'delta':
          if (event.index === undefined) write(printableText(event.text));
          break;
        case 'reset':
          write('\n(interrupted; the answer starts again)\n');
          break;
        case 'failed':
        case 'expired':
          throw new CliError(
            `the job has ${event.type} (${printable(event.error.code)}): ${printable(event.error.message, MESSAGE_CHARS_MAX)}`,
          );
        case 'cancelled':
          throw new CliError('the job was cancelled');
        default:
        // Nothing of the others is part of the text.
      }
    }
  } finally {
    if (isLineOpen) stdout.write('\n');
  }
}
