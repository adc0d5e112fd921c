/** How a server words its refusals. */
export type ErrorFormat =
  /** `{"object":"error","message",…}`: vLLM before 0.10.1. */
  | 'flat'
  /** `{"error":{"message",…}}`: vLLM since then. */
  | 'nested'
  /** `{"detail":…}`: FastAPI's own. */
  | 'detail';

/** A server whose protocol is spoken: a version of vLLM, or another engine with an OpenAI-like API. */
export type Persona = {
  readonly name: string;
  /** What /version says. */
  readonly version: string;
  /** Whose answers: vLLM's, or those of `transformers serve`. */
  readonly family: 'vllm' | 'transformers';
  /** `vllm-<version>-<hash of the engine's configuration>` where answers have a fingerprint. */
  readonly systemFingerprint: string | undefined;
  readonly errors: ErrorFormat;
  /** What happens to a body field that the server does not know. */
  readonly unknownFields: 'ignored' | 'forbidden' | 'unexpected';
  /** The wording of the refusal of a prompt that is too long. */
  readonly contextOverflow: 'requested' | 'total';
  /** Whether the refusal of a model names those that are served. */
  readonly namesServedModels: boolean;
  /** The status for a body that is not application/json. */
  readonly mediaTypeStatus: 400 | 415 | 422;
  /** The prefixes of paths that a key guards. */
  readonly guardedPrefixes: readonly string[];
  readonly routes: {
    readonly version: boolean;
    readonly tokenize: boolean;
    readonly ping: boolean;
    readonly load: boolean;
    /** /inference/v1/generate */
    readonly generate: boolean;
  };
  readonly health: { readonly okBody: object | undefined; readonly deadStatus: 500 | 503 };
  /** Names and labels of the metrics; without it there are none. */
  readonly metricsDialect: 'v0' | 'v1' | undefined;
  readonly requestId: {
    /** Whether the header X-Request-Id names the answer. */
    readonly fromHeader: boolean;
    /** Whether every response has the header, not only where a flag asks for it. */
    readonly alwaysReturned: boolean;
  };
  readonly priority: {
    /** What a priority does under the policy first come, first served. */
    readonly withoutPolicy: 'ignored' | 'refused';
    /** Whether the header X-Vllm-Priority overrides the body. */
    readonly fromHeader: boolean;
  };
  /** Whether `return_token_ids` is known, and its fields stand in every answer. */
  readonly tokenIds: boolean;
  readonly streamOptions: {
    /** `include_usage` where the object is there without it. */
    readonly includeUsageDefault: boolean;
    /** Whether chunks say `"usage":null` when usage comes at the end. */
    readonly nullUsage: boolean;
  };
  /** Whether the answer to `continue_final_message` begins with the message it continues. */
  readonly echoesContinuation: boolean;
  /** What a stream does whose engine fails: an error event, or the connection breaks off. */
  readonly engineFailure: 'event' | 'cut';
  readonly temperatureDefault: number;
  /** Whether a `max_completion_tokens` of 0 counts, or `max_tokens` is asked instead. */
  readonly zeroCompletionTokens: 'counts' | 'falls_through';
  /** Where structured output is asked for, beside `response_format`. */
  readonly structuredOutputFields: 'guided' | 'structured_outputs';
  /** Whether prefixes are cached unless a flag says no. */
  readonly prefixCaching: boolean;
  /** `tool_choice: "required"` is known. */
  readonly requiredToolChoice: boolean;
  /**
   * Whether `vllm:admission_rejections_total` is shown. Such a server is also started with a limit of
   * twice its sequences, where vLLM has none unless a flag sets it: so that its queue can be full.
   */
  readonly countsRejections: boolean;
  /** Hexadecimal digits of a tool call's id. */
  readonly toolCallIdDigits: 16 | 32;
};

/** vLLM at its main branch of August 2026. */
const CURRENT: Persona = {
  name: 'current',
  version: '0.28.0',
  family: 'vllm',
  systemFingerprint: 'vllm-0.28.0-5e1f0c3d',
  errors: 'nested',
  unknownFields: 'ignored',
  contextOverflow: 'total',
  namesServedModels: false,
  mediaTypeStatus: 400,
  guardedPrefixes: ['/v1', '/v2', '/inference', '/cohere'],
  routes: {
    version: true,
    tokenize: true,
    ping: true,
    load: true,
    generate: true,
  },
  health: { okBody: undefined, deadStatus: 503 },
  metricsDialect: 'v1',
  requestId: { fromHeader: true, alwaysReturned: false },
  priority: { withoutPolicy: 'ignored', fromHeader: true },
  tokenIds: true,
  streamOptions: { includeUsageDefault: false, nullUsage: false },
  echoesContinuation: false,
  engineFailure: 'event',
  temperatureDefault: 1,
  zeroCompletionTokens: 'counts',
  structuredOutputFields: 'structured_outputs',
  prefixCaching: true,
  requiredToolChoice: true,
  countsRejections: false,
  toolCallIdDigits: 16,
};

/**
 * vLLM at its tag v0.6.4. Unverified: the status for another content type, which is that of 0.7.
 */
const V0_6_4: Persona = {
  name: '0.6.4',
  version: '0.6.4',
  family: 'vllm',
  systemFingerprint: undefined,
  errors: 'flat',
  unknownFields: 'forbidden',
  contextOverflow: 'requested',
  namesServedModels: false,
  mediaTypeStatus: 415,
  guardedPrefixes: ['/v1'],
  routes: {
    version: true,
    tokenize: true,
    ping: false,
    load: false,
    generate: false,
  },
  health: { okBody: undefined, deadStatus: 500 },
  metricsDialect: 'v0',
  requestId: { fromHeader: false, alwaysReturned: true },
  priority: { withoutPolicy: 'refused', fromHeader: false },
  tokenIds: false,
  streamOptions: { includeUsageDefault: true, nullUsage: true },
  echoesContinuation: true,
  engineFailure: 'cut',
  temperatureDefault: 0.7,
  zeroCompletionTokens: 'falls_through',
  structuredOutputFields: 'guided',
  prefixCaching: false,
  requiredToolChoice: false,
  countsRejections: false,
  toolCallIdDigits: 32,
};

/**
 * vLLM 0.32, as far as its notes tell: it can refuse a request because its queue is full (see
 * `queueOverflow`) and names the served models. The rest is `current`.
 */
const V0_32: Persona = {
  ...CURRENT,
  name: '0.32',
  version: '0.32.0',
  systemFingerprint: 'vllm-0.32.0-9b42d7e1',
  namesServedModels: true,
  countsRejections: true,
};

/** `transformers serve` 5.x: an engine that is not vLLM, and does not pretend to be. */
const GENERIC: Persona = {
  ...CURRENT,
  name: 'generic',
  version: '5.18.0',
  family: 'transformers',
  systemFingerprint: '',
  errors: 'detail',
  unknownFields: 'unexpected',
  mediaTypeStatus: 422,
  guardedPrefixes: [],
  routes: {
    version: false,
    tokenize: false,
    ping: false,
    load: false,
    generate: false,
  },
  health: { okBody: { status: 'ok' }, deadStatus: 503 },
  metricsDialect: undefined,
  requestId: { fromHeader: true, alwaysReturned: true },
  priority: { withoutPolicy: 'ignored', fromHeader: false },
  tokenIds: false,
};

const PERSONAS: readonly Persona[] = [CURRENT, V0_6_4, V0_32, GENERIC];

export const PERSONA_NAMES = PERSONAS.map((persona) => persona.name);

export function findPersona(name: string): Persona | undefined {
  return PERSONAS.find((persona) => persona.name === name);
}
