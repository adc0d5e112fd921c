import { decorate } from './decorate.ts';
import { divert, divertEvents, readPosition } from './position.ts';
import { createSerial, waitMs, waitOrForever } from './serial.ts';
import type { StreamFaults } from './stream-fault.ts';

/** Faults of time: the answer is right, and late. */
export const PACING: StreamFaults<'stall' | 'drip'> = {
  stall(inner, params, injection) {
    const serial = createSerial(inner);
    let stalled = false;
    return divert(inner, readPosition(params, injection.random), {
      write(bytes) {
        if (!stalled) {
          stalled = true;
          injection.took();
          serial.push((signal) => waitOrForever(params.ms, signal));
        }
        serial.push(() => inner.write(bytes));
      },
      end: () => serial.push(inner.end),
    });
  },

  drip(inner, params, injection) {
    const serial = createSerial(inner);
    const events = divertEvents(inner, params, {
      random: injection.random,
      rest(data) {
        injection.took();
        serial.push((signal) => waitMs(params.ms, signal));
        serial.push(() => inner.send(data));
      },
    });
    return decorate(events, { end: () => serial.push(inner.end) });
  },
};
