/** The switches of files: their variables, what these mean, and the store that they name. */
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { FileStoreError, createFolderStore, createS3Store } from '@qarr/file-store';
import type { FileStore, S3StoreOptions } from '@qarr/file-store';
import type { FileLimits } from '@qarr/job-store';
import { ConfigurationError, flag, milliseconds, wholeNumber } from '@qarr/process';
import type { Logger } from '@qarr/process';
import { z } from 'zod';
import { readSecretFile } from '../secret-file.ts';
import { findBelonging, isForeign } from './deployment-id.ts';
import type { Belonging, BelongingDeps } from './deployment-id.ts';

const BYTES_MAX = 1_099_511_627_776;
/** So the SDK calls it. */
const NO_CREDENTIALS = 'CredentialsProviderError';
/** Parts of an address, not the whole of it. */
const PREFIX = /^[\w-][\w.-]*(?:\/[\w-][\w.-]*)*\/?$/;
const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;

export const fileVariables = {
  QARR_FILES_DIR: z
    .string()
    .refine(isAbsolute, 'must be an absolute path')
    .optional()
    .describe(
      'The folder in which files lie: an absolute path, the same for all processes. Not set: `.qarr/files` in the home directory of the user that runs the process',
    ),
  QARR_FILES_BYTES_MAX: wholeNumber(1_024, BYTES_MAX)
    .default(536_870_912)
    .describe('Largest file that is taken, in bytes'),
  QARR_BATCH_FILE_BYTES_MAX: wholeNumber(1_024, BYTES_MAX)
    .default(209_715_200)
    .describe('The same for a file of purpose `batch`'),
  QARR_FILES_MAX: wholeNumber(1, 1_000_000)
    .default(10_000)
    .describe('Files that an owner may have at once'),
  QARR_FILES_TOTAL_BYTES_MAX: wholeNumber(1_024, 1_000 * BYTES_MAX)
    .default(107_374_182_400)
    .describe("Bytes of an owner's files together"),
  QARR_FILES_KEPT_MS: milliseconds(60_000, 31_536_000_000)
    .default(2_592_000_000)
    .describe('How long a file is kept where its upload does not say, in ms'),
  QARR_FILES_FREE_PERCENT_MIN: wholeNumber(0, 99)
    .default(10)
    .describe('Of the disk of `QARR_FILES_DIR`: no upload is taken that would leave less free'),
  QARR_UPLOADS_MAX: wholeNumber(1, 10_000)
    .default(32)
    .describe('Uploads at once, in each API process; one owner gets half of them at most'),
  QARR_UPLOAD_IDLE_MS: milliseconds(100, 600_000)
    .default(30_000)
    .describe('An upload of which nothing comes for so long is given up, in ms'),
  QARR_UPLOAD_MS_MAX: milliseconds(1_000, 86_400_000)
    .default(3_600_000)
    .describe('How long an upload may take in all, in ms'),
  QARR_FILES_S3_BUCKET: z
    .string()
    .regex(BUCKET, 'must be the name of a bucket')
    .optional()
    .describe('Files lie in this bucket of an S3-compatible store, in place of a folder'),
  QARR_FILES_S3_ENDPOINT: z
    .url({ protocol: /^https?$/, error: 'must be a URL such as https://s3.example.com' })
    .optional()
    .describe("Where that store is. Not set: Amazon's, in the region"),
  QARR_FILES_S3_REGION: z
    .string()
    .regex(/^[\w-]{1,64}$/, 'must be the name of a region')
    .default('us-east-1')
    .describe('Its region'),
  QARR_FILES_S3_PREFIX: z
    .string()
    .regex(PREFIX, 'must be the beginning of a name, such as qarr/')
    .optional()
    .describe('What all names begin with, for a bucket that holds other things, too'),
  QARR_FILES_S3_ACCESS_KEY_ID: z
    .string()
    .optional()
    .describe(
      "Who QARR is to that store. Not set: what Amazon's SDK finds by itself, such as a role",
    ),
  QARR_FILES_S3_SECRET_ACCESS_KEY: z.string().optional().describe('And its secret'),
  QARR_FILES_S3_SECRET_ACCESS_KEY_FILE: z
    .string()
    .optional()
    .describe('A file that holds the secret, in place of the variable'),
  QARR_FILES_S3_PATH_STYLE: flag()
    .optional()
    .describe(
      'The bucket is part of the path, not of the host name. Not set: where an endpoint is set',
    ),
  QARR_FILES_S3_TIMEOUT_MS: milliseconds(100, 600_000)
    .default(30_000)
    .describe('How long that store may take for an answer, or be silent within one, in ms'),
};

