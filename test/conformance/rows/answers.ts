/** Requests that an engine answers, or refuses for what it is, without any fault. */
import type { ChatEngineRequest } from '@qarr/router-core';
import { AGAIN, AT_ONCE, refused } from '../row.ts';
import type { Expected, JobRow, Seen } from '../row.ts';
import type { Persona } from '../persona.ts';

type Brief = Omit<JobRow, 'kind' | 'section' | 'expected'> & Partial<Pick<JobRow, 'expected'>>;

const TOOLS: NonNullable<ChatEngineRequest['tools']> = [
  {
    type: 'function',
    function: {
      name: 'get_weather',
      description: 'The weather of a city',
      parameters: {
        type: 'object',
        properties: { city: { type: 'string' }, days: { type: 'integer' } },
        required: ['city', 'days'],
      },
    },
  },
];
const SCHEMA = {
  type: 'object',
  properties: { name: { type: 'string' }, count: { type: 'integer' } },
  required: ['name', 'count'],
  additionalProperties: false,
};
const OPTIONAL = { isForAll: true, isOptional: true } as const;
/** Whatever the context window is. */
const TOO_MANY_TOKENS = 100_000_000;

const PLAIN: readonly Brief[] = [
  { name: 'plain chat', isForAll: true },
  { name: 'a long answer', request: { max_tokens: 600 }, isForAll: true },
  { name: 'one token', request: { max_tokens: 1 }, isForAll: true, check: endsBy('length') },
  {
    name: 'a conversation',
    isForAll: true,
    request: {
      messages: [
        { role: 'system', content: 'You are brief.' },
        { role: 'user', content: 'Hello' },
        { role: 'assistant', content: 'Hello, how can I help?' },
        { role: 'user', content: 'Say something of rivers.' },
      ],
    },
  },
  {
    name: 'text that is not ASCII',
    isForAll: true,
    request: {
      messages: [{ role: 'user', content: 'Grüße aus 東京 — что это? 👩‍👩‍👧 \u0000 "\\ \n naïve' }],
      max_tokens: 200,
    },
    wants: ({ choices }) => /[^ -~\s]/.test(choices[0]?.message.content ?? ''),
  },
  {
    name: 'stop strings',
    request: { max_tokens: 200, stop: ['the', 'is'] },
    isForAll: true,
    check: (seen) => [
      ...endsBy('stop')(seen),
      ...(/the|is/.test(textOf(seen)) ? ['a stop string is in the text'] : []),
    ],
  },
  { name: 'a seed', request: { seed: 42, temperature: 0 }, isForAll: true },
];

const SAMPLED: readonly Brief[] = [
  {
    name: 'min_tokens',
    request: { min_tokens: 90, max_tokens: 120 },
    check: (seen) => (tokensOf(seen) >= 90 ? [] : [`${tokensOf(seen)} tokens`]),
  },
  {
    name: 'ignore_eos',
    request: { ignore_eos: true, max_tokens: 250 },
    check: (seen) => [
      ...endsBy('length')(seen),
      ...([250, Infinity].includes(tokensOf(seen)) ? [] : [`${tokensOf(seen)} tokens`]),
    ],
  },
  {
    name: 'all sampling parameters',
    request: {
      temperature: 1,
      top_p: 0.9,
      top_k: 40,
      min_p: 0.05,
      presence_penalty: 0.1,
      frequency_penalty: 0.1,
      repetition_penalty: 1.1,
      seed: 1,
      stop: ['zebra'],
      min_tokens: 1,
      ignore_eos: false,
    },
    check: hasAllFields,
  },
];

const STRUCTURED: readonly Brief[] = [
  {
    name: 'two choices',
    request: { n: 2 },
    check: ({ outcome }) => {
      const choices = outcome.record.result?.choices?.length ?? 1;
      return choices === 2 ? [] : [`${choices} choices`];
    },
  },
  {
    name: 'log probabilities',
    request: { logprobs: true, top_logprobs: 2, max_tokens: 16 },
    check: hasLogprobs,
  },
  {
    name: 'JSON',
    request: { response_format: { type: 'json_object' }, max_tokens: 400 },
    check: isJson,
  },
  {
    name: 'JSON by a schema',
    request: {
      response_format: { type: 'json_schema', json_schema: { name: 'thing', schema: SCHEMA } },
      max_tokens: 400,
    },
    check: (seen) => {
      const problems = isJson(seen);
      if (problems.length > 0) return problems;
      const keys = Object.keys(JSON.parse(textOf(seen)) as object)
        .toSorted()
        .join();
      return keys === 'count,name' ? [] : [`its fields are ${keys}`];
    },
  },
  {
    name: 'a tool that is named',
    request: {
      tools: TOOLS,
      tool_choice: { type: 'function', function: { name: 'get_weather' } },
      max_tokens: 400,
    },
    check: callsWeather,
  },
  {
    name: 'tools that may be used',
    request: { tools: TOOLS, tool_choice: 'auto', max_tokens: 400 },
  },
];

