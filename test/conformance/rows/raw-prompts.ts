/** Raw prompts: what holds of chats holds of them, on another route and in another shape. */
import type { Persona } from '../persona.ts';
import { AGAIN, AT_ONCE, INTERRUPTED, SPARED, carriedOn, refused } from '../row.ts';
import type { Expected, JobRow, Seen } from '../row.ts';

type Brief = Omit<JobRow, 'kind' | 'section'>;

/** There is no role chunk: all that comes through is text. */
const MIDDLE = { after: 6 };
const TOO_MANY_TOKENS = 100_000_000;

const ANSWERED: readonly Brief[] = [
  { name: 'a text', raw: {}, isForAll: true, isOptional: true, expected: () => AT_ONCE },
  { name: 'a long text', raw: { max_tokens: 600 }, expected: () => AT_ONCE },
  {
    name: 'a text that looks like a conversation',
    raw: { prompt: '<|im_start|>user\nGrüße aus 東京?<|im_end|>\n<|im_start|>assistant\n' },
    expected: () => AT_ONCE,
  },
  {
    name: 'all that may be asked for',
    raw: {
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
      n: 2,
    },
    expected: ({ isVllm }) => (isVllm ? AT_ONCE : refused('upstream_rejected')),
  },
  {
    name: 'log probabilities',
    raw: { logprobs: 2, max_tokens: 16 },
    expected: vllmOnly(AT_ONCE),
    check: hasLogprobs,
  },
  {
    name: 'more than the context window',
    raw: { max_tokens: TOO_MANY_TOKENS },
    expected: () => refused('context_length_exceeded'),
  },
  {
    name: 'an engine without the route',
    raw: {},
    faults: [{ name: 'status', params: { status: 404, body: 'html' } }],
    expected: () => refused('upstream_rejected'),
  },
];

const BROKEN: readonly Brief[] = [
  {
    name: 'a reset before any text',
    raw: {},
    faults: [{ name: 'cut', params: { after: 0 } }],
    expected: () => SPARED,
  },
  {
    name: 'a reset in the middle',
    raw: {},
    faults: [{ name: 'cut', params: MIDDLE }],
    expected: carriedOn,
  },
  {
    name: 'a reset in the middle, and then an abort',
    raw: {},
    faults: [
      { name: 'cut', params: MIDDLE },
      { name: 'abort', params: { after: 8 } },
    ],
    expected: (persona) =>
      persona.continues === 'never'
        ? 'not applicable'
        : { ...carriedOn(persona), attempts: 3, requests: 3, failures: 2, continued: 2 },
  },
  {
    name: 'an event that comes twice',
    raw: {},
    faults: [{ name: 'duplicate_event', params: MIDDLE }],
    expected: (persona) => (persona.counts ? carriedOn(persona) : 'not applicable'),
  },
  {
    name: 'restart: a reset in the middle',
    raw: {},
    onInterrupt: 'restart',
    faults: [{ name: 'cut', params: MIDDLE }],
    expected: () => ({ ...AGAIN, resets: 1 }),
  },
  {
    name: 'two choices: a reset in the middle',
    raw: { n: 2 },
    faults: [{ name: 'cut', params: { after: 10 } }],
    expected: vllmOnly(INTERRUPTED),
  },
  {
    name: 'log probabilities: a reset in the middle',
    raw: { logprobs: 0 },
    faults: [{ name: 'cut', params: MIDDLE }],
    expected: vllmOnly(INTERRUPTED),
  },
];

export const RAW_PROMPTS: readonly JobRow[] = [...ANSWERED, ...BROKEN].map((row) => ({
  kind: 'job',
  section: 'raw prompts',
  ...row,
}));

function vllmOnly(expected: Expected) {
  return ({ isVllm }: Persona): Expected | 'not applicable' =>
    isVllm ? expected : 'not applicable';
}

function hasLogprobs({ outcome, reference }: Seen): readonly string[] {
  const entries = outcome.record.result?.logprobs?.content ?? [];
  const whole = reference?.choices[0]?.logprobs?.content ?? [];
  const isSame =
    entries.map(({ token }) => token).join() === whole.map(({ token }) => token).join();
  const hasLikely = entries.every(({ top_logprobs: likely }) => likely.length > 0);
  return entries.length > 0 && isSame && hasLikely ? [] : ['other log probabilities'];
}
