import { describe, expect, test } from 'vitest';
import { createScreen } from './screen.ts';

function open({ isTTY, colours = false }: { isTTY: boolean; colours?: boolean }) {
  let output = '';
  const stream = { isTTY, write: (text: string) => (output += text) };
  return { screen: createScreen({ stdout: stream, stderr: stream, colours }), shown: () => output };
}

function work() {
  return Promise.resolve({ result: 7, summary: 'two of them' });
}

describe('the screen', () => {
  test('writes one line for a step where lines cannot be rewritten', async () => {
    const { screen, shown } = open({ isTTY: false });
    expect(await screen.step('engines', work)).toBe(7);
    expect(shown()).toMatch(/^✓ engines: two of them \(\d+\.\d s\)\n$/);
  });

  test('rewrites the line of a step on a terminal', async () => {
    const { screen, shown } = open({ isTTY: true });
    await screen.step('engines', work);
    expect(shown()).toMatch(/^… engines\r.\[2K✓ engines: two of them \(\d+\.\d s\)\n$/);
  });

  test('ends an open line before it says something else', () => {
    const { screen, shown } = open({ isTTY: false });
    screen.write('half a sen');
    screen.line('worker-fast ended');
    screen.write('more');
    screen.problem('qarr: it failed');
    expect(shown()).toBe('half a sen\nworker-fast ended\nmore\nqarr: it failed\n');
  });

  test('is coloured only where that was asked for', () => {
    expect(open({ isTTY: true }).screen.style('red', 'x')).toBe('x');
    expect(open({ isTTY: true, colours: true }).screen.style('red', 'x')).toContain('\u001B[');
  });
});
