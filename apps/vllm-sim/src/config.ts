import { parseArgs, type ParseArgsOptionsConfig } from 'node:util';
import type { SchedulingPolicy } from './engine/scheduler.ts';
import { BLOCK_TOKENS } from './engine/prefix-hashes.ts';
import { type Rule, readRuleText } from './faults/read-rule.ts';
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
  readonly batchedTokensMax: number;
  readonly schedulingPolicy: SchedulingPolicy;
  readonly modelLenMax: number;
  /** Size of the KV cache; at least one sequence of `modelLenMax` fits. */
  readonly kvBlocks: number;
  readonly prefixCaching: boolean;
  /** Undefined is no limit. */
  readonly queuedRequestsMax: number | undefined;
  readonly queuedTokensMax: number | undefined;
  readonly modelNames: readonly [string, ...string[]];
  /** Factor on all times: 0.5 is twice as fast. */
  readonly timeScale: number;
  /** Sigma of the lognormal noise on the time of a step. */
  readonly jitter: number;
  /** How long what is running may go on after SIGTERM. */
  readonly shutdownTimeoutMs: number;
  readonly apiKey: string | undefined;
  /** Rules of faults, in the order in which they are tried. */
  readonly faults: readonly Rule[];
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
  'max-num-seqs': { type: 'string' },
  'max-num-batched-tokens': { type: 'string' },
  'scheduling-policy': { type: 'string', default: 'fcfs' },
  'max-num-queued-reqs': { type: 'string' },
  'max-num-queued-tokens': { type: 'string' },
  'num-gpu-blocks': { type: 'string' },
  'no-enable-prefix-caching': { type: 'boolean', default: false },
  'max-model-len': { type: 'string', default: '8192' },
  'served-model-name': { type: 'string', multiple: true, default: ['qarr-sim'] },
  'time-scale': { type: 'string', default: '1' },
  jitter: { type: 'string', default: '0.05' },
  'shutdown-timeout': { type: 'string', default: '0' },
  'api-key': { type: 'string' },
  fault: { type: 'string', multiple: true, default: [] },
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
  'max-num-seqs': 'sequences in one step, the others wait; without it 256, on H100 1024',
  'max-num-batched-tokens': 'tokens computed in one step; without it 2048, on H100 8192',
  'scheduling-policy':
    'who goes first and who is preempted last: fcfs, or priority (the lower, then the earlier)',
  'max-num-queued-reqs':
    'choices waiting and running, beyond which a request is refused; without it no limit, persona 0.32: twice max-num-seqs',
  'max-num-queued-tokens': 'prompt tokens not yet computed; from there on a request is refused',
  'num-gpu-blocks': `blocks of ${BLOCK_TOKENS} tokens in the KV cache; without it what the card has`,
  'no-enable-prefix-caching': 'computes each prompt anew, as persona 0.6.4 does anyway',
  'max-model-len': 'context window, in tokens',
  'served-model-name': 'model name; repeat it for aliases, the first is the one in answers',
  'time-scale': 'factor on all times; 0.5 is twice as fast',
  jitter: 'noise on the time of a step: sigma of a lognormal factor, from the seed; 0 is none',
  'shutdown-timeout': 'seconds that running answers may go on after SIGTERM',
  'api-key': 'asks for this bearer key on /v1',
  fault: 'a fault, as `name;param=value;condition=value`; repeat it for more',
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
  'max-num-seqs'?: string | undefined;
  'max-num-batched-tokens'?: string | undefined;
  'scheduling-policy': string;
  'max-num-queued-reqs'?: string | undefined;
  'max-num-queued-tokens'?: string | undefined;
  'num-gpu-blocks'?: string | undefined;
  'no-enable-prefix-caching': boolean;
  'max-model-len': string;
  'served-model-name': readonly string[];
  'time-scale': string;
  jitter: string;
  'shutdown-timeout': string;
  'api-key'?: string | undefined;
  fault: readonly string[];
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
  const modelLenMax = wholeNumber('max-model-len', values['max-model-len'], {
    min: 2,
    max: 10_000_000,
  });
  const kvBlocks =
    optionalNumber('num-gpu-blocks', values['num-gpu-blocks'], { min: 1, max: 10_000_000 }) ??
    Math.floor(profile.kvTokensMax / BLOCK_TOKENS);
  requireRoomForOne({ kvBlocks, modelLenMax });
  const steps = stepSizes(values, profile);
  return {
    host: values.host,
    port: wholeNumber('port', values.port, { min: 0, max: 65_535 }),
    profile,
    persona,
    seed: wholeNumber('seed', values.seed, { min: 0, max: Number.MAX_SAFE_INTEGER }),
    ...steps,
    schedulingPolicy: schedulingPolicy(values['scheduling-policy']),
    modelLenMax,
    kvBlocks,
    prefixCaching: persona.prefixCaching && !values['no-enable-prefix-caching'],
    queuedRequestsMax: queuedRequestsMax(values['max-num-queued-reqs'], {
      persona,
      sequencesMax: steps.sequencesMax,
    }),
    queuedTokensMax: optionalNumber('max-num-queued-tokens', values['max-num-queued-tokens'], {
      min: 1,
      max: 1_000_000_000,
    }),
    modelNames: [firstName, ...otherNames],
    timeScale: decimal('time-scale', values['time-scale'], { max: 1000 }),
    jitter: decimal('jitter', values.jitter, { max: 1 }),
    shutdownTimeoutMs:
      1000 * decimal('shutdown-timeout', values['shutdown-timeout'], { max: 86_400 }),
    apiKey: values['api-key'],
    faults: values.fault.map(faultRule),
    requestIdHeaders: values['enable-request-id-headers'],
    keepAliveIntervalMs:
      1000 * decimal('sse-keep-alive-interval', values['sse-keep-alive-interval'], { max: 86_400 }),
    loadTracking: values['enable-server-load-tracking'],
  };
}

