/** Engines that break, in the ways that the simulator knows. */
import type { FaultName } from '../../../apps/vllm-sim/src/faults/fault-table.ts';
import { last, pickOne } from './fault.ts';
import type { Fault } from './fault.ts';

/** Small: an engine that fails most of its jobs gets none. */
const RATE = 0.3;
const TIMES_MAX = 4;
const BREAKS_MS_MAX = 6_000;
const HANG_MS_MAX = 5_000;
/** Events of an answer before it breaks. */
const WITHIN = 40;

interface Breakage {
  readonly fault: FaultName;
  readonly params?: Readonly<Record<string, string | number>>;
}

/** What happens to single requests. */
const BREAKAGES: readonly Breakage[] = [
  { fault: 'cut', params: { within: WITHIN } },
  { fault: 'eof', params: { within: WITHIN } },
  { fault: 'cut_chunked', params: { within: WITHIN } },
  { fault: 'stall', params: { within: WITHIN, ms: 2_000 } },
  { fault: 'stall', params: { within: WITHIN, ms: 0 } },
  { fault: 'error_event', params: { within: WITHIN } },
  { fault: 'abort', params: { within: WITHIN } },
  { fault: 'no_finish_reason' },
  { fault: 'no_done' },
  { fault: 'malformed', params: { within: WITHIN } },
  { fault: 'duplicate_event', params: { within: WITHIN } },
  { fault: 'slice', params: { bytes: 7 } },
  { fault: 'reset' },
  { fault: 'close' },
  { fault: 'hang_before_headers' },
  { fault: 'status', params: { status: 500 } },
  { fault: 'status', params: { status: 503 } },
  { fault: 'status', params: { status: 429, retry_after: '1' } },
];

export const ENGINE_FAULTS: readonly Fault[] = [
  {
    name: 'break-answers',
    help: 'some answers of an engine break, in one of the ways of the simulator',
    draw: (world, random) => {
      const engine = pickOne(world.engines, random);
      if (engine === null) return null;
      const rule = {
        ...random.pick(BREAKAGES),
        when: { rate: RATE },
        times: random.int(1, TIMES_MAX),
      };
      const ms = random.int(1_000, BREAKS_MS_MAX);
      return {
        target: engine.name,
        detail: `${JSON.stringify(rule)} for ${ms} ms`,
        async run(signal) {
          await post(engine.url, rule);
          await last(ms, signal);
          await fetch(`${engine.url}/_sim/faults`, { method: 'DELETE' });
        },
      };
    },
  },
  {
    name: 'restart-engine',
    help: 'an engine closes every connection where it is, and is back up to 3 s later',
    draw: (world, random) => {
      const engine = pickOne(world.engines, random);
      if (engine === null) return null;
      const ms = random.int(100, 3_000);
      return {
        target: engine.name,
        detail: `away for ${ms} ms`,
        async run() {
          await post(engine.url, { fault: 'restart', params: { ms } });
          // Not cut short: it cannot be told to come back.
          await last(ms, new AbortController().signal);
        },
      };
    },
  },
  {
    name: 'hang-engine',
    help: 'an engine takes requests and makes no token for up to 5 s',
    draw: (world, random) => {
      const engine = pickOne(world.engines, random);
      if (engine === null) return null;
      const ms = random.int(500, HANG_MS_MAX);
      return {
        target: engine.name,
        detail: `for ${ms} ms`,
        async run(signal) {
          await post(engine.url, { fault: 'hang' });
          await last(ms, signal);
          await post(engine.url, { fault: 'resume' });
        },
      };
    },
  },
];

/** Half of an engine's answers are cut, so that others carry them on. */
export function cutAnswers(): Fault {
  return {
    name: 'cut-answers',
    help: 'half of the answers of an engine are cut',
    draw: (world, random) => {
      const engine = pickOne(world.engines, random);
      if (engine === null) return null;
      return {
        target: engine.name,
        detail: '',
        async run(signal) {
          await post(engine.url, {
            fault: 'cut',
            params: { within: WITHIN },
            when: { rate: 0.5 },
          });
          await last(BREAKS_MS_MAX, signal);
          await fetch(`${engine.url}/_sim/faults`, { method: 'DELETE' });
        },
      };
    },
  };
}

interface Rule extends Breakage {
  readonly when?: { readonly rate: number };
  readonly times?: number;
}

async function post(url: string, rule: Rule): Promise<void> {
  const response = await fetch(`${url}/_sim/faults`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(rule),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`The simulator refuses ${JSON.stringify(rule)}: ${text}`);
}
