/** What becomes of an answer that was begun: what the job wants, and what can be done. */
import { AGAIN, INTERRUPTED, SPARED, carriedOn } from '../row.ts';
import type { JobRow } from '../row.ts';
import type { Fault } from '../world/engine.ts';

const IN_THE_MIDDLE: Fault = { name: 'cut', params: { after: 6 } };
const BEFORE_TEXT: Fault = { name: 'cut', params: { after: 1 } };
const ABORTED: Fault = { name: 'abort', params: { after: 8 } };

const WISHES: readonly Omit<JobRow, 'kind' | 'section'>[] = [
  {
    name: 'fail: a reset in the middle',
    onInterrupt: 'fail',
    faults: [IN_THE_MIDDLE],
    expected: () => INTERRUPTED,
  },
  {
    name: 'fail: an abort in the middle',
    onInterrupt: 'fail',
    faults: [ABORTED],
    expected: () => INTERRUPTED,
  },
  {
    name: 'fail: a reset before any text',
    onInterrupt: 'fail',
    faults: [BEFORE_TEXT],
    expected: () => SPARED,
  },
  {
    name: 'restart: a reset in the middle',
    onInterrupt: 'restart',
    faults: [IN_THE_MIDDLE],
    expected: () => ({ ...AGAIN, resets: 1 }),
  },
  {
    name: 'restart: a reset before any text',
    onInterrupt: 'restart',
    faults: [BEFORE_TEXT],
    expected: () => SPARED,
  },
  {
    name: 'restart: two breaks in the middle',
    onInterrupt: 'restart',
    faults: [IN_THE_MIDDLE, ABORTED],
    expected: () => ({ ...AGAIN, attempts: 3, requests: 3, failures: 2, resets: 2 }),
  },
  {
    name: 'continue: two breaks in the middle',
    faults: [IN_THE_MIDDLE, ABORTED],
    // A second engine is asked only where the first can be carried on.
    expected: (persona) =>
      persona.continues === 'never'
        ? 'not applicable'
        : { ...carriedOn(persona), attempts: 3, requests: 3, failures: 2, continued: 2 },
  },
  {
    name: 'continue: three breaks in the middle',
    faults: [IN_THE_MIDDLE, ABORTED, IN_THE_MIDDLE],
    expected: ({ continues }) =>
      continues === 'never'
        ? 'not applicable'
        : { ...INTERRUPTED, attempts: 3, requests: 3, failures: 2 },
  },
  {
    // Only one joint: the second attempt added nothing.
    name: 'continue: a break, then one before the other goes on',
    faults: [IN_THE_MIDDLE, { name: 'status', params: { status: 500 } }],
    expected: (persona) =>
      persona.continues === 'never'
        ? 'not applicable'
        : { ...carriedOn(persona), attempts: 3, requests: 3, failures: 2 },
  },
];

/** Completions know nothing of these, so their answers are not carried on. */
const NOT_TO_BE_CARRIED_ON: readonly (readonly [string, NonNullable<JobRow['request']>])[] = [
  ['two choices', { n: 2 }],
  ['log probabilities', { logprobs: true, top_logprobs: 1 }],
  ['JSON', { response_format: { type: 'json_object' }, max_tokens: 400 }],
  [
    'a tool call',
    {
      tools: [
        {
          type: 'function',
          function: {
            name: 'get_weather',
            parameters: {
              type: 'object',
              properties: { city: { type: 'string' }, country: { type: 'string' } },
              required: ['city', 'country'],
            },
          },
        },
      ],
      tool_choice: { type: 'function', function: { name: 'get_weather' } },
      max_tokens: 400,
    },
  ],
];

export const INTERRUPTIONS: readonly JobRow[] = [
  ...WISHES,
  ...NOT_TO_BE_CARRIED_ON.flatMap(([name, request]): Omit<JobRow, 'kind' | 'section'>[] => [
    {
      name: `${name}: a reset in the middle`,
      request,
      faults: [{ name: 'cut', params: { after: 10 } }],
      expected: ({ isVllm }) => (isVllm ? INTERRUPTED : 'not applicable'),
    },
    {
      // What it held cannot be known, and there is no carrying on.
      name: `${name}: one event of broken JSON`,
      request,
      faults: [{ name: 'malformed', params: { after: 8 } }],
      expected: ({ isVllm }) => (isVllm ? INTERRUPTED : 'not applicable'),
    },
    {
      name: `${name}: a reset before any event`,
      request,
      faults: [{ name: 'cut', params: { after: 0 } }],
      expected: ({ isVllm }) => (isVllm ? SPARED : 'not applicable'),
    },
  ]),
].map((row): JobRow => ({ kind: 'job', section: 'interruptions', ...row }));
