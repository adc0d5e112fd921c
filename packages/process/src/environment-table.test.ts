import { expect, it } from 'vitest';
import { z } from 'zod';
import { wholeNumber } from './environment.ts';
import { environmentTable } from './environment-table.ts';

it('shows default, limits and meaning of each variable', () => {
  const schema = z.object({
    SIZE: wholeNumber(1, 9).default(3).describe('How big'),
    KIND: z.enum(['a', 'b']).optional().describe('Which'),
  });
  expect(environmentTable(schema)).toEqual([
    '| `SIZE` | `3` | 1 to 9 | How big |',
    '| `KIND` |  | `a` `b` | Which |',
  ]);
});

it('insists on a description', () => {
  expect(() => environmentTable(z.object({ SIZE: z.string() }))).toThrow('SIZE');
});
