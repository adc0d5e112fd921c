/**
 * What is wrong with the bytes of a streamed chat: everything on which an official client fails, or
 * by which it would take a part for a whole. `wire-lab.test.ts` shows that it finds what it must.
 */

interface Chunk {
  readonly id: unknown;
  readonly object: unknown;
  readonly created: unknown;
  readonly model: unknown;
  readonly usage?: unknown;
  readonly choices: readonly {
    readonly index: number;
    readonly delta: {
      readonly role?: string;
      readonly tool_calls?: readonly {
        readonly index: number;
        readonly id?: string;
        readonly type?: string;
        readonly function?: { readonly name?: string; readonly arguments?: string };
      }[];
    };
    readonly finish_reason: string | null;
  }[];
}

const DONE = '[DONE]';
const FINISH_REASONS = ['stop', 'length', 'tool_calls', 'content_filter'];

export function chatStreamProblems(text: string): string[] {
  const problems = new Set<string>();
  const data = dataOf(text, problems);
  const body = data.filter((item) => item !== DONE).map((item) => JSON.parse(item) as object);
  const errors = body.filter((item) => 'error' in item);
  const chunks = body.filter((item): item is Chunk => !('error' in item));
  const isDone = data.at(-1) === DONE;

  if (data.indexOf(DONE) !== (isDone ? data.length - 1 : -1)) problems.add('data after [DONE]');
  for (const item of errors) checkError(item as { error: object }, problems);
  const [error] = errors;
  if (error !== undefined) {
    if (body.at(-1) !== error) problems.add('data after an error');
    if (isDone) problems.add('an error, and [DONE]');
  } else if (!isDone) {
    problems.add('neither an error nor [DONE]');
  }
  checkChunks(chunks, { isComplete: error === undefined }, problems);
  return [...problems];
}

/** The data of each event; every other line must be a comment that belongs to what follows. */
function dataOf(text: string, problems: Set<string>): string[] {
  const data: string[] = [];
  const lines = text.split('\n');
  if (lines.pop() !== '') problems.add('no end of the last line');
  for (const [at, line] of lines.entries()) {
    const isLone = lines[at + 1] !== '';
    if (line.startsWith(':')) {
      if (!isLone) problems.add('a comment with an empty line');
    } else if (line.startsWith('data: {') || line === `data: ${DONE}`) {
      if (isLone) problems.add('an event without an end');
      data.push(line.slice('data: '.length));
    } else if (line !== '') {
      problems.add(`a line that begins with ${line.slice(0, line.indexOf(':') + 1)}`);
    } else if (!lines[at - 1]?.startsWith('data:')) {
      problems.add('an empty line without an event');
    }
  }
  return data;
}

function checkError({ error }: { error: object }, problems: Set<string>): void {
  const fields = Object.entries(error);
  const wrong = ['message', 'type', 'code'].filter(
    (name) => !fields.some(([key, value]) => key === name && typeof value === 'string'),
  );
  if (wrong.length > 0 || !('param' in error)) problems.add('an error without all of its fields');
}

function checkChunks(
  chunks: readonly Chunk[],
  { isComplete }: { isComplete: boolean },
  problems: Set<string>,
): void {
  const [first] = chunks;
  const open = new Set<number>();
  const finished = new Set<number>();
  const calls = new Set<string>();
  for (const chunk of chunks) {
    const { id, object, created, model, choices } = chunk;
    if (object !== 'chat.completion.chunk' || !Array.isArray(choices)) {
      problems.add('data that is no chunk');
      continue;
    }
    if (typeof id !== 'string' || typeof created !== 'number' || typeof model !== 'string') {
      problems.add('a chunk without all of its fields');
    }
    if (id !== first?.id || created !== first?.created) problems.add('another id or time');
    for (const { index, delta, finish_reason: finish } of choices as Chunk['choices']) {
      if (!open.has(index) && delta.role !== 'assistant') problems.add('no role at first');
      if (finished.has(index)) problems.add('more after the finish reason');
      open.add(index);
      if (finish !== null) {
        finished.add(index);
        if (!FINISH_REASONS.includes(finish)) problems.add('an unknown finish reason');
      }
      for (const call of delta.tool_calls ?? []) {
        const key = `${index}.${call.index}`;
        const isNamed = Boolean(call.id && call.type === 'function' && call.function?.name);
        if (isNamed === calls.has(key)) problems.add('a call that is not named once');
        calls.add(key);
      }
    }
  }
  if (isComplete && (open.size === 0 || finished.size < open.size))
    problems.add('no finish reason');
  if (!isComplete && finished.size > 0) problems.add('an error after the finish reason');
}
