/**
 * What holds of every file store, against a real server: `npm run s3-check`, with one of
 *
 * - `VERSITYGW=/path/to/versitygw`, which `go install github.com/versity/versitygw/cmd/versitygw@v1.8.0`
 *   builds: it is started here, on a folder of its own, and stopped;
 * - `QARR_FILES_S3_ENDPOINT`, `_BUCKET`, `_ACCESS_KEY_ID`, `_SECRET_ACCESS_KEY` and, where it matters,
 *   `_REGION` and `_PATH_STYLE`, of a bucket that exists. All is written behind a prefix of its own,
 *   and removed.
 */
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, it } from 'vitest';
import { chunks, itKeepsFiles, textOf } from '../src/contract-for-test.ts';
import { openS3 } from '../src/s3-client.ts';
import { createS3Store } from '../src/s3-store.ts';
import type { S3StoreOptions } from '../src/s3-store.ts';

const { options, stop } = await findServer();
const open = () => createS3Store(options);
const { sdk, client } = await openS3(options);
const inBucket = { Bucket: options.bucket };

async function uploadsLeft(): Promise<number> {
  const search = new sdk.ListMultipartUploadsCommand({ ...inBucket, Prefix: options.prefix });
  return (await client.send(search)).Uploads?.length ?? 0;
}

describe(`a real server: ${options.endpoint}`, () => {
  afterAll(async () => {
    for await (const { name } of open().list('')) await open().remove(name);
    await stop();
  });

  itKeepsFiles({ open, leftovers: uploadsLeft, largeBytes: 12_000_000 });

  it('removes uploads that were cut off, once they are old', async () => {
    const Key = `${options.prefix}files/cut-off`;
    await client.send(new sdk.CreateMultipartUploadCommand({ ...inBucket, Key }));
    expect(await uploadsLeft()).toBe(1);
    await open().tidy(3_600_000);
    expect(await uploadsLeft()).toBe(1);
    await sleep(1_500);
    await open().tidy(1);
    expect(await uploadsLeft()).toBe(0);
  });

  it('says by which write an object came', async () => {
    await open().write('files/said', chunks('x'.repeat(6_000_000)), { bytesMax: 6_000_000 });
    const Key = `${options.prefix}files/said`;
    const { Metadata } = await client.send(new sdk.HeadObjectCommand({ ...inBucket, Key }));
    expect(Metadata).toMatchObject({ 'qarr-write': expect.stringMatching(/^[\da-f-]{36}$/) });
  });

  it('lists more than one page', async () => {
    const names = Array.from({ length: 1_050 }, (_, at) => `pages/${at}`);
    for (let at = 0; at < names.length; at += 50) {
      const some = names.slice(at, at + 50);
      await Promise.all(some.map((name) => open().write(name, chunks('x'), { bytesMax: 1 })));
    }
    let count = 0;
    for await (const { bytes } of open().list('pages/')) count += bytes;
    expect(count).toBe(names.length);
  });

  it('refuses who has another secret', async () => {
    const store = createS3Store({
      ...options,
      credentials: {
        accessKeyId: options.credentials?.accessKeyId ?? '',
        secretAccessKey: 'another',
      },
    });
    await expect(store.check()).rejects.toMatchObject({ problem: 'unavailable' });
    await open().write('files/mine', chunks('x'), { bytesMax: 1 });
    await expect(store.read('files/mine')).rejects.toMatchObject({ problem: 'unavailable' });
    expect(await textOf(open(), 'files/mine')).toBe('x');
  });
});

async function findServer(): Promise<{ options: S3StoreOptions; stop(): Promise<void> }> {
  const { env } = process;
  const given = {
    endpoint: env['QARR_FILES_S3_ENDPOINT'],
    bucket: env['QARR_FILES_S3_BUCKET'],
    accessKeyId: env['QARR_FILES_S3_ACCESS_KEY_ID'],
    secretAccessKey: env['QARR_FILES_S3_SECRET_ACCESS_KEY'],
  };
  const { endpoint, bucket, accessKeyId, secretAccessKey } = given;
  const common = {
    region: env['QARR_FILES_S3_REGION'] ?? 'us-east-1',
    prefix: `s3-check-${randomUUID()}/`,
    isPathStyle: env['QARR_FILES_S3_PATH_STYLE'] !== 'false',
    timeoutMs: 30_000,
  };
  if (endpoint && bucket && accessKeyId && secretAccessKey) {
    const credentials = { accessKeyId, secretAccessKey };
    const all = { ...common, endpoint, bucket, credentials };
    return { options: all, stop: async () => {} };
  }
  const binary = env['VERSITYGW'];
  if (!binary) {
    throw new Error('Set VERSITYGW, or QARR_FILES_S3_*: the head of this file says how.');
  }
  return startVersityGateway(binary, common);
}

async function startVersityGateway(
  binary: string,
  common: Pick<S3StoreOptions, 'region' | 'prefix' | 'isPathStyle' | 'timeoutMs'>,
) {
  const folder = mkdtempSync(join(tmpdir(), 'qarr-s3-check-'));
  mkdirSync(join(folder, 'bucket'));
  const port = await freePort();
  const credentials = { accessKeyId: 'check', secretAccessKey: randomUUID() };
  const child = spawn(binary, ['--quiet', '--port', `127.0.0.1:${port}`, 'posix', folder], {
    stdio: 'ignore',
    env: {
      ...process.env,
      ROOT_ACCESS_KEY_ID: credentials.accessKeyId,
      ROOT_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    },
  });
  const exited = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const endpoint = `http://127.0.0.1:${port}`;
  const all = { ...common, endpoint, bucket: 'bucket', credentials };
  for (let tries = 0; tries < 100; tries += 1) {
    const isUp = await fetch(endpoint).then(
      () => true,
      () => false,
    );
    if (isUp) break;
    await sleep(100);
  }
  return {
    options: all,
    async stop() {
      child.kill();
      await exited;
      rmSync(folder, { recursive: true });
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
