/** The flags of the conformance command. */
import { parseArgs } from 'node:util';

export type Options =
  | { kind: 'personas' }
  | { kind: 'engine'; url: string; model: string; apiKey: string | undefined }
  | { kind: 'help' }
  /** One line for the person who typed the flags. */
  | { kind: 'refused'; message: string };

export const USAGE = `npm run conformance: the worker's engine client against every persona of the simulator
npm run conformance -- --url URL --model NAME [--api-key-env VARIABLE]: against an engine

  --url URL                 base URL of an OpenAI-compatible engine, with or without /v1
  --model NAME              the name under which it serves its model
  --api-key-env VARIABLE    the environment variable that holds its key`;

export function readOptions(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): Options {
  let values;
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        url: { type: 'string' },
        model: { type: 'string' },
        'api-key-env': { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    }));
  } catch (error) {
    return refused((error as Error).message.split('\n', 1)[0] ?? 'a flag is wrong');
  }
  const { url, model, 'api-key-env': variable } = values;
  if (values.help) return { kind: 'help' };
  if (url === undefined) {
    if (model !== undefined || variable !== undefined) {
      return refused('--model and --api-key-env are of use only with --url');
    }
    return { kind: 'personas' };
  }
  if (!/^https?:$/.test(URL.parse(url)?.protocol ?? '')) {
    return refused('--url must be an http(s) URL');
  }
  if (model === undefined || model === '') return refused('--url needs --model');
  const apiKey = variable === undefined ? undefined : environment[variable];
  if (variable !== undefined && (apiKey === undefined || apiKey === '')) {
    return refused(`--api-key-env: there is no ${variable} in the environment`);
  }
  return { kind: 'engine', url, model, apiKey };
}

function refused(message: string): Options {
  return { kind: 'refused', message };
}
