/**
 * Lines of an input file: prompts of 1 to 8 KB that go to different tiers, drawn from a seed, and a few
 * that cannot be answered. A line is a function of the seed and its number.
 */
import { createRandom } from '../chaos/random.ts';
import type { Random } from '../chaos/random.ts';

const PROMPT_CHARS_MIN = 1_000;
const PROMPT_CHARS_MAX = 7_800;
/** One in so many has something wrong in its body. */
const WRONG_ONE_IN = 100;
const SYLLABLES = ['ka', 'lo', 'mi', 'ren', 'sta', 'tu', 'vel', 'qui', 'dor', 'ane', 'pri', 'osh'];

export interface Line {
  readonly customId: string;
  readonly body: {
    readonly model: string;
    readonly messages: readonly { readonly role: string; readonly content: string }[];
    readonly max_tokens: number;
    readonly temperature: number;
  };
  /** Of the line in the error file; null: it is to be answered. */
  readonly wrong: 400 | 404 | null;
}

export interface InputShape {
  /** Of each answer, at most. */
  readonly tokens: readonly [min: number, max: number];
  readonly tiers: readonly string[];
}

export function lineAt(seed: string, index: number, { tokens, tiers }: InputShape): Line {
  const random = createRandom(`${seed}/line/${index}`);
  const kind = random.pick(['short', 'short', 'long', 'code', 'pinned', 'careful'] as const);
  const wrong = random.chance(1 / WRONG_ONE_IN) ? random.pick([400, 404] as const) : null;
  // The smaller of two: more of them are short, and 50,000 fit into a file of 200 MB.
  const size = () => random.int(PROMPT_CHARS_MIN, PROMPT_CHARS_MAX);
  const chars = Math.min(size(), size());
  const max = random.int(...tokens);
  const pin = kind === 'pinned' ? random.pick(tiers) : 'auto';
  const content = kind === 'code' ? code(chars, random) : prose(kind, chars, random);
  return {
    customId: `${kind}-${index}`,
    wrong,
    body: {
      model: wrong === 404 ? 'no-such-model' : pin,
      // The number makes no two prompts alike, so that no answer can pass for another's.
      messages: [{ role: 'user', content: `Number ${index}. ${content}` }],
      max_tokens: wrong === 400 ? -1 : max,
      temperature: kind === 'careful' ? 0.2 : 0.7,
    },
  };
}

/** As it stands in the file. */
export function textOf({ customId, body }: Line): string {
  const line = { custom_id: customId, method: 'POST', url: '/v1/chat/completions', body };
  return `${JSON.stringify(line)}\n`;
}

function prose(kind: string, chars: number, random: Random): string {
  // Few words of many letters stay with the smallest tier, however long they are.
  const wordChars = kind === 'short' ? 60 : 6;
  const words: string[] = [];
  for (let length = 0; length < chars;) {
    let word = '';
    while (word.length < wordChars) word += random.pick(SYLLABLES);
    words.push(word);
    length += word.length + 1;
  }
  return words.join(' ');
}

function code(chars: number, random: Random): string {
  const lines = ['```python'];
  for (let length = 0; length < chars;) {
    const line = `def ${random.pick(SYLLABLES)}_${random.int(0, 1e6)}(x): return x + ${random.int(0, 1e9)}`;
    lines.push(line);
    length += line.length + 1;
  }
  return [...lines, '```'].join('\n');
}
