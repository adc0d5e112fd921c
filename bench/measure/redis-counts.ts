/** What a Redis was asked for: counted by itself, those calls included that scripts make. */
import type { Redis } from 'ioredis';

/** Calls since the start of the server, by command. */
export type CommandCounts = Readonly<Record<string, number>>;

export async function readCommandCounts(redis: Redis): Promise<CommandCounts> {
  return commandCountsIn(await redis.info('commandstats'));
}

export function commandCountsIn(info: string): CommandCounts {
  const calls = [...info.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm)];
  return Object.fromEntries(calls.map(([, name = '', count]) => [name, Number(count)]));
}

/** Only what was called in between. */
export function countsBetween(before: CommandCounts, after: CommandCounts): CommandCounts {
  const names = Object.keys(after).filter((name) => after[name] !== (before[name] ?? 0));
  return Object.fromEntries(names.map((name) => [name, (after[name] ?? 0) - (before[name] ?? 0)]));
}
