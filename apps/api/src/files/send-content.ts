/** A file's content, or a part of it, as it is read: a reader that is slow is waited for. */
import { Readable } from 'node:stream';
import type { FileStore } from '@qarr/file-store';
import { QarrError, contentOf } from '@qarr/router-core';
import type { StoredFile } from '@qarr/router-core';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { HttpLimits } from '../config.ts';
import { rangeOf } from './byte-range.ts';
import { asClientProblem } from './store-problem.ts';

export async function sendContent(
  file: StoredFile,
  {
    request,
    reply,
    files,
    limits,
  }: {
    request: FastifyRequest;
    reply: FastifyReply;
    files: Pick<FileStore, 'read'>;
    limits: Pick<HttpLimits, 'readerStuckMs'>;
  },
): Promise<FastifyReply> {
  const { bytes } = file;
  const etag = `"${file.sha256}"`;
  reply.headers({
    'accept-ranges': 'bytes',
    'cache-control': 'private, no-cache',
    // It is somebody's data, and never a page of ours.
    'content-disposition': 'attachment',
    'x-content-type-options': 'nosniff',
    etag,
  });
  const isSame = (request.headers['if-range'] ?? etag) === etag;
  const asked = request.method === 'GET' && isSame ? rangeOf(request.headers.range, bytes) : null;
  if (asked === 'unsatisfiable') {
    reply.header('content-range', `bytes */${bytes}`);
    throw new QarrError('range_not_satisfiable', {
      message: `The file has ${bytes} bytes.`,
    });
  }
  const { start, end } = asked ?? { start: 0, end: bytes };
  const content =
    request.method === 'HEAD' ? Readable.from([]) : await open(file, { files, start, end });
  if (asked !== null) reply.code(206).header('content-range', `bytes ${start}-${end - 1}/${bytes}`);
  // Node destroys a socket that has taken none of what waits for so long.
  request.raw.socket.setTimeout(limits.readerStuckMs);
  return reply
    .header('content-length', end - start)
    .type('application/octet-stream')
    .send(content);
}

async function open(
  file: StoredFile,
  { files, start, end }: { files: Pick<FileStore, 'read'>; start: number; end: number },
): Promise<Readable> {
  const found = await files.read(contentOf(file.id), { start, end }).catch((error: unknown) => {
    throw asClientProblem(error);
  });
  // Deleted in this moment.
  if (found === null) throw new QarrError('file_not_found');
  if (found.bytes === file.bytes) return found.content;
  found.content.destroy();
  throw new QarrError('files_unavailable');
}
