/** `qarr route`: where a prompt would go, and what would become of it there. */
import type { Route, RouteRequest } from '@qarr/client';
import { asProblem } from '../client-problem.ts';
import type { CommandDeps } from '../command.ts';
import { printable, printableJson } from '../tiers/printable.ts';

/** Throws a CliError of one line. */
export async function showRoute(
  request: RouteRequest,
  { client, stdout, signal, asJson, ...asked }: CommandDeps & { asJson: boolean },
): Promise<void> {
  const route = await client.route(request, { signal }).catch((error: unknown) => {
    throw asProblem(error, { ...asked, path: '/v1/route' });
  });
  stdout.write(asJson ? `${printableJson(route)}\n` : `${linesOf(route).join('\n')}\n`);
}

function linesOf({ tier, reasons, alternatives, features, fits, admission }: Route): string[] {
  const tooShort = Object.keys(fits).filter((name) => fits[name] === false);
  return [
    ['tier', tier],
    ['because', reasons.join(', ')],
    ['or', alternatives.join(', ')],
    ['tokens', `${features.prompt_tokens} of the prompt, ${features.max_tokens} of the answer`],
    ['too long for', tooShort.join(', ')],
    ['now', admissionOf(admission)],
  ]
    .filter(([, value]) => value !== '')
    .map(([name = '', value = '']) => `${name.padEnd(13)}${printable(value, 200)}`);
}

function admissionOf({ kind, tier, reason, estimated_wait_ms: waitMs }: Route['admission']) {
  const wait = waitMs === null ? '' : `, after about ${(waitMs / 1_000).toFixed(1)} s`;
  switch (kind) {
    case 'enqueue':
      return `${tier} takes it${wait}`;
    case 'spill':
      return `${tier} takes it instead (${reason})${wait}`;
    case 'refuse':
      return `it would be refused (${reason})`;
    default:
      return kind satisfies never;
  }
}
