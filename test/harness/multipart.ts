/** Forms as no client writes them: any part, in any order, whole or not. */

export type FormPart =
  | { readonly name: string; readonly value: string }
  | { readonly name: string; readonly filename: string; readonly content: string | Buffer };

const BOUNDARY = 'the-boundary';
export const FORM_TYPE = `multipart/form-data; boundary=${BOUNDARY}`;
export const FORM_END = `--${BOUNDARY}--\r\n`;

export function formOf(...parts: readonly FormPart[]): Buffer {
  return Buffer.concat([...parts.map(partOf), Buffer.from(FORM_END)]);
}

function partOf(part: FormPart): Buffer {
  return Buffer.concat([Buffer.from(headOf(part)), contentOf(part), Buffer.from('\r\n')]);
}

/** Of a part, all that stands before its content. */
export function headOf(part: FormPart): string {
  const isFile = 'filename' in part;
  const filename = isFile ? `; filename="${part.filename}"` : '';
  const type = isFile ? 'content-type: application/octet-stream\r\n' : '';
  return `--${BOUNDARY}\r\ncontent-disposition: form-data; name="${part.name}"${filename}\r\n${type}\r\n`;
}

function contentOf(part: FormPart): Buffer {
  return Buffer.from('filename' in part ? part.content : part.value);
}
