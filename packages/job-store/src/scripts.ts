/**
 * The Lua scripts: each is one atomic, fenced step in the life of a job. What each takes and
 * returns stands at its head.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { ChainableCommander } from 'ioredis';
import { isCluster, pipelineOf } from './redis-client.ts';
import type { RedisClient } from './redis-client.ts';

const SCRIPT_NAMES = [
  'append',
  'batch-cancel',
  'batch-commit',
  'batch-create',
  'batch-expire',
  'batch-finalizing',
  'batch-finish',
  'batch-line',
  'batch-open',
  'batch-validated',
  'breaker-say',
  'bury',
  'cancel',
  'claim',
  'create',
  'delete',
  'expire',
  'file-create',
  'file-expire',
  'file-remove',
  'finish',
  'follow',
  'forget',
  'key-write',
  'ledger-enter',
  'ledger-leave',
  'ledger-read',
  'ledger-return',
  'ledger-start',
  'mark-key',
  'move',
  'owner-batch',
  'probe-lease',
  'quota-count',
  'quota-enter',
  'quota-give-up',
  'quota-leave',
  'release',
  'requeue',
  'runner-lease',
  'take-key',
  'unfollow',
] as const;
export type ScriptName = (typeof SCRIPT_NAMES)[number];

/**
 * A Redis that is full still runs these: they end jobs, make room or guard engines, and what they
 * write is small or was admitted before.
 */
const RUN_WHEN_FULL: ReadonlySet<ScriptName> = new Set([
  'append',
  'batch-cancel',
  'batch-commit',
  'batch-expire',
  'batch-finalizing',
  'batch-finish',
  'batch-line',
  'batch-open',
  'batch-validated',
  'breaker-say',
  'cancel',
  'delete',
  'expire',
  'file-create',
  'file-expire',
  'file-remove',
  'finish',
  'forget',
  'ledger-leave',
  'ledger-read',
  'ledger-return',
  'ledger-start',
  'owner-batch',
  'probe-lease',
  'quota-count',
  'quota-give-up',
  'quota-leave',
  'requeue',
  'runner-lease',
]);

interface Script {
  readonly lua: string;
  readonly sha: string;
}

type Argument = string | number;

export interface ScriptCall {
  readonly keys: readonly string[];
  readonly args: readonly Argument[];
}

const scripts = loadScripts({ inCluster: false });
const clusterScripts = loadScripts({ inCluster: true });

function scriptsFor(redis: RedisClient): Record<ScriptName, Script> {
  return isCluster(redis) ? clusterScripts : scripts;
}

/** Runs a script, and sends its text where Redis does not know it yet (or not any more). */
export async function runScript(redis: RedisClient, name: ScriptName, call: ScriptCall) {
  const { sha, lua } = scriptsFor(redis)[name];
  try {
    return await redis.evalsha(sha, call.keys.length, ...call.keys, ...call.args);
  } catch (error) {
    if (!isNoScript(error)) throw error;
    return await redis.eval(lua, call.keys.length, ...call.keys, ...call.args);
  }
}

/** Runs a script for each of these calls in one pipeline; a call that fails answers its error. */
export async function runScriptForEach(
  redis: RedisClient,
  name: ScriptName,
  calls: readonly ScriptCall[],
): Promise<unknown[]> {
  const pipeline = pipelineOf(redis);
  for (const call of calls) pipeScript(redis, pipeline, { name, call });
  const replies = (await pipeline.exec()) ?? [];
  return Promise.all(
    calls.map(async (call, index) => {
      const [error, reply] = replies[index] ?? [new Error('No reply'), null];
      if (error === null) return reply;
      if (!isNoScript(error)) return error;
      return runScript(redis, name, call).catch((failure: Error) => failure);
    }),
  );
}

/** Adds a script to a pipeline of this Redis. Its reply may be a NOSCRIPT error: see `isNoScript`. */
function pipeScript(
  redis: RedisClient,
  pipeline: ChainableCommander,
  { name, call: { keys, args } }: { name: ScriptName; call: ScriptCall },
): void {
  pipeline.evalsha(scriptsFor(redis)[name].sha, keys.length, ...keys, ...args);
}

function isNoScript(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('NOSCRIPT');
}

function loadScripts({ inCluster }: { inCluster: boolean }): Record<ScriptName, Script> {
  const prelude = `local IN_CLUSTER = ${inCluster}\n${read('prelude')}`;
  const families = {
    'batch-': read('batch'),
    'ledger-': read('ledger'),
    'quota-': read('quota'),
  };
  const entries = SCRIPT_NAMES.map((name) => {
    const flags = RUN_WHEN_FULL.has(name) ? '#!lua flags=allow-oom\n' : '';
    const own = Object.entries(families).filter(([family]) => name.startsWith(family));
    const shared = [prelude, ...own.map(([, text]) => text)].join('\n');
    const lua = `${flags}${shared}\n${read(name)}`;
    return [name, { lua, sha: createHash('sha1').update(lua).digest('hex') }] as const;
  });
  return Object.fromEntries(entries) as Record<ScriptName, Script>;
}

function read(name: string): string {
  return readFileSync(new URL(`scripts/${name}.lua`, import.meta.url), 'utf8');
}
