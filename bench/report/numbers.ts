/** Numbers as words of a table. */
import type { Spread } from '../measure/spread.ts';

/** Three digits that count, and never a power of ten. */
export function number(value: number): string {
  const size = Math.abs(value);
  if (size >= 100) return Math.round(value).toString();
  if (size >= 10) return value.toFixed(1);
  if (size >= 1) return value.toFixed(2);
  return value.toFixed(3);
}

/** `12.3 [11.0..14.1]`, or only the first where there is one. */
export function spread(found: Spread | null): string {
  if (found === null) return '–';
  const { n, median, min, max } = found;
  return n === 1 ? number(median) : `${number(median)} [${number(min)}..${number(max)}]`;
}
