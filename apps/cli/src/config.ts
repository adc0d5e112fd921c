/** What `qarr up` should start: the environment and the configuration file, read once. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { createDeployment, readRedisUrl } from '@qarr/router-core';
import type { Deployment, RoutingPolicy, TierConfig } from '@qarr/router-core';
import { parse } from 'yaml';
import { badValue, messageOf } from './cli-error.ts';
import { WORKERS_MAX } from './worker-counts.ts';

const DEFAULT_CONFIG_FILE = 'qarr.config.yaml';
const PORT_MAX = 65_535;
/** The simulator's own limit. */
const SIM_TIME_SCALE_MAX = 1000;
/** A worker's own limit. */
const ENGINES_MAX = 64;

const KEY_SECRETS = ['QARR_KEY_SECRETS', 'QARR_KEY_SECRETS_FILE'];
/** Either says where files lie. */
const FILE_STORES = ['QARR_FILES_DIR', 'QARR_FILES_S3_BUCKET'];
const FILE_STORE_SECRETS = [
  'QARR_FILES_S3_ACCESS_KEY_ID',
  'QARR_FILES_S3_SECRET_ACCESS_KEY',
  'QARR_FILES_S3_SECRET_ACCESS_KEY_FILE',
  'AWS_ACCESS_KEY_ID',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_SESSION_TOKEN',
];

export interface UpConfig {
  /** The folder in which it runs; everything that it writes lies in `.qarr` there. */
  readonly folder: string;
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly opsHost: string;
  /** 0: any free port. */
  readonly opsPort: number;
  /** Null: a Redis of its own. */
  readonly redisUrl: string | null;
  /** Absolute path; null when there is no file. */
  readonly configFile: string | null;
  readonly tiers: readonly TierPlan[];
  /** Factor on the simulators' times: 0.5 is twice as fast. Null: as fast as the real cards. */
  readonly simTimeScale: string | null;
  /** Whether a terminal may be coloured (https://no-color.org). */
  readonly colours: boolean;
  /** What webhooks are signed with; for the API alone. */
  readonly webhookSecrets: string | null;
  /** The variables that turn keys on; for the API alone. Null: there are no keys. */
  readonly keySecrets: NodeJS.ProcessEnv | null;
  /** Files lie where the environment says; otherwise in the folder. */
  readonly hasFileStore: boolean;
  /** What the file store is asked with; for the API and the batch runner alone. */
  readonly fileStoreSecrets: NodeJS.ProcessEnv;
  /** What the processes inherit: everything but keys, secrets and what is set for each. */
  readonly childEnv: NodeJS.ProcessEnv;
}

export interface TierPlan {
  readonly name: string;
  readonly precision: string;
  readonly model: string | null;
  readonly maxModelLen: number;
  /** Engines that run already; empty: a simulator is started. */
  readonly engineUrls: readonly string[];
  /** Where the URLs come from, for messages: a variable or the configuration file. */
  readonly engineSource: string;
  readonly engineApiKey: string | null;
  readonly workers: number;
}

/** Throws a CliError of one line that names the variable and what is allowed. */
export function readConfig({
  env = process.env,
  folder = process.cwd(),
  workers = new Map(),
}: {
  env?: NodeJS.ProcessEnv;
  folder?: string;
  /** By the names of tiers; what is said here is not looked up in the environment. */
  workers?: ReadonlyMap<string, number>;
} = {}): UpConfig {
  const port = wholeNumber({ env, name: 'PORT', min: 0, max: PORT_MAX, ifUnset: 8080 });
  const opsPort = wholeNumber({ env, name: 'OPS_PORT', min: 0, max: PORT_MAX, ifUnset: 9464 });
  if (port !== 0 && port === opsPort) {
    throw badValue(`OPS_PORT must differ from PORT (both are ${port})`);
  }
  const { configFile, deployment } = readDeployment({ env, folder });
  const tiers = deployment.tiers.map((tier) => planTier(tier, { env, configFile, workers }));
  refuseUnknownTiers({ env, workers, tiers });
  const keySecrets = keySecretsIn(env);
  return Object.freeze({
    folder,
    host: text(env, 'HOST') ?? '127.0.0.1',
    port,
    opsHost: text(env, 'OPS_HOST') ?? '127.0.0.1',
    opsPort,
    redisUrl: redisUrl(env),
    configFile,
    tiers,
    simTimeScale: simTimeScale(env),
    colours: usesColours(env),
    webhookSecrets: text(env, 'QARR_WEBHOOK_SECRETS'),
    keySecrets,
    hasFileStore: FILE_STORES.some((name) => text(env, name) !== null),
    fileStoreSecrets: thoseSet(env, FILE_STORE_SECRETS),
    childEnv: inheritable(env, tiers),
  });
}

