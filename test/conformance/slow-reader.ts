/**
 * A second reader of streamed answers, made apart from the worker's: all bytes at once, by the
 * standard of server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)
 * and vLLM's chunks, as plainly as possible. It decides nothing but what the bytes say.
 */

/** What the bytes of one response say. */
export interface SlowReading {
  /** It has every finish reason and an end, and nothing in it is broken, or only what may be. */
  readonly isWhole: boolean;
  /** Per choice: its text, and the names and arguments of its tool calls. */
  readonly texts: readonly string[];
}

const LEGAL_REASONS: ReadonlySet<string> = new Set([
  'stop',
  'length',
  'tool_calls',
  'content_filter',
]);
/** An answer may call so many tools. */
const TOOL_CALLS_MAX = 128;

export function readSlowly(
  bytes: Uint8Array,
  {
    choices,
    counting,
    endsCleanly,
  }: {
    choices: number;
    /** What each chunk was asked to tell of its tokens. */
    counting: 'ids' | 'counts' | 'none';
    endsCleanly: boolean;
  },
): SlowReading {
  const texts: string[] = Array.from({ length: choices }, () => '');
  const finished = new Set<number>();
  const count = createCount(counting);
  let isBroken = false;
  let isDone = false;

  for (const data of eventsIn(bytes, { endsCleanly })) {
    // Bytes that are no UTF-8 were replaced by this, which no recorded answer has.
    if (data.includes('\uFFFD')) isBroken = true;
    if (data === '[DONE]') isDone = true;
    if (isBroken || isDone) break;
    const chunk = chunkOf(data);
    const error = chunk?.['error'];
    isBroken = (error !== undefined && error !== null) || !count.addsUp(chunk);
    if (isBroken || chunk === null) continue;
    for (const choice of listOf(chunk['choices'])) {
      const index = Number(choice['index'] ?? 0);
      if (index >= choices || finished.has(index)) continue;
      texts[index] += textOf(choice);
      const reason = choice['finish_reason'];
      if (typeof reason !== 'string') continue;
      isBroken ||= !LEGAL_REASONS.has(reason);
      finished.add(index);
    }
  }
  const isWhole = !isBroken && finished.size === choices && (isDone || endsCleanly);
  return { isWhole, texts };
}

/**
 * Follows what the engine tells of its tokens. Where it tells nothing, no event may be unreadable;
 * where it does, one may, if what is told afterwards shows that it held no token.
 */
function createCount(counting: 'ids' | 'counts' | 'none') {
  let unreadable = 0;
  let wasUnreadable = false;
  let told = 0;
  let ids = 0;
  return {
    addsUp(chunk: Fields | null): boolean {
      if (chunk === null) {
        unreadable += 1;
        wasUnreadable = true;
        return counting !== 'none' && unreadable === 1;
      }
      if (counting === 'none') return true;
      const choices = listOf(chunk['choices']);
      ids += choices.reduce((sum, { token_ids: own }) => sum + listOf(own).length, 0);
      const tells = toldBy(chunk['usage']);
      if (tells === null) return unreadable === 0;
      const more = tells - told;
      told = tells;
      if (counting === 'ids') return tells === ids;
      const isAfterGap = wasUnreadable;
      wasUnreadable = false;
      // Two tokens since the chunk before may be that of the gap and its own.
      if (isAfterGap && more > Math.min(1, choices.length)) return false;
      const hasText = choices.some((choice) => textOf(choice) !== '');
      return more > 0 || !hasText;
    },
  };
}

/** The data of each event that is complete. */
function eventsIn(bytes: Uint8Array, { endsCleanly }: { endsCleanly: boolean }): string[] {
  const text = new TextDecoder().decode(bytes) + (endsCleanly ? '\n\n' : '');
  const lines = text.split(/\r\n|\n|\r/);
  // What stands behind the last line break is no line yet.
  lines.pop();
  const events: string[] = [];
  let data: string[] = [];
  for (const line of lines) {
    if (line === '') {
      if (data.length > 0) events.push(data.join('\n'));
      data = [];
    } else if (line === 'data') data.push('');
    else if (line.startsWith('data:')) data.push(line.slice(line.startsWith('data: ') ? 6 : 5));
  }
  return events;
}

type Fields = Readonly<Record<string, unknown>>;

/** Null for what no engine means. */
function chunkOf(data: string): Fields | null {
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch {
    // Broken JSON.
    return null;
  }
  if (!isFields(value)) return null;
  const { choices } = value;
  if (isAbsent(choices)) return value;
  return Array.isArray(choices) && choices.every(isChoice) ? value : null;
}

function isChoice(choice: unknown): boolean {
  if (!isFields(choice)) return false;
  const { index, delta, text, token_ids: ids, finish_reason: reason } = choice;
  if (!isAbsent(index) && !isCount(index)) return false;
  if (!isAbsent(ids) && !(Array.isArray(ids) && ids.every(isCount))) return false;
  if (![text, reason].every((value) => isAbsent(value) || typeof value === 'string')) return false;
  if (isAbsent(delta)) return true;
  if (!isFields(delta)) return false;
  const texts = [delta['content'], delta['reasoning'], delta['reasoning_content']];
  const calls = delta['tool_calls'];
  return (
    texts.every((value) => isAbsent(value) || typeof value === 'string') &&
    (isAbsent(calls) || (Array.isArray(calls) && calls.every(isCall)))
  );
}

function isCall(call: unknown): boolean {
  if (!isFields(call) || !isCount(call['index'])) return false;
  if (Number(call['index']) >= TOOL_CALLS_MAX) return false;
  const { id, type, function: called } = call;
  if (id !== undefined && typeof id !== 'string') return false;
  if (type !== undefined && type !== 'function') return false;
  if (called === undefined) return true;
  if (!isFields(called)) return false;
  return [called['name'], called['arguments']].every(
    (value) => value === undefined || typeof value === 'string',
  );
}

function textOf(choice: Fields): string {
  const delta = isFields(choice['delta']) ? choice['delta'] : {};
  const calls = callsOf(choice).map((call) => {
    const called = isFields(call['function']) ? call['function'] : {};
    return stringOf(called['name']) + stringOf(called['arguments']);
  });
  return stringOf(delta['content'] ?? choice['text']) + calls.join('');
}

function stringOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function callsOf({ delta }: Fields): readonly Fields[] {
  return isFields(delta) ? listOf(delta['tool_calls']) : [];
}

/** Tokens of the answer, by a usage that can be read. */
function toldBy(usage: unknown): number | null {
  if (!isFields(usage)) return null;
  const { prompt_tokens: prompt, completion_tokens: completion, total_tokens: total } = usage;
  if (!isCount(prompt)) return null;
  if (![completion, total].every((value) => value === undefined || isCount(value))) return null;
  return Number(completion ?? 0);
}

function listOf(value: unknown): readonly Fields[] {
  return Array.isArray(value) ? (value as Fields[]) : [];
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

function isAbsent(value: unknown): boolean {
  return value === undefined || value === null;
}
