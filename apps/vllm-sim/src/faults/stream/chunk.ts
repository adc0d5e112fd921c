/** A chunk of an answer, as far as faults look at it; other fields are kept. */
export type Chunk = { readonly choices: readonly ChunkChoice[] };
export type ChunkChoice = {
  readonly index: number;
  /** Chat. */
  readonly delta?: Readonly<Record<string, unknown>>;
  /** Completions. */
  readonly text?: string;
  readonly finish_reason: string | null;
  readonly token_ids?: readonly number[] | null;
  readonly logprobs?: Readonly<Record<string, unknown>> | null;
};

/** Undefined for what carries no choice: usage, errors, `[DONE]`. */
export function readChunk(data: string): Chunk | undefined {
  if (!data.startsWith('{')) return undefined;
  const chunk = JSON.parse(data) as Partial<Chunk>;
  if (chunk.choices === undefined || chunk.choices.length === 0) return undefined;
  return { ...chunk, choices: chunk.choices };
}

/** Changes the choices of a chunk; other data stay as they are. */
export function mapChoices(data: string, change: (choice: ChunkChoice) => ChunkChoice): string {
  const chunk = readChunk(data);
  if (chunk === undefined) return data;
  return JSON.stringify({ ...chunk, choices: chunk.choices.map(change) });
}

export function textOfChoice(choice: ChunkChoice): string {
  const text = choice.text ?? choice.delta?.['content'];
  return typeof text === 'string' ? text : '';
}

export function withText(choice: ChunkChoice, text: string): ChunkChoice {
  if (choice.delta === undefined) return { ...choice, text };
  return { ...choice, delta: { ...choice.delta, content: text } };
}