export interface FileConfig {
  readonly place:
    | { readonly kind: 'folder'; readonly folder: string }
    | { readonly kind: 's3'; readonly options: S3StoreOptions };
  readonly fileBytesMax: number;
  readonly batchFileBytesMax: number;
  /** Of one owner. */
  readonly owner: FileLimits;
  readonly keptMs: number;
  /** Of the disk: this share stays free. */
  readonly freeShareMin: number;
  readonly uploadsMax: number;
  readonly uploadIdleMs: number;
  readonly uploadMsMax: number;
}

const variablesSchema = z.object(fileVariables);

/** Those that say where files lie: for a process that takes none from clients. */
const placeSchema = variablesSchema.pick({
  QARR_FILES_DIR: true,
  QARR_FILES_S3_BUCKET: true,
  QARR_FILES_S3_ENDPOINT: true,
  QARR_FILES_S3_REGION: true,
  QARR_FILES_S3_PREFIX: true,
  QARR_FILES_S3_ACCESS_KEY_ID: true,
  QARR_FILES_S3_SECRET_ACCESS_KEY: true,
  QARR_FILES_S3_SECRET_ACCESS_KEY_FILE: true,
  QARR_FILES_S3_PATH_STYLE: true,
  QARR_FILES_S3_TIMEOUT_MS: true,
});
export const placeVariables = placeSchema.shape;

/** Throws a ConfigurationError of one line that never repeats a secret. */
export function fileConfig(variables: z.output<typeof variablesSchema>): FileConfig {
  return {
    place: placeOf(variables),
    fileBytesMax: variables.QARR_FILES_BYTES_MAX,
    batchFileBytesMax: Math.min(
      variables.QARR_FILES_BYTES_MAX,
      variables.QARR_BATCH_FILE_BYTES_MAX,
    ),
    owner: {
      filesMax: variables.QARR_FILES_MAX,
      bytesMax: variables.QARR_FILES_TOTAL_BYTES_MAX,
    },
    keptMs: variables.QARR_FILES_KEPT_MS,
    freeShareMin: variables.QARR_FILES_FREE_PERCENT_MIN / 100,
    uploadsMax: variables.QARR_UPLOADS_MAX,
    uploadIdleMs: variables.QARR_UPLOAD_IDLE_MS,
    uploadMsMax: variables.QARR_UPLOAD_MS_MAX,
  };
}

export function createFileStore({ place }: Pick<FileConfig, 'place'>): FileStore {
  return place.kind === 'folder'
    ? createFolderStore({ folder: place.folder })
    : createS3Store(place.options);
}

/**
 * Call at start. A folder that cannot be written to is a mistake, and ends the start; so is a store that is
 * another deployment's, and a bucket to which nothing says who we are. A store that does not answer may do
 * so later: what needs no files goes on meanwhile.
 *
 * @returns what operators should know
 */
