/** A collector of traces, as OpenTelemetry's exporters know it: OTLP over HTTP, in protobuf. */
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import protobuf from 'protobufjs';

/** What tests look at of opentelemetry/proto/trace/v1/trace.proto; other fields are passed over. */
const PROTO = `syntax = "proto3";
message ExportTraceServiceRequest { repeated ResourceSpans resource_spans = 1; }
message ResourceSpans { Resource resource = 1; repeated ScopeSpans scope_spans = 2; }
message Resource { repeated KeyValue attributes = 1; }
message ScopeSpans { repeated Span spans = 2; }
message Span {
  bytes trace_id = 1; bytes span_id = 2; bytes parent_span_id = 4; string name = 5; int32 kind = 6;
  fixed64 start_time_unix_nano = 7; fixed64 end_time_unix_nano = 8;
  repeated KeyValue attributes = 9; repeated Event events = 11; repeated Link links = 13;
  Status status = 15;
}
message Event { string name = 2; repeated KeyValue attributes = 3; }
message Link { bytes trace_id = 1; bytes span_id = 2; }
message Status { int32 code = 3; }
message KeyValue { string key = 1; AnyValue value = 2; }
message AnyValue {
  oneof value {
    string string_value = 1; bool bool_value = 2; int64 int_value = 3; double double_value = 4;
    ArrayValue array_value = 5;
  }
}
message ArrayValue { repeated AnyValue values = 1; }`;

const KINDS = ['', 'internal', 'server', 'client', 'producer', 'consumer'];
const STATUS_ERROR = 2;

export interface CollectedSpan {
  readonly service: string;
  readonly traceId: string;
  readonly spanId: string;
  /** Empty where it is the first of its trace. */
  readonly parentId: string;
  readonly name: string;
  readonly kind: string;
  readonly durationMs: number;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly events: readonly string[];
  /** The traces of its links. */
  readonly links: readonly string[];
  readonly hasFailed: boolean;
}

export interface TraceCollector {
  readonly url: string;
  readonly spans: readonly CollectedSpan[];
  /** The headers of the last request. */
  readonly headers: Readonly<Record<string, unknown>>;
  stop(): Promise<void>;
}

export async function startTraceCollector(): Promise<TraceCollector> {
  const root = protobuf.parse(PROTO, { keepCase: false }).root;
  const requests = root.lookupType('ExportTraceServiceRequest');
  const spans: CollectedSpan[] = [];
  let headers: Readonly<Record<string, unknown>> = {};
  async function take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    headers = request.headers;
    const message = requests.toObject(requests.decode(await buffer(request)), {
      longs: Number,
      bytes: String,
      defaults: true,
    }) as ExportRequest;
    if (request.url === '/v1/traces') spans.push(...message.resourceSpans.flatMap(spansOf));
    response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end();
  }
  const server = createServer((request, response) => void take(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    get headers() {
      return headers;
    },
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

function spansOf({ resource, scopeSpans }: ResourceSpans): CollectedSpan[] {
  const service = String(plain(resource?.attributes ?? [])['service.name']);
  return scopeSpans.flatMap((scope) =>
    scope.spans.map((span) => ({
      service,
      traceId: hex(span.traceId),
      spanId: hex(span.spanId),
      parentId: hex(span.parentSpanId),
      name: span.name,
      kind: KINDS[span.kind] ?? '',
      durationMs: (span.endTimeUnixNano - span.startTimeUnixNano) / 1e6,
      attributes: plain(span.attributes),
      events: span.events.map(({ name }) => name),
      links: span.links.map(({ traceId }) => hex(traceId)),
      hasFailed: span.status?.code === STATUS_ERROR,
    })),
  );
}

function plain(pairs: readonly KeyValue[]): Record<string, unknown> {
  return Object.fromEntries(pairs.map(({ key, value }) => [key, valueOf(value)]));
}

function valueOf(value: AnyValue): unknown {
  const { arrayValue, ...scalars } = value;
  if (arrayValue) return arrayValue.values.map(valueOf);
  return Object.values(scalars)[0];
}

function hex(base64: string): string {
  return Buffer.from(base64, 'base64').toString('hex');
}

interface ExportRequest {
  readonly resourceSpans: readonly ResourceSpans[];
}
interface ResourceSpans {
  readonly resource: { readonly attributes: readonly KeyValue[] } | null;
  readonly scopeSpans: readonly { readonly spans: readonly WireSpan[] }[];
}
interface WireSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: number;
  readonly endTimeUnixNano: number;
  readonly attributes: readonly KeyValue[];
  readonly events: readonly { readonly name: string; readonly attributes: readonly KeyValue[] }[];
  readonly links: readonly { readonly traceId: string }[];
  readonly status: { readonly code: number } | null;
}
interface KeyValue {
  readonly key: string;
  readonly value: AnyValue;
}
interface AnyValue {
  readonly arrayValue?: { readonly values: readonly AnyValue[] };
}
