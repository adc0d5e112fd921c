/**
 * Traces: what a process tells a collector of the requests and jobs that it deals with. Names and
 * attributes are listed in `docs/tracing.md`; none of them holds a prompt, an output or a key.
 *
 * Where no collector is set nothing is recorded and nothing of OpenTelemetry is loaded, but a job
 * keeps the trace of the request that made it: its client or its engine may record that.
 */
import { childTraceparent, parseTraceparent } from '@qarr/router-core';
import type { Logger } from './logger.ts';
import { createRandomHex } from './random-hex.ts';
import type { TracingConfig } from './tracing-config.ts';

export type Attributes = Readonly<Record<string, string | number | boolean | string[] | undefined>>;

export interface SpanOptions {
  /** Default: `internal`. */
  readonly kind?: 'server' | 'client' | 'producer' | 'consumer' | 'internal';
  /** A `traceparent`; what is not valid counts for nothing, and the span begins a trace. */
  readonly parent?: string | null | undefined;
  readonly attributes?: Attributes;
  /** Another trace that has to do with it, by its `traceparent`. */
  readonly link?: string | null | undefined;
  /** Milliseconds since the epoch; default: now. */
  readonly beganAt?: number;
}

export interface Span {
  /** The `traceparent` of what happens within it. */
  readonly traceparent: string;
  /** Whether it is worth the trouble to find out more about it. */
  readonly isRecorded: boolean;
  rename(name: string): void;
  set(attributes: Attributes): void;
  event(name: string, attributes?: Attributes): void;
  /** It did not do what it was for. `type` is one of few. */
  fail(type: string): void;
  /** What comes after the first call counts for nothing. `at`: milliseconds since the epoch. */
  end(at?: number): void;
}

export interface Tracing {
  span(name: string, options?: SpanOptions): Span;
  /** Sends what is left, within a limit. */
  stop(): Promise<void>;
}

/** @param config null: there is no collector */
export async function startTracing(
  config: TracingConfig | null,
  { service, log }: { service: string; log: Logger },
): Promise<Tracing> {
  if (config === null) return NO_TRACING;
  const { createOtelTracing } = await import('./otel-tracing.ts');
  return createOtelTracing(config, { service, log });
}

/** Passes traces on and records nothing. */
export const NO_TRACING: Tracing = {
  span: (_name, { parent = null } = {}) => new PassedOn(parent),
  async stop() {},
};

const randomHex = createRandomHex();

class PassedOn implements Span {
  readonly isRecorded = false;
  readonly #parent: string | null;
  #traceparent: string | null = null;

  constructor(parent: string | null) {
    this.#parent = parent;
  }

  /** Most are never asked for it. */
  get traceparent(): string {
    this.#traceparent ??= childTraceparent(
      this.#parent === null ? null : parseTraceparent(this.#parent),
      randomHex,
    );
    return this.#traceparent;
  }

  rename(): void {}
  set(): void {}
  event(): void {}
  fail(): void {}
  end(): void {}
}

/** Runs what a span is for. What it throws fails the span. */
export async function inSpan<Result>(
  span: Span,
  failureOf: (error: unknown) => string,
  run: () => Promise<Result>,
): Promise<Result> {
  try {
    return await run();
  } catch (error) {
    span.fail(failureOf(error));
    throw error;
  } finally {
    span.end();
  }
}
