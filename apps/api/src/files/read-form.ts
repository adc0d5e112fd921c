/**
 * A form with one file and a few fields, in any order, read as it arrives: the file is never held in
 * memory. Whatever is wrong with it ends the reading, and the file's content fails.
 */
import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { Busboy } from '@fastify/busboy';
import type { BusboyInstance } from '@fastify/busboy';
import { QarrError } from '@qarr/router-core';

/** A few fields are known; what they say is short. */
const FIELDS_MAX = 16;
const FIELD_BYTES_MAX = 1_024;
const PART_HEADER_BYTES_MAX = 8_192;
const PART_HEADERS_MAX = 16;
/** Of a name in a request that an answer may repeat. */
const NAME_CHARS_MAX = 64;
/** How much of the file is in memory, twice: what has arrived, and what is being taken. */
const BUFFER_BYTES = 131_072;

export interface Form<Stored> {
  /** By name, each once. */
  readonly fields: ReadonlyMap<string, string>;
  readonly filename: string;
  readonly stored: Stored;
}

export interface FormFile {
  readonly filename: string;
  readonly content: Readable;
  /** Those that stand before it. */
  readonly fields: ReadonlyMap<string, string>;
}

/** @param store takes the file; it must end, in whatever way, when the content does */
export async function readForm<Stored>(
  request: IncomingMessage,
  {
    names,
    bytesMax,
    store,
  }: {
    /** Of the fields that there are. */
    names: ReadonlySet<string>;
    /** Of the whole form. */
    bytesMax: number;
    store: (file: FormFile) => Promise<Stored>;
  },
): Promise<Form<Stored>> {
  const parser = parserOf(request);
  const fields = new Map<string, string>();
  const over = Promise.withResolvers<void>();
  // Broken off before anybody waits for it.
  over.promise.catch(() => {});
  const found: { file: TakenFile<Stored> | null } = { file: null };
  let bytes = 0;

  function fail(error: Error): void {
    over.reject(error);
    request.unpipe(parser);
    found.file?.content.destroy(error);
  }

  parser.on('field', (name: string, value: string, isNameCut: boolean, isValueCut: boolean) => {
    if (name === 'file') return fail(wrong(name, 'must be a file: send it with its filename'));
    if (!names.has(name)) return fail(unknownField(name));
    if (fields.has(name)) return fail(wrong(name, 'must be given once'));
    if (isNameCut || isValueCut) return fail(wrong(name, 'is too long'));
    fields.set(name, value);
  });
  // A part may have neither name, whatever the types say.
  parser.on(
    'file',
    (name: string | undefined, content: Readable, givenName: string | undefined) => {
      const filename = givenName ?? '';
      // The parser says here that the form ends in the middle of the file. Whoever stores the file lets go
      // of it by an abort, and says why by itself.
      content.on('error', (error: Error) => {
        if (error.name !== 'AbortError') fail(malformed('is not valid multipart/form-data'));
      });
      if (name !== 'file') {
        content.resume();
        fail(
          name !== undefined && names.has(name)
            ? wrong(name, 'must be text, not a file')
            : unknownField(name),
        );
        return;
      }
      const storing = store({ filename, content, fields });
      storing.catch(fail);
      found.file = { filename, content, storing };
    },
  );
  parser.on('filesLimit', () => fail(wrong('file', 'must be given once')));
  parser.on('fieldsLimit', () => fail(malformed('has too many fields')));
  parser.on('partsLimit', () => fail(malformed('has too many parts')));
  parser.on('error', () => fail(malformed('is not valid multipart/form-data')));
  parser.on('finish', () => over.resolve());
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > bytesMax) fail(new QarrError('file_too_large'));
  });
  request.once('error', () => fail(malformed('broke off')));
  request.once('close', () => {
    if (!request.complete) fail(malformed('broke off'));
  });
  request.pipe(parser);

  try {
    await over.promise;
    if (found.file === null) throw wrong('file', 'is missing');
    const { filename, storing } = found.file;
    return { fields, filename, stored: await storing };
  } catch (error) {
    // Nothing may be left of it when its client is answered.
    await found.file?.storing.catch(() => {});
    // What still comes is read and thrown away, so that the answer arrives.
    request.resume();
    throw error;
  }
}

interface TakenFile<Stored> {
  readonly filename: string;
  readonly content: Readable;
  readonly storing: Promise<Stored>;
}

function parserOf({ headers }: IncomingMessage): BusboyInstance {
  try {
    return new Busboy({
      headers: { ...headers, 'content-type': headers['content-type'] ?? '' },
      highWaterMark: BUFFER_BYTES,
      fileHwm: BUFFER_BYTES,
      limits: {
        files: 1,
        fields: FIELDS_MAX,
        parts: FIELDS_MAX + 1,
        fieldSize: FIELD_BYTES_MAX,
        headerPairs: PART_HEADERS_MAX,
        headerSize: PART_HEADER_BYTES_MAX,
      },
    });
  } catch {
    // It has no boundary.
    throw malformed('is not valid multipart/form-data');
  }
}

function unknownField(name: string | undefined): QarrError {
  const param = (name ?? '').slice(0, NAME_CHARS_MAX);
  const message = `There is no parameter ${JSON.stringify(param)}.`;
  return new QarrError('unknown_parameter', { param, message });
}

function wrong(param: string, problem: string): QarrError {
  return new QarrError('invalid_request', { param, message: `${param} ${problem}.` });
}

function malformed(problem: string): QarrError {
  return new QarrError('invalid_request', { message: `The form ${problem}.` });
}
