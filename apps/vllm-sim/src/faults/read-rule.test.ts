import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FieldProblem } from './fault-params.ts';
import { FAULTS, isFaultName } from './fault-table.ts';
import { readFaultText, readRule, readRuleText } from './read-rule.ts';

const FAULT_NAMES = Object.keys(FAULTS);

test.for(FAULT_NAMES)('%s needs no parameter', (name) => {
  expect(readFaultText(name)).toMatchObject({ name });
});

test('a line says what JSON says', () => {
  const count = fc.integer({ min: 1, max: 1_000 });
  const when = fc.record(
    {
      rate: fc.constantFrom(0, 0.25, 1),
      nth: fc.array(count, { minLength: 1, maxLength: 5 }),
      every: count,
      header: fc.constantFrom('x-user', 'x-user: bob=1'),
      path: fc.constantFrom('/v1/completions', '/v1/chat/completions'),
      model: fc.constantFrom('a', 'meta/llama 3'),
    },
    { requiredKeys: [] },
  );
  const params = fc.record({ after: count, ms: count }, { requiredKeys: [] });
  const rules = fc.record({ params, when, times: count }, { requiredKeys: ['params', 'when'] });
  fc.assert(
    fc.property(rules, (rule) => {
      const pairs = Object.entries({ ...rule.params, ...rule.when, times: rule.times })
        .filter(([, value]) => value !== undefined)
        .map(([field, value]) => `;${field}=${String(value)}`);
      expect(readRuleText(`stall${pairs.join('')}`)).toEqual(readRule({ fault: 'stall', ...rule }));
    }),
  );
});

test('whatever is given is read or refused with a field', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.constantFrom(...FAULT_NAMES), (value, fault) => {
      for (const rule of [value, { fault, params: value }, { fault, when: value }]) {
        expectReadOrRefused(() => readRule(rule));
      }
      expectReadOrRefused(() => readRuleText(`${fault};${JSON.stringify(value)}`));
    }),
  );
});

test.for([
  [{ fault: 'none' }, 'fault'],
  [{ fault: 'toString' }, 'fault'],
  [{ fault: 'cut', params: { later: 1 } }, 'params.later'],
  [{ fault: 'cut', params: { after: -1 } }, 'params.after'],
  [{ fault: 'cut', params: { after: 1.5 } }, 'params.after'],
  [{ fault: 'cut', params: { after: '1e3' } }, 'params.after'],
  [{ fault: 'cut', params: { after: 1, after_bytes: 1 } }, 'params.after_bytes'],
  [{ fault: 'cut', params: [] }, 'params'],
  [{ fault: 'status', params: { status: 200 } }, 'params.status'],
  [{ fault: 'status', params: { retry_after: 'a\r\nb: c' } }, 'params.retry_after'],
  [{ fault: 'error_event', params: { form: 'other' } }, 'params.form'],
  [{ fault: 'cut', when: { rate: 1.1 } }, 'when.rate'],
  [{ fault: 'cut', when: { nth: [] } }, 'when.nth'],
  [{ fault: 'cut', when: { nth: [0] } }, 'when.nth'],
  [{ fault: 'cut', when: { every: 0 } }, 'when.every'],
  [{ fault: 'cut', when: { header: 'a b' } }, 'when.header'],
  [{ fault: 'cut', when: { path: 'health' } }, 'when.path'],
  [{ fault: 'cut', when: { path: '/health' } }, 'when.path'],
  [{ fault: 'reset', when: { path: '/_sim/state' } }, 'when.path'],
  [{ fault: 'cut', when: { user: 'bob' } }, 'user'],
  [{ fault: 'cut', times: 0 }, 'times'],
  [{ fault: 'cut', rate: 0.5 }, 'rate'],
  ['cut', 'the rule'],
] as const)('%j is refused by its field', ([rule, field]) => {
  expect(refusalOf(() => readRule(rule))).toMatchObject({
    field,
    message: expect.stringContaining(`${field} `),
  });
});

test.for([
  ['cut;after', '"after"'],
  ['cut;after=1;after=2', 'after'],
  ['cut;after=many', 'params.after'],
  ['', 'fault'],
] as const)('the line "%s" is refused by its field', ([text, field]) => {
  expect(refusalOf(() => readRuleText(text))).toMatchObject({ field });
});

test('a line for one request knows no conditions', () => {
  expect(refusalOf(() => readFaultText('cut;rate=1'))).toMatchObject({ field: 'rate' });
});

function refusalOf(read: () => unknown): FieldProblem | undefined {
  try {
    read();
    return undefined;
  } catch (error) {
    return error instanceof FieldProblem ? error : undefined;
  }
}

function expectReadOrRefused(read: () => { fault: { name: string } }): void {
  try {
    expect(isFaultName(read().fault.name)).toBe(true);
  } catch (error) {
    expect(error).toBeInstanceOf(FieldProblem);
  }
}
