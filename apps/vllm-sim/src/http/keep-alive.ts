import type { ServerResponse } from 'node:http';
import type { EventStream } from './event-stream.ts';

/** A comment, which readers of events skip. */
const KEEP_ALIVE = ': keep-alive\n\n';

/** Sends a comment whenever a stream has been silent for so long: `--sse-keep-alive-interval`. */
export function keepAlive(
  stream: EventStream,
  { response, intervalMs }: { response: ServerResponse; intervalMs: number },
): EventStream {
  if (intervalMs === 0) return stream;
  const timer = setInterval(() => stream.write(KEEP_ALIVE), intervalMs);
  response.once('close', () => clearInterval(timer));
  // Whatever else a stream can do, this one does by its prototype.
  const quiet: EventStream = Object.create(stream);
  return Object.assign(quiet, {
    send(data: string) {
      timer.refresh();
      stream.send(data);
    },
    end() {
      clearInterval(timer);
      stream.end();
    },
  });
}
