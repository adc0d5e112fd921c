import type { PrefixHash } from '../text/prefix-hash.ts';
import { type Script, writeScript } from '../text/script.ts';
import { logprobsOf, type TokenLogprobs } from '../text/token-logprobs.ts';
import { createWriter } from '../text/writer.ts';
import { createTextAssembler, END_OF_TEXT_ID } from '../tokenizer.ts';
import { createStopScanner } from './stop-strings.ts';

/** How one sequence is generated and when it ends. */
export type Sampling = {
  readonly tokensMax: number;
  readonly tokensMin: number;
  readonly stops: readonly string[];
  readonly stopTokenIds: readonly number[];
  readonly includeStop: boolean;
  readonly ignoreEndOfText: boolean;
  /** What the text depends on beside its prefix. */
  readonly seeds: readonly number[];
  /** What the text has to be; without it, free text. */
  readonly script?: Script | undefined;
  /** How many rivals of each token to report with its log probability; without it, none of this. */
  readonly logprobs?: number | undefined;
};

/** How a text ends by itself; `stopReason` is the stop string or stop token id that ended it. */
type TextEnd = { readonly reason: 'stop' | 'length'; readonly stopReason: string | number | null };

/** Why a sequence ended: by its text, by a shutdown (`abort`), or because the engine failed it. */
export type Finish = TextEnd | { readonly reason: 'abort' | 'error'; readonly stopReason: null };

/** What came out of a sequence since the last output. Empty text is normal: see stop strings. */
export type Output = {
  readonly tokenIds: readonly number[];
  readonly text: string;
  /** One entry per token id, if the sampling asks for them. */
  readonly logprobs?: readonly TokenLogprobs[];
  readonly finish?: Finish;
};

export type Generation = {
  /** The next token. Not to be called after an output with `finish`. */
  next(): Output & { readonly finish?: TextEnd };
  /** The text held back for stop strings, for a sequence that is aborted. */
  flush(): string;
};

/** Bytes of the longest UTF-8 character. */
const CHARACTER_BYTES_MAX = 4;

/**
 * One sequence's token source: the model, the detokenizer and the rules that end a text. The prompt
 * is read with the first token, when the sequence has been admitted: a request for many sequences
 * costs nothing while they wait.
 */
export function createGeneration(options: {
  promptIds: readonly number[];
  sampling: Sampling;
}): Generation {
  const { promptIds, sampling } = options;
  const assembler = createTextAssembler();
  const scanner = createStopScanner(sampling);
  const stopTokenIds = new Set(sampling.stopTokenIds);
  let model: Model | undefined;
  let generated = 0;

  function next(): Output & { readonly finish?: TextEnd } {
    model ??= startModel();
    const mayEnd = !sampling.ignoreEndOfText && generated >= sampling.tokensMin;
    const id = model.next({ mayEnd });
    const logprobs = logprobsAt(model.prefixHash(), id);
    model.read(id);
    generated += 1;
    return { ...output(id, finishAfter(id, mayEnd)), ...logprobs };
  }

  /** The model at the end of the prompt. Its detokenizer knows of a character left unfinished there. */
  function startModel(): Model {
    const started = createModel(sampling, promptIds);
    const lastIds = promptIds.slice(-CHARACTER_BYTES_MAX);
    const firstByte = lastIds.findLastIndex((id) => id < 0x80 || id > 0xff) + 1;
    for (const id of lastIds.slice(firstByte)) assembler.push(id);
    return started;
  }

  function logprobsAt(hash: PrefixHash, tokenId: number): { logprobs?: readonly TokenLogprobs[] } {
    if (sampling.logprobs === undefined) return {};
    return { logprobs: [logprobsOf({ hash, tokenId, rivals: sampling.logprobs })] };
  }

  /** The order of vLLM's v1/core/sched/utils.py check_stop: end of text, stop tokens, length. */
  function finishAfter(id: number, mayEnd: boolean): TextEnd | undefined {
    if (id === END_OF_TEXT_ID && mayEnd) return { reason: 'stop', stopReason: null };
    if (generated >= sampling.tokensMin && stopTokenIds.has(id)) {
      return { reason: 'stop', stopReason: id };
    }
    if (generated >= sampling.tokensMax) return { reason: 'length', stopReason: null };
    return undefined;
  }

  /** A stop string in the last token overrides the length limit, as in vLLM's output processor. */
  function output(
    id: number,
    finish: TextEnd | undefined,
  ): { tokenIds: readonly number[]; text: string; finish?: TextEnd } {
    const piece = isHidden(id, finish) ? '' : assembler.push(id);
    const scanned = scanner.push(piece, { mayStop: generated > sampling.tokensMin });
    if (scanned.stop !== undefined) {
      const stopped: TextEnd = { reason: 'stop', stopReason: scanned.stop };
      return { tokenIds: [id], text: scanned.text, finish: stopped };
    }
    if (finish === undefined) return { tokenIds: [id], text: scanned.text };
    return { tokenIds: [id], text: scanned.text + flush(), finish };
  }

  /** A token that ended the text is not part of it, unless asked for; a marker never is. */
  function isHidden(id: number, finish: TextEnd | undefined): boolean {
    return id === END_OF_TEXT_ID || (finish?.reason === 'stop' && !sampling.includeStop);
  }

  /** An unfinished character is dropped, as by vLLM's detokenizer: whoever goes on gets it whole. */
  function flush(): string {
    return scanner.flush();
  }

  return { next, flush };
}

/** Where tokens come from: the writer, or a script that is written out and then ends. */
type Model = {
  read(tokenId: number): void;
  next(options: { mayEnd: boolean }): number;
  prefixHash(): PrefixHash;
};

function createModel(sampling: Sampling, promptIds: readonly number[]): Model {
  const writer = createWriter(sampling);
  for (const id of promptIds) writer.read(id);
  if (sampling.script === undefined) return writer;
  const ids = writeScript(sampling.script, writer.prefixHash());
  let written = 0;
  return {
    ...writer,
    /** After its end a document can only be followed by the end of text, as often as it takes. */
    next() {
      const id = ids[written] ?? END_OF_TEXT_ID;
      written += 1;
      return id;
    },
  };
}
