import type { IncomingHttpHeaders } from 'node:http';
import { GENERATE_PATHS } from '../http/generate-paths.ts';
import { type Fault, type FaultName, isOfFamily } from './fault-table.ts';
import type { Rule } from './read-rule.ts';
import { createSeededRandom } from './seeded-random.ts';

/** What of a request a rule looks at. */
export type RequestTraits = {
  readonly path: string;
  readonly model: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly streams: boolean;
};

/** A fault that a request is to get. It counts only when it takes effect. */
export type Draw = {
  readonly fault: Fault;
  /** From the seed, the rule and the request's number. */
  readonly random: () => number;
  /** Counts the fault, once. */
  took(): void;
  /** The request is over: a fault that did not take effect is free for another request. */
  release(): void;
};

export type RuleBook = {
  /** False when there are already RULES_MAX. */
  add(rule: Rule): boolean;
  /** The first rule, from the top, that a request matches. */
  draw(request: RequestTraits): Draw | undefined;
  /** A draw that no rule asked for. */
  drawDirectly(fault: Fault): Draw;
  rules(): readonly RuleState[];
  /** How often each fault took effect; what never did is absent. */
  injected(): Readonly<Partial<Record<FaultName, number>>>;
  /** Forgets rules and counts. */
  clear(): void;
};

export type RuleState = Rule & {
  readonly id: number;
  /** Requests that met all conditions but `nth`, `every`, `rate` and `times`. */
  readonly matched: number;
  readonly injected: number;
};

/** Rules are for a person or a test to read; each request looks at all of them. */
export const RULES_MAX = 100;

type Entry = { rule: Rule; id: number; matched: number; injected: number; pending: number };

/** Which request gets which fault: a function of the rules, the seed and the order of requests. */
export function createRuleBook(seed: number): RuleBook {
  let entries: Entry[] = [];
  let injected = new Map<FaultName, number>();
  let direct = 0;

  function drawFor(fault: Fault, random: () => number, entry: Entry | undefined): Draw {
    const counts = injected;
    let state: 'pending' | 'taken' | 'released' = 'pending';
    if (entry !== undefined) entry.pending += 1;
    return {
      fault,
      random,
      took() {
        if (state !== 'pending') return;
        state = 'taken';
        counts.set(fault.name, (counts.get(fault.name) ?? 0) + 1);
        if (entry === undefined) return;
        entry.pending -= 1;
        entry.injected += 1;
      },
      release() {
        if (state !== 'pending') return;
        state = 'released';
        if (entry !== undefined) entry.pending -= 1;
      },
    };
  }

  return {
    add(rule) {
      if (entries.length >= RULES_MAX) return false;
      entries.push({ rule, id: entries.length + 1, matched: 0, injected: 0, pending: 0 });
      return true;
    },
    draw(request) {
      for (const entry of entries) {
        if (!meets(entry.rule, request)) continue;
        entry.matched += 1;
        const random = createSeededRandom([seed, entry.id, entry.matched]);
        // Always the first draw, so that the others do not depend on whether there is a rate.
        const lot = random();
        if (isTurn(entry, lot)) return drawFor(entry.rule.fault, random, entry);
      }
      return undefined;
    },
    drawDirectly(fault) {
      direct += 1;
      return drawFor(fault, createSeededRandom([seed, 0, direct]), undefined);
    },
    rules: () =>
      entries.map(({ rule, id, matched, injected: count }) => ({
        id,
        ...rule,
        matched,
        injected: count,
      })),
    injected: () => Object.fromEntries(injected),
    clear() {
      entries = [];
      injected = new Map();
      direct = 0;
    },
  };
}

function meets({ fault, when }: Rule, request: RequestTraits): boolean {
  if (isOfFamily(fault, 'stream') && !request.streams) return false;
  const { path, model, header } = when;
  if (path === undefined ? !GENERATE_PATHS.includes(request.path) : path !== request.path) {
    return false;
  }
  if (model !== undefined && model !== request.model) return false;
  if (header === undefined) return true;
  const given = request.headers[header.name];
  return header.value === undefined ? given !== undefined : given === header.value;
}

function isTurn({ rule, matched, injected, pending }: Entry, lot: number): boolean {
  const { nth, every, rate } = rule.when;
  if (nth !== undefined && !nth.includes(matched)) return false;
  if (every !== undefined && matched % every !== 0) return false;
  if (rate !== undefined && lot >= rate) return false;
  return injected + pending < (rule.times ?? Infinity);
}
