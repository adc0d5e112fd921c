import { onTestFinished } from 'vitest';
import type { Config } from './config.ts';
import { parseConfig } from './config.ts';
import { startSimulator, type Simulator } from './simulator.ts';

/** What /_sim/state answers. */
type SimState = {
  received: number;
  running: number;
  waiting: number;
  aborted_by_client: number;
  connections: number;
  /** How often each fault took effect. */
  faults: Record<string, number>;
  recent: {
    path: string;
    fields: string[];
    request_id: string | null;
    traceparent: string | null;
    fault: string | null;
    ended: string | null;
  }[];
};

export type TestSimulator = Simulator & {
  post(path: string, body: object, init?: RequestInit): Promise<Response>;
  state(): Promise<SimState>;
};

/** A simulator on a free port that stops with the test. Flags as on the command line. */
export async function startForTest(...flags: string[]): Promise<TestSimulator> {
  const simulator = await startSimulator(
    configOf(['--port', '0', '--profile', 'instant', ...flags]),
  );
  onTestFinished(() => simulator.stop());
  return {
    ...simulator,
    post(path, body, init) {
      return fetch(simulator.url + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
        ...init,
      });
    },
    async state() {
      return jsonOf<SimState>(await fetch(`${simulator.url}/_sim/state`));
    },
  };
}

/** One chunk of a stream, chat's or completions', as far as tests look at it. */
export type Chunk = {
  choices: {
    index: number;
    delta?: { content: string };
    text?: string;
    token_ids?: number[] | null;
    finish_reason: string | null;
  }[];
  usage?: { completion_tokens: number };
};

/** The body of a response, of the shape the test expects. */
export async function jsonOf<Body>(response: Response): Promise<Body> {
  const body: Body = JSON.parse(await response.text());
  return body;
}

/** The chunks of a complete stream; throws where it does not end with `[DONE]`. */
export function chunksOf(stream: string): Chunk[] {
  const events = stream.split('\n\n').map((event) => event.replace(/^data: /, ''));
  if (events.at(-2) !== '[DONE]') throw new Error('the stream ended without [DONE]');
  return events.slice(0, -2).map((data): Chunk => JSON.parse(data));
}

/** The text of a complete stream of one choice. */
export function textOf(stream: string): string {
  const choices = chunksOf(stream).flatMap((chunk) => chunk.choices);
  return choices.map((choice) => choice.delta?.content ?? choice.text ?? '').join('');
}

function configOf(args: readonly string[]): Config {
  const parsed = parseConfig(args);
  if (parsed.kind !== 'config') throw new Error('the flags of a test give no configuration');
  return parsed.config;
}