const REFUSED: readonly Brief[] = [
  {
    name: 'a tool that must be used',
    ...OPTIONAL,
    request: { tools: TOOLS, tool_choice: 'required', max_tokens: 400 },
    expected: ({ isVllm, requiresTools }) => {
      if (!isVllm) return 'not applicable';
      return requiresTools ? AT_ONCE : refused('upstream_rejected');
    },
    check: (seen) => (seen.persona?.requiresTools === false ? [] : callsWeather(seen)),
  },
  {
    name: 'more than the context window',
    request: { max_tokens: TOO_MANY_TOKENS },
    expected: () => refused('context_length_exceeded'),
  },
  {
    name: 'a new request id for each attempt, in one trace',
    faults: [{ name: 'status', params: { status: 500 } }],
    expected: () => AGAIN,
    check: ({ requests }) => {
      const ids = new Set(requests.map(({ request_id: id }) => id));
      return ids.size === 2 ? [] : [`the request ids are ${[...ids].join()}`];
    },
  },
];

const BRIEFS: readonly Brief[] = [
  ...PLAIN,
  ...SAMPLED.map((brief) => ({ ...brief, ...OPTIONAL, expected: takenByVllm })),
  ...STRUCTURED.map((brief) => ({ ...brief, ...OPTIONAL, expected: knownByVllm })),
  ...REFUSED,
];

export const ANSWERS: readonly JobRow[] = BRIEFS.map((brief): JobRow => ({
  kind: 'job',
  section: 'answers',
  expected: () => AT_ONCE,
  ...brief,
}));

/** Another engine refuses what it does not know, and the job says so. */
function takenByVllm({ isVllm }: Persona): Expected {
  return isVllm ? AT_ONCE : refused('upstream_rejected');
}

/** Anything else takes these fields and goes its own way, which no client can notice. */
function knownByVllm({ isVllm }: Persona): Expected | 'not applicable' {
  return isVllm ? AT_ONCE : 'not applicable';
}

function hasAllFields({ requests, request, persona }: Seen): readonly string[] {
  if (persona === null || !persona.isVllm) return [];
  const fields = requests[0]?.fields ?? [];
  const missing = Object.keys(request).filter((field) => !fields.includes(field));
  return missing.length === 0 ? [] : [`${missing.join()} did not arrive`];
}

function endsBy(reason: string) {
  return ({ outcome, persona, request }: Seen): readonly string[] => {
    const actual = outcome.record.result?.finish_reason;
    // An engine that refuses the request has no reason to end.
    if (actual === undefined && persona !== null && 'ignore_eos' in request) return [];
    return actual === reason ? [] : [`finish reason ${actual}`];
  };
}

function hasLogprobs({ outcome, reference }: Seen): readonly string[] {
  const tokens = outcome.record.result?.logprobs?.content.map(({ token }) => token) ?? [];
  const whole = reference?.choices[0]?.logprobs?.content?.map(({ token }) => token);
  if (whole !== undefined && whole.join() !== tokens.join()) return ['other log probabilities'];
  return tokens.length > 0 ? [] : ['no log probabilities'];
}

function isJson(seen: Seen): readonly string[] {
  try {
    JSON.parse(textOf(seen));
    return [];
  } catch {
    // What the row asked for.
    return ['the text is no JSON'];
  }
}

function callsWeather({ outcome }: Seen): readonly string[] {
  const call = outcome.record.result?.tool_calls?.[0]?.function;
  if (call?.name !== 'get_weather') return ['the tool was not called'];
  try {
    JSON.parse(call.arguments);
    return [];
  } catch {
    // What was streamed in pieces must be whole.
    return ['the arguments are no JSON'];
  }
}

function textOf({ outcome }: Seen): string {
  return outcome.record.result?.text ?? '';
}

function tokensOf({ outcome, persona }: Seen): number {
  const last = outcome.events.at(-1);
  // Refused, as it should be.
  if (last?.type === 'failed' && persona !== null && !persona.isVllm) return Infinity;
  return last?.type === 'completed' ? (last.usage?.completion_tokens ?? 0) : 0;
}
