/**
 * ReDoS: no text makes the API work for longer than its length asks for. What is compared is the
 * processor's time that the API itself counts, for a text and for ten times as much of it: linear
 * work takes ten times as long, work that looks back over what it has read a hundred times.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { postJson, startApiWorld } from '../harness/api.ts';
import type { ApiWorld } from '../harness/api.ts';

const CHARS = 20_000;
const TIMES = 10;
/** Between ten and a hundred, as far from both as one can be. */
const GROWTH_MAX = 40;
/** Less cannot be told from what else the process does. */
const SECONDS_MIN = 0.01;

/** Openings without their ends, and what many rules nearly match: `classify.test.ts` has more. */
const UNITS = [
  'a',
  ' ',
  '\n',
  '\\',
  '"',
  '<',
  '<|',
  '<|image',
  '```',
  '{"',
  '[',
  '\ud83d\ude42',
  'a.',
  'a-',
  'def f(',
  'SELECT a, ',
  'class A<',
  '\\u003c',
];

/** Where texts stand that are looked at, one for each kind of look. */
const PLACES: readonly ((text: string) => object)[] = [
  (text) => ({
    messages: [
      { role: 'system', content: text },
      { role: 'user', content: [{ type: 'text', text }] },
    ],
  }),
  (text) => ({
    prompt: 'Hello',
    response_format: {
      type: 'json_schema',
      json_schema: { name: 'a', schema: { description: text } },
    },
  }),
  (text) => ({
    prompt: 'Hello',
    model: text,
    tier: text,
    stop: text,
    metadata: { a: text },
    webhook_url: `https://${text}`,
  }),
];

let world: ApiWorld;
beforeAll(async () => {
  world = await startApiWorld();
  // The first requests also compile what they need.
  for (const unit of UNITS) await secondsFor(unit, CHARS / TIMES);
});
afterAll(() => world.stop());

it.each(UNITS)('%j is read in linear time, wherever it stands', async (unit) => {
  let growth = Number.POSITIVE_INFINITY;
  // What else the process does (collects its garbage, say) is added to one of them.
  for (let run = 0; run < 2 && growth > GROWTH_MAX; run += 1) {
    const less = await secondsFor(unit, CHARS);
    const more = await secondsFor(unit, CHARS * TIMES);
    growth = Math.min(growth, more / Math.max(less, SECONDS_MIN));
  }
  expect(growth).toBeLessThan(GROWTH_MAX);
});

async function secondsFor(unit: string, chars: number): Promise<number> {
  const text = unit.repeat(Math.ceil(chars / unit.length)).slice(0, chars);
  const before = await secondsWorked();
  for (const place of PLACES) {
    const response = await postJson(`${world.api.url}/v1/route`, place(text));
    await response.arrayBuffer();
    expect([200, 400]).toContain(response.status);
  }
  return (await secondsWorked()) - before;
}

async function secondsWorked(): Promise<number> {
  const text = await (await fetch(`${world.api.opsUrl}/metrics`)).text();
  return Number(/^process_cpu_seconds_total (\S+)$/m.exec(text)?.[1] ?? Number.NaN);
}
