/**
 * The Lua scripts: each is one atomic, fenced step in the life of a job. What each takes and
 * returns stands at its head.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { ChainableCommander, Cluster } from 'ioredis';
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
  'place',
  'probe-lease',
  'quota-count',
  'quota-enter',
  'quota-give-up',
  'quota-leave',
  'release',
  'requeue',
  'runner-lease',
  'submit',
  'take-key',
  'unfollow',
] as const;
export type ScriptName = (typeof SCRIPT_NAMES)[number];

/** Scripts that call others, as functions of their KEYS and ARGV, by what those reply. */
const CALLED_BY: Partial<Record<ScriptName, readonly ScriptName[]>> = {
  submit: ['batch-line', 'create', 'ledger-enter', 'place', 'quota-enter'],
};

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
  'mark-key',
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

/** One step of several: a script, or a plain command whose keys stand before its arguments. */
export interface Step {
  readonly script?: ScriptName;
  readonly command?: 'del' | 'set' | 'srem' | 'sadd' | 'zadd' | 'zrem';
  readonly keys: readonly string[];
  readonly args: readonly Argument[];
  /** Of its outcomes (its reply, or the first of it), those behind which the next is taken. Default: any. */
  readonly goOn?: readonly string[];
}

const prelude = read('prelude');
const families = ['batch', 'ledger', 'quota'].map((name) => [`${name}-`, read(name)] as const);
const composed = new Map<string, Script>();
const scripts = loadScripts({ inCluster: false });
const clusterScripts = loadScripts({ inCluster: true });

function scriptsFor(redis: RedisClient): Record<ScriptName, Script> {
  return isCluster(redis) ? clusterScripts : scripts;
}

/** Runs a script, and sends its text where Redis does not know it yet (or not any more). */
export async function runScript(redis: RedisClient, name: ScriptName, call: ScriptCall) {
  return run(redis, scriptsFor(redis)[name], call);
}

/**
 * Takes steps one after the other, up to the first whose outcome is not one to go on with. Returns the
 * replies of those that were taken.
 *
 * On one server that is one script, so that nobody sees or leaves it half done. On a cluster, where
 * the steps' keys may be of several slots, each is sent when the one before it is answered: what a
 * crash leaves between two must be mended by others.
 *
 * `onLateError`: gets the error of a step that is not the first, whose reply is then missing. Without
 * it that is an error of all.
 */
export async function takeSteps(
  redis: RedisClient,
  steps: readonly Step[],
  onLateError?: (error: Error) => void,
): Promise<unknown[]> {
  const replies = isCluster(redis)
    ? await takeInTurn(redis, steps)
    : ((await run(redis, ...togetherOf(steps))) as unknown[]);
  const last = replies.at(-1);
  if (!(last instanceof Error)) return replies;
  if (onLateError === undefined) throw last;
  onLateError(last);
  return replies.slice(0, -1);
}

async function takeInTurn(redis: Cluster, steps: readonly Step[]): Promise<unknown[]> {
  const replies: unknown[] = [];
  for (const { script, command = '', keys, args, goOn } of steps) {
    try {
      const reply =
        script === undefined
          ? await redis.call(command, ...keys, ...args)
          : await runScript(redis, script, { keys, args });
      replies.push(reply);
      const outcome = String(Array.isArray(reply) ? reply[0] : reply);
      if (goOn !== undefined && !goOn.includes(outcome)) break;
    } catch (error) {
      if (replies.length === 0) throw error;
      return [...replies, error];
    }
  }
  return replies;
}

function togetherOf(steps: readonly Step[]): [Script, ScriptCall] {
  const args = steps.flatMap((step) =>
    step.script === undefined ? step.args : [step.args.length, ...step.args],
  );
  return [composedOf(steps), { keys: steps.flatMap(({ keys }) => keys), args }];
}

async function run(redis: RedisClient, { sha, lua }: Script, { keys, args }: ScriptCall) {
  try {
    return await redis.evalsha(sha, keys.length, ...keys, ...args);
  } catch (error) {
    if (!isNoScript(error)) throw error;
    return await redis.eval(lua, keys.length, ...keys, ...args);
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
  const entries = SCRIPT_NAMES.map((name) => {
    const lua = `${headOf([name], inCluster)}\n${bodyOf(name)}`;
    return [name, scriptOf(lua)] as const;
  });
  return Object.fromEntries(entries) as Record<ScriptName, Script>;
}

/** One script that takes such steps, whatever their arguments are: see `steps.lua`. */
function composedOf(steps: readonly Step[]): Script {
  const taken = steps.map(takingOf).join(' and ');
  const known = composed.get(taken);
  if (known !== undefined) return known;
  const names = [...new Set(steps.flatMap(({ script }) => script ?? []))].toSorted();
  const parts = [headOf(names, false), functionsOf(names), read('steps')];
  const made = scriptOf([...parts, `local _ = ${taken}`, 'return failed or replies'].join('\n'));
  composed.set(taken, made);
  return made;
}

function takingOf({ script, command, keys, args, goOn }: Step): string {
  const argCount = script === undefined ? args.length : 'nil';
  const outcomes = goOn === undefined ? 'nil' : `' ${goOn.join(' ')} '`;
  return `take('${script ?? command}', ${keys.length}, ${argCount}, ${outcomes})`;
}

/** What stands before a script, or before several together. */
function headOf(names: readonly ScriptName[], inCluster: boolean): string {
  const flags = names.every((name) => RUN_WHEN_FULL.has(name)) ? '#!lua flags=allow-oom\n' : '';
  return `${flags}local IN_CLUSTER = ${inCluster}\n${prelude}`;
}

/** A script, behind what it shares with others of its family. It knows its KEYS and ARGV only. */
function bodyOf(name: ScriptName): string {
  const [, shared = ''] = families.find(([family]) => name.startsWith(family)) ?? [];
  const called = CALLED_BY[name];
  return `${shared}\n${called === undefined ? '' : functionsOf(called)}\n${read(name)}`;
}

function functionsOf(names: readonly ScriptName[]): string {
  const functions = names.map((name) => `['${name}'] = function(KEYS, ARGV)\n${bodyOf(name)}\nend`);
  return `local STEPS = {\n${functions.join(',\n')}\n}`;
}

function scriptOf(lua: string): Script {
  return { lua, sha: createHash('sha1').update(lua).digest('hex') };
}

function read(name: string): string {
  return readFileSync(new URL(`scripts/${name}.lua`, import.meta.url), 'utf8');
}
