/**
 * What routing looks at in a request: a few numbers, taken in one pass over its text.
 *
 * Linear in the length of the text, whatever it holds: these functions run on the event loop of
 * an HTTP server, on input of anyone who has a key.
 */
import { containsCode } from './code-detector.ts';
import type { RoutingPolicy } from './routing-policy.ts';

/** The part of a request that routing reads. Everything else is carried and ignored. */
export interface RoutableRequest {
  prompt?: string | undefined;
  system_prompt?: string | undefined;
  messages?: readonly RoutableMessage[] | undefined;
  model?: string | undefined;
  tier?: string | undefined;
  temperature?: number | null | undefined;
  max_tokens?: number | null | undefined;
  max_completion_tokens?: number | null | undefined;
  tools?: readonly unknown[] | undefined;
  /** `prompt` is no message but all that the engine is given: see `completion-request.ts`. */
  isRaw?: true | undefined;
  [other: string]: unknown;
}

export interface RoutableMessage {
  role: string;
  content?: string | readonly RoutableContentPart[] | null | undefined;
  tool_calls?: readonly unknown[] | null | undefined;
}

/** Parts without text (images, audio) count nothing. */
interface RoutableContentPart {
  type: string;
  text?: string | undefined;
}

export interface RequestFeatures {
  /** Of every message but system and developer ones. */
  words: number;
  /** Whether one of those messages contains code. */
  code: boolean;
  /** Tokens the answer may have; the policy's default where the request names none. */
  maxTokens: number;
  temperature: number;
  /** Tokens, estimated: all messages, the tools and the chat template. */
  promptTokens: number;
}

/**
 * Tokens that a chat template adds to each message. ChatML, which most served models use, writes
 * `<|im_start|>`, role, newline, text, `<|im_end|>`, newline.
 */
const TEMPLATE_TOKENS_PER_MESSAGE = 5;

/** Tokens that open the answer: `<|im_start|>`, `assistant`, newline. */
const TEMPLATE_TOKENS_PER_ANSWER = 3;

/** How to call tools, as the templates of Qwen 2.5 and Hermes explain it to the model. */
const TEMPLATE_TOKENS_FOR_TOOLS = 110;

/** What begins a prompt that has no template. */
const RAW_TOKENS = 1;

/** In scripts without spaces, a word has about two characters. */
const UNSPACED_CHARS_PER_WORD = 2;

export function extractFeatures(request: RoutableRequest, policy: RoutingPolicy): RequestFeatures {
  const messages = messagesOf(request);
  const tally = emptyTally();
  let code = false;

  for (const { role, content } of messages) {
    if (isInstruction({ role })) continue;
    for (const text of textsOf(content)) {
      addText(tally, text);
      code ||= containsCode(text);
    }
  }
  const textTokens = tally.tokens + textTokensOf(messages.filter(isInstruction));

  return {
    words: tally.words + Math.floor((tally.unspacedChars + 1) / UNSPACED_CHARS_PER_WORD),
    code,
    maxTokens: request.max_completion_tokens ?? request.max_tokens ?? policy.defaultMaxTokens,
    temperature: request.temperature ?? policy.defaultTemperature,
    promptTokens:
      Math.ceil(textTokens + callTokensOf(messages)) +
      (request.isRaw === true ? RAW_TOKENS : templateTokens(messages.length)) +
      estimateToolTokens(request),
  };
}

/** Tokens that the definitions of tools take in a prompt. An estimate. */
export function estimateToolTokens({ tools = [] }: Pick<RoutableRequest, 'tools'>): number {
  if (tools.length === 0) return 0;
  const tally = emptyTally();
  for (const tool of tools) addText(tally, JSON.stringify(tool));
  return Math.ceil(tally.tokens) + TEMPLATE_TOKENS_FOR_TOOLS;
}

/** Tokens that these messages take as a prompt, the chat template included. An estimate. */
export function estimatePromptTokens(messages: readonly RoutableMessage[]): number {
  return (
    Math.ceil(textTokensOf(messages) + callTokensOf(messages)) + templateTokens(messages.length)
  );
}

/** System and developer messages: not part of the question, and never dropped. */
export function isInstruction({ role }: { role: string }): boolean {
  return role === 'system' || role === 'developer';
}

/** `system_prompt` and `prompt` are short forms of a system and of a user message. */
function messagesOf(request: RoutableRequest): readonly RoutableMessage[] {
  const { system_prompt: system, messages = [], prompt } = request;
  return [
    ...(system === undefined ? [] : [{ role: 'system', content: system }]),
    ...messages,
    ...(prompt === undefined ? [] : [{ role: 'user', content: prompt }]),
  ];
}

function textsOf(content: RoutableMessage['content']): readonly string[] {
  if (typeof content === 'string') return [content];
  return (content ?? []).flatMap(({ text }) => (typeof text === 'string' ? [text] : []));
}

function templateTokens(messages: number): number {
  return messages * TEMPLATE_TOKENS_PER_MESSAGE + TEMPLATE_TOKENS_PER_ANSWER;
}

function textTokensOf(messages: readonly RoutableMessage[]): number {
  const tally = emptyTally();
  for (const { content } of messages) {
    for (const text of textsOf(content)) addText(tally, text);
  }
  return tally.tokens;
}

/** Calls and definitions of tools are no words of anybody, but the model reads their JSON. */
function callTokensOf(messages: readonly RoutableMessage[]): number {
  const tally = emptyTally();
  for (const { tool_calls: calls } of messages) {
    for (const call of calls ?? []) addText(tally, JSON.stringify(call));
  }
  return tally.tokens;
}