export function usesColours(env: NodeJS.ProcessEnv = process.env): boolean {
  return text(env, 'NO_COLOR') === null;
}

/** What `qarr keys` hands on to the API's tool. */
export function readToolEnvironment(): { folder: string; env: NodeJS.ProcessEnv } {
  return { folder: process.cwd(), env: process.env };
}

/**
 * A file as the user named it. `npm run qarr` runs in the folder of the project, wherever it was
 * typed: npm says where that was.
 */
export function fileAsTyped(file: string, env: NodeJS.ProcessEnv = process.env): string {
  const typedIn = env['npm_lifecycle_event'] === 'qarr' ? env['INIT_CWD'] : undefined;
  return typedIn === undefined || typedIn === process.cwd() ? file : path.resolve(typedIn, file);
}

/** By the configuration file of this folder, or the default. */
export function readRoutingPolicy(): RoutingPolicy {
  return readDeployment({ env: process.env, folder: process.cwd() }).deployment.policy;
}

/** The key that commands show to the API. */
export function readApiKey(env: NodeJS.ProcessEnv = process.env): string | undefined {
  return text(env, 'QARR_API_KEY') ?? undefined;
}

const API_PROTOCOLS = ['http:', 'https:'];

/** Where the API is that a command asks: as given, or the one that `qarr up` starts. */
export function readApiUrl({
  given,
  env = process.env,
}: {
  given: string | undefined;
  env?: NodeJS.ProcessEnv;
}): string {
  if (given === undefined) {
    const port = wholeNumber({ env, name: 'PORT', min: 1, max: PORT_MAX, ifUnset: 8080 });
    return `http://127.0.0.1:${port}`;
  }
  const parsed = URL.parse(given);
  if (parsed === null || !isUrl(given, API_PROTOCOLS)) throw badUrl('--url', API_PROTOCOLS);
  if (parsed.username !== '' || parsed.password !== '') {
    throw badValue('--url must not hold a user or a password');
  }
  return `${parsed.origin}${parsed.pathname}`.replace(/\/+$/, '');
}

function readDeployment({ env, folder }: { env: NodeJS.ProcessEnv; folder: string }): {
  configFile: string | null;
  deployment: Deployment;
} {
  const named = text(env, 'QARR_CONFIG');
  const configFile = path.resolve(folder, named ?? DEFAULT_CONFIG_FILE);
  let source: string;
  try {
    source = readFileSync(configFile, 'utf8');
  } catch (error) {
    const isAbsent = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    if (isAbsent && named === null) {
      return { configFile: null, deployment: createDeployment(undefined) };
    }
    throw badValue(`QARR_CONFIG must name a file that can be read: ${messageOf(error)}`);
  }
  try {
    return { configFile, deployment: createDeployment(parse(source)) };
  } catch (error) {
    throw badValue(`${named ?? DEFAULT_CONFIG_FILE}: ${messageOf(error)}`);
  }
}

function planTier(
  tier: TierConfig,
  {
    env,
    configFile,
    workers,
  }: {
    env: NodeJS.ProcessEnv;
    configFile: string | null;
    workers: ReadonlyMap<string, number>;
  },
): TierPlan {
  const prefix = variableName(tier.name);
  const given = engineUrlsIn({ env, name: `QARR_${prefix}_URL` });
  const engineUrls = given ?? tier.upstreams;
  return {
    name: tier.name,
    precision: tier.precision,
    model: tier.model ?? null,
    maxModelLen: tier.max_model_len,
    engineUrls,
    engineSource: given === null ? path.basename(configFile ?? '') : `QARR_${prefix}_URL`,
    engineApiKey: text(env, `QARR_${prefix}_API_KEY`),
    workers:
      workers.get(tier.name) ??
      wholeNumber({
        env,
        name: `QARR_WORKERS_${prefix}`,
        min: 1,
        max: WORKERS_MAX,
        // Where it is not said otherwise, each engine gets its worker.
        ifUnset: Math.min(Math.max(engineUrls.length, 1), WORKERS_MAX),
      }),
  };
}

/** The name of a tier that does not exist is a typing error, and would be ignored in silence. */
function refuseUnknownTiers({
  env,
  workers,
  tiers,
}: {
  env: NodeJS.ProcessEnv;
  workers: ReadonlyMap<string, number>;
  tiers: readonly TierPlan[];
}): void {
  const named = tiers.map((plan) => plan.name);
  const unknown = [...workers.keys()].find((name) => !named.includes(name));
  if (unknown !== undefined) {
    throw badValue(`--workers names no tier with ${unknown}; the tiers are ${named.join(', ')}`);
  }
  // `QARR_UPSTREAM_URL` is a worker's own.
  const known = new Set([...tiers.map(({ name }) => variableName(name)), 'UPSTREAM']);
  for (const name of Object.keys(env)) {
    const match = /^QARR_(?:WORKERS_(\w+)|(\w+)_(?:URL|API_KEY))$/.exec(name);
    const tier = match?.[1] ?? match?.[2];
    if (tier === undefined || known.has(tier) || text(env, name) === null) continue;
    const names = tiers.map((plan) => variableName(plan.name)).join(', ');
    throw badValue(`${name} names no tier; the tiers are ${names}`);
  }
}

