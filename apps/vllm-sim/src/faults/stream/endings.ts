import type { EventStream } from '../../http/event-stream.ts';
import { type Chunk, mapChoices, readChunk } from './chunk.ts';
import { decorate, replaceEvents } from './decorate.ts';
import { createEndable } from './early-end.ts';
import { breakJson } from './malformed.ts';
import { divert, divertEvents, type PositionParams, readPosition } from './position.ts';
import type { Injection, StreamFaults } from './stream-fault.ts';

/** Faults that end a stream too early, or without what should end it. */
export const ENDINGS: StreamFaults<
  | 'cut'
  | 'eof'
  | 'cut_chunked'
  | 'abort'
  | 'malformed_fatal'
  | 'no_finish_reason'
  | 'unknown_finish_reason'
  | 'no_done'
> = {
  cut: (inner, params, injection) => endAt(inner, params, { injection, end: inner.reset }),
  eof: (inner, params, injection) => endAt(inner, params, { injection, end: inner.end }),
  cut_chunked: (inner, params, injection) =>
    endAt(inner, params, { injection, end: inner.breakOff }),

  abort(inner, params, injection) {
    const { stream, endBy } = createEndable(inner, injection);
    const begun = new Set<number>();
    const events = divertEvents(stream, params, {
      random: injection.random,
      rest(data) {
        const chunk = readChunk(data);
        // Usage or [DONE]: all choices are complete.
        if (chunk === undefined) return stream.send(data);
        endBy(() => {
          for (const index of begun) inner.send(JSON.stringify(abortedChunk(chunk, index)));
          inner.send('[DONE]');
          inner.end();
        });
      },
    });
    return decorate(events, {
      send(data) {
        const choices = readChunk(data)?.choices ?? [];
        for (const { index } of choices) begun.add(index);
        events.send(data);
        for (const choice of choices) if (choice.finish_reason !== null) begun.delete(choice.index);
      },
    });
  },

  malformed_fatal(inner, params, injection) {
    const { stream, endBy } = createEndable(inner, injection);
    return divertEvents(stream, params, {
      random: injection.random,
      rest: (data) =>
        endBy(() => {
          inner.send(breakJson(data));
          inner.end();
        }),
    });
  },

  no_finish_reason: (inner, _params, injection) => replaceFinishReason(inner, null, injection),
  unknown_finish_reason: (inner, params, injection) =>
    replaceFinishReason(inner, params.reason, injection),

  no_done: (inner, _params, injection) =>
    replaceEvents(inner, (data) => {
      if (data !== '[DONE]') return [data];
      injection.took();
      return [];
    }),
};

function endAt(
  inner: EventStream,
  params: PositionParams,
  options: { injection: Injection; end: (rest: Buffer) => void },
): EventStream {
  const { stream, endBy } = createEndable(inner, options.injection);
  return divert(stream, readPosition(params, options.injection.random), {
    write: (rest) => endBy(() => options.end(rest)),
    end: stream.end,
  });
}

/** As vLLM ends a choice that is aborted: no more text. */
function abortedChunk(chunk: Chunk, index: number): Chunk {
  const [choice] = chunk.choices;
  const text = choice?.delta === undefined ? { text: '' } : { delta: { content: '' } };
  const finish = { finish_reason: 'abort', stop_reason: null, token_ids: null };
  return { ...chunk, choices: [{ ...choice, index, ...text, ...finish }] };
}

function replaceFinishReason(
  inner: EventStream,
  reason: string | null,
  injection: Injection,
): EventStream {
  return replaceEvents(inner, (data) => [
    mapChoices(data, (choice) => {
      if (choice.finish_reason === null) return choice;
      injection.took();
      return { ...choice, finish_reason: reason };
    }),
  ]);
}
