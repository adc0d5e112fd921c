import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseBatchLine } from './batch-line.ts';

const endpoint = '/v1/chat/completions';
const body = { model: 'auto', messages: [{ role: 'user', content: 'Hi' }] };
const line = (fields: object = {}) =>
  JSON.stringify({ custom_id: 'a', method: 'POST', url: endpoint, body, ...fields });
const read = (text: string) => parseBatchLine(text, { endpoint, number: 7 });

describe('a line', () => {
  it('names its request, and holds it without the nulls', () => {
    const text = line({ body: { ...body, top_p: null }, extra: 1 });
    expect(read(text)).toEqual({ kind: 'line', customId: 'a', body });
  });

  it.each<[string, string, string | null]>([
    ['banana', 'invalid_json_line', null],
    [`${line()} ${line()}`, 'invalid_json_line', null],
    ['[]', 'invalid_json_line', null],
    ['null', 'invalid_json_line', null],
    [line().replace('"model"', '"__proto__":{},"model"'), 'invalid_json_line', null],
    [line().replace('"model"', '"\\u005f_proto__":{},"model"'), 'invalid_json_line', null],
    [line({ body: { constructor: { prototype: {} } } }), 'invalid_json_line', null],
    [
      line({ body: JSON.parse('{"a":'.repeat(40) + '1' + '}'.repeat(40)) }),
      'line_too_complex',
      null,
    ],
    [line({ custom_id: undefined }), 'missing_required_parameter', 'custom_id'],
    [line({ custom_id: null }), 'missing_required_parameter', 'custom_id'],
    [line({ custom_id: 7 }), 'invalid_custom_id', 'custom_id'],
    [line({ custom_id: '' }), 'invalid_custom_id', 'custom_id'],
    [line({ custom_id: 'x'.repeat(513) }), 'invalid_custom_id', 'custom_id'],
    [line({ method: undefined }), 'missing_required_parameter', 'method'],
    [line({ method: 'GET' }), 'invalid_method', 'method'],
    [line({ url: undefined }), 'missing_required_parameter', 'url'],
    [line({ url: '/v1/completions' }), 'url_mismatch', 'url'],
    [line({ body: undefined }), 'missing_required_parameter', 'body'],
    [line({ body: [] }), 'invalid_body', 'body'],
    [line({ body: '{}' }), 'invalid_body', 'body'],
  ])('is refused: %s', (text, code, param) => {
    const { kind, ...reading } = read(text);
    expect({ kind, ...reading }).toMatchObject({
      kind: 'wrong',
      error: { code, param, line: 7, message: expect.stringMatching(/\.$/) },
    });
  });

  it('has a custom_id of up to 512 characters, and a body as deep as one that comes alone', () => {
    expect(read(line({ custom_id: 'x'.repeat(512) })).kind).toBe('line');
    const deep = (depth: number) =>
      line({ body: JSON.parse('{"a":'.repeat(depth) + '1' + '}'.repeat(depth)) });
    expect([32, 33].map((depth) => read(deep(depth)).kind)).toEqual(['line', 'wrong']);
  });

  it('never throws, and an error never repeats it', () => {
    const parts = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      '"',
      ':',
      ',',
      '\\',
      'null',
      'secret',
      '"custom_id"',
    );
    const texts = fc.oneof(
      fc.array(parts).map((all) => all.join('')),
      fc.json(),
      fc.string(),
    );
    fc.assert(
      fc.property(texts, (text) => {
        const reading = read(text);
        if (reading.kind === 'wrong') expect(reading.error.message).not.toContain('secret');
      }),
    );
  });
});
