/**
 * What is known of the files that clients have stored; their content lies in the file store.
 *
 * A file's id is in `due` from before its content is written until after it is removed, so that
 * whatever a process leaves that dies in the middle is found there.
 */
import { storedFileSchema } from '@qarr/router-core';
import type { FilePurpose, NewFile, StoredFile } from '@qarr/router-core';
import { pipelineOf } from './redis-client.ts';
import type { RedisClient } from './redis-client.ts';
import { answered } from './answered.ts';
import type { FileList, Keys } from './keys.ts';
import { runScript } from './scripts.ts';
import { redisNow } from './workers.ts';

/** A page may name a file as its end that is removed before the next one is asked for. */
const REMEMBERED_MS = 3_600_000;
/** Records that are read at once: a long list must not keep others waiting. */
const READ_AT_ONCE = 100;
/** Pages of an index that are looked at for one list: it may be full of files whose time is over. */
const LOOKS_MAX = 20;

export interface FileLimits {
  /** Files of an owner at once. */
  readonly filesMax: number;
  /** Of an owner's files together. */
  readonly bytesMax: number;
}

export type FileCreation =
  | { readonly kind: 'created'; readonly file: StoredFile }
  /** A limit of the owner is against it. Nothing was written. */
  | { readonly kind: 'too_many' | 'too_large' };

export interface FileListOptions {
  readonly owner: string;
  readonly purpose: FilePurpose | null;
  readonly order: 'asc' | 'desc';
  readonly limit: number;
  readonly after: string | null;
}

export interface FileRecords {
  /**
   * Before content is written: where the file has no record after this time, `due` names it, so that
   * what a crash has left is removed.
   */
  announce(fileId: string, forMs: number): Promise<void>;
  /** Null limits: for what a batch has left, which must not be lost. Writing it again is safe. */
  create(file: NewFile, limits: FileLimits | null): Promise<FileCreation>;
  /** Null also where its time is over. */
  get(fileId: string): Promise<StoredFile | null>;
  /** What an owner has, also of files whose time is over and whose content is still there. */
  usage(owner: string): Promise<{ files: number; bytes: number }>;
  /**
   * By creation time; `after`: the id of the last file of the page before. Null where the owner has no
   * such file, and has removed none lately.
   */
  list(options: FileListOptions): Promise<{ files: StoredFile[]; hasMore: boolean } | null>;
  /** Its time is over now: its content may be removed, and then it. False where there is none. */
  expire(fileId: string): Promise<boolean>;
  /** Forgets it, once its content is removed. Returns false where there is none. */
  remove(fileId: string): Promise<boolean>;
  /** Ids of files whose time is over, whose content is still to be removed; then they are forgotten. */
  due(limit: number): Promise<string[]>;
  /** Whose files these are: the id that their store has as well, null before it was given. */
  deployment(): Promise<{ id: string | null; hasFiles: boolean }>;
  /** Gives it this id, unless it has one. Returns the one that it has. */
  nameDeployment(id: string): Promise<string>;
}

