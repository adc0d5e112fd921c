import { expect, it } from 'vitest';
import { describeRedis, readRedisUrl } from './redis-address.ts';

const nobody = { username: undefined, password: undefined };

it.each([
  [
    'redis://127.0.0.1:6379',
    { kind: 'server', node: { host: '127.0.0.1', port: 6379 }, database: 0, tls: false, ...nobody },
  ],
  [
    'rediss://ann:p%40ss%3A%2F@[::1]/3',
    {
      kind: 'server',
      node: { host: '::1', port: 6379 },
      database: 3,
      tls: true,
      username: 'ann',
      password: 'p@ss:/',
    },
  ],
  [
    'redis+sentinel://:secret@a:26380,b/my%20primary?sentinel_username=s&sentinel_password=p%26q',
    {
      kind: 'sentinel',
      sentinels: [
        { host: 'a', port: 26_380 },
        { host: 'b', port: 26_379 },
      ],
      name: 'my primary',
      tls: false,
      username: undefined,
      password: 'secret',
      sentinelUsername: 's',
      sentinelPassword: 'p&q',
    },
  ],
  [
    'rediss+cluster://ann:pw@a:7000,b.example.org:7001,[fd00::2]:7002/',
    {
      kind: 'cluster',
      nodes: [
        { host: 'a', port: 7000 },
        { host: 'b.example.org', port: 7001 },
        { host: 'fd00::2', port: 7002 },
      ],
      tls: true,
      username: 'ann',
      password: 'pw',
    },
  ],
])('reads %s', (url, address) => {
  expect(readRedisUrl(url)).toEqual(address);
});

it.each([
  ['', 'must be a URL'],
  ['localhost:6379', 'must be a URL'],
  ['http://localhost:6379', 'must be a URL'],
  ['redis+sentinels://h/x', 'must be a URL'],
  ['redis://', 'must be a URL'],
  ['redis://hunter2@a@b', 'must be a URL'],
  ['redis://h:0', 'host:port'],
  ['redis://h:65536', 'host:port'],
  ['redis://h:hunter2', 'host:port'],
  ['redis+cluster://a:7000,,b:7001', 'host:port'],
  ['redis://a:1,b:2', 'several servers'],
  ['redis://h/one', 'number of a database'],
  ['redis+cluster://h:7000/1', 'must not name a database'],
  ['redis+sentinel://h:26379', 'name of the primary'],
  ['redis+sentinel://h:26379/', 'name of the primary'],
  ['redis+sentinel://h/x?sentinel_pasword=hunter2', 'option that is not known'],
  ['redis://h?db=hunter2', 'option that is not known'],
  ['redis://ann:hunter2%@h', 'password that is not percent-encoded'],
])('refuses %s in one line that repeats no secret', (url, reason) => {
  const read = readRedisUrl(url);
  if (read.kind !== 'invalid') throw new Error('It was taken');
  expect(read.problem).toContain(reason);
  expect(read.problem).not.toContain('hunter2');
  expect(read.problem).not.toContain('\n');
});

it.each([
  ['rediss://ann:hunter2@h:1/2', 'h:1'],
  ['redis+sentinel://:hunter2@a,b/main', 'main of the sentinels a:26379, b:26379'],
  ['redis+cluster://:hunter2@a,[::1]:7', 'the cluster of a:6379, [::1]:7'],
  ['hunter2', 'an address that cannot be read'],
])('describes %s without its password', (url, text) => {
  expect(describeRedis(url)).toBe(text);
});
