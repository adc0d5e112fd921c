/** Spans by OpenTelemetry, sent to a collector. Loaded only where there is one. */
import { randomUUID } from 'node:crypto';
import { ROOT_CONTEXT, SpanKind, SpanStatusCode, TraceFlags, trace } from '@opentelemetry/api';
import type { Context, Link, Span as OtelSpan, SpanContext } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import type { Sampler, SpanExporter, SpanProcessor } from '@opentelemetry/sdk-trace';
import { parseTraceparent } from '@qarr/router-core';
import { createErrorLog } from './logger.ts';
import type { Logger } from './logger.ts';
import type { Attributes, Span, SpanOptions, Tracing } from './tracing.ts';
import type { TracingConfig } from './tracing-config.ts';
import { within } from './within.ts';

/** A collector that is gone is gone for a while, and is told of by its own alerts. */
const FAILURE_LOG_MS = 60_000;
/** In one request to the collector. */
const EXPORT_SPANS_MAX = 512;
/** A collector that does not answer must not hold up the end of a process. */
const STOP_MS = 2_000;
/** Ours are short; what a process is called may be anything. */
const ATTRIBUTE_CHARS_MAX = 1_024;

const KINDS: Readonly<Record<NonNullable<SpanOptions['kind']>, SpanKind>> = {
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
  internal: SpanKind.INTERNAL,
};

export function createOtelTracing(
  config: TracingConfig,
  { service, log }: { service: string; log: Logger },
): Tracing {
  const onFailure = createErrorLog(log, 'spans are lost: the collector does not take them', {
    everyMs: FAILURE_LOG_MS,
  });
  const onFull = createErrorLog(log, 'spans are lost: more wait than OTEL_BSP_MAX_QUEUE_SIZE', {
    everyMs: FAILURE_LOG_MS,
  });
  const { url, headers, timeoutMs: timeoutMillis } = config;
  const exporter = new OTLPTraceExporter({ url, headers, timeoutMillis });
  const queue = createQueue(config, { exporter: telling(exporter, onFailure), onFull });
  const provider = new TracerProvider({
    resource: resourceFromAttributes({
      'service.instance.id': randomUUID(),
      ...config.resource,
      'service.name': config.serviceName ?? config.resource['service.name'] ?? service,
    }),
    sampler: samplerOf(config),
    spanLimits: { attributeValueLengthLimit: ATTRIBUTE_CHARS_MAX },
    spanProcessors: [queue],
  });
  const tracer = provider.getTracer('qarr');
  return {
    span(name, { kind = 'internal', parent = null, attributes = {}, link = null, beganAt } = {}) {
      const links: Link[] = [];
      const linked = spanContextOf(link);
      if (linked !== null) links.push({ context: linked });
      const startTime = beganAt === undefined ? {} : { startTime: beganAt };
      const options = { kind: KINDS[kind], attributes: { ...attributes }, links, ...startTime };
      return new Recorded(tracer.startSpan(name, options, contextOf(parent)));
    },
    stop: () => within(STOP_MS, provider.shutdown().catch(onFailure)),
  };
}

class Recorded implements Span {
  readonly #span: OtelSpan;

  constructor(span: OtelSpan) {
    this.#span = span;
  }

  get traceparent(): string {
    const { traceId, spanId, traceFlags } = this.#span.spanContext();
    return `00-${traceId}-${spanId}-${(traceFlags & TraceFlags.SAMPLED) === 0 ? '00' : '01'}`;
  }

  get isRecorded(): boolean {
    return this.#span.isRecording();
  }

  rename(name: string): void {
    this.#span.updateName(name);
  }

  set(attributes: Attributes): void {
    this.#span.setAttributes({ ...attributes });
  }

  event(name: string, attributes: Attributes = {}): void {
    this.#span.addEvent(name, { ...attributes });
  }

  fail(type: string): void {
    this.#span.setAttribute('error.type', type);
    this.#span.setStatus({ code: SpanStatusCode.ERROR });
  }

  end(at?: number): void {
    if (this.#span.isRecording()) this.#span.end(at);
  }
}

/** OpenTelemetry's own, which drops what finds it full without a word. */
function createQueue(
  { queueSpansMax, sendEveryMs, timeoutMs }: TracingConfig,
  { exporter, onFull }: { exporter: SpanExporter; onFull: (error: Error) => void },
): SpanProcessor {
  const full = Object.assign(new Error('A span found no room'), { code: 'queue_full' });
  let waiting = 0;
  const queue = new BatchSpanProcessor({
    exporter: {
      ...exporter,
      export(spans, done) {
        waiting -= spans.length;
        exporter.export(spans, done);
      },
    },
    maxQueueSize: queueSpansMax,
    maxExportBatchSize: Math.min(EXPORT_SPANS_MAX, queueSpansMax),
    scheduledDelayMillis: sendEveryMs,
    exportTimeoutMillis: 2 * timeoutMs,
  });
  return {
    onStart: (span, parent) => queue.onStart(span, parent),
    onEnd(span) {
      if ((span.spanContext().traceFlags & TraceFlags.SAMPLED) === 0) return;
      if (waiting >= queueSpansMax) return onFull(full);
      waiting += 1;
      queue.onEnd(span);
    },
    forceFlush: () => queue.forceFlush(),
    shutdown: () => queue.shutdown(),
  };
}

/** The same, but whoever watches the log hears of what it could not send. */
function telling(exporter: SpanExporter, onFailure: (error: Error) => void): SpanExporter {
  return {
    export(spans, done) {
      exporter.export(spans, (result) => {
        if (result.error !== undefined) onFailure(result.error);
        done(result);
      });
    },
    forceFlush: async () => exporter.forceFlush?.(),
    shutdown: () => exporter.shutdown(),
  };
}

function samplerOf({ sampler, samplerShare }: TracingConfig): Sampler {
  const root = rootSamplerOf(sampler.replace(/^parentbased_/, ''), samplerShare);
  return sampler.startsWith('parentbased_') ? new ParentBasedSampler({ root }) : root;
}

function rootSamplerOf(name: string, share: number): Sampler {
  if (name === 'always_off') return new AlwaysOffSampler();
  return name === 'always_on' ? new AlwaysOnSampler() : new TraceIdRatioBasedSampler(share);
}

function contextOf(traceparent: string | null): Context {
  const parent = spanContextOf(traceparent);
  return parent === null ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, parent);
}

function spanContextOf(traceparent: string | null): SpanContext | null {
  const parsed = traceparent === null ? null : parseTraceparent(traceparent);
  if (parsed === null) return null;
  const { traceId, spanId, isSampled } = parsed;
  const traceFlags = isSampled ? TraceFlags.SAMPLED : TraceFlags.NONE;
  return { traceId, spanId, traceFlags, isRemote: true };
}
