/** A row as a line of a batch: its prompt in the form that the endpoint takes. */
import type { BatchEndpoint } from '@qarr/client';
import { badValue } from '../cli-error.ts';
import { TEXT_COLUMN, badRow } from './rows.ts';
import type { NumberedRow, Rows } from './rows.ts';
import { parseTemplate, requireColumns } from './template.ts';

/** Used as the prompt where there is no template and more than one column. */
const PROMPT_COLUMNS = ['prompt', TEXT_COLUMN];

export interface RowOptions {
  readonly endpoint: BatchEndpoint;
  readonly template: string | undefined;
  readonly system: string | undefined;
  /** A tier's name, or `auto`. */
  readonly model: string;
  readonly maxTokens: number | undefined;
  readonly temperature: number | undefined;
  /** Without it the ids are `row-1`, `row-2`…, the same each time. */
  readonly idColumn: string | undefined;
  readonly rowsMax: number;
}

/** Each with its line break. Throws a CliError that names the row. */
export async function* linesOfRows(
  { columns, rows }: Rows,
  options: RowOptions,
): AsyncGenerator<string, void, undefined> {
  const { idColumn, endpoint, rowsMax } = options;
  const template = parseTemplate(options.template ?? `{${promptColumn(columns)}}`);
  requireColumns(template, columns);
  if (idColumn !== undefined && !columns.includes(idColumn)) {
    throw badValue(`--id-column must be one of the columns ${columns.join(', ')}`);
  }
  const idOf = uniqueIds(idColumn);
  let count = 0;
  for await (const numbered of rows) {
    count += 1;
    if (count > rowsMax) {
      throw badRow(numbered.number, `a batch has at most ${rowsMax} lines; split the file`);
    }
    const prompt = template.fill(numbered.row);
    if (prompt === '') throw badRow(numbered.number, 'its prompt is empty');
    const body = bodyOf(prompt, options);
    yield `${JSON.stringify({ custom_id: idOf(numbered), method: 'POST', url: endpoint, body })}\n`;
  }
  if (count === 0) throw badValue('the input has no rows');
}

function promptColumn(columns: readonly string[]): string {
  const [only] = columns.length === 1 ? columns : [];
  const column = only ?? PROMPT_COLUMNS.find((name) => columns.includes(name));
  if (column !== undefined) return column;
  throw badValue(
    `say what the prompt is: --template with places for the columns ${columns.join(', ')}, such as '{${columns[0] ?? ''}}'`,
  );
}

function uniqueIds(idColumn: string | undefined): (numbered: NumberedRow) => string {
  if (idColumn === undefined) return ({ number }) => `row-${number}`;
  const seen = new Map<string, number>();
  return ({ number, row }) => {
    const id = row[idColumn] ?? '';
    if (id === '') throw badRow(number, `its id (column ${idColumn}) is empty`);
    const first = seen.get(id);
    if (first !== undefined) throw badRow(number, `its id is that of row ${first}, too`);
    seen.set(id, number);
    return id;
  };
}

function bodyOf(prompt: string, options: RowOptions): Record<string, unknown> {
  const { endpoint, system, model, maxTokens, temperature } = options;
  const sampling = temperature === undefined ? {} : { temperature };
  const limit = maxTokens === undefined ? {} : { max_tokens: maxTokens };
  switch (endpoint) {
    case '/v1/chat/completions': {
      const first = system === undefined ? [] : [{ role: 'system', content: system }];
      const messages = [...first, { role: 'user', content: prompt }];
      return { model, messages, ...limit, ...sampling };
    }
    case '/v1/completions':
      if (system !== undefined) throw badValue('/v1/completions has no place for --system');
      return { model, prompt, ...limit, ...sampling };
    case '/v1/responses': {
      const instructions = system === undefined ? {} : { instructions: system };
      const limits = maxTokens === undefined ? {} : { max_output_tokens: maxTokens };
      return { model, input: prompt, ...instructions, ...limits, ...sampling };
    }
    default:
      return endpoint satisfies never;
  }
}
