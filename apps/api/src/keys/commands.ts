/** The commands of the operator's tool. What they print of a key is shown once and stored nowhere. */
import { parseArgs } from 'node:util';
import { createKeyStore } from '@qarr/job-store';
import type { ApiKeys } from '@qarr/job-store';
import { ConfigurationError } from '@qarr/process';
import { isUsable, keyGrantSchema } from '@qarr/router-core';
import type { ApiKey, KeyGrant } from '@qarr/router-core';
import type { ToolConfig } from './config.ts';
import { createDigests, hasKeyForm, lastFour, newKeyText } from './key-text.ts';
import type { Digests } from './key-text.ts';

export const HELP = `usage: qarr keys <command>

  create --owner NAME      make a key for a tenant, and print it once
    --scopes LIST            of submit, read, cancel, batch, admin (submit,read,cancel)
    --max-class CLASS        interactive, standard or batch (interactive)
    --rpm N                  requests that make jobs, per minute (no limit)
    --concurrency N          jobs that wait or run at once (no limit)
    --tokens-per-day N       of prompts and answers, per day of UTC (no limit)
    --expires-in TIME        such as 90d, 12h or 15m (never)
  list                     show all keys, newest first
  revoke ID                end a key; every API process knows within 5 s
  rotate ID                give a key a new text, and print it once
    --overlap TIME           how long the former one is good for (0s)

  --json                   print JSON

It needs QARR_KEY_SECRETS as the API has it, and REDIS_URL or a running \`qarr up\` in this folder.
`;

const OPTIONS = {
  owner: { type: 'string' },
  scopes: { type: 'string', default: 'submit,read,cancel' },
  'max-class': { type: 'string', default: 'interactive' },
  rpm: { type: 'string' },
  concurrency: { type: 'string' },
  'tokens-per-day': { type: 'string' },
  'expires-in': { type: 'string' },
  overlap: { type: 'string', default: '0s' },
  json: { type: 'boolean', default: false },
} as const;

/** The options that each command knows, beside --json. */
const COMMANDS: Readonly<Record<string, readonly string[]>> = {
  create: ['owner', 'scopes', 'max-class', 'rpm', 'concurrency', 'tokens-per-day', 'expires-in'],
  list: [],
  revoke: [],
  rotate: ['overlap'],
};
const FIELD_OPTIONS: Readonly<Record<string, string>> = {
  maxClass: 'max-class',
  tokensPerDay: 'tokens-per-day',
};
const UNITS_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const DURATION_MS_MAX = 3_650 * UNITS_MS.d;

export interface CommandDeps {
  readonly readConfig: () => ToolConfig;
  /** What was asked for: for programs, too. */
  readonly say: (line: string) => void;
  /** What people should know of it. */
  readonly remark: (line: string) => void;
}

type Values = ReturnType<typeof parse>['values'];

/** Throws a ConfigurationError of one line where it is used in a wrong way. */
export async function runCommand(args: readonly string[], deps: CommandDeps): Promise<void> {
  const { command, id, values } = readArguments(args);
  const grant = command === 'create' ? grantOf(values) : null;
  const lifeMs = values['expires-in'] === undefined ? null : durationOf(values, 'expires-in');
  const overlapMs = durationOf(values, 'overlap');
  const { redisUrl, secrets } = deps.readConfig();
  const digests = createDigests(secrets);
  const store = await createKeyStore({ redisUrl, onError: () => {} });
  const text = newKeyText();
  const newText = { digest: digests.newest(text), lastFour: lastFour(text) };
  try {
    if (grant !== null) {
      const key = await store.create(grant, newText, { lifeMs });
      if (key === null) throw new Error('there are too many keys; revoke some that nobody uses');
      await warnOfSecret(store, { digests, deps });
      showText(key, { text, digests, values, deps });
    } else if (command === 'list') {
      await list(store, { digests, values, deps });
    } else if (command === 'revoke') {
      const key = required(await store.revoke(id), id);
      if (values.json) deps.say(JSON.stringify(shown(key, digests)));
      else deps.say(`${key.id} of ${key.owner} is revoked; every API process knows within 5 s`);
    } else {
      showText(required(await store.rotate(id, newText, { overlapMs }), id), {
        text,
        digests,
        values,
        deps,
      });
    }
  } finally {
    await store.stop();
  }
}

function readArguments(args: readonly string[]): { command: string; id: string; values: Values } {
  const { values, positionals, tokens } = parse(args);
  const [command = '', id = '', ...others] = positionals;
  const known = COMMANDS[command];
  if (known === undefined) {
    throw new ConfigurationError(
      `there is no command ${JSON.stringify(command)}: use create, list, revoke or rotate`,
    );
  }
  const option = tokens.find((token) => token.kind === 'option' && !isKnown(token.name, known));
  if (option?.kind === 'option') {
    throw new ConfigurationError(`${command} has no option ${option.rawName}`);
  }
  const takesId = command === 'revoke' || command === 'rotate';
  if ((id !== '') !== takesId || others.length > 0) {
    throw new ConfigurationError(
      takesId ? `${command} takes the id of one key, as list shows it` : `${command} takes no id`,
    );
  }
  return { command, id, values };
}

