import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import OpenAI, { toFile } from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startApiWorld } from '../harness/api.ts';
import type { ApiWorld } from '../harness/api.ts';

let world: ApiWorld;
let openai: OpenAI;
beforeAll(async () => {
  world = await startApiWorld();
  openai = new OpenAI({ baseURL: `${world.api.url}/v1`, apiKey: 'none', maxRetries: 0 });
});
afterAll(() => world.stop());

describe('the official client', () => {
  it('creates, retrieves, lists, downloads and deletes', async () => {
    const text = '{"custom_id":"a"}\n';
    const file = await openai.files.create({
      file: await toFile(Buffer.from(text), 'in.jsonl'),
      purpose: 'batch',
      expires_after: { anchor: 'created_at', seconds: 3_600 },
    });
    expect(file).toEqual({
      id: expect.stringMatching(/^file-[0-9a-f]{32}$/),
      object: 'file',
      bytes: text.length,
      created_at: expect.any(Number),
      expires_at: file.created_at + 3_600,
      filename: 'in.jsonl',
      purpose: 'batch',
      status: 'processed',
      status_details: null,
    });
    expect(await openai.files.retrieve(file.id)).toEqual(file);
    expect(await (await openai.files.content(file.id)).text()).toBe(text);
    expect(await openai.files.delete(file.id)).toEqual({
      id: file.id,
      object: 'file',
      deleted: true,
    });
    await expect(openai.files.retrieve(file.id)).rejects.toMatchObject({ status: 404 });
    expect(await readdir(join(world.filesFolder)).catch(() => [])).not.toContain('files');
  });
});