/** Sequences and tokens of one step, from the flags or the profile. */
function queuedRequestsMax(
  text: string | undefined,
  { persona, sequencesMax }: { persona: Persona; sequencesMax: number },
): number | undefined {
  const given = optionalNumber('max-num-queued-reqs', text, { min: 1, max: 10_000_000 });
  return given ?? (persona.countsRejections ? 2 * sequencesMax : undefined);
}

function stepSizes(
  values: {
    'max-num-seqs'?: string | undefined;
    'max-num-batched-tokens'?: string | undefined;
  },
  profile: Profile,
): { sequencesMax: number; batchedTokensMax: number } {
  const range = { min: 1, max: 100_000 };
  const sequencesMax =
    optionalNumber('max-num-seqs', values['max-num-seqs'], range) ?? profile.sequencesMax;
  const batchedTokensMax = optionalNumber(
    'max-num-batched-tokens',
    values['max-num-batched-tokens'],
    { min: 1, max: 10_000_000 },
  );
  // Each running sequence needs at least one token of the step: vLLM refuses this too.
  if (batchedTokensMax !== undefined && batchedTokensMax < sequencesMax) {
    throw new Error(
      `--max-num-batched-tokens (${batchedTokensMax}) must not be less than --max-num-seqs (${sequencesMax})`,
    );
  }
  return {
    sequencesMax,
    batchedTokensMax: batchedTokensMax ?? Math.max(profile.batchedTokensMax, sequencesMax),
  };
}

/** vLLM does not start where one request could need more KV cache than there is. */
function requireRoomForOne(sizes: { kvBlocks: number; modelLenMax: number }): void {
  const { kvBlocks, modelLenMax } = sizes;
  const kvTokens = kvBlocks * BLOCK_TOKENS;
  if (modelLenMax <= kvTokens) return;
  throw new Error(
    `--max-model-len ${modelLenMax} needs ${Math.ceil(modelLenMax / BLOCK_TOKENS)} blocks of KV cache for one request, and there are ${kvBlocks}; at most ${kvTokens} tokens fit`,
  );
}

function schedulingPolicy(name: string): SchedulingPolicy {
  if (name === 'fcfs' || name === 'priority') return name;
  throw unknownName('scheduling-policy', name, ['fcfs', 'priority']);
}

function wholeNumber(flag: string, text: string, range: { min: number; max: number }): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= range.min && value <= range.max) return value;
  throw new Error(
    `--${flag} must be a whole number from ${range.min} to ${range.max}, not "${text}"`,
  );
}

function optionalNumber(
  flag: string,
  text: string | undefined,
  range: { min: number; max: number },
): number | undefined {
  return text === undefined ? undefined : wholeNumber(flag, text, range);
}

function decimal(flag: string, text: string, range: { max: number }): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= 0 && value <= range.max) return value;
  throw new Error(`--${flag} must be a number from 0 to ${range.max}, not "${text}"`);
}

function faultRule(text: string): Rule {
  try {
    return readRuleText(text);
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    throw new Error(`--fault "${text}": ${problem}`, { cause: error });
  }
}

function unknownName(flag: string, name: string, known: readonly string[]): Error {
  return new Error(`--${flag} "${name}" does not exist; there is: ${known.join(', ')}`);
}
