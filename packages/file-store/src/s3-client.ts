/**
 * Amazon's SDK, as it is used here. It is large: it is loaded when a bucket is asked for the first time,
 * and never without one.
 */
import type { S3Client } from '@aws-sdk/client-s3';

export interface S3Options {
  /** Without the bucket. Null: Amazon's, in the region. */
  readonly endpoint: string | null;
  readonly region: string;
  /** Null: those that the SDK finds by itself, such as a role's. */
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string } | null;
  /** Whether the bucket is part of the path, not of the host name. */
  readonly isPathStyle: boolean;
  /** Until an answer begins, and between two pieces of an object. */
  readonly timeoutMs: number;
}

const TRIES_MAX = 4;
/** Each read that lasts holds one. */
const SOCKETS_MAX = 1_024;
const nothing = () => {};
/** What the SDK would log may name keys and objects. */
const SILENT = { debug: nothing, info: nothing, warn: nothing, error: nothing };

export async function openS3({ endpoint, region, credentials, isPathStyle, timeoutMs }: S3Options) {
  const sdk = await import('@aws-sdk/client-s3');
  const { Upload } = await import('@aws-sdk/lib-storage');
  const agent = { maxSockets: SOCKETS_MAX };
  const client = new sdk.S3Client({
    region,
    forcePathStyle: isPathStyle,
    retryMode: 'standard',
    maxAttempts: TRIES_MAX,
    requestHandler: {
      requestTimeout: timeoutMs,
      throwOnRequestTimeout: true,
      // It would count how long a reader takes, too.
      socketTimeout: 0,
      httpAgent: agent,
      httpsAgent: agent,
      logger: SILENT,
    },
    // Many stores know neither these checksums nor this header. A request is signed with the hash of
    // what it sends, so that the store checks what has arrived.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    expectContinueHeader: false,
    logger: SILENT,
    ...(endpoint === null ? {} : { endpoint }),
    ...(credentials === null ? {} : { credentials }),
  });

  /**
   * The timeout of a request is over when its answer begins: this is one for all of it. When it is
   * told, what is being written is given up, but not what begins, ends or aborts an upload: that would
   * leave one behind.
   */
  function clientUntil(signal?: AbortSignal): S3Client {
    const send = (command: Parameters<S3Client['send']>[0]) => {
      const signals = [AbortSignal.timeout((TRIES_MAX + 1) * timeoutMs)];
      const isPart =
        command instanceof sdk.PutObjectCommand || command instanceof sdk.UploadPartCommand;
      if (isPart && signal !== undefined) signals.push(signal);
      return client.send(command, { abortSignal: AbortSignal.any(signals) });
    };
    return Object.create(client, { send: { value: send } }) as S3Client;
  }

  return {
    sdk,
    Upload,
    client: clientUntil(),
    clientUntil,
    /** For answers that may last as long as their reader likes. */
    streaming: client,
  };
}
