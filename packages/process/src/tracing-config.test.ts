import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { ConfigurationError, readEnvironment } from './configuration.ts';
import { tracingConfig, tracingVariables } from './tracing-config.ts';

const schema = z.object(tracingVariables);
const read = (variables: Record<string, string>) =>
  tracingConfig(readEnvironment(schema, variables));
const BASE = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://jaeger:4318' };

describe('where traces go', () => {
  it.each([
    ['http://jaeger:4318', 'http://jaeger:4318/v1/traces'],
    ['http://jaeger:4318/', 'http://jaeger:4318/v1/traces'],
    ['https://example.org/otlp', 'https://example.org/otlp/v1/traces'],
  ])('%s means %s', (base, url) => {
    expect(read({ OTEL_EXPORTER_OTLP_ENDPOINT: base })?.url).toBe(url);
  });

  it('is said with its path by the more exact variable', () => {
    const exact = { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://tempo:1/in' };
    expect(read({ ...BASE, ...exact })?.url).toBe('http://tempo:1/in');
  });

  it.each([{}, { ...BASE, OTEL_SDK_DISABLED: 'true' }, { ...BASE, OTEL_TRACES_EXPORTER: 'none' }])(
    'is nowhere with %j',
    (variables) => {
      expect(read(variables)).toBeNull();
    },
  );
});

describe('what is said of them', () => {
  it('is read as OpenTelemetry writes it', () => {
    const config = read({
      ...BASE,
      OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Basic%20abc%3D, x-scope = a',
      OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=production,',
      OTEL_TRACES_SAMPLER: 'traceidratio',
      OTEL_TRACES_SAMPLER_ARG: '0.25',
    });
    expect(config).toMatchObject({
      headers: { authorization: 'Basic abc=', 'x-scope': 'a' },
      resource: { 'deployment.environment.name': 'production' },
      sampler: 'traceidratio',
      samplerShare: 0.25,
      queueSpansMax: 2_048,
    });
  });

  it.each([
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'grpc://jaeger:4317'],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'http://jaeger:4318?secret'],
    ['OTEL_EXPORTER_OTLP_PROTOCOL', 'grpc-secret'],
    ['OTEL_EXPORTER_OTLP_HEADERS', 'secret'],
    ['OTEL_EXPORTER_OTLP_HEADERS', 'authorization=%secret'],
    ['OTEL_RESOURCE_ATTRIBUTES', '=secret'],
    ['OTEL_TRACES_EXPORTER', 'secret'],
    ['OTEL_TRACES_SAMPLER', 'secret'],
    ['OTEL_TRACES_SAMPLER_ARG', '1.5'],
    ['OTEL_BSP_MAX_QUEUE_SIZE', '0'],
  ])('is refused in one line that keeps secrets: %s=%s', (name, value) => {
    let message = '';
    try {
      read({ ...BASE, [name]: value });
    } catch (error) {
      if (error instanceof ConfigurationError) ({ message } = error);
    }
    expect(message).toMatch(new RegExp(`^${name}: must [^\n]+$`));
    expect(message).not.toContain('secret');
  });
});
