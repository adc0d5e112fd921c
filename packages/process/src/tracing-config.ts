/** Where traces go and which: OpenTelemetry's own variables, as far as they are understood here. */
import { z } from 'zod';
import { ConfigurationError } from './configuration.ts';
import { flag, milliseconds, wholeNumber } from './environment.ts';

const SAMPLERS = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
] as const;
type SamplerName = (typeof SAMPLERS)[number];

const PAIRS = 'must be name=value,name=value with values percent-encoded';
/** A list of pairs; headers are secrets, so that no problem repeats what was given. */
const pairs = () =>
  z
    .string()
    .refine((text) => parsePairs(text) !== null, PAIRS)
    .optional();
const endpoint = () =>
  z.url({ protocol: /^https?$/, error: 'must be a URL such as http://127.0.0.1:4318' }).optional();
const protocol = () =>
  z.enum(['http/protobuf'], 'must be http/protobuf, on port 4318 of most collectors');

export const tracingVariables = {
  OTEL_EXPORTER_OTLP_ENDPOINT: endpoint().describe(
    'The collector of traces (OTLP over HTTP), to whose URL `/v1/traces` is added. Not set: no traces',
  ),
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: endpoint().describe(
    'The same with its path, as it is; used rather than the one above',
  ),
  OTEL_EXPORTER_OTLP_HEADERS: pairs().describe(
    'Headers for the collector, `name=value,name=value` with percent-encoded values, such as its key',
  ),
  OTEL_EXPORTER_OTLP_PROTOCOL: protocol()
    .default('http/protobuf')
    .describe('How spans are sent: there is no other way'),
  OTEL_EXPORTER_OTLP_TIMEOUT: milliseconds(1, 600_000)
    .default(10_000)
    .describe('To send spans once, tries and all, in ms'),
  OTEL_SERVICE_NAME: z
    .string()
    .max(256)
    .optional()
    .describe('What this process is called in traces. Not set: `qarr-` and what it is'),
  OTEL_RESOURCE_ATTRIBUTES: pairs().describe(
    'More about this process, such as `deployment.environment.name=production`',
  ),
  OTEL_TRACES_EXPORTER: z
    .enum(['otlp', 'none'], 'must be otlp, or none for no traces')
    .default('otlp')
    .describe('`none`: no traces, though a collector is named'),
  OTEL_TRACES_SAMPLER: z
    .enum(SAMPLERS, `must be one of ${SAMPLERS.join(', ')}`)
    .default('parentbased_always_on')
    .describe('Which traces are recorded; `parentbased_`: those of clients that say so themselves'),
  OTEL_TRACES_SAMPLER_ARG: z.coerce
    .number('must be a number from 0 to 1')
    .min(0, 'must be a number from 0 to 1')
    .max(1, 'must be a number from 0 to 1')
    .default(1)
    .describe('The share of them, from 0 to 1, where the sampler has `traceidratio` in its name'),
  OTEL_BSP_MAX_QUEUE_SIZE: wholeNumber(1, 1_000_000)
    .default(2_048)
    .describe('Spans that wait to be sent; more are dropped'),
  OTEL_BSP_SCHEDULE_DELAY: milliseconds(1, 600_000)
    .default(5_000)
    .describe('How long they wait at most while the collector answers, in ms'),
  OTEL_SDK_DISABLED: flag().default(false).describe('`true`: no traces, whatever else is set'),
};

const schema = z.object(tracingVariables);

export interface TracingConfig {
  /** With its path. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  /** Null: the process has a name of its own. */
  readonly serviceName: string | null;
  readonly resource: Readonly<Record<string, string>>;
  readonly sampler: SamplerName;
  /** From 0 to 1. */
  readonly samplerShare: number;
  readonly queueSpansMax: number;
  readonly sendEveryMs: number;
}

/** Null where traces go nowhere. */
export function tracingConfig(variables: z.output<typeof schema>): TracingConfig | null {
  const url = urlOf(variables);
  const isOff = variables.OTEL_SDK_DISABLED || variables.OTEL_TRACES_EXPORTER === 'none';
  if (url === null || isOff) return null;
  return {
    url,
    headers: parsePairs(variables.OTEL_EXPORTER_OTLP_HEADERS ?? '') ?? {},
    timeoutMs: variables.OTEL_EXPORTER_OTLP_TIMEOUT,
    serviceName: variables.OTEL_SERVICE_NAME ?? null,
    resource: parsePairs(variables.OTEL_RESOURCE_ATTRIBUTES ?? '') ?? {},
    sampler: variables.OTEL_TRACES_SAMPLER,
    samplerShare: variables.OTEL_TRACES_SAMPLER_ARG,
    queueSpansMax: variables.OTEL_BSP_MAX_QUEUE_SIZE,
    sendEveryMs: variables.OTEL_BSP_SCHEDULE_DELAY,
  };
}

function urlOf(variables: z.output<typeof schema>): string | null {
  const { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: exact, OTEL_EXPORTER_OTLP_ENDPOINT: base } =
    variables;
  if (exact !== undefined) return exact;
  if (base === undefined) return null;
  const url = new URL(base);
  // What follows on it would end up in the middle.
  if (url.search !== '' || url.hash !== '') {
    throw new ConfigurationError(
      'OTEL_EXPORTER_OTLP_ENDPOINT: must have no query; name the whole URL in OTEL_EXPORTER_OTLP_TRACES_ENDPOINT',
    );
  }
  url.pathname = `${url.pathname.replace(/\/$/, '')}/v1/traces`;
  return url.href;
}

/** Null where it is no list of pairs. Names and values are as in a W3C baggage. */
function parsePairs(text: string): Record<string, string> | null {
  const parsed: [string, string][] = [];
  for (const pair of text.split(',')) {
    if (pair.trim() === '') continue;
    const [, name = '', value = ''] = /^\s*([!#$%&'*+.^_`|~\w-]+)\s*=\s*(.*?)\s*$/.exec(pair) ?? [];
    if (name === '') return null;
    try {
      parsed.push([name, decodeURIComponent(value)]);
    } catch {
      // A percent sign that begins no byte.
      return null;
    }
  }
  return Object.fromEntries(parsed);
}
