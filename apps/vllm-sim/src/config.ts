import { parseArgs, type ParseArgsOptionsConfig } from 'node:util';
import { findPersona, type Persona, PERSONA_NAMES } from './personas.ts';
import { findProfile, type Profile, PROFILE_NAMES } from './profiles.ts';

/** What one simulator is told at its start. */
export type Config = {
  readonly host: string;
  /** 0 means any free port. */
  readonly port: number;
  readonly profile: Profile;
  readonly persona: Persona;
  readonly seed: number;
  readonly sequencesMax: number;
  readonly modelLenMax: number;
  readonly modelNames: readonly [string, ...string[]];
  /** Factor on all times: 0.5 is twice as fast. */
  readonly timeScale: number;
  readonly apiKey: string | undefined;
  /** Every response names its request. */
  readonly requestIdHeaders: boolean;
  /** 0 means never. */
  readonly keepAliveIntervalMs: number;
  readonly loadTracking: boolean;
};

export type ConfigResult =
  | { kind: 'config'; config: Config }
  | { kind: 'help'; text: string }
  /** One line for the person who typed the flags. */
  | { kind: 'refused'; message: string };

const OPTIONS = {
  port: { type: 'string', default: '8000' },
  host: { type: 'string', default: '127.0.0.1' },
  profile: { type: 'string', default: 'awq-24gb' },
  persona: { type: 'string', default: 'current' },
  seed: { type: 'string', default: '0' },
  'max-num-seqs': { type: 'string', default: '256' },
  'max-model-len': { type: 'string', default: '8192' },
  'served-model-name': { type: 'string', multiple: true, default: ['qarr-sim'] },
  'time-scale': { type: 'string', default: '1' },
  'api-key': { type: 'string' },
  'enable-request-id-headers': { type: 'boolean', default: false },
  'sse-keep-alive-interval': { type: 'string', default: '0' },
  'enable-server-load-tracking': { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} satisfies ParseArgsOptionsConfig;

const HELP: Record<keyof typeof OPTIONS, string> = {
  port: 'TCP port; 0 takes any free one',
  host: 'address to listen on',
  profile: `card and precision whose times are kept: ${PROFILE_NAMES.join(', ')}`,
  persona: `version of vLLM whose protocol is spoken: ${PERSONA_NAMES.join(', ')}`,
  seed: 'same seed and prompt, same text',
  'max-num-seqs': 'sequences in one step; the others wait',
  'max-model-len': 'context window, in tokens',
  'served-model-name': 'model name; repeat it for aliases, the first is the one in answers',
  'time-scale': 'factor on all times; 0.5 is twice as fast',
  'api-key': 'asks for this bearer key on /v1',
  'enable-request-id-headers': 'sends X-Request-Id with every response',
  'sse-keep-alive-interval': 'seconds of silence after which a stream gets a comment; 0 is never',
  'enable-server-load-tracking': 'lets /load count the answers on their way',
  help: 'prints the flags and exits',
};

/** Reads the command line; there is no other source of configuration. */
export function parseConfig(args: readonly string[]): ConfigResult {
  try {
    const { values } = parseArgs({ args: [...args], options: OPTIONS, strict: true });
    if (values.help) return { kind: 'help', text: flagTable() };
    return { kind: 'config', config: configOf(values) };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { kind: 'refused', message: message.split('\n', 1)[0] ?? message };
  }
}

/** The flags as a Markdown table: the one in the README. */
export function flagTable(): string {
  const help: Record<string, string> = HELP;
  const rows = Object.entries(OPTIONS).map(([flag, option]) => {
    const value = 'default' in option && option.default !== false ? String(option.default) : '';
    return `| \`--${flag}\` | ${value} | ${help[flag]} |`;
  });
  return ['| flag | default | meaning |', '| --- | --- | --- |', ...rows].join('\n');
}

function configOf(values: {
  port: string;
  host: string;
  profile: string;
  persona: string;
  seed: string;
  'max-num-seqs': string;
  'max-model-len': string;
  'served-model-name': readonly string[];
  'time-scale': string;
  'api-key'?: string | undefined;
  'enable-request-id-headers': boolean;
  'sse-keep-alive-interval': string;
  'enable-server-load-tracking': boolean;
}): Config {
  const profile = findProfile(values.profile);
  if (profile === undefined) throw unknownName('profile', values.profile, PROFILE_NAMES);
  const persona = findPersona(values.persona);
  if (persona === undefined) throw unknownName('persona', values.persona, PERSONA_NAMES);
  const [firstName, ...otherNames] = values['served-model-name'];
  if (firstName === undefined || firstName === '') {
    throw new Error('--served-model-name must not be empty');
  }
  return {
    host: values.host,
    port: wholeNumber('port', values.port, { min: 0, max: 65_535 }),
    profile,
    persona,
    seed: wholeNumber('seed', values.seed, { min: 0, max: Number.MAX_SAFE_INTEGER }),
    sequencesMax: wholeNumber('max-num-seqs', values['max-num-seqs'], { min: 1, max: 100_000 }),
    modelLenMax: wholeNumber('max-model-len', values['max-model-len'], { min: 2, max: 10_000_000 }),
    modelNames: [firstName, ...otherNames],
    timeScale: scale('time-scale', values['time-scale']),
    apiKey: values['api-key'],
    requestIdHeaders: values['enable-request-id-headers'],
    keepAliveIntervalMs: 1000 * scale('sse-keep-alive-interval', values['sse-keep-alive-interval']),
    loadTracking: values['enable-server-load-tracking'],
  };
}

function wholeNumber(flag: string, text: string, range: { min: number; max: number }): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= range.min && value <= range.max) return value;
  throw new Error(
    `--${flag} must be a whole number from ${range.min} to ${range.max}, not "${text}"`,
  );
}

function scale(flag: string, text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= 0 && value <= 1000) return value;
  throw new Error(`--${flag} must be a number from 0 to 1000, not "${text}"`);
}

function unknownName(flag: string, name: string, known: readonly string[]): Error {
  return new Error(`--${flag} "${name}" does not exist; there is: ${known.join(', ')}`);
}
