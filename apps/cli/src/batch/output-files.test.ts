/** Where outcomes are written: never over what they are made of, or over each other. */
import {
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openOutputFiles, requireWritable } from './output-files.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'qarr-outputs-'));
  writeFileSync(inFolder('in.jsonl'), 'kept\n');
  symlinkSync(inFolder('in.jsonl'), inFolder('link.jsonl'));
  linkSync(inFolder('in.jsonl'), inFolder('hard.jsonl'));
  symlinkSync(folder, inFolder('here'));
  mkdirSync(inFolder('folder'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const inFolder = (name: string) => path.join(folder, name);

test.each<[string, string | undefined, string, RegExp]>([
  ['in.jsonl', undefined, 'in.jsonl', /over the input$/],
  ['out', 'in.jsonl', 'in.jsonl', /over the input$/],
  ['here/in.jsonl', undefined, 'in.jsonl', /over the input$/],
  ['in.jsonl', undefined, 'link.jsonl', /over the input$/],
  ['hard.jsonl', undefined, 'in.jsonl', /over the input$/],
  ['out', undefined, 'out.part', /out\.part would be written over the input$/],
  ['out', 'out', 'in.jsonl', /would be written twice/],
  ['out', 'here/out', 'in.jsonl', /would be written twice/],
  ['out', 'out.part', 'in.jsonl', /would be written twice/],
  ['out', 'out.resume', 'in.jsonl', /would be written twice/],
  ['folder', undefined, 'in.jsonl', /folder is a folder$/],
  ['out', 'folder', 'in.jsonl', /folder is a folder$/],
])('-o %s --errors %s of %s is bad use, and leaves nothing', async (output, errors, input, why) => {
  const before = readdirSync(folder);
  const paths = {
    output: inFolder(output),
    errors: errors === undefined ? undefined : inFolder(errors),
  };
  await expect(requireWritable(paths, inFolder(input))).rejects.toMatchObject({
    exitCode: 2,
    message: expect.stringMatching(why),
  });
  expect(readdirSync(folder)).toEqual(before);
});

test('other files are good, also those that are there already', async () => {
  writeFileSync(inFolder('out'), 'old');
  const before = readdirSync(folder);
  await requireWritable(
    { output: inFolder('out'), errors: inFolder('errors') },
    inFolder('in.jsonl'),
  );
  expect(readdirSync(folder)).toEqual(before);
});

test('says which other batch it takes the place of', async () => {
  const paths = { output: inFolder('out'), errors: undefined };
  const first = await openOutputFiles(paths, 'batch_1');
  expect(first.replaces).toBeNull();
  await first.append([], '7');
  await first.close();
  const again = await openOutputFiles(paths, 'batch_1');
  expect(again).toMatchObject({ replaces: null, cursor: '7' });
  await again.close();
  const other = await openOutputFiles(paths, 'batch_2');
  expect(other).toMatchObject({ replaces: 'batch_1', cursor: '0' });
  await other.close();
});
