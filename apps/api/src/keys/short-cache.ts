/**
 * Remembers for a moment what was looked up, so that a key is looked up once in that time and not with
 * each request. Those who ask for the same at once share one look-up. What fails is not remembered.
 *
 * What is there and what is not are remembered apart: however many wrong names are asked for, they push
 * out nothing but each other.
 */
export interface ShortCache<Value extends object> {
  /** Null: there is none. */
  get(name: string, load: () => Promise<Value | null>): Promise<Value | null>;
}

export function createShortCache<Value extends object>({
  forMs,
  entriesMax,
  now = () => performance.now(),
}: {
  forMs: number;
  /** Of each kind; the oldest are forgotten. */
  entriesMax: number;
  now?: () => number;
}): ShortCache<Value> {
  /** As many as there are requests. */
  const pending = new Map<string, Promise<Value | null>>();
  const present = createMoments<Value>({ entriesMax, now });
  const absent = createMoments<null>({ entriesMax, now });

  async function lookUp(name: string, load: () => Promise<Value | null>): Promise<Value | null> {
    // Not from the answer on: what it says may be as old as the question.
    const untilMs = now() + forMs;
    try {
      const value = await load();
      if (value === null) absent.set(name, { value, untilMs });
      else present.set(name, { value, untilMs });
      return value;
    } finally {
      pending.delete(name);
    }
  }

  return {
    async get(name, load) {
      const known = present.get(name) ?? absent.get(name);
      if (known !== undefined) return known.value;
      const asked = pending.get(name);
      if (asked !== undefined) return asked;
      const asking = lookUp(name, load);
      pending.set(name, asking);
      return asking;
    },
  };
}

interface Moment<Value> {
  readonly value: Value;
  readonly untilMs: number;
}

function createMoments<Value>({ entriesMax, now }: { entriesMax: number; now: () => number }) {
  /** In the order in which they were set. */
  const moments = new Map<string, Moment<Value>>();
  return {
    get(name: string): Moment<Value> | undefined {
      const moment = moments.get(name);
      if (moment === undefined || now() < moment.untilMs) return moment;
      moments.delete(name);
      return undefined;
    },
    set(name: string, moment: Moment<Value>): void {
      moments.delete(name);
      moments.set(name, moment);
      const [oldest] = moments.keys();
      if (moments.size > entriesMax && oldest !== undefined) moments.delete(oldest);
    },
  };
}