function isKnown(name: string, known: readonly string[]): boolean {
  return name === 'json' || known.includes(name);
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true, tokens: true });
  } catch (error) {
    const words = (error as Error).message.split(/\.\s/, 1)[0] ?? '';
    // Of a value that begins like an option.
    const [, option] = /^Option '(--[\w-]+)\b.*ambiguous$/.exec(words) ?? [];
    throw new ConfigurationError(
      option === undefined ? words : `${option}: must be followed by a value`,
      {
        cause: error,
      },
    );
  }
}

function grantOf(values: Values): KeyGrant {
  if (values.owner === undefined) throw new ConfigurationError('--owner: say whose key it is');
  const scopes = values.scopes.split(',').map((scope) => scope.trim());
  const parsed = keyGrantSchema.safeParse({
    owner: values.owner,
    scopes: [...new Set(scopes)],
    maxClass: values['max-class'],
    rpm: numberOf(values.rpm),
    concurrency: numberOf(values.concurrency),
    tokensPerDay: numberOf(values['tokens-per-day']),
  });
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const field = String(issue?.path[0] ?? '');
  throw new ConfigurationError(`--${FIELD_OPTIONS[field] ?? field}: ${issue?.message}`);
}

function numberOf(text: string | undefined): number | null {
  if (text === undefined) return null;
  return /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
}

function durationOf(values: Values, name: 'expires-in' | 'overlap'): number {
  const [, count = '', unit = ''] = /^(\d{1,9})([smhd])$/.exec(values[name] ?? '') ?? [];
  const ms = Number(count) * UNITS_MS[(unit || 's') as keyof typeof UNITS_MS];
  const min = name === 'overlap' ? 0 : 1;
  if (unit !== '' && ms >= min && ms <= DURATION_MS_MAX) return ms;
  throw new ConfigurationError(
    `--${name}: must be a time such as 30s, 15m, 12h or 90d, up to ten years`,
  );
}

function required(key: ApiKey | null, id: string): ApiKey {
  if (key !== null) return key;
  if (hasKeyForm(id)) throw new Error('that is a key: give its id, as list shows it');
  throw new Error(`there is no usable key ${JSON.stringify(id.slice(0, 64))}`);
}

/** The text stands alone on stdout, so that a script can take it. */
function showText(
  key: ApiKey,
  {
    text,
    digests,
    values,
    deps,
  }: { text: string; digests: Digests; values: Values; deps: CommandDeps },
): void {
  if (values.json) {
    deps.say(JSON.stringify({ ...shown(key, digests), key: text }));
    return;
  }
  deps.remark(`${key.id} of ${key.owner}: the key is shown once, keep it now`);
  deps.say(text);
}

async function list(
  store: Pick<ApiKeys, 'list'>,
  { digests, values, deps }: { digests: Digests; values: Values; deps: CommandDeps },
): Promise<void> {
  const keys = await store.list();
  if (values.json) {
    deps.say(JSON.stringify(keys.map((key) => shown(key, digests))));
    return;
  }
  const rows = keys.map((key) => rowOf(key, digests));
  const head = ['ID', 'KEY', 'OWNER', 'STATE', 'SCOPES', 'CLASS', 'RPM', 'JOBS', 'TOKENS/DAY'];
  const widths = head.map((name, at) =>
    Math.max(name.length, ...rows.map((row) => row[at]?.length ?? 0)),
  );
  for (const row of [head, ...rows]) {
    deps.say(
      row
        .map((cell, at) => cell.padEnd(widths[at] ?? 0))
        .join('  ')
        .trimEnd(),
    );
  }
}

function rowOf(key: ApiKey, digests: Digests): string[] {
  const limits = [key.rpm, key.concurrency, key.tokensPerDay];
  return [
    key.id,
    `…${key.texts[0]?.lastFour ?? ''}`,
    key.owner,
    stateOf(key, digests),
    key.scopes.join(','),
    key.maxClass,
    ...limits.map((limit) => (limit === null ? '-' : String(limit))),
  ];
}

/** `other-secret`: it is good for an API that has another secret than this tool. */
function stateOf(key: ApiKey, digests: Digests): 'active' | 'revoked' | 'expired' | 'other-secret' {
  if (key.revokedAt !== null) return 'revoked';
  const now = Date.now();
  if (!isUsable(key, now)) return 'expired';
  const texts = key.texts.filter(({ digest }) => digests.isUnder(digest));
  return isUsable({ ...key, texts }, now) ? 'active' : 'other-secret';
}

/** A key that was made under a secret that the API does not have would never be taken. */
async function warnOfSecret(
  store: Pick<ApiKeys, 'list'>,
  { digests, deps }: { digests: Digests; deps: CommandDeps },
): Promise<void> {
  const states = (await store.list()).map((key) => stateOf(key, digests));
  const others = states.filter((state) => state === 'other-secret').length;
  // The new one is active.
  if (others === 0 || states.filter((state) => state === 'active').length > 1) return;
  deps.remark(
    `the ${others} other keys were made under another secret: is QARR_KEY_SECRETS the one that the API has?`,
  );
}

function shown(key: ApiKey, digests: Digests) {
  const [newest] = key.texts;
  return {
    id: key.id,
    owner: key.owner,
    state: stateOf(key, digests),
    last_four: newest?.lastFour ?? '',
    scopes: key.scopes,
    max_class: key.maxClass,
    rpm: key.rpm,
    concurrency: key.concurrency,
    tokens_per_day: key.tokensPerDay,
    created_at: iso(key.createdAt),
    expires_at: newest?.until ? iso(newest.until) : null,
    revoked_at: key.revokedAt === null ? null : iso(key.revokedAt),
  };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
