import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { dropOldestTurns, fits, nearLimit } from './context-window.ts';

interface Message {
  role: string;
  content: string;
}

/** One token a character, none for templates. */
const estimateTokens = (messages: readonly Message[]): number =>
  messages.reduce((sum, { content }) => sum + content.length, 0);

const drop = (messages: Message[], maxModelLen: number, maxTokens = 0) =>
  dropOldestTurns({ messages, maxTokens, maxModelLen, estimateTokens });

const conversation: Message[] = [
  { role: 'system', content: 'S' },
  { role: 'user', content: 'q1' },
  { role: 'assistant', content: 'a1' },
  { role: 'user', content: 'q2' },
  { role: 'assistant', content: 'a2' },
  { role: 'tool', content: 't2' },
  { role: 'developer', content: 'D' },
  { role: 'user', content: 'q3' },
];

describe('a context window', () => {
  it('holds prompt and answer together, to the last token', () => {
    expect(fits({ promptTokens: 600, maxTokens: 400, maxModelLen: 1000 })).toBe(true);
    expect(fits({ promptTokens: 601, maxTokens: 400, maxModelLen: 1000 })).toBe(false);
  });

  it('is near its limit within a quarter on either side', () => {
    expect([349, 350, 600, 850, 851].map(near)).toEqual([false, true, true, true, false]);
  });
});

describe('dropping the oldest turns', () => {
  it('drops nothing from what fits', () => {
    expect(drop(conversation, 14)).toEqual({ messages: conversation, dropped: 0 });
  });

  it('drops a question together with its answers, oldest first', () => {
    expect(contents(13)).toEqual(['S', 'q2', 'a2', 't2', 'D', 'q3']);
    expect(contents(10)).toEqual(['S', 'q2', 'a2', 't2', 'D', 'q3']);
    expect(contents(9)).toEqual(['S', 'D', 'q3']);
    expect(drop(conversation, 9)?.dropped).toBe(5);
  });

  it('keeps system and developer messages and the last question, or gives up', () => {
    expect(contents(4)).toEqual(['S', 'D', 'q3']);
    expect(drop(conversation, 3)).toBeNull();
    expect(drop(conversation, 4, 1)).toBeNull();
  });

  it('keeps what follows the last question, and drops a greeting before the first', () => {
    const greeted = [
      { role: 'assistant', content: 'hello' },
      { role: 'user', content: 'q' },
      { role: 'assistant', content: 'begun' },
    ];
    expect(drop(greeted, 6)?.messages).toEqual(greeted.slice(1));
    expect(drop(greeted, 5)).toBeNull();
  });

  it('has nothing to drop where nobody asked', () => {
    expect(drop([{ role: 'assistant', content: 'abc' }], 2)).toBeNull();
    expect(drop([], 0)).toEqual({ messages: [], dropped: 0 });
  });

  it('fits, keeps the order, and drops no turn too many', () => {
    const role = fc.constantFrom('system', 'developer', 'user', 'assistant', 'tool');
    const messages = fc.array(fc.record({ role, content: fc.string({ maxLength: 9 }) }));
    fc.assert(
      fc.property(messages, fc.nat(100), (all, maxModelLen) => {
        const result = drop(all, maxModelLen);
        if (result === null) return;
        expect(estimateTokens(result.messages)).toBeLessThanOrEqual(maxModelLen);
        expect(result.messages).toEqual(all.filter((message) => result.messages.includes(message)));
        expect(result.dropped).toBe(all.length - result.messages.length);

        const kept = new Set(result.messages);
        const newestDropped = all.findLastIndex((message) => !kept.has(message));
        const turn = all.findLastIndex(
          ({ role: by }, index) => by === 'user' && index <= newestDropped,
        );
        const oneTurnMore = all.filter(
          (message, index) => kept.has(message) || (newestDropped !== -1 && index >= turn),
        );
        const isFull = result.dropped === 0 || estimateTokens(oneTurnMore) > maxModelLen;
        expect(isFull).toBe(true);
      }),
    );
  });
});

function near(promptTokens: number): boolean {
  return nearLimit({ promptTokens, maxTokens: 400, maxModelLen: 1000 });
}

function contents(maxModelLen: number): string[] | undefined {
  return drop(conversation, maxModelLen)?.messages.map(({ content }) => content);
}
