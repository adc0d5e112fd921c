/** Streams of answers as the simulator's personas send them, byte by byte. */
import { parseConfig } from '../../apps/vllm-sim/src/config.ts';
import { startSimulator } from '../../apps/vllm-sim/src/simulator.ts';
import type { Persona } from './persona.ts';

export interface Recording {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly choices: number;
  /** What the worker expects each chunk to tell of tokens: their ids, how many there are, nothing. */
  readonly counting: 'ids' | 'counts' | 'none';
}

/** Short: a mutation of a short stream is more likely to hit something. */
const MAX_TOKENS = 8;
const PROMPT = 'Naïve cafés?';
const MESSAGES = [{ role: 'user', content: PROMPT }];
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
  /** Of a prompt without a template, which is answered in another shape. */
  readonly isRaw?: true;
  readonly fields?: object;
  readonly choices?: number;
  readonly counting?: Recording['counting'];
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
    for (const take of takesOf(persona)) {
      const { name, isRaw, fields = {}, choices = 1, counting = 'none', fault } = take;
      const path = isRaw ? '/v1/completions' : '/v1/chat/completions';
      const response = await fetch(`${simulator.url}${path}`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          ...(fault === undefined ? {} : { 'x-sim-fault': fault }),
        },
        body: JSON.stringify({
          model: 'qarr-sim',
          ...(isRaw ? { prompt: PROMPT } : { messages: MESSAGES }),
          max_tokens: MAX_TOKENS,
          stream: true,
          ...fields,
        }),
      });
      const bytes = new Uint8Array(await response.arrayBuffer());
      if (!response.ok) throw new Error(`${persona.name} does not stream ${name}.`);
      recordings.push({ name: `${persona.name}, ${name}`, bytes, choices, counting });
    }
    return recordings;
  } finally {
    await simulator.stop();
  }
}

function takesOf({ isVllm, counts, continues }: Persona): Take[] {
  const usage = { stream_options: { include_usage: true } };
  const counted = { stream_options: { include_usage: true, continuous_usage_stats: true } };
  const hasIds = continues === 'by token ids';
  const all = { ...counted, ...(hasIds ? { return_token_ids: true } : {}) };
  const counting = hasIds ? 'ids' : 'counts';
  const framed = FRAMINGS.map((fault) => ({ name: fault, fields: usage, fault }));
  const raw = { name: 'a raw prompt', isRaw: true, fields: usage } as const;
  if (!isVllm || !counts) return [{ name: 'plain', fields: usage }, raw, ...framed];
  return [
    { name: 'plain', fields: usage },
    raw,
    { ...raw, name: 'a raw prompt, counted', fields: all, counting },
    { ...raw, name: 'two choices of a raw prompt', fields: { ...all, n: 2 }, choices: 2 },
    { ...raw, name: 'raw log probabilities', fields: { ...all, logprobs: 1 } },
    ...framed,
    { name: 'counted', fields: all, counting },
    { name: 'counted and cut up', fields: all, counting, fault: 'empty_delta' },
    { name: 'two choices', fields: { ...all, n: 2 }, choices: 2 },
    { name: 'a tool', fields: { ...all, tools: [WEATHER], tool_choice: CALL, max_tokens: 40 } },
    { name: 'log probabilities', fields: { ...all, logprobs: true, top_logprobs: 1 } },
    { name: 'an abort', fields: all, counting, fault: 'abort;after=5' },
    { name: 'an error', fields: all, counting, fault: 'error_event;after=5' },
  ];
}
