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
};

/**
 * Why a sequence ended; `stopReason` is the stop string or stop token id that ended it. `error` is
 * a failure of the engine, without text.
 */
export type Finish = {
  reason: 'stop' | 'length' | 'abort' | 'error';
  stopReason: string | number | null;
};

/** What came out of a sequence since the last output. Empty text is normal: see stop strings. */
export type Output = {
  readonly tokenIds: readonly number[];
  readonly text: string;
  readonly finish?: Finish;
};

export type Generation = {
  /** The next token. Not to be called after an output with `finish`. */
  next(): Output;
  /** The text held back for stop strings, for a sequence that is aborted. */
  flush(): string;
};

/** One sequence's token source: the model, the detokenizer and the rules that end a text. */
export function createGeneration(options: {
  promptIds: readonly number[];
  sampling: Sampling;
}): Generation {
  const { promptIds, sampling } = options;
  const writer = createWriter({ seeds: sampling.seeds });
  for (const id of promptIds) writer.read(id);
  const assembler = createTextAssembler();
  const scanner = createStopScanner(sampling);
  const stopTokenIds = new Set(sampling.stopTokenIds);
  let generated = 0;

  function next(): Output {
    const id = writer.next({
      mayEnd: !sampling.ignoreEndOfText && generated >= sampling.tokensMin,
    });
    writer.read(id);
    generated += 1;
    return output(id, finishAfter(id));
  }

  /** The order of vLLM's v1/core/sched/utils.py check_stop: end of text, stop tokens, length. */
  function finishAfter(id: number): Finish | undefined {
    if (id === END_OF_TEXT_ID) return { reason: 'stop', stopReason: null };
    if (generated >= sampling.tokensMin && stopTokenIds.has(id)) {
      return { reason: 'stop', stopReason: id };
    }
    if (generated >= sampling.tokensMax) return { reason: 'length', stopReason: null };
    return undefined;
  }

  /** A stop string in the last token overrides the length limit, as in vLLM's output processor. */
  function output(id: number, finish: Finish | undefined): Output {
    // A token that ended the text is not part of it, unless asked for.
    const hidden = finish?.reason === 'stop' && !(sampling.includeStop && id !== END_OF_TEXT_ID);
    const piece = hidden ? assembler.flush() : assembler.push(id);
    const scanned = scanner.push(piece, { mayStop: generated > sampling.tokensMin });
    if (scanned.stop !== undefined) {
      const stopped: Finish = { reason: 'stop', stopReason: scanned.stop };
      return { tokenIds: [id], text: scanned.text, finish: stopped };
    }
    if (finish === undefined) return { tokenIds: [id], text: scanned.text };
    return { tokenIds: [id], text: scanned.text + flush(), finish };
  }

  function flush(): string {
    return scanner.flush() + assembler.flush();
  }

  return { next, flush };
}
