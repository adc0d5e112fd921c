/** Kinds of fields that requests are made of, each with the words that refuse a wrong one. */
import { z } from 'zod';

/** Model ids may be paths; nothing that is named in a request is longer. */
const NAME_CHARS_MAX = 256;

export function wholeNumber(min: number, max: number) {
  const error = `must be a whole number from ${min} to ${max}`;
  return z.int(error).min(min, error).max(max, error);
}

export function numberBetween(min: number, max: number) {
  const error = `must be a number from ${min} to ${max}`;
  return z.number(error).min(min, error).max(max, error);
}

export function flag() {
  return z.boolean('must be true or false');
}

export function name() {
  return text(NAME_CHARS_MAX).min(1, 'must not be empty');
}

export function text(charsMax: number) {
  return z.string('must be a string').max(charsMax, `must have at most ${charsMax} characters`);
}
