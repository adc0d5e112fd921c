/** `qarr batch validate`: what the API would say of a file, without it. */
import type { BatchEndpoint, BatchError, RoutingPolicy } from '@qarr/router-core';
import { CliError } from '../cli-error.ts';
import type { Output } from '../screen.ts';
import { printable, printableJson } from '../tiers/printable.ts';
import { checkFile } from './check-file.ts';
import type { CheckedFile } from './check-file.ts';
import type { InputFile } from './input-file.ts';
import { grouped } from './progress.ts';

const MESSAGE_CHARS_MAX = 300;

/** Throws a CliError after the list, where there is one. */
export async function validateFile({
  input,
  endpoint,
  policy,
  asJson,
  stdout,
  signal,
}: {
  input: InputFile;
  endpoint: BatchEndpoint | undefined;
  policy: RoutingPolicy;
  asJson: boolean;
  stdout: Output;
  signal: AbortSignal;
}): Promise<void> {
  const checked = await checkFile({ path: input.path, endpoint, policy, signal });
  const isGood = checked.errors.length === 0 && checked.refusedCount === 0;
  stdout.write(asJson ? `${printableJson(asDocument(checked, isGood))}\n` : textOf(checked));
  if (isGood) return;
  const { errors, refusedCount } = checked;
  const name = printable(input.filename);
  if (errors.length > 0) throw new CliError(`${name} would fail as a batch; mend what is listed`);
  throw new CliError(
    `${name} would run, and ${grouped(refusedCount)} of its lines would fail; mend what is listed`,
  );
}

function asDocument(checked: CheckedFile, isGood: boolean): object {
  const { endpoint, lines, errors, refused, refusedCount, tiers, unknownModels } = checked;
  return {
    valid: isGood,
    endpoint,
    lines: lines - refusedCount,
    errors,
    refused,
    refused_count: refusedCount,
    unknown_models: unknownModels,
    tiers,
  };
}

function textOf(checked: CheckedFile): string {
  const { endpoint, lines, errors, refused, refusedCount, tiers, unknownModels } = checked;
  const where = Object.entries(tiers).map(
    ([tier, count]) => `${printable(tier)} ${grouped(count)}`,
  );
  const more = refusedCount - refused.length;
  return [
    ...errors.map(errorLine),
    ...refused.map(errorLine),
    ...(more > 0 ? [`and ${grouped(more)} more`] : []),
    ...(unknownModels > 0
      ? [
          `lines whose model is no tier, good only where an engine serves it: ${grouped(unknownModels)}`,
        ]
      : []),
    `${grouped(lines - refusedCount)} good lines for ${endpoint}${where.length === 0 ? '' : `: ${where.join(', ')}`}`,
    '',
  ].join('\n');
}

/** `line 7: invalid_json_line: This line is not parseable as valid JSON.` */
export function errorLine({ line, code, message }: BatchError): string {
  const place = line === null ? 'file' : `line ${line}`;
  return `${place}: ${printable(code)}: ${printable(message, MESSAGE_CHARS_MAX)}`;
}
