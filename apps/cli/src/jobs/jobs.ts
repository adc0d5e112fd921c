/** `qarr submit` and `qarr stream`: one job, its text as it comes. */
import { isTerminal } from '@qarr/client';
import type { JobRequest } from '@qarr/client';
import { CliError } from '../cli-error.ts';
import { asProblem } from '../client-problem.ts';
import type { CommandDeps } from '../command.ts';
import { printable, printableJson, printableJsonLine, printableText } from '../tiers/printable.ts';

const MESSAGE_CHARS_MAX = 300;

type JobDeps = Pick<
  CommandDeps,
  // When the signal is aborted nobody wants to see more; the job goes on.
  'client' | 'baseUrl' | 'hasKey' | 'stdout' | 'stderr' | 'signal'
> & { readonly asJson: boolean };

/** Prints the job's id; or its answer, where that is waited for. Throws a CliError of one line. */
export async function submitPrompt(
  request: JobRequest,
  { waits, ...deps }: JobDeps & { waits: boolean },
): Promise<void> {
  const { client, baseUrl, hasKey, stdout, signal, asJson } = deps;
  const job = await client.submit(request, { signal }).catch((error: unknown) => {
    throw asProblem(error, { baseUrl, path: '/v1/jobs', hasKey });
  });
  if (!waits) stdout.write(asJson ? `${printableJson(job)}\n` : `${printable(job.id)}\n`);
  else if (asJson) await writeEndedJob(job.id, deps);
  else await streamAnswer(job.id, deps);
}

/** Prints the text of a job's first choice, from the beginning. Throws a CliError of one line. */
export async function streamAnswer(id: string, deps: JobDeps): Promise<void> {
  await explained(id, deps, () => (deps.asJson ? writeEvents(id, deps) : writeAnswer(id, deps)));
}

async function explained(
  id: string,
  { baseUrl, hasKey, stderr, signal }: JobDeps,
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (signal.aborted) stderr.write(`the job goes on: qarr stream ${printable(id)}\n`);
    const path = `/v1/jobs/${encodeURIComponent(id)}`;
    throw asProblem(error, { baseUrl, path, hasKey });
  }
}

async function writeEndedJob(id: string, deps: JobDeps): Promise<void> {
  const { client, stdout, signal } = deps;
  await explained(id, deps, async () => {
    const job = await client.wait(id, { signal });
    stdout.write(`${printableJson(job)}\n`);
    if (job.status !== 'completed') throw endingOf(job.status, job.error);
  });
}

/** A line of JSON for each. */
async function writeEvents(id: string, { client, stdout, signal }: JobDeps): Promise<void> {
  for await (const event of client.stream(id, { signal })) {
    stdout.write(`${printableJsonLine(event)}\n`);
    if (isTerminal(event) && event.type !== 'completed') {
      throw endingOf(event.type, 'error' in event ? event.error : null);
    }
  }
}

function endingOf(status: string, error: { code: string; message: string } | null): CliError {
  if (status === 'cancelled' || error === null) return new CliError(`the job was ${status}`);
  const { code, message } = error;
  const said = `${printable(code)}): ${printable(message, MESSAGE_CHARS_MAX)}`;
  return new CliError(`the job has ${status} (${said}`);
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
          throw endingOf(event.type, event.error);
        case 'cancelled':
          throw endingOf(event.type, null);
        default:
        // Nothing of the others is part of the text.
      }
    }
  } finally {
    if (isLineOpen) stdout.write('\n');
  }
}
