import { itemsOf, type JsonShape, leastValues } from './json-shape.ts';
import { WORDS } from './words.ts';

/** A whole number in [0, below). Every call is another draw. */
export type Draw = (below: number) => number;

/** Below this depth a value is as small as its shape allows, so that a recursive shape ends. */
const DEPTH_MAX = 4;
/** After this many values too: a wide and deep shape would fill the context window. */
const VALUES_MAX = 200;
/** A list has at most this many items more than it needs. */
const EXTRA_ITEMS_MAX = 2;
const EXTRA_CHARS_MAX = 12;
const WORD_LIST = [...WORDS.adj, ...WORDS.noun];

/** A JSON text of this shape, with the blanks that Python's `json.dumps` and most models write. */
export function writeJson(shape: JsonShape, draw: Draw): string {
  let values = 0;
  return write(shape, 0);

  function write(from: JsonShape, depth: number): string {
    values += 1;
    const small = depth >= DEPTH_MAX || values > VALUES_MAX;
    switch (from.kind) {
      case 'literal':
        return from.texts[draw(from.texts.length)] ?? 'null';
      case 'text':
        return JSON.stringify(someText(from));
      case 'integer':
        return String(from.min + draw(Math.min(from.max - from.min + 1, 2 ** 31)));
      case 'number':
        return JSON.stringify(from.min + ((from.max - from.min) * (1 + draw(7))) / 8);
      case 'list': {
        const extra = small ? 0 : draw(EXTRA_ITEMS_MAX + 1);
        const length = Math.min(from.itemsMax ?? Infinity, from.itemsMin + extra);
        const items = itemsOf(from, length).map((item) => write(item, depth + 1));
        return `[${items.join(', ')}]`;
      }
      case 'object': {
        const written = from.properties.filter(
          ({ required }) => required || (!small && draw(2) === 1),
        );
        const members = written.map(
          ({ name, shape: member }) => `${JSON.stringify(name)}: ${write(member, depth + 1)}`,
        );
        return `{${members.join(', ')}}`;
      }
      case 'choice': {
        const [first, ...others] = from.options;
        if (first === undefined) return 'null';
        const fits = !small && leastValues(first) <= VALUES_MAX;
        return write(fits ? first : smallest(first, others), depth);
      }
      case 'reference':
        return write(from.target(), depth);
      default:
        throw new Error(`no such shape: ${String(from satisfies never)}`);
    }
  }

  function someText(bounds: { charsMin: number; charsMax: number | undefined }): string {
    const { charsMin, charsMax = Infinity } = bounds;
    const chars = Math.min(charsMax, charsMin + draw(EXTRA_CHARS_MAX));
    const words = [someWord()];
    while (words.join(' ').length < chars) words.push(someWord());
    const text = words.join(' ');
    // Whole words unless the bounds ask for less.
    return text.length <= charsMax ? text : text.slice(0, chars);
  }

  function someWord(): string {
    return WORD_LIST[draw(WORD_LIST.length)] ?? '';
  }
}

function smallest(first: JsonShape, others: readonly JsonShape[]): JsonShape {
  return others.reduce(
    (best, option) => (leastValues(option) < leastValues(best) ? option : best),
    first,
  );
}
