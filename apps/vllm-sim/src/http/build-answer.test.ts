import { expect, test } from 'vitest';
import { findPersona, PERSONA_NAMES } from '../personas.ts';
import { createAnswerBuilder } from './build-answer.ts';

function build(persona: string, options: { body: object; header?: string; modelLenMax?: number }) {
  const found = findPersona(persona);
  if (found === undefined) throw new Error(`no persona ${persona}`);
  const builder = createAnswerBuilder({
    model: { names: ['qarr-sim'], modelLenMax: options.modelLenMax ?? 100, created: 0 },
    persona: found,
    seed: 0,
    schedulingPolicy: 'priority',
  });
  return builder.completion({
    body: { prompt: 'Once', max_tokens: 1, ...options.body },
    priorityHeader: options.header,
    requestIdOf: () => 'r1',
  });
}

test.for([
  ['current', { priority: 5 }, undefined, 5],
  ['current', { priority: 5 }, '-3', -3],
  ['current', {}, '7', 7],
  ['current', {}, undefined, 0],
  ['0.6.4', { priority: 5 }, '-3', 5],
] as const)('%s with %j and the header %s has priority %s', ([persona, body, header, priority]) => {
  const given = header === undefined ? { body } : { body, header };
  const { sequences, refusal } = build(persona, given);
  expect(sequences.map((sequence) => sequence.priority)).toEqual([priority]);
  expect(refusal).toBeUndefined();
});

test.for([
  ['current', 16],
  ['0.6.4', 16],
  ['generic', 1024],
] as const)('%s generates %s tokens where nothing is said of it', ([persona, tokensMax]) => {
  const { sequences } = build(persona, { body: { max_tokens: null }, modelLenMax: 4000 });
  expect(sequences[0]?.sampling.tokensMax).toBe(tokensMax);
});

test('the salt of the cache goes with each choice', () => {
  const { sequences } = build('current', { body: { cache_salt: 'tenant', n: 2 } });
  expect(sequences.map(({ cacheSalt }) => cacheSalt)).toEqual(['tenant', 'tenant']);
});

test('the first of several choices is what one choice would be', () => {
  const one = build('current', { body: { seed: 4 } }).sequences;
  const three = build('current', { body: { seed: 4, n: 3 } }).sequences;
  expect(three[0]?.sampling.seeds).toEqual(one[0]?.sampling.seeds);
  expect(new Set(three.map(({ sampling }) => JSON.stringify(sampling.seeds))).size).toBe(3);
});

test('every persona has its name once', () => {
  expect(new Set(PERSONA_NAMES).size).toBe(PERSONA_NAMES.length);
});