export function createFileRecords({
  redis,
  keys,
}: {
  redis: RedisClient;
  keys: Keys;
}): FileRecords {
  async function read(fileIds: readonly string[]): Promise<(StoredFile | null)[]> {
    const pipeline = pipelineOf(redis);
    for (const id of fileIds) pipeline.hgetall(keys.file(id));
    const replies = (await pipeline.exec()) ?? [];
    return replies.map(([error, hash]) => {
      if (error !== null) throw error;
      return parseFile(hash as Record<string, string>);
    });
  }

  /** By what the file stands in the order of its owner's; null where it is not the owner's. */
  async function placeOf(fileId: string, owner: string): Promise<string | null> {
    const [file] = await read([fileId]);
    if (file) return file.owner === owner ? placeIn(file) : null;
    const gone = await redis.get(keys.goneFile(fileId));
    const [createdAt = '', goneOwner] = gone?.split(' ') ?? [];
    return goneOwner === owner ? placeIn({ id: fileId, createdAt: Number(createdAt) }) : null;
  }

  /** Entries of an index behind this one, in order. */
  async function entries(
    index: string,
    { order, from, count }: { order: 'asc' | 'desc'; from: string | null; count: number },
  ): Promise<string[]> {
    return order === 'asc'
      ? redis.zrangebylex(index, from ?? '-', '+', 'LIMIT', 0, count)
      : redis.zrevrangebylex(index, from ?? '+', '-', 'LIMIT', 0, count);
  }

  async function list({ owner, purpose, order, limit, after }: FileListOptions) {
    const place = after === null ? null : await placeOf(after, owner);
    if (after !== null && place === null) return null;
    const index = keys.filesOf(owner, purpose ?? 'all');
    const now = await redisNow(redis);
    const files: StoredFile[] = [];
    let from = place === null ? null : `(${place}`;
    for (let look = 0; look < LOOKS_MAX + limit / READ_AT_ONCE; look += 1) {
      // One more than the page may hold, to know whether there is more.
      const count = Math.min(READ_AT_ONCE, limit - files.length + 1);
      const some = await entries(index, { order, from, count });
      for (const file of await read(some.map((entry) => entry.slice(PLACE_DIGITS + 1)))) {
        if (file === null || file.expiresAt <= now) continue;
        if (files.length === limit) return { files, hasMore: true };
        files.push(file);
      }
      if (some.length < count) return { files, hasMore: false };
      from = `(${some.at(-1) ?? ''}`;
    }
    return { files, hasMore: files.length > 0 };
  }

  async function create(file: NewFile, limits: FileLimits | null): Promise<FileCreation> {
    const { id, owner, filename, purpose, bytes, sha256, keptMs } = file;
    const reply = (await runScript(redis, 'file-create', {
      keys: [keys.file(id), ...indexesOf({ owner, purpose }), keys.fileBytes, keys.filesDue],
      args: [
        id,
        owner,
        filename,
        purpose,
        bytes,
        sha256,
        keptMs,
        limits?.filesMax ?? '',
        limits?.bytesMax ?? '',
      ],
    })) as ['too_many' | 'too_large'] | ['created', createdAt: number, expiresAt: number];
    const [kind, createdAt, expiresAt] = reply;
    if (kind !== 'created') return { kind };
    const stored = { id, owner, filename, purpose, bytes, sha256, createdAt, expiresAt };
    return { kind, file: stored };
  }

  function indexesOf({ owner, purpose }: { owner: string; purpose: FileList }) {
    return [keys.filesOf(owner, 'all'), keys.filesOf(owner, purpose)];
  }

  async function remove(fileId: string): Promise<boolean> {
    const [file] = await read([fileId]);
    const { owner = '', purpose = 'all' as const } = file ?? {};
    const removed = await runScript(redis, 'file-remove', {
      keys: [
        keys.file(fileId),
        ...indexesOf({ owner, purpose }),
        keys.fileBytes,
        keys.filesDue,
        keys.goneFile(fileId),
      ],
      args: [fileId, REMEMBERED_MS],
    });
    return removed === 1;
  }

  return {
    async announce(fileId, forMs) {
      const at = (await answered(redisNow(redis))) + forMs;
      // A record of before says when it is due.
      await answered(redis.zadd(keys.filesDue, 'NX', at, fileId));
    },

    create: (file, limits) => answered(create(file, limits)),

    async get(fileId) {
      const [now, [file]] = await answered(Promise.all([redisNow(redis), read([fileId])]));
      return file && now < file.expiresAt ? file : null;
    },

    async usage(owner) {
      const [files, bytes] = await answered(
        Promise.all([redis.zcard(keys.filesOf(owner, 'all')), redis.hget(keys.fileBytes, owner)]),
      );
      return { files, bytes: Number(bytes ?? 0) };
    },

    list: (options) => answered(list(options)),

    async expire(fileId) {
      const call = { keys: [keys.file(fileId), keys.filesDue], args: [fileId] };
      return (await answered(runScript(redis, 'file-expire', call))) === 1;
    },

    remove: (fileId) => answered(remove(fileId)),

    due: (limit) =>
      answered(
        (async () =>
          redis.zrangebyscore(keys.filesDue, '-inf', await redisNow(redis), 'LIMIT', 0, limit))(),
      ),

    async deployment() {
      const [id, due] = await answered(
        Promise.all([redis.get(keys.deployment), redis.zcard(keys.filesDue)]),
      );
      return { id, hasFiles: due > 0 };
    },

    async nameDeployment(id) {
      await answered(redis.setnx(keys.deployment, id));
      return (await answered(redis.get(keys.deployment))) ?? id;
    },
  };
}

/** Of milliseconds since the epoch, until the year 33658. */
const PLACE_DIGITS = 15;

/** An owner's files are ordered by this text. */
function placeIn({ id, createdAt }: Pick<StoredFile, 'id' | 'createdAt'>): string {
  return `${String(createdAt).padStart(PLACE_DIGITS, '0')} ${id}`;
}

function parseFile(hash: Record<string, string>): StoredFile | null {
  if (hash['id'] === undefined) return null;
  return storedFileSchema.parse({
    id: hash['id'],
    owner: hash['owner'],
    filename: hash['filename'],
    purpose: hash['purpose'],
    bytes: Number(hash['bytes']),
    sha256: hash['sha256'],
    createdAt: Number(hash['created_at']),
    expiresAt: Number(hash['expires_at']),
  });
}
