/** A simulator as a process of its own, and what it tells of itself under `/_sim`. */
import type { FaultName } from '../../../apps/vllm-sim/src/faults/fault-table.ts';
import { startProcess } from './child-process.ts';

const MAIN = new URL('../../../apps/vllm-sim/src/main.ts', import.meta.url);

/** A fault as a row names it: what is not said has the simulator's default. */
export interface Fault {
  readonly name: FaultName;
  readonly params?: Readonly<Record<string, string | number>>;
}

/** Which requests of one engine get a fault, and how often at most. */
interface Rule {
  readonly fault: Fault;
  readonly when: Readonly<Record<string, string | number>>;
  readonly times?: number;
}

/** One request for tokens, as the engine saw it. */
export interface SeenRequest {
  readonly path: string;
  readonly fields: readonly string[];
  readonly request_id: string | null;
  readonly traceparent: string | null;
  readonly fault: string | null;
  /** Null while it is open. */
  readonly ended: string | null;
}

interface State {
  readonly received: number;
  readonly running: number;
  readonly waiting: number;
  readonly recent: readonly SeenRequest[];
}

interface RuleState {
  readonly when: { readonly header?: { readonly value?: string } };
  readonly injected: number;
}

export interface Engine {
  readonly url: string;
  state(): Promise<State>;
  rules(): Promise<readonly RuleState[]>;
  addRule(rule: Rule): Promise<void>;
  /** A fault of the engine as a whole, now. */
  strike(fault: Fault): Promise<void>;
  /** How often each fault took effect since the rules were cleared. */
  injected(): Promise<Readonly<Record<string, number>>>;
  clearFaults(): Promise<void>;
  /** Whether its process is gone. */
  readonly isGone: boolean;
  stop(): Promise<void>;
}

export async function startEngine(flags: readonly string[], port = 0): Promise<Engine> {
  const process = await startProcess({
    name: 'The simulator',
    script: MAIN,
    args: [...flags, `--port=${port}`],
    readStart: (line) => (JSON.parse(line) as { url: string }).url,
  });
  const url = process.started;

  async function ask<Body>(path: string, init?: RequestInit): Promise<Body> {
    const response = await fetch(`${url}/_sim/${path}`, init);
    const text = await response.text();
    if (!response.ok) throw new Error(`The simulator refuses ${path}: ${text}`);
    return JSON.parse(text) as Body;
  }

  async function post({ fault: { name, params }, ...rest }: Omit<Rule, 'when'> & Partial<Rule>) {
    await ask('faults', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ fault: name, params, ...rest }),
    });
  }

  return {
    url,
    state: () => ask('state'),
    rules: async () => (await ask<{ rules: RuleState[] }>('faults')).rules,
    injected: async () => (await ask<{ injected: Record<string, number> }>('faults')).injected,
    addRule: post,
    strike: (fault) => post({ fault }),
    clearFaults: async () => void (await ask('faults', { method: 'DELETE' })),
    get isGone() {
      return process.hasEnded;
    },
    stop: process.stop,
  };
}
