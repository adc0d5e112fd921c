import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { createLogger } from '@qarr/process';
import { z } from 'zod';
import { checkFileStore, createFileStore, placeOf, placeVariables } from './file-config.ts';

const folder = mkdtempSync(join(tmpdir(), 'qarr-file-config-'));
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => void vi.unstubAllEnvs());

const ID = 'QARR_FILES_S3_ACCESS_KEY_ID';
const SECRET = 'QARR_FILES_S3_SECRET_ACCESS_KEY';

const read = (variables: Record<string, string>) =>
  placeOf(z.object(placeVariables).parse({ QARR_FILES_S3_BUCKET: 'bucket', ...variables }));

describe('a bucket', () => {
  it('is asked with the keys that are set, or with those that the SDK finds', () => {
    const credentials = { accessKeyId: 'id', secretAccessKey: 'secret' };
    const path = join(folder, 's3.secret');
    writeFileSync(path, 'secret\n');
    expect(read({ [ID]: 'id', [SECRET]: 'secret' })).toMatchObject({ options: { credentials } });
    expect(read({ [ID]: 'id', [`${SECRET}_FILE`]: path })).toMatchObject({
      options: { credentials },
    });
    expect(read({})).toMatchObject({ options: { credentials: null } });
  });

  it.each([
    [{ [ID]: 'id' }, `${ID}: needs ${SECRET}`],
    [{ [SECRET]: 'secret' }, `${ID}: needs ${SECRET}`],
    [{ [ID]: 'id', [SECRET]: 'secret', [`${SECRET}_FILE`]: '/none' }, 'not both'],
    [{ [ID]: 'id', [`${SECRET}_FILE`]: '/none' }, 'there is no file /none'],
  ])('refuses %j', (variables, message) => {
    expect(() => read(variables)).toThrow(message);
  });

  it('is part of the path where an endpoint is set', () => {
    const endpoint = { QARR_FILES_S3_ENDPOINT: 'https://s3.example.com' };
    const withHost = { ...endpoint, QARR_FILES_S3_PATH_STYLE: 'false' };
    expect(read(endpoint)).toMatchObject({ options: { isPathStyle: true } });
    expect(read(withHost)).toMatchObject({ options: { isPathStyle: false } });
    expect(read({})).toMatchObject({ options: { isPathStyle: false, endpoint: null } });
  });

  it('ends the start where nothing says who asks it', async () => {
    for (const name of Object.keys(process.env)) {
      if (name.startsWith('AWS_')) vi.stubEnv(name, undefined);
    }
    vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true');
    vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', join(folder, 'none'));
    vi.stubEnv('AWS_CONFIG_FILE', join(folder, 'none'));
    const place = read({ QARR_FILES_S3_ENDPOINT: 'http://127.0.0.1:9' });
    const store = createFileStore({ place });
    const log = createLogger({ name: 'test', level: 'silent' });
    const records = { deployment: notAsked, nameDeployment: notAsked };
    await expect(checkFileStore(store, { place, records, log })).rejects.toThrow(
      `set ${ID} and ${SECRET}, or what Amazon's SDK looks for`,
    );
  });
});

async function notAsked(): Promise<never> {
  throw new Error('there is no store whose files would be known');
}
