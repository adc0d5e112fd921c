import { expect, it } from 'vitest';
import { OutcomesDamaged } from './finalize-batch.ts';
import { withoutContent } from './plain-error.ts';

it('tells the message of an error only where it is our own', () => {
  const told = withoutContent(new OutcomesDamaged('The segment is not what was written'));
  const message = 'The segment is not what was written';
  expect(told).toMatchObject({ type: 'OutcomesDamaged', message });
  expect(told.stack).toMatch(/^ {4}at .*plain-error\.test/);

  const foreign = withoutContent(new SyntaxError('Unexpected token: a prompt\n    and more'));
  expect(foreign.type).toBe('SyntaxError');
  expect(JSON.stringify(foreign)).not.toMatch(/prompt|and more/);
  expect(withoutContent('a prompt')).toEqual({ type: 'string', stack: '' });
});
