/**
 * A prompt with places for the columns of a row: `Summarise: {text}`.
 *
 * Only a word in braces is such a place, so that a prompt may show JSON as it is; `{{word}}` stands
 * for `{word}` itself.
 */
import { badValue } from '../cli-error.ts';

const PLACE = /\{\{([\p{L}_][\p{L}\p{N}_ .-]*)\}\}|\{([\p{L}_][\p{L}\p{N}_ .-]*)\}/gu;

export type Row = Readonly<Record<string, string>>;

export interface Template {
  readonly columns: readonly string[];
  fill(row: Row): string;
}

export function parseTemplate(text: string): Template {
  const columns = [...text.matchAll(PLACE)].flatMap(([, , column]) =>
    column === undefined ? [] : [column],
  );
  return {
    columns: [...new Set(columns)],
    fill: (row) =>
      text.replaceAll(PLACE, (_whole, literal: string | undefined, column: string = '') =>
        literal === undefined ? (row[column] ?? '') : `{${literal}}`,
      ),
  };
}

/** Throws a CliError that names the columns that there are. */
export function requireColumns(template: Template, columns: readonly string[]): void {
  const missing = template.columns.find((column) => !columns.includes(column));
  if (missing === undefined) return;
  throw badValue(
    `the template has {${missing}}, and the input no such column; it has ${columns.join(', ')} (write {{${missing}}} for the text {${missing}})`,
  );
}
