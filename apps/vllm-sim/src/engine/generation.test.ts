import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { decode, encode, END_OF_TEXT_ID } from '../tokenizer.ts';
import { createGeneration, type Output, type Sampling } from './generation.ts';

const SAMPLING: Sampling = {
  tokensMax: 160,
  tokensMin: 0,
  stops: [],
  stopTokenIds: [],
  includeStop: false,
  ignoreEndOfText: false,
  seeds: [0, 0, 0],
};
const CHAT = '<|im_start|>user\nTell me about rivers.<|im_end|>\n<|im_start|>assistant\n';
/** With this seed the text has a character of four tokens among its first 120. */
const EMOJI_SEED = [0, seedWithEmoji(), 0];

type Run = { ids: number[]; text: string; outputs: Output[] };

function run(promptIds: readonly number[], sampling: Partial<Sampling> = {}): Run {
  const generation = createGeneration({ promptIds, sampling: { ...SAMPLING, ...sampling } });
  const outputs: Output[] = [];
  while (outputs.at(-1)?.finish === undefined) outputs.push(generation.next());
  return {
    outputs,
    ids: outputs.flatMap(({ tokenIds }) => tokenIds),
    text: outputs.map(({ text }) => text).join(''),
  };
}

function seedWithEmoji(): number {
  for (let seed = 0; ; seed += 1) {
    if (run(encode(CHAT), { seeds: [0, seed, 0], tokensMax: 120 }).text.includes('🙂')) return seed;
  }
}

const seeds = fc.oneof(fc.constant(EMOJI_SEED), fc.tuple(fc.nat(), fc.nat(), fc.nat(3)));
const prompt = fc.oneof(
  fc.constant(CHAT),
  fc.string({ unit: 'grapheme', maxLength: 30 }).map((text) => CHAT + text),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 }),
  fc.constantFrom('Once upon a ', 'Once upon a time.', 'naïve caf'),
);

test('prompt and generated ids give the rest of ids and text, wherever they were cut', () => {
  fc.assert(
    fc.property(prompt, seeds, fc.nat(), fc.boolean(), (text, from, at, ignoreEndOfText) => {
      const promptIds = encode(text);
      const whole = run(promptIds, { seeds: from, ignoreEndOfText });
      const cut = 1 + (at % (whole.ids.length - 1));
      const head = run(promptIds, { seeds: from, ignoreEndOfText, tokensMax: cut });
      const tail = run([...promptIds, ...head.ids], {
        seeds: from,
        ignoreEndOfText,
        tokensMax: SAMPLING.tokensMax - cut,
      });
      expect([...head.ids, ...tail.ids]).toEqual(whole.ids);
      expect(head.text + tail.text).toBe(whole.text);
    }),
  );
});

test('a cut inside a character gives the character with the rest', () => {
  const promptIds = encode(CHAT);
  const whole = run(promptIds, { seeds: EMOJI_SEED });
  const firstByte = whole.ids.indexOf(0xf0);
  for (const cut of [1, 2, 3]) {
    const ids = whole.ids.slice(0, firstByte + cut);
    const head = run(promptIds, { seeds: EMOJI_SEED, tokensMax: ids.length });
    expect(head.text.endsWith(' ')).toBe(true);
    const tail = run([...promptIds, ...ids], { seeds: EMOJI_SEED });
    expect(tail.text.startsWith('🙂')).toBe(true);
    expect(whole.text.startsWith(head.text + '🙂')).toBe(true);
  }
});

test('a partial answer sent back as text gives the rest of the text, wherever it was cut', () => {
  fc.assert(
    fc.property(prompt, seeds, fc.nat(), (text, from, at) => {
      const whole = run(encode(text), { seeds: from, ignoreEndOfText: true });
      const chars = Array.from(whole.text);
      const partial = chars.slice(0, at % chars.length).join('');
      const tail = run(encode(text + partial), { seeds: from, ignoreEndOfText: true });
      const expected = whole.text.slice(partial.length);
      const common = Math.min(expected.length, tail.text.length);
      expect(tail.text.slice(0, common)).toBe(expected.slice(0, common));
    }),
  );
});

test('a partial answer cut between two tokens comes back as the same ids', () => {
  fc.assert(
    fc.property(seeds, fc.nat(), (from, at) => {
      const { ids } = run(encode(CHAT), { seeds: from, ignoreEndOfText: true });
      const head = ids.slice(0, at % ids.length);
      // Inside a character there is no text to send back.
      fc.pre(!decode(head).endsWith('\ufffd'));
      expect(encode(CHAT + decode(head))).toEqual([...encode(CHAT), ...head]);
    }),
  );
});

