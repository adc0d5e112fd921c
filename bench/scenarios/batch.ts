/** A batch of one-token lines, by the same routes as its users': a file, a batch, and what became of it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { cpuBetween, readCpu, readMemory } from '../measure/proc.ts';
import type { CpuReading } from '../measure/proc.ts';
import type { Figures } from '../report/figures.ts';
import { startQarrAlone } from '../world.ts';
import type { LiveQarr } from '../world.ts';
import { ONE_OF_EACH, WrongAnswers } from './scenario.ts';
import type { OwnContext, OwnScenario } from './scenario.ts';

const WARM_UP_LINES = 1_000;
const LINE_BYTES = 700;
const LOOK_MS = 100;
const NS_PER_US = 1_000;
const BYTES_PER_MB = 1_000_000;

export const BATCHES: readonly OwnScenario[] = [5_000, 50_000].map((lines) => ({
  kind: 'own',
  name: `batch-${lines}`,
  title: `a batch of ${lines.toLocaleString('en')} one-token lines`,
  series: { of: 'lines', x: lines },
  isQuick: false,
  async run(path, context) {
    const { qarr, upstream, stop } = await startQarrAlone(path, { ...context, shape: ONE_OF_EACH });
    try {
      await upstream.set({ stepMs: 0 });
      return [await measure(qarr, { lines, model: upstream.model, context })];
    } finally {
      await stop();
    }
  },
}));

async function measure(
  qarr: LiveQarr,
  {
    lines,
    model,
    context: { gate, signal },
  }: { lines: number; model: string; context: OwnContext },
): Promise<Figures> {
  const runner = await qarr.running.startBatchRunner();
  await run(qarr, { lines: WARM_UP_LINES, model, signal });
  const pids = [...qarr.processes.map(({ pid }) => pid), runner.pid];
  const read = () => Promise.all(pids.map((pid) => readCpu(pid)));
  await gate.untilQuiet(signal);
  const before = await read();
  const tookMs = await run(qarr, { lines, model, signal });
  const after = await read();
  const used = (at: number) => cpuBetween(before[at] as CpuReading, after[at] as CpuReading);
  const cpuNs = pids.reduce((total, _, at) => total + used(at), 0);
  return {
    cpuPerLine: cpuNs / lines / NS_PER_US,
    linesPerS: (lines * 1_000) / tookMs,
    residentRunner: (await readMemory(runner.pid)).peakBytes / BYTES_PER_MB,
  };
}

interface BatchObject {
  readonly id: string;
  readonly status: string;
  readonly output_file_id: string | null;
  readonly request_counts: { readonly total: number; readonly completed: number };
}

/** From the making of the batch to its end, in ms. Throws unless each line has its answer. */
async function run(
  { running: { apiUrl, headers } }: LiveQarr,
  { lines, model, signal }: { lines: number; model: string; signal: AbortSignal },
): Promise<number> {
  const ask = async <Answer>(path: string, init: RequestInit = {}): Promise<Answer> => {
    const response = await fetch(`${apiUrl}${path}`, {
      ...init,
      headers: { ...headers, ...(init.headers as Record<string, string> | undefined) },
      signal,
    });
    if (!response.ok) throw new WrongAnswers(`${path}: ${await response.text()}`);
    return (await response.json()) as Answer;
  };
  const form = new FormData();
  form.set('purpose', 'batch');
  form.set('file', new Blob([inputOf(lines, model)]), 'in.jsonl');
  const { id: fileId } = await ask<{ id: string }>('/v1/files', { method: 'POST', body: form });
  const beganMs = performance.now();
  const { id } = await ask<BatchObject>('/v1/batches', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      input_file_id: fileId,
      endpoint: '/v1/chat/completions',
      completion_window: '24h',
    }),
  });
  let batch: BatchObject;
  do {
    await sleep(LOOK_MS, undefined, { signal });
    batch = await ask<BatchObject>(`/v1/batches/${id}`);
  } while (['validating', 'in_progress', 'finalizing'].includes(batch.status));
  const tookMs = performance.now() - beganMs;
  const { completed, total } = batch.request_counts;
  if (batch.status !== 'completed' || completed !== lines || total !== lines) {
    throw new WrongAnswers(`The batch is ${batch.status}: ${completed} of ${total} lines`);
  }
  await checkOutput(`${apiUrl}/v1/files/${batch.output_file_id}/content`, {
    headers,
    lines,
    signal,
  });
  return tookMs;
}

/** Each line once, each with a text. */
async function checkOutput(
  url: string,
  {
    headers,
    lines,
    signal,
  }: { headers: Readonly<Record<string, string>>; lines: number; signal: AbortSignal },
): Promise<void> {
  const text = await (await fetch(url, { headers, signal })).text();
  const seen = new Set<string>();
  for (const line of text.split('\n').filter((one) => one !== '')) {
    const { custom_id: id, response } = JSON.parse(line) as OutputLine;
    if ((response?.body.choices[0]?.message.content ?? '') !== '') seen.add(id);
  }
  if (seen.size !== lines) throw new WrongAnswers(`Of ${lines} lines ${seen.size} have an answer`);
}

interface OutputLine {
  readonly custom_id: string;
  readonly response: {
    readonly body: { readonly choices: readonly { readonly message: { content?: string } }[] };
  } | null;
}

function inputOf(lines: number, model: string): string {
  const content = 'word '.repeat(LINE_BYTES / 5);
  const body = { model, max_tokens: 1, messages: [{ role: 'user', content }] };
  const rest = JSON.stringify({ method: 'POST', url: '/v1/chat/completions', body }).slice(1);
  return Array.from({ length: lines }, (_, line) => `{"custom_id":"line-${line}",${rest}\n`).join(
    '',
  );
}
