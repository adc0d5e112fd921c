/** The native API by plain HTTP, as a user without a client library has it. */
export interface SseEvent {
  readonly id: number;
  readonly event: string;
  readonly data: Record<string, unknown>;
}

export interface Accepted {
  readonly id: string;
  readonly tier: string;
  readonly urls: { self: string; events: string; cancel: string };
}

export async function submitJob(baseUrl: string, body: object): Promise<Accepted> {
  const response = await fetch(`${baseUrl}/v1/jobs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (response.status !== 202) throw new Error(`${response.status}: ${await response.text()}`);
  return (await response.json()) as Accepted;
}

/** Reads events until the stream ends, or until `until` says so. */
export async function* readEvents(
  url: string,
  { after = 0, signal }: { after?: number; signal?: AbortSignal } = {},
): AsyncGenerator<SseEvent> {
  const response = await fetch(url, {
    headers: after > 0 ? { 'last-event-id': String(after) } : {},
    signal: signal ?? null,
  });
  if (response.status !== 200) throw new Error(`${response.status}: ${await response.text()}`);
  const decoder = new TextDecoder();
  let buffered = '';
  for await (const chunk of response.body ?? []) {
    buffered += decoder.decode(chunk, { stream: true });
    const frames = buffered.split('\n\n');
    buffered = frames.pop() ?? '';
    for (const frame of frames) {
      const event = parseFrame(frame);
      if (event !== null) yield event;
    }
  }
}

/** Null for a frame without data, such as a reconnect hint, and for what is in no log: a position. */
function parseFrame(frame: string): SseEvent | null {
  const fields = new Map(
    frame
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith(':'))
      .map(
        (line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)] as const,
      ),
  );
  const data = fields.get('data');
  if (data === undefined || !fields.has('id')) return null;
  return {
    id: Number(fields.get('id')),
    event: fields.get('event') ?? '',
    data: JSON.parse(data) as Record<string, unknown>,
  };
}
