import { expect, it } from 'vitest';
import { nodesToTry } from './subscription.ts';

it('tries the nodes that a cluster names, and those that were given: all may get new addresses', () => {
  const given = [
    { host: 'redis', port: 7000 },
    { host: '10.0.0.1', port: 7001 },
  ];
  const found = nodesToTry(given, [
    [0, 8_191, ['10.0.0.1', 7001, 'id'], ['10.0.0.2', 7002, 'id']],
    // It does not know its own address.
    [8_192, 16_383, [null, 7003, 'id']],
  ]);
  expect(found).toEqual([...given, { host: '10.0.0.2', port: 7002 }]);
});
