/** Undisturbed answers: those of a simulator with the same seed that never has a fault. */
import { isRaw } from '@qarr/router-core';
import type { EngineRequest } from '@qarr/router-core';
// In this process: it only answers.
import { parseConfig } from '../../../apps/vllm-sim/src/config.ts';
import { startSimulator } from '../../../apps/vllm-sim/src/simulator.ts';

/** A whole answer, as far as it is compared. */
export interface Reference {
  readonly choices: readonly ReferenceChoice[];
  readonly usage: {
    readonly prompt_tokens: number;
    readonly completion_tokens: number;
    readonly total_tokens: number;
  };
}

interface ReferenceChoice {
  readonly finish_reason: string;
  readonly message: {
    readonly content: string | null;
    readonly tool_calls?: readonly { function: { name: string; arguments: string } }[];
  };
  readonly logprobs?: { readonly content: readonly { token: string }[] | null } | null;
}

export interface ReferenceEngine {
  /** Null where the engine refuses the request. */
  answer(request: EngineRequest): Promise<Reference | null>;
  stop(): Promise<void>;
}

export async function startReference(flags: readonly string[]): Promise<ReferenceEngine> {
  const parsed = parseConfig(['--port=0', '--profile=instant', ...flags]);
  if (parsed.kind !== 'config') throw new Error('The flags of the undisturbed engine are wrong.');
  const engine = await startSimulator(parsed.config);
  const known = new Map<string, Promise<Reference | null>>();

  async function ask(path: string, body: string): Promise<Reference | null> {
    const response = await fetch(`${engine.url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    });
    const text = await response.text();
    return response.ok ? asChat(JSON.parse(text) as Reference | RawReference) : null;
  }

  return {
    answer(request) {
      const body = JSON.stringify({ ...request, model: MODEL });
      const path = isRaw(request) ? '/v1/completions' : '/v1/chat/completions';
      const answer = known.get(body) ?? ask(path, body);
      known.set(body, answer);
      return answer;
    },
    stop: engine.stop,
  };
}

/** The answer to a raw prompt. */
interface RawReference extends Pick<Reference, 'usage'> {
  readonly choices: readonly {
    readonly finish_reason: string;
    readonly text: string;
    readonly logprobs?: { readonly tokens: readonly string[] } | null;
  }[];
}

function asChat({ usage, choices }: Reference | RawReference): Reference {
  return {
    usage,
    choices: choices.map((choice) => {
      if ('message' in choice) return choice;
      const { text, finish_reason, logprobs } = choice;
      const content = logprobs?.tokens.map((token) => ({ token })) ?? null;
      return { finish_reason, message: { content: text }, logprobs: { content } };
    }),
  };
}

/** The simulator's name for what it serves. */
const MODEL = 'qarr-sim';
