/** Server-sent events as they come, with their data byte for byte. */
export interface Frame {
  readonly id: number | null;
  readonly event: string;
  readonly data: string;
}

/**
 * Yields the frames of each chunk together. `onBytes` is called for everything that comes,
 * heartbeats too.
 */
export async function* readFrames(
  body: ReadableStream<Uint8Array>,
  { onBytes }: { onBytes: () => void },
): AsyncGenerator<Frame[]> {
  const decoder = new TextDecoder();
  let buffered = '';
  for await (const chunk of body) {
    onBytes();
    buffered += decoder.decode(chunk, { stream: true });
    const texts = buffered.split('\n\n');
    buffered = texts.pop() ?? '';
    yield texts.flatMap((text) => parseFrame(text) ?? []);
  }
}

/** Null for a frame without data, such as a hint to reconnect. */
function parseFrame(text: string): Frame | null {
  let id: number | null = null;
  let event = '';
  let data: string | null = null;
  for (const line of text.split('\n')) {
    if (line.startsWith('id: ')) id = Number(line.slice(4));
    else if (line.startsWith('event: ')) event = line.slice(7);
    else if (line.startsWith('data: ')) data = line.slice(6);
  }
  return data === null ? null : { id, event, data };
}
