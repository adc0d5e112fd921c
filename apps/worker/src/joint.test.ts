import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createJoint } from './joint.ts';
import type { JointOptions } from './joint.ts';

/** Pushes these texts through a joint, as many as it takes. */
function joined(texts: readonly string[], options: Partial<JointOptions> = {}) {
  let text = '';
  let isClosed = false;
  const joint = createJoint({
    heldBack: '',
    stops: [],
    echo: '',
    repeated: '',
    onDelta: (delta) => (text += delta.text),
    close: () => (isClosed = true),
    ...options,
  });
  for (const piece of texts) if (!isClosed) joint.push({ text: piece });
  if (!isClosed) joint.flush(undefined);
  return { text, verdict: joint.verdict, isClosed };
}

describe('a joint', () => {
  it('lets a text through as it is', () => {
    fc.assert(
      fc.property(fc.array(fc.string()), (texts) => {
        expect(joined(texts)).toEqual({
          text: texts.join(''),
          verdict: 'going on',
          isClosed: false,
        });
      }),
    );
  });

  it('leaves out what was published before, however it is cut', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.array(fc.nat(20)), (repeated, rest, cuts) => {
        const texts: string[] = [];
        let left = repeated + rest;
        for (const cut of cuts) {
          texts.push(left.slice(0, cut));
          left = left.slice(cut);
        }
        expect(joined([...texts, left], { repeated })).toMatchObject({
          text: rest,
          verdict: 'going on',
        });
      }),
    );
  });

  it('lets nothing out of a text that does not begin with what was published', () => {
    expect(joined([' ri', 'ght here'], { repeated: ' river' })).toEqual({
      text: '',
      verdict: 'other text',
      isClosed: true,
    });
  });

  it('lets out no tokens of what was published, nor of another text', () => {
    const seen: (readonly number[] | undefined)[] = [];
    const joint = createJoint({
      heldBack: '',
      stops: [],
      echo: '',
      repeated: ' river',
      onDelta: ({ tokenIds }) => seen.push(tokenIds),
      close() {},
    });
    joint.push({ text: ' riv', tokenIds: [1] });
    joint.push({ text: 'al', tokenIds: [2] });
    expect(joint.verdict).toBe('other text');
    expect(seen).toEqual([]);
  });

  it('does not take an answer for whole that ends within what was published', () => {
    expect(joined([' riv'], { repeated: ' river' })).toMatchObject({ verdict: 'other text' });
  });

  it('drops the echo of what was given, once, and only at the beginning', () => {
    expect(joined(['', 'abc', 'abc'], { echo: 'abc' }).text).toBe('abc');
    expect(joined(['d', 'abc'], { echo: 'abc' }).text).toBe('dabc');
  });

  it('ends the request at a stop string that begins in what was held back', () => {
    expect(joined(['D of it', ' all'], { heldBack: 'so: EN', stops: ['END'] })).toEqual({
      text: 'so: ',
      verdict: 'stopped',
      isClosed: true,
    });
  });
});
