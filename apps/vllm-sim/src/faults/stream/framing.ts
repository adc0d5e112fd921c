import type { EventStream } from '../../http/event-stream.ts';
import { frameEvent } from '../../http/event-stream.ts';
import { decorate } from './decorate.ts';
import { createSerial } from './serial.ts';
import type { Injection, StreamFaults } from './stream-fault.ts';
import { writeApart } from './writes.ts';

/** Events in other clothes, all of them legal by the standard of server-sent events. */
export const FRAMING: StreamFaults<
  | 'crlf'
  | 'lone_cr'
  | 'no_space_after_colon'
  | 'comments'
  | 'multi_line_data'
  | 'event_names'
  | 'event_ids'
  | 'bom'
> = {
  crlf(inner, params, injection) {
    if (params.split === 'no') return reframe(inner, injection, withCrlf);
    const serial = createSerial(inner);
    return decorate(inner, {
      send(data) {
        injection.took();
        writeApart({ serial, stream: inner, pieces: withCrlf(data).split(/(?<=\r)/) });
      },
      end: () => serial.push(inner.end),
    });
  },

  lone_cr: (inner, _params, injection) =>
    reframe(inner, injection, (data) => frameEvent(data).replaceAll('\n', '\r')),

  no_space_after_colon: (inner, _params, injection) =>
    reframe(inner, injection, (data) => `data:${data}\n\n`),

  comments: (inner, _params, injection) =>
    reframe(inner, injection, (data) => `: keep-alive\n\n${frameEvent(data)}`),

  multi_line_data: (inner, _params, injection) =>
    reframe(inner, injection, (data) => {
      // Between the tokens of a JSON text a line break means nothing.
      const pretty = data.startsWith('{') ? JSON.stringify(JSON.parse(data), null, 1) : data;
      return `${pretty
        .split('\n')
        .map((line) => `data: ${line}\n`)
        .join('')}\n`;
    }),

  event_names: (inner, params, injection) =>
    reframe(inner, injection, (data) => `event: ${params.name}\n${frameEvent(data)}`),

  event_ids: (inner, _params, injection) =>
    reframe(inner, injection, (data, index) => {
      const retry = index === 0 ? 'retry: 3000\n' : '';
      return `${retry}id: ${index}\n${frameEvent(data)}`;
    }),

  bom: (inner, _params, injection) =>
    reframe(inner, injection, (data, index) => (index === 0 ? '\uFEFF' : '') + frameEvent(data)),
};

function withCrlf(data: string): string {
  return frameEvent(data).replaceAll('\n', '\r\n');
}

function reframe(
  inner: EventStream,
  injection: Injection,
  frame: (data: string, index: number) => string,
): EventStream {
  let index = 0;
  return decorate(inner, {
    send(data) {
      injection.took();
      inner.write(frame(data, index));
      index += 1;
    },
  });
}
