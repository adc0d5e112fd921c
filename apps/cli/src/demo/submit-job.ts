/** Submits one job over HTTP. */
import { CliError } from '../cli-error.ts';
import { isRecord } from '../is-record.ts';

const ANSWER_TIMEOUT_MS = 10_000;

export interface SubmittedJob {
  readonly id: string;
  readonly tier: string;
  readonly route: readonly string[];
  readonly eventsUrl: string;
}

/** Throws a CliError with the API's own words when the job is not accepted. */
export async function submitJob({
  baseUrl,
  body,
  signal,
}: {
  baseUrl: string;
  body: Readonly<Record<string, unknown>>;
  signal: AbortSignal;
}): Promise<SubmittedJob> {
  const response = await fetch(`${baseUrl}/v1/jobs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_TIMEOUT_MS)]),
  });
  const answer: unknown = await response.json().catch(() => null);
  if (response.status !== 202) throw new CliError(refusal(response.status, answer));
  return readJob(answer);
}

function readJob(answer: unknown): SubmittedJob {
  if (isRecord(answer) && isRecord(answer['urls'])) {
    const { id, tier, route, urls } = answer;
    const { events } = urls;
    if (typeof id === 'string' && typeof tier === 'string' && typeof events === 'string') {
      const reasons = Array.isArray(route) ? route.map(String) : [];
      return { id, tier, route: reasons, eventsUrl: events };
    }
  }
  throw new CliError('POST /v1/jobs answered with something that is not a job');
}

function refusal(status: number, answer: unknown): string {
  const error = isRecord(answer) ? answer['error'] : undefined;
  const words = isRecord(error) ? `${String(error['code'])}: ${String(error['message'])}` : '';
  return `POST /v1/jobs answered ${status}${words === '' ? '' : ` (${words})`}`;
}