/** `high-precision` -> `HIGH_PRECISION`. */
function variableName(tierName: string): string {
  return tierName.toUpperCase().replaceAll('-', '_');
}

/** A key is given to the workers of its tier only, and what describes one worker to none. */
function inheritable(env: NodeJS.ProcessEnv, tiers: readonly TierPlan[]): NodeJS.ProcessEnv {
  const keys = tiers.map((tier) => `QARR_${variableName(tier.name)}_API_KEY`);
  const withheld = new Set([
    ...keys,
    'QARR_UPSTREAM_URL',
    'QARR_UPSTREAM_API_KEY',
    'QARR_WEBHOOK_SECRETS',
    ...KEY_SECRETS,
    ...FILE_STORE_SECRETS,
    'QARR_API_KEY',
    'QARR_CONFIG',
  ]);
  return {
    // For trying things out on one machine a Redis as it comes will do; the API warns of it.
    QARR_ALLOW_VOLATILE_REDIS: 'true',
    ...Object.fromEntries(Object.entries(env).filter(([name]) => !withheld.has(name))),
  };
}

/** That they are good, and that without them only this machine may come, is the API's to say. */
function keySecretsIn(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv | null {
  const secrets = thoseSet(env, KEY_SECRETS);
  return Object.keys(secrets).length === 0 ? null : secrets;
}

function thoseSet(env: NodeJS.ProcessEnv, names: readonly string[]): NodeJS.ProcessEnv {
  const set = names.filter((name) => text(env, name) !== null);
  return Object.fromEntries(set.map((name) => [name, env[name]]));
}

/** Set to nothing is the same as not set. */
function text(env: NodeJS.ProcessEnv, name: string): string | null {
  const value = env[name]?.trim() ?? '';
  return value === '' ? null : value;
}

function wholeNumber({
  env,
  name,
  min,
  max,
  ifUnset,
}: {
  env: NodeJS.ProcessEnv;
  name: string;
  min: number;
  max: number;
  ifUnset: number;
}): number {
  const value = text(env, name);
  if (value === null) return ifUnset;
  const number = /^\d{1,6}$/.test(value) ? Number(value) : Number.NaN;
  if (number >= min && number <= max) return number;
  throw badValue(`${name} must be a whole number from ${min} to ${max} (it is "${value}")`);
}

function simTimeScale(env: NodeJS.ProcessEnv): string | null {
  const value = text(env, 'QARR_SIM_TIME_SCALE');
  if (value === null) return null;
  if (/^\d+(?:\.\d+)?$/.test(value) && Number(value) <= SIM_TIME_SCALE_MAX) return value;
  throw badValue(
    `QARR_SIM_TIME_SCALE must be a number from 0 to ${SIM_TIME_SCALE_MAX} (it is "${value}")`,
  );
}

/** A list that is separated by commas; null when it is not set. */
function engineUrlsIn({
  env,
  name,
}: {
  env: NodeJS.ProcessEnv;
  name: string;
}): readonly string[] | null {
  const items = (text(env, name) ?? '')
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
  if (items.length === 0) return null;
  const protocols = ['http:', 'https:'];
  if (!items.every((item) => isUrl(item, protocols))) throw badUrl(name, protocols);
  const engines = new Set(items.map((item) => item.replace(/\/+$/, '').replace(/\/v1$/, '')));
  if (engines.size < items.length) throw badValue(`${name} must name each engine once`);
  if (items.length > ENGINES_MAX) throw badValue(`${name} must be at most ${ENGINES_MAX} engines`);
  return items;
}

function redisUrl(env: NodeJS.ProcessEnv): string | null {
  const value = text(env, 'REDIS_URL');
  if (value === null) return null;
  const read = readRedisUrl(value);
  if (read.kind === 'invalid') throw badValue(`REDIS_URL ${read.problem}`);
  return value;
}

function isUrl(value: string, protocols: readonly string[]): boolean {
  const parsed = URL.parse(value);
  return parsed !== null && parsed.hostname !== '' && protocols.includes(parsed.protocol);
}

/** The value is not repeated: it may hold a password. */
function badUrl(name: string, protocols: readonly string[]): Error {
  const forms = protocols.map((protocol) => `${protocol}//…`).join(' or ');
  return badValue(`${name} must be a URL that begins with ${forms}`);
}
