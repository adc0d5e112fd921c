/** Streams of answers as the simulator's personas send them, byte by byte. */
import { parseConfig } from '../../apps/vllm-sim/src/config.ts';
import { startSimulator } from '../../apps/vllm-sim/src/simulator.ts';
import type { Persona } from './persona.ts';

export interface Recording {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly choices: number;
  /** Each chunk was asked to tell how many tokens there are. */
  readonly counts: boolean;
}

/** Short: a mutation of a short stream is more likely to hit something. */
const MAX_TOKENS = 8;
const MESSAGES = [{ role: 'user', content: 'Naïve cafés?' }];
const WEATHER = {
  type: 'function',
  function: {
    name: 'get_weather',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
};
const CALL = { type: 'function', function: { name: 'get_weather' } };
/** Clothes in which a stream may come. */
const FRAMINGS = ['crlf', 'comments', 'multi_line_data', 'event_ids'];

interface Take {
  readonly name: string;
  readonly fields?: object;
  readonly choices?: number;
  readonly counts?: boolean;
  readonly fault?: string;
}

export async function recordStreams(personas: readonly Persona[]): Promise<Recording[]> {
  const recordings = await Promise.all(personas.map(recordPersona));
  return recordings.flat();
}

async function recordPersona(persona: Persona): Promise<Recording[]> {
  const flags = ['--port=0', '--profile=instant', `--persona=${persona.name}`];
  const parsed = parseConfig(flags);
  if (parsed.kind !== 'config') throw new Error('The flags of the recorded engine are wrong.');
  const simulator = await startSimulator(parsed.config);
  try {
    const recordings: Recording[] = [];
    for (const { name, fields = {}, choices = 1, counts = false, fault } of takesOf(persona)) {
      const response = await fetch(`${simulator.url}/v1/chat/completions`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...(fault === undefined ? {} : { 'x-sim-fault': fault }),
        },
        body: JSON.stringify({
          model: 'qarr-sim',
          messages: MESSAGES,
          max_tokens: MAX_TOKENS,
          stream: true,
          ...fields,
        }),
      });
      const bytes = new Uint8Array(await response.arrayBuffer());
      if (!response.ok) throw new Error(`${persona.name} does not stream ${name}.`);
      recordings.push({ name: `${persona.name}, ${name}`, bytes, choices, counts });
    }
    return recordings;
  } finally {
    await simulator.stop();
  }
}

function takesOf({ isVllm, counts, continues }: Persona): Take[] {
  const usage = { stream_options: { include_usage: true } };
  const counted = { stream_options: { include_usage: true, continuous_usage_stats: true } };
  const ids = continues === 'by token ids' ? { return_token_ids: true } : {};
  const framed = FRAMINGS.map((fault) => ({ name: fault, fields: usage, fault }));
  if (!isVllm || !counts) return [{ name: 'plain', fields: usage }, ...framed];
  return [
    { name: 'plain', fields: usage },
    ...framed,
    { name: 'counted', fields: { ...counted, ...ids }, counts: true },
    { name: 'two choices', fields: { ...counted, ...ids, n: 2 }, counts: true, choices: 2 },
    {
      name: 'a tool',
      fields: { ...counted, tools: [WEATHER], tool_choice: CALL, max_tokens: 40 },
      counts: true,
    },
    { name: 'log probabilities', fields: { ...usage, logprobs: true, top_logprobs: 1 } },
    { name: 'an abort', fields: { ...counted, ...ids }, counts: true, fault: 'abort;after=5' },
    {
      name: 'an error',
      fields: { ...counted, ...ids },
      counts: true,
      fault: 'error_event;after=5',
    },
  ];
}