interface Tally {
  /** Words of scripts with spaces. */
  words: number;
  /** Characters of scripts without spaces; halved only over the whole request. */
  unspacedChars: number;
  tokens: number;
}

function emptyTally(): Tally {
  return { words: 0, unspacedChars: 0, tokens: 0 };
}

/**
 * Adds one text to the tally.
 *
 * What stands between spaces is one word. Where it is mixed with a script without spaces, each of
 * its other parts that is more than punctuation is one: `iPhoneを3台` is two words and two
 * characters.
 */
function addText(tally: Tally, text: string): void {
  let part: 'none' | 'marks' | 'marks beside unspaced' | 'word' = 'none';
  let besideUnspaced = false;
  const unitsOfKind = new Uint32Array(TOKENS_PER_UNIT.length);

  for (let index = 0; index < text.length; index += 1) {
    const kind = KIND_OF_UNIT[text.charCodeAt(index)] ?? Kind.other;
    unitsOfKind[kind] = (unitsOfKind[kind] ?? 0) + 1;
    if (kind === Kind.space) {
      if (part === 'word' || part === 'marks') tally.words += 1;
      part = 'none';
      besideUnspaced = false;
    } else if (kind >= Kind.unspaced) {
      if (part === 'word') tally.words += 1;
      if (kind !== Kind.unspacedMark) tally.unspacedChars += 1;
      if (kind === Kind.unspacedPair) index += 1;
      part = 'none';
      besideUnspaced = true;
    } else if (kind !== Kind.mark) {
      part = 'word';
    } else if (part === 'none') {
      part = besideUnspaced ? 'marks beside unspaced' : 'marks';
    }
  }
  if (part === 'word' || part === 'marks') tally.words += 1;
  for (const [kind, tokens] of TOKENS_PER_UNIT.entries()) {
    tally.tokens += (unitsOfKind[kind] ?? 0) * tokens;
  }
}

/** The kind of a UTF-16 unit. From `unspaced` on: scripts without spaces between words. */
const Kind = {
  latin: 0,
  space: 1,
  digit: 2,
  mark: 3,
  other: 4,
  surrogate: 5,
  unspaced: 6,
  /** The first unit of a pair that is one Han character. */
  unspacedPair: 7,
  unspacedMark: 8,
} as const;

/**
 * Tokens per UTF-16 unit, by kind. With the vocabularies of Llama 3 and Qwen 2.5, English is about
 * 4 characters a token; digits, punctuation, and scripts like Cyrillic, Arabic or Devanagari about
 * 2; a Han character about one; an emoji, which is two units, about two. An estimate near a limit
 * is not to be trusted: see `nearLimit`.
 */
const TOKENS_PER_UNIT = [0.25, 0.25, 0.5, 0.5, 0.5, 1, 1, 2, 1];

/** Inclusive ranges of UTF-16 units; a later row overrides an earlier one. */
const KIND_RANGES: readonly (readonly [first: number, last: number, kind: number])[] = [
  [0x0000, 0x024f, Kind.latin],
  [0x0021, 0x002f, Kind.mark],
  [0x0030, 0x0039, Kind.digit],
  [0x003a, 0x0040, Kind.mark],
  [0x005b, 0x0060, Kind.mark],
  [0x007b, 0x007e, Kind.mark],
  [0x00a1, 0x00bf, Kind.mark],
  [0x2010, 0x205e, Kind.mark],
  [0x0e00, 0x0eff, Kind.unspaced], // Thai, Lao
  [0x1000, 0x109f, Kind.unspaced], // Myanmar
  [0x1780, 0x17ff, Kind.unspaced], // Khmer
  [0x2e80, 0x2fdf, Kind.unspaced], // Han radicals
  [0x3000, 0x303f, Kind.unspacedMark],
  [0x3005, 0x3007, Kind.unspaced], // 々〆〇
  [0x3041, 0x30ff, Kind.unspaced], // Hiragana, Katakana
  [0x30fb, 0x30fb, Kind.unspacedMark], // ・
  [0x31f0, 0x31ff, Kind.unspaced], // Katakana
  [0x3400, 0x4dbf, Kind.unspaced], // Han
  [0x4e00, 0x9fff, Kind.unspaced], // Han
  [0xa9e0, 0xa9ff, Kind.unspaced], // Myanmar
  [0xaa60, 0xaa7f, Kind.unspaced], // Myanmar
  [0xd800, 0xdfff, Kind.surrogate],
  [0xd840, 0xd8bf, Kind.unspacedPair], // Han beyond U+20000
  [0xf900, 0xfaff, Kind.unspaced], // Han
  [0xff01, 0xff0f, Kind.unspacedMark], // full-width punctuation
  [0xff1a, 0xff20, Kind.unspacedMark],
  [0xff5f, 0xff65, Kind.unspacedMark],
  [0xff66, 0xff9f, Kind.unspaced], // half-width Katakana
  // What JavaScript's \s matches.
  [0x0009, 0x000d, Kind.space],
  [0x0020, 0x0020, Kind.space],
  [0x00a0, 0x00a0, Kind.space],
  [0x1680, 0x1680, Kind.space],
  [0x2000, 0x200a, Kind.space],
  [0x2028, 0x2029, Kind.space],
  [0x202f, 0x202f, Kind.space],
  [0x205f, 0x205f, Kind.space],
  [0x3000, 0x3000, Kind.space],
  [0xfeff, 0xfeff, Kind.space],
];

const KIND_OF_UNIT = kindOfUnit();

function kindOfUnit(): Uint8Array {
  const kinds = new Uint8Array(0x1_0000).fill(Kind.other);
  for (const [first, last, kind] of KIND_RANGES) kinds.fill(kind, first, last + 1);
  return kinds;
}
