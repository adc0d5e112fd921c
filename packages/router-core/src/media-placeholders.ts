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

/** The same in JSON that an engine will read, in which any character may be four digits. */
export function jsonHoldsPlaceholder(json: string): boolean {
  if (holdsPlaceholder(json)) return true;
  return OPENER.test(json) && json.includes(ESCAPE) && holdsPlaceholder(unescaped(json));
}

const ESCAPE = '\\u';
const ESCAPE_DIGITS = 4;
/** Without it there is nothing to look for. */
const OPENER = /(?:<|\\u003c)(?:\||\\u007c)/i;

function unescaped(json: string): string {
  const [before = '', ...parts] = json.split(ESCAPE);
  return parts.reduce((text, part) => {
    const code = Number.parseInt(part.slice(0, ESCAPE_DIGITS), 16);
    return text + String.fromCharCode(code) + part.slice(ESCAPE_DIGITS);
  }, before);
}
