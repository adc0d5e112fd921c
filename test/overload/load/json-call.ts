/** One call of the API whose answer is JSON. */
const TIMEOUT_MS = 10_000;

export interface JsonReply {
  readonly status: number;
  readonly body: Record<string, unknown>;
  readonly retryAfterMs: number | null;
}

/** Null when no whole answer came. */
export async function askJson(
  url: string,
  {
    method,
    body,
    headers = {},
  }: { method?: string; body?: object; headers?: Readonly<Record<string, string>> } = {},
): Promise<JsonReply | null> {
  try {
    const response = await fetch(url, {
      method: method ?? (body === undefined ? 'GET' : 'POST'),
      headers: body === undefined ? headers : { ...headers, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const text = await response.text();
    const seconds = response.headers.get('retry-after');
    return {
      status: response.status,
      body: text === '' ? {} : (JSON.parse(text) as Record<string, unknown>),
      retryAfterMs: seconds === null ? null : Number(seconds) * 1_000,
    };
  } catch {
    // Whoever asks says what that means.
    return null;
  }
}
