import { frameEvent } from '../../http/event-stream.ts';
import { mapChoices, readChunk, textOfChoice, withText } from './chunk.ts';
import { divertEvents } from './position.ts';
import type { StreamFaults } from './stream-fault.ts';

/** Stands for the bad bytes until the event is framed: private use, and in no word of the grammar. */
const PLACE = '\uE000';
/** Neither byte occurs in UTF-8. */
const NO_UTF8 = Buffer.from([0xff, 0xfe]);

/** Faults in one or a few events of a stream that goes on. */
export const MALFORMED: StreamFaults<
  'malformed' | 'invalid_utf8' | 'duplicate_event' | 'huge_line'
> = {
  malformed(inner, params, injection) {
    let left = params.count;
    return divertEvents(inner, params, {
      random: injection.random,
      rest(data) {
        if (left === 0) return inner.send(data);
        left -= 1;
        injection.took();
        inner.send(breakJson(data));
      },
    });
  },

  invalid_utf8(inner, params, injection) {
    let done = false;
    return divertEvents(inner, params, {
      random: injection.random,
      rest(data) {
        const hasText = readChunk(data)?.choices.some((choice) => textOfChoice(choice) !== '');
        if (done || hasText !== true) return inner.send(data);
        done = true;
        injection.took();
        inner.write(withBadBytes(data));
      },
    });
  },

  duplicate_event(inner, params, injection) {
    let left: number = params.count;
    return divertEvents(inner, params, {
      random: injection.random,
      rest(data) {
        inner.send(data);
        if (left > 0) injection.took();
        for (; left > 0; left -= 1) inner.send(data);
      },
    });
  },

  huge_line(inner, params, injection) {
    let done = false;
    return divertEvents(inner, params, {
      random: injection.random,
      rest(data) {
        if (done || readChunk(data) === undefined) return inner.send(data);
        done = true;
        injection.took();
        inner.send(padded(data, params.bytes));
      },
    });
  },
};

/** Half of a JSON text: an object that never closes. */
export function breakJson(data: string): string {
  return data.slice(0, Math.floor(data.length / 2));
}

function withBadBytes(data: string): Buffer {
  const marked = mapChoices(data, (choice) => withText(choice, textOfChoice(choice) + PLACE));
  const [before = '', ...after] = frameEvent(marked).split(PLACE);
  return Buffer.concat([Buffer.from(before), NO_UTF8, Buffer.from(after.join(PLACE))]);
}

/** With an unknown field that makes the line `bytes` long, or as short as that field allows. */
function padded(data: string, bytes: number): string {
  const field = ',"padding":""}';
  const used = Buffer.byteLength(`data: ${data.slice(0, -1)}${field}`);
  const padding = 'x'.repeat(Math.max(0, bytes - used));
  return `${data.slice(0, -1)},"padding":"${padding}"}`;
}
