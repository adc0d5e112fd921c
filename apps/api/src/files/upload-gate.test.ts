import { expect, it } from 'vitest';
import { createUploadGate } from './upload-gate.ts';

const MB = 1_048_576;

function gateWith(room: { freeBytes: number; totalBytes: number }) {
  return createUploadGate({
    config: {
      uploadsMax: 8,
      freeShareMin: 0.1,
      owner: { filesMax: 100, bytesMax: 1_000_000 * MB },
    },
    files: { room: async () => ({ ...room }) },
    store: { files: { usage: async () => ({ files: 0, bytes: 0 }) } } as never,
  });
}

it('counts what an upload says that it is as written', async () => {
  const gate = gateWith({ freeBytes: 200 * MB, totalBytes: 1_000 * MB });
  const first = await gate.enter('ann', 60 * MB);
  await expect(gate.enter('bea', 60 * MB)).rejects.toMatchObject({ code: 'files_full' });
  first.leave();
  await gate.enter('bea', 60 * MB);
});

it('takes several that do not say how much they are, where there is room for what they are', async () => {
  const gate = gateWith({ freeBytes: 200 * MB, totalBytes: 1_000 * MB });
  for (const owner of ['ann', 'bea', 'cat']) await gate.enter(owner, null);
});

it('looks again as more comes of one that has not said how much it is', async () => {
  const room = { freeBytes: 200 * MB, totalBytes: 1_000 * MB };
  const gate = gateWith(room);
  const upload = await gate.enter('ann', null);
  await upload.came(17 * MB);
  room.freeBytes = 100 * MB;
  await upload.came(8 * MB);
  await expect(upload.came(9 * MB)).rejects.toMatchObject({ code: 'files_full' });
});
