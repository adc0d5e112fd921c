import type { ServerResponse } from 'node:http';
import type { EventStream } from '../http/event-stream.ts';
import type { RequestLog } from '../http/request-log.ts';
import type { NamesOf, FaultName, Fault } from './fault-table.ts';
import { isOfFamily } from './fault-table.ts';
import { FieldProblem } from './fault-params.ts';
import { readFaultText, type Rule } from './read-rule.ts';
import { createRuleBook, type Draw, type RequestTraits, type RuleState } from './rule-book.ts';
import { disturbStream } from './stream/disturb-stream.ts';
import type { Injection } from './stream/stream-fault.ts';

/** The header by which one request asks for one fault: `name;param=value`. */
const FAULT_HEADER = 'x-sim-fault';

type EngineFault = Fault<NamesOf<'engine'>>;

/** A fault of the engine as a whole, ready to happen. */
type ReadyFault = { readonly kind: 'now'; readonly fault: FaultName; readonly run: () => void };
type AddedRule = { readonly kind: 'rule'; readonly rule: Rule };

/** All faults of one simulator. It outlives the engine that it disturbs. */
export type Faults = {
  /**
   * The fault of a request, if it gets one: by its header, else by the first rule that it matches.
   * Faults in its stream are kept for `disturb`.
   *
   * @throws FieldProblem when the header makes no sense
   */
  choose(request: RequestTraits, response: ServerResponse): Chosen | undefined;
  /** The stream that an answer is to be written to: `stream`, or one with a fault. */
  disturb(stream: EventStream, response: ServerResponse): EventStream;
  /**
   * Adds a rule. A fault of the whole engine without a condition is none: it comes back ready to be
   * run.
   */
  add(rule: Rule): AddedRule | ReadyFault | 'full';
  rules(): readonly RuleState[];
  injected(): Readonly<Partial<Record<FaultName, number>>>;
  clear(): void;
};

export type Chosen = { readonly fault: Fault; readonly injection: Injection };

export function createFaults(deps: {
  seed: number;
  requestLog: RequestLog;
  /** How a fault of the whole engine is done now. */
  planEngineFault: (fault: EngineFault) => () => void;
}): Faults {
  const book = createRuleBook(deps.seed);
  const inStream = new WeakMap<ServerResponse, Chosen>();

  function injectionOf(draw: Draw, response: ServerResponse): Injection {
    const { name } = draw.fault;
    response.once('close', draw.release);
    const take = (ends: boolean): void => {
      draw.took();
      deps.requestLog.faulted(response, { name, ends });
    };
    return { random: draw.random, took: () => take(false), tookTheEnd: () => take(true) };
  }

  function add(rule: Rule): AddedRule | ReadyFault | 'full' {
    const { fault, when } = rule;
    if (isOfFamily(fault, 'engine')) {
      const run = deps.planEngineFault(fault);
      if (Object.values(when).every((condition) => condition === undefined)) {
        return { kind: 'now', fault: fault.name, run: () => runCounted(fault, run) };
      }
    }
    return book.add(rule) ? { kind: 'rule', rule } : 'full';
  }

  function runCounted(fault: Fault, run: () => void): void {
    run();
    deps.requestLog.faultedAll(fault.name);
    book.drawDirectly(fault).took();
  }

  return {
    choose(request, response) {
      const asked = request.headers[FAULT_HEADER];
      const draw =
        asked === undefined
          ? book.draw(request)
          : book.drawDirectly(faultOfHeader(String(asked), request));
      if (draw === undefined) return undefined;
      const chosen = { fault: draw.fault, injection: injectionOf(draw, response) };
      if (isOfFamily(draw.fault, 'stream')) inStream.set(response, chosen);
      if (isOfFamily(draw.fault, 'engine')) {
        const run = deps.planEngineFault(draw.fault);
        if (run === undefined)
          throw new FieldProblem('fault', 'is not one that this engine can do');
        run();
        deps.requestLog.faultedAll(draw.fault.name);
        chosen.injection.took();
      }
      return chosen;
    },
    disturb(stream, response) {
      const chosen = inStream.get(response);
      if (chosen === undefined || !isOfFamily(chosen.fault, 'stream')) return stream;
      return disturbStream(stream, chosen.fault, chosen.injection);
    },
    add,
    rules: book.rules,
    injected: book.injected,
    clear: book.clear,
  };
}

/** Whoever asks for a fault by header wants it now: what cannot happen is refused. */
function faultOfHeader(text: string, request: RequestTraits): Fault {
  const fault = readFaultText(text);
  if (isOfFamily(fault, 'stream') && !request.streams) {
    throw new FieldProblem(FAULT_HEADER, `asks for ${fault.name}, and this answer is no stream`);
  }
  return fault;
}
