/** What may be logged of an error: where it happened. Its message may hold anything, but for our own. */

/** A mistake of which the message is ours alone, and holds nothing of a client's. */
export class PlainError extends Error {
  override readonly name: string = 'PlainError';
}

export function withoutContent(error: unknown): { type: string; message?: string; stack: string } {
  if (!(error instanceof Error)) return { type: typeof error, stack: '' };
  const at = (error.stack ?? '').split('\n').filter((line) => line.startsWith('    at '));
  const said = error instanceof PlainError ? { message: error.message } : {};
  return { type: error.name, ...said, stack: at.join('\n') };
}
