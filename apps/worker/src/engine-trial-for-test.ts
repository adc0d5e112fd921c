/** For tests: runs requests against hostile engines. */
import type { ServerResponse } from 'node:http';
import type { SoFar } from '@qarr/job-store';
import type { ChatEngineRequest, EngineRequest, RawEngineRequest } from '@qarr/router-core';
import { expect, onTestFinished } from 'vitest';
import { NO_CAPABILITIES } from './capabilities.ts';
import type { Capabilities } from './capabilities.ts';
import type { EngineTimeouts } from './config.ts';
import { createEngine } from './engine.ts';
import type { Engine, EngineOutcome } from './engine.ts';
import { delta, startHostileEngine } from './hostile-engine-for-test.ts';

const PATIENT: EngineTimeouts = {
  connectMs: 10_000,
  headersMs: 60_000,
  firstTokenMs: 60_000,
  idleMs: 60_000,
  rateWindowMs: 60_000,
  tokensPerWindowMin: 0,
};
/** Short: the test is over when it has passed, and nothing else may happen before. */
export const SHORT_MS = 60;
/** Waiting for a condition; generous, because machines are busy. */
export const PATIENCE = { timeout: 10_000, interval: 5 };
/** A part of the prompt, which hostile engines quote. */
export const SECRET = 'My diagnosis is confidential';
export const REQUEST: ChatEngineRequest = {
  messages: [{ role: 'user', content: SECRET }],
  max_tokens: 16,
  temperature: 0.7,
};
export const RAW_REQUEST: RawEngineRequest = {
  prompt: SECRET,
  max_tokens: 16,
  temperature: 0.7,
};
export const USAGE = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 };
export const FINISH = delta({}, 'stop');

export interface Run {
  text: string;
  reasoning: string;
  readonly deltas: string[];
  readonly outcome: Promise<EngineOutcome>;
  readonly abort: () => void;
}

export function engineAt(
  url: string,
  {
    timeouts = {},
    connections = 16,
  }: { timeouts?: Partial<EngineTimeouts>; connections?: number } = {},
): Engine {
  const engine = createEngine({
    baseUrl: url,
    apiKey: 'key',
    timeouts: { ...PATIENT, ...timeouts },
    connections,
  });
  onTestFinished(() => engine.stop());
  return engine;
}

export interface Trial {
  readonly request?: EngineRequest;
  readonly soFar?: SoFar | null;
  readonly capabilities?: Partial<Capabilities>;
}

export function start(
  engine: Engine,
  { request = REQUEST, soFar = null, capabilities = {} }: Trial = {},
): Run {
  const controller = new AbortController();
  const deltas: string[] = [];
  const run = { text: '', reasoning: '', deltas, abort: () => controller.abort() };
  const task = { request, soFar };
  const outcome = engine.run(task, {
    model: 'served-model',
    requestId: 'job_1-1',
    capabilities: { ...NO_CAPABILITIES, ...capabilities },
    signal: controller.signal,
    onDelta(piece) {
      deltas.push(piece.text);
      run.text += piece.text;
      run.reasoning += piece.reasoning ?? '';
    },
  });
  return Object.assign(run, { outcome });
}

/** Runs one request against an engine whose body is these pieces, each a chunk of its own. */
export async function answered(
  ...pieces: (string | Uint8Array)[]
): Promise<EngineOutcome & { text: string; reasoning: string }> {
  const server = await startHostileEngine(({ response }) => reply(response, pieces));
  return finished(start(engineAt(server.url)));
}

export async function finished(run: Run) {
  const outcome = await run.outcome;
  return { ...outcome, text: run.text, reasoning: run.reasoning };
}

export function reply(response: ServerResponse, pieces: readonly (string | Uint8Array)[]): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const piece of pieces) response.write(piece);
  response.end();
}

export const whole = { kind: 'whole', finishReasons: ['stop'] };
export const failedWith = (failure: object) => ({
  kind: 'failed',
  failure: expect.objectContaining(failure) as unknown,
});
