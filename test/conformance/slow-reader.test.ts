import { describe, expect, it } from 'vitest';
import { readSlowly } from './slow-reader.ts';

const event = (value: object) => `data: ${JSON.stringify(value)}\n\n`;
const text = (content: string, more: object = {}, usage?: number) =>
  event({
    choices: [{ index: 0, delta: { content }, ...more }],
    ...(usage === undefined ? {} : { usage: { prompt_tokens: 1, completion_tokens: usage } }),
  });
const STOP = { finish_reason: 'stop' };
const DONE = 'data: [DONE]\n\n';

function read(
  body: string | Uint8Array,
  options: Partial<Parameters<typeof readSlowly>[1]> = {},
): ReturnType<typeof readSlowly> {
  const bytes = typeof body === 'string' ? new TextEncoder().encode(body) : body;
  return readSlowly(bytes, { choices: 1, counting: 'none', endsCleanly: true, ...options });
}

describe('the second reader', () => {
  it.each(['\n', '\r', '\r\n'])('reads lines that end with %j', (end) => {
    const body = `: hello\n\n${text('a')}${text('b', STOP)}${DONE}`.replaceAll('\n', end);
    expect(read(body)).toEqual({ isWhole: true, texts: ['ab'] });
  });

  it.each([
    ['no finish reason', text('a') + DONE],
    ['an abort', text('a', { finish_reason: 'abort' }) + DONE],
    ['an error', text('a', STOP) + event({ error: 'x' }) + DONE],
    ['broken JSON', `${text('a')}data: {"choi\n\n${text('b', STOP)}${DONE}`],
    ['a text that is a number', event({ choices: [{ delta: { content: 1 } }] }) + text('', STOP)],
    ['an event that is cut', text('a', STOP).slice(0, -4)],
  ])('finds no whole answer in %s', (_name, body) => {
    expect(read(body).isWhole).toBe(false);
  });

  it('needs [DONE] where the response does not end cleanly', () => {
    const body = text('a', STOP);
    expect(read(body).isWhole).toBe(true);
    expect(read(body, { endsCleanly: false }).isWhole).toBe(false);
    expect(read(body + DONE, { endsCleanly: false }).isWhole).toBe(true);
  });

  it('finds no whole answer in what is no UTF-8', () => {
    const bytes = new TextEncoder().encode(text('abc', STOP) + DONE);
    bytes[bytes.indexOf('b'.charCodeAt(0))] = 0xff;
    expect(read(bytes).isWhole).toBe(false);
  });

  it('needs every choice', () => {
    const second = event({ choices: [{ index: 1, delta: { content: 'b' }, ...STOP }] });
    expect(read(text('a', STOP), { choices: 2 }).isWhole).toBe(false);
    const both = read(text('a', STOP) + second, { choices: 2 });
    expect(both).toEqual({ isWhole: true, texts: ['a', 'b'] });
  });

  it('misses by the counts what is not there, or there twice', () => {
    const [one, two, three] = [text('a', {}, 1), text('b', {}, 2), text('c', STOP, 3)];
    const counting = 'counts';
    expect(read(one + two + three, { counting }).isWhole).toBe(true);
    expect(read(one + two + two + three, { counting }).isWhole).toBe(false);
    expect(read(`${one}data: {\n\n${three}`, { counting }).isWhole).toBe(false);
    expect(read(`${one}data: {\n\n${two}${three}`, { counting }).isWhole).toBe(true);
  });
});
