import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { holdsPlaceholder, jsonHoldsPlaceholder } from './media-placeholders.ts';

const PLACEHOLDERS = [
  '<|image_pad|>',
  '<|vision_start|>',
  '<|VIDEO|>',
  '<|audio_bos|>',
  '<|begin_of_image|>',
  '<|image_1|>',
  '<|imgpad|>',
];

describe('a placeholder of a picture, a video or a sound', () => {
  it('is found anywhere in a text', () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.constantFrom(...PLACEHOLDERS),
        fc.string(),
        (before, placeholder, after) => {
          expect(holdsPlaceholder(before + placeholder + after)).toBe(true);
        },
      ),
    );
  });

  it('is found in JSON however it is written there', () => {
    for (const placeholder of PLACEHOLDERS) {
      const escaped = Array.from(placeholder, (char) => {
        return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
      }).join('');
      expect(JSON.parse(`"${escaped}"`)).toBe(placeholder);
      expect(jsonHoldsPlaceholder(`{"a":"${escaped}"}`)).toBe(true);
      expect(jsonHoldsPlaceholder(JSON.stringify({ a: placeholder }))).toBe(true);
    }
  });

  it.each([
    'a plain text about an image',
    '<image>',
    '<|im_start|>',
    'list |> map',
    'f <| image |> g',
    `<|${'x'.repeat(50)}image|>`,
    '<||>',
  ])('is not seen in %j', (text) => {
    expect(holdsPlaceholder(text)).toBe(false);
    expect(jsonHoldsPlaceholder(JSON.stringify(text))).toBe(false);
  });
});