export async function checkFileStore(
  store: Pick<FileStore, 'check'> & BelongingDeps['files'],
  {
    place,
    records,
    log,
  }: Pick<FileConfig, 'place'> & { records: BelongingDeps['records']; log: Logger },
): Promise<readonly string[]> {
  try {
    await store.check();
    const belonging = await findBelonging({ files: store, records });
    if (isForeign(belonging)) throw new ConfigurationError(foreign(place, belonging));
    return [];
  } catch (error) {
    if (!(error instanceof FileStoreError)) throw error;
    const reason = reasonOf(error);
    if (reason === NO_CREDENTIALS) {
      throw new ConfigurationError(
        "QARR_FILES_S3_BUCKET: nothing says who QARR is to that store: set QARR_FILES_S3_ACCESS_KEY_ID and QARR_FILES_S3_SECRET_ACCESS_KEY, or what Amazon's SDK looks for (AWS_PROFILE, AWS_ACCESS_KEY_ID, a role)",
        { cause: error },
      );
    }
    if (place.kind === 'folder') {
      const message = `QARR_FILES_DIR: cannot write to ${place.folder} (${reason})`;
      throw new ConfigurationError(message, { cause: error });
    }
    log.warn({ reason }, 'the file store does not answer');
    return [`the file store did not answer when this process started: ${reason}`];
  }
}

function foreign(place: FileConfig['place'], { inStore, inRedis }: Belonging): string {
  const [name, where] =
    place.kind === 'folder'
      ? ['QARR_FILES_DIR', place.folder]
      : ['QARR_FILES_S3_BUCKET', `${place.options.bucket}/${place.options.prefix}`];
  return `${name}: ${where} belongs to another Redis than REDIS_URL (deployment ${inStore}, not ${inRedis}): change one of them, a file store has one Redis`;
}

/** Throws a ConfigurationError as `fileConfig` does. */
export function placeOf(variables: z.output<typeof placeSchema>): FileConfig['place'] {
  const {
    QARR_FILES_DIR: folder,
    QARR_FILES_S3_BUCKET: bucket,
    QARR_FILES_S3_ENDPOINT: endpoint,
  } = variables;
  if (bucket === undefined) {
    return { kind: 'folder', folder: folder ?? join(homedir(), '.qarr', 'files') };
  }
  if (folder !== undefined) {
    throw new ConfigurationError('QARR_FILES_S3_BUCKET: set it or QARR_FILES_DIR, not both');
  }
  return {
    kind: 's3',
    options: {
      endpoint: endpoint ?? null,
      region: variables.QARR_FILES_S3_REGION,
      bucket,
      prefix: variables.QARR_FILES_S3_PREFIX ?? '',
      credentials: s3Credentials(variables),
      isPathStyle: variables.QARR_FILES_S3_PATH_STYLE ?? endpoint !== undefined,
      timeoutMs: variables.QARR_FILES_S3_TIMEOUT_MS,
    },
  };
}

/** Null where none are set: the SDK looks for some. */
function s3Credentials(variables: z.output<typeof placeSchema>): S3StoreOptions['credentials'] {
  const {
    QARR_FILES_S3_ACCESS_KEY_ID: accessKeyId,
    QARR_FILES_S3_SECRET_ACCESS_KEY: inline,
    QARR_FILES_S3_SECRET_ACCESS_KEY_FILE: path,
  } = variables;
  const name = 'QARR_FILES_S3_SECRET_ACCESS_KEY_FILE';
  if (inline !== undefined && path !== undefined) {
    throw new ConfigurationError(`${name}: set it or QARR_FILES_S3_SECRET_ACCESS_KEY, not both`);
  }
  const secretAccessKey = path === undefined ? inline : readSecretFile(name, path).trim();
  if (accessKeyId && secretAccessKey) return { accessKeyId, secretAccessKey };
  if (accessKeyId === undefined && secretAccessKey === undefined) return null;
  throw new ConfigurationError(
    'QARR_FILES_S3_ACCESS_KEY_ID: needs QARR_FILES_S3_SECRET_ACCESS_KEY, which needs it, too',
  );
}

/** The system's word for it, where there is one: it names no secret. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  return typeof code === 'string' ? code : 'unavailable';
}