/** A stop string that occurs in the text, if `at` and `length` allow one. */
const stopPlace = fc.record({ at: fc.nat(), length: fc.integer({ min: 1, max: 8 }) });

test('ids whose text has been sent go on to the same stop string', () => {
  fc.assert(
    fc.property(seeds, stopPlace, fc.nat(), (from, place, at) => {
      const promptIds = encode(CHAT);
      const free = run(promptIds, { seeds: from }).text;
      const stop = free.slice(place.at % free.length).slice(0, place.length);
      fc.pre(stop.isWellFormed());
      // With `includeStop` nothing is held back, and a stop string may lie across what was sent.
      const sampling = { seeds: from, stops: [stop] };
      const whole = run(promptIds, sampling);
      // What a client has of a server that dies after so many tokens: all ids, but not all text.
      const received = whole.outputs.slice(0, at % whole.outputs.length);
      const sent = received.map(({ text }) => text).join('');
      const ids = received.flatMap(({ tokenIds }) => tokenIds);
      const complete =
        ids.findLastIndex((_, index) => sent.startsWith(decode(ids.slice(0, index + 1)))) + 1;
      const kept = ids.slice(0, complete);
      const tail = run([...promptIds, ...kept], sampling);
      expect(decode(kept) + tail.text).toBe(whole.text);
      expect([...kept, ...tail.ids]).toEqual(whole.ids);
    }),
  );
});

test('a stop string that begins before the cut is not seen behind it, as in vLLM', () => {
  const promptIds = encode(CHAT);
  const free = run(promptIds);
  const head = free.ids.slice(0, 10);
  const at = decode(head).length;
  const stop = free.text.slice(at - 3, at + 3);
  expect(run(promptIds, { stops: [stop] }).text).toBe(free.text.slice(0, free.text.indexOf(stop)));
  const tail = run([...promptIds, ...head], { stops: [stop] });
  expect(tail.text.startsWith(free.text.slice(at, at + 3))).toBe(true);
});

test('neither the limit nor the minimum changes the tokens before them', () => {
  fc.assert(
    fc.property(
      seeds,
      fc.integer({ min: 1, max: 60 }),
      fc.nat(60),
      (from, tokensMax, tokensMin) => {
        const promptIds = encode(CHAT);
        const whole = run(promptIds, { seeds: from }).ids.slice(0, -1);
        const limited = run(promptIds, { seeds: from, tokensMax });
        expect(limited.ids.slice(0, whole.length)).toEqual(whole.slice(0, tokensMax));
        const longer = run(promptIds, { seeds: from, tokensMin });
        expect(longer.ids.slice(0, whole.length)).toEqual(whole);
      },
    ),
  );
});

test('a script is written out and then ends, before it only where the limit says so', () => {
  const script = { kind: 'choice', texts: ['the first of two', 'the second of two'] } as const;
  const whole = run(encode(CHAT), { script });
  expect(script.texts).toContain(whole.text);
  expect(whole.outputs.at(-1)?.finish).toEqual({ reason: 'stop', stopReason: null });
  const cut = run(encode(CHAT), { script, tokensMax: 2 });
  expect(cut.outputs.at(-1)?.finish).toEqual({ reason: 'length', stopReason: null });
  expect(whole.text.startsWith(cut.text)).toBe(true);
});

test('a script that may not end is followed by tokens without text', () => {
  const script = { kind: 'choice', texts: ['yes'] } as const;
  const { ids, text, outputs } = run(encode(CHAT), { script, ignoreEndOfText: true, tokensMax: 9 });
  expect(text).toBe('yes');
  expect(ids.slice(1)).toEqual(Array.from({ length: 8 }, () => END_OF_TEXT_ID));
  expect(outputs.at(-1)?.finish).toEqual({ reason: 'length', stopReason: null });
});

test('each token has its log probability, the likeliest first', () => {
  const { outputs } = run(encode(CHAT), { logprobs: 20, tokensMax: 50 });
  for (const { tokenIds, logprobs } of outputs) {
    expect(logprobs).toHaveLength(1);
    const entries = logprobs?.[0] ?? [];
    expect(entries).toHaveLength(21);
    expect(entries[0]?.id).toBe(tokenIds[0]);
    expect(new Set(entries.map(({ id }) => id)).size).toBe(21);
    const values = entries.map(({ logprob }) => logprob);
    expect(values).toEqual(values.toSorted((a, b) => b - a));
    expect(values.reduce((sum, value) => sum + Math.exp(value), 0)).toBeLessThan(1);
  }
});
