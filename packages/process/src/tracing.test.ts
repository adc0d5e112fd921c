import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseTraceparent } from '@qarr/router-core';
import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { readEnvironment } from './configuration.ts';
import { NO_TRACING, inSpan, startTracing } from './tracing.ts';
import { tracingConfig, tracingVariables } from './tracing-config.ts';

const TRACE_ID = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT = `00-${TRACE_ID}-00f067aa0ba902b7-01`;

/** Sends to this collector; the log's lines are to be read. */
async function start(url: string, variables: Record<string, string> = {}) {
  const lines: Record<string, unknown>[] = [];
  const log = pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) });
  const config = tracingConfig(
    readEnvironment(z.object(tracingVariables), {
      OTEL_EXPORTER_OTLP_ENDPOINT: url,
      OTEL_EXPORTER_OTLP_TIMEOUT: '100',
      OTEL_BSP_SCHEDULE_DELAY: '1',
      ...variables,
    }),
  );
  const tracing = await startTracing(config, { service: 'test', log });
  onTestFinished(() => tracing.stop());
  return { tracing, lines };
}

/** A collector that takes requests and answers none, or all with this status. */
async function collector(status: number | null): Promise<{ url: string; asked: () => number }> {
  let asked = 0;
  const server = createServer((_request, response) => {
    asked += 1;
    if (status !== null) response.writeHead(status).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked: () => asked,
  };
}

describe('without a collector', () => {
  it('a trace is passed on, with a span of its own', () => {
    const { traceparent, isRecorded } = NO_TRACING.span('x', { parent: PARENT });
    expect(parseTraceparent(traceparent)).toMatchObject({ traceId: TRACE_ID, isSampled: true });
    expect(traceparent).not.toBe(PARENT);
    expect(isRecorded).toBe(false);
  });

  it.each([undefined, null, '', `ff-${TRACE_ID}-00f067aa0ba902b7-01`, `${PARENT}, ${PARENT}`])(
    'where there was none a trace begins that nobody has asked to record: %j',
    (parent) => {
      const [one, other] = [NO_TRACING.span('x', { parent }), NO_TRACING.span('x', { parent })];
      const trace = parseTraceparent(one.traceparent);
      expect(trace?.isSampled).toBe(false);
      expect(trace?.traceId).not.toBe(TRACE_ID);
      expect(one.traceparent).toBe(one.traceparent);
      expect(one.traceparent).not.toBe(other.traceparent);
    },
  );
});

describe('sampling', () => {
  it.each([
    ['always_off', PARENT, false],
    ['always_on', PARENT.replace(/01$/, '00'), true],
    ['parentbased_always_off', PARENT, true],
    ['parentbased_always_off', null, false],
    ['parentbased_always_on', PARENT.replace(/01$/, '00'), false],
    ['parentbased_always_on', null, true],
    ['traceidratio', PARENT, false],
  ])('%s of %s: %s', async (sampler, parent, isRecorded) => {
    const options = { OTEL_TRACES_SAMPLER: sampler, OTEL_TRACES_SAMPLER_ARG: '0' };
    const { tracing } = await start((await collector(200)).url, options);
    const span = tracing.span('x', { parent });
    expect(span.isRecorded).toBe(isRecorded);
    expect(parseTraceparent(span.traceparent)?.isSampled).toBe(isRecorded);
    if (parent !== null) expect(span.traceparent).toContain(TRACE_ID);
  });
});

describe('a collector that does not work', () => {
  it.each([
    ['refuses spans', 400],
    ['is silent', null],
  ])('that %s makes one line, and a stop that ends', async (_name, status) => {
    const { url, asked } = await collector(status);
    const { tracing, lines } = await start(url);
    for (let round = 1; round <= 3; round += 1) {
      tracing.span('x').end();
      await expect.poll(asked).toBeGreaterThanOrEqual(round);
      await expect.poll(() => lines.length).toBe(1);
    }
    await tracing.stop();
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({ msg: 'spans are lost: the collector does not take them' });
    expect(JSON.stringify(lines)).not.toContain(url);
  });
});

describe('more spans than may wait', () => {
  it('make one line, and the others arrive', async () => {
    const { url, asked } = await collector(200);
    const { tracing, lines } = await start(url, { OTEL_BSP_MAX_QUEUE_SIZE: '3' });
    for (let round = 1; round <= 2; round += 1) {
      // The first three are sent at once, and three more wait.
      for (let span = 0; span < 8; span += 1) tracing.span('x').end();
      await expect.poll(asked).toBeGreaterThanOrEqual(2 * round);
      expect(lines).toEqual([
        expect.objectContaining({ msg: 'spans are lost: more wait than OTEL_BSP_MAX_QUEUE_SIZE' }),
      ]);
    }
  });

  it('are not those that are not recorded, nor those that were sent', async () => {
    const { url, asked } = await collector(200);
    const variables = { OTEL_BSP_MAX_QUEUE_SIZE: '3' };
    const { tracing, lines } = await start(url, variables);
    const unrecorded = PARENT.replace(/01$/, '00');
    for (let span = 0; span < 8; span += 1) tracing.span('x', { parent: unrecorded }).end();
    for (let round = 1; round <= 4; round += 1) {
      tracing.span('x').end();
      await expect.poll(asked).toBeGreaterThanOrEqual(round);
    }
    expect(lines).toEqual([]);
  });
});

describe('what runs in a span', () => {
  it('ends it, and fails it by what it throws', async () => {
    const told: string[] = [];
    const span = {
      ...NO_TRACING.span('x'),
      fail: (type: string) => void told.push(type),
      end: () => void told.push('end'),
    };
    const failing = inSpan(
      span,
      () => 'code',
      () => Promise.reject(new Error('a prompt')),
    );
    await expect(failing).rejects.toThrow('a prompt');
    expect(
      await inSpan(
        span,
        () => 'code',
        async () => 7,
      ),
    ).toBe(7);
    expect(told).toEqual(['code', 'end', 'end']);
  });
});
