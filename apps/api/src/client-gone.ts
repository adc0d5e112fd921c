import type { FastifyReply } from 'fastify';

/** Notices when a client leaves that is waiting for an answer in one piece. */
export interface ClientWatch {
  readonly gone: AbortSignal;
  stop(): void;
}

export function watchClient({ raw }: FastifyReply): ClientWatch {
  const gone = new AbortController();
  const onClose = () => gone.abort();
  if (raw.destroyed) onClose();
  raw.once('close', onClose);
  return { gone: gone.signal, stop: () => void raw.off('close', onClose) };
}
