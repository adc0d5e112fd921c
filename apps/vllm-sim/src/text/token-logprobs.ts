import { encode, tokenBytes } from '../tokenizer.ts';
import { drawFromHash, extendPrefixHash, type PrefixHash, startPrefixHash } from './prefix-hash.ts';
import { WORDS } from './words.ts';

/** One token with its log probability. */
type TokenLogprob = { readonly id: number; readonly logprob: number };
/** What the model thought at one position: the token it took, then others by falling probability. */
export type TokenLogprobs = readonly [TokenLogprob, ...TokenLogprob[]];

const PURPOSE = { chosen: 100, rival: 101, step: 200 } as const;
const RIVALS = [...WORDS.noun, ...WORDS.adj, ...WORDS.verb].map(
  (word) => encode(` ${word}`)[0] ?? 0,
);

/**
 * Invented probabilities, the same for the same prefix and token: the token taken has a probability
 * of at least one half, so it is the likeliest, as with greedy sampling; each rival is less likely
 * than the one before.
 *
 * @param options.rivals how many other tokens to name
 */
export function logprobsOf(options: {
  hash: PrefixHash;
  tokenId: number;
  rivals: number;
}): TokenLogprobs {
  const { hash, tokenId } = options;
  const chosen = (50 + drawFromHash(hash, { purpose: PURPOSE.chosen, below: 49 })) / 100;
  const start = drawFromHash(hash, { purpose: PURPOSE.rival, below: RIVALS.length });
  const others = [...RIVALS.slice(start), ...RIVALS.slice(0, start)].filter(
    (id, index, all) => id !== tokenId && all.indexOf(id) === index,
  );
  // Half of what is left to each: the sum stays below one.
  const rivals = others.slice(0, options.rivals).map((id, rank) => ({
    id,
    logprob: Math.log((1 - chosen) / 2 ** (rank + 1)),
  }));
  return [{ id: tokenId, logprob: Math.log(chosen) }, ...rivals];
}

/** The same for each token of a prompt but the first, which nothing precedes. */
export function promptLogprobsOf(options: {
  seeds: readonly number[];
  promptIds: readonly number[];
  rivals: number;
}): readonly TokenLogprobs[] {
  let hash = startPrefixHash(options.seeds);
  const entries = options.promptIds.map((tokenId) => {
    const entry = logprobsOf({ hash, tokenId, rivals: options.rivals });
    for (const byte of tokenBytes(tokenId)) hash = extendPrefixHash(hash, byte);
    return entry;
  });
  return entries.slice(1);
}
