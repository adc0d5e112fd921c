/** Wires of chat completions, good and bad: what servers of this surface have been seen to send. */
import type { Wire } from './wire-server.ts';

const HEAD = '"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"fast"';
const ROLE = chunk('{"role":"assistant","content":""}');
const HEL = chunk('{"content":"Hel"}');
const LO = chunk('{"content":"lo"}');
const STOP = chunk('{}', '"stop"');
const DONE = 'data: [DONE]\n\n';
const GOOD = ROLE + HEL + LO + STOP + DONE;
const USAGE = '{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}';

export const CHAT_STREAMS = {
  'as it should be': streamed(GOOD),
  'usage in a chunk of its own': streamed(
    ROLE + HEL + LO + STOP + `data: {${HEAD},"choices":[],"usage":${USAGE}}\n\n` + DONE,
  ),
  'no role in any delta': streamed(HEL + LO + STOP + DONE),
  'no [DONE]': streamed(ROLE + HEL + LO + STOP),
  'an end before the finish reason': streamed(ROLE + HEL),
  '[DONE] before the finish reason': streamed(ROLE + HEL + DONE),
  'a connection that is cut': { ...streamed(ROLE + HEL), isCut: true },
  'unknown keys': streamed(
    chunk('{"role":"assistant","content":"","reasoning":"x","reasoning_content":"x"}') +
      HEL +
      LO +
      chunk('{}', '"stop","stop_reason":null,"token_ids":[1]', ',"qarr":{"continued":1}') +
      DONE,
  ),
  'a first chunk without choices': streamed(
    `data: {${HEAD},"choices":[],"qarr":{"position":1}}\n\n${GOOD}`,
  ),
  'an event of another name': streamed(`event: queue\ndata: {"position":1}\n\n${GOOD}`),
  'a named event without data': streamed(`${ROLE}event: ping\n\n${HEL}${LO}${STOP}${DONE}`),
  'empty data': streamed(`${ROLE}data:\n\n${HEL}${LO}${STOP}${DONE}`),
  'comments of one newline': streamed(
    `: hb\n${ROLE}: queued position=1\n${HEL}: hb\n${LO}${STOP}: hb\n${DONE}`,
  ),
  'comments of two newlines': streamed(`: hb\n\n${ROLE}: hb\n\n${HEL}${LO}${STOP}${DONE}`),
  'ids, and comments of two newlines': streamed(`id: 1\n${ROLE}: c\n\n${HEL}${LO}${STOP}${DONE}`),
  'ids, and comments of one newline': streamed(`id: 1\n${ROLE}: c\n${HEL}${LO}${STOP}${DONE}`),
  'a time to reconnect': streamed(`retry: 3000\n\n${GOOD}`),
  'an error': streamed(ROLE + HEL + errorFrame()),
  'an error, named': streamed(`${ROLE}${HEL}event: error\n${errorFrame()}`),
  'an error, and [DONE]': streamed(ROLE + HEL + errorFrame() + DONE),
  'an error whose code is a number': streamed(ROLE + HEL + errorFrame('500') + DONE),
  'an error before all text': streamed(`: hb\n${errorFrame()}`),
} satisfies Record<string, Wire>;

const WHOLE =
  '{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"fast","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}]}';

export const CHAT_ANSWERS = {
  'as it should be': json(WHOLE),
  'white space before it': json(`\n\n\n${WHOLE}`),
  'an error with status 200': json(`\n\n${errorBody()}`),
  'a connection that is cut': { ...json('\n\n'), isCut: true },
  'an error that is a string': { ...json('{"error":"It broke"}'), status: 500 },
  'an error that is no JSON': { ...json('It broke'), status: 500 },
} satisfies Record<string, Wire>;

function chunk(delta: string, finish = 'null', extra = ''): string {
  const choice = `{"index":0,"delta":${delta},"logprobs":null,"finish_reason":${finish}}`;
  return `data: {${HEAD},"choices":[${choice}]${extra}}\n\n`;
}

function errorBody(code = '"worker_lost"'): string {
  return `{"error":{"message":"It broke","type":"server_error","param":null,"code":${code}}}`;
}

function errorFrame(code?: string): string {
  return `data: ${errorBody(code)}\n\n`;
}

export function streamed(body: string): Wire {
  return { headers: { 'content-type': 'text/event-stream; charset=utf-8' }, body };
}

export function json(body: string): Wire {
  return { headers: { 'content-type': 'application/json' }, body };
}
