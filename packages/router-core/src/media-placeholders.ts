/**
 * Names that stand for a picture, a video or a sound in a prompt, such as `<|image_pad|>`.
 *
 * Tokenizers make one token of them wherever they occur. Where such a token comes without its
 * picture, multimodal engines take another one for it, or end (CVE-2026-44222). Tiers are given
 * text only, so there is none that they could belong to.
 */

/** The longest that is known has 24 characters; the bound keeps the search linear. */
const PLACEHOLDER =
  /<\|(?=[\w-]{1,40}\|>)[\w-]{0,40}?(?:image|img|video|vision|audio|media)[\w-]{0,40}\|>/i;

export const PLACEHOLDER_ERROR =
  'must not hold the placeholder of a picture, a video or a sound, such as <|image_pad|>';

export function holdsPlaceholder(text: string): boolean {
  return PLACEHOLDER.test(text);
}

/** The same in JSON, in which every character may be written as `\u` and four digits. */
export function jsonHoldsPlaceholder(json: string): boolean {
  if (!json.includes('\\u')) return holdsPlaceholder(json);
  const decoded = json.replace(/\\u([0-9a-f]{4})/gi, (_match, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 16)),
  );
  return holdsPlaceholder(decoded);
}
