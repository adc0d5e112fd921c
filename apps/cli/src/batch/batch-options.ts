/** What `run` and `resume` are told alike. */
import { Option } from 'commander';

/** What `--json` prints in the end. */
export const OVER_JSON =
  '{batch, output, errors, tiers}: the batch that is over, its files here, lines by tier,';

export function outputOption(): Option {
  return new Option(
    '-o, --output <file>',
    'the answers, once they are whole; replaces a file of that name',
  );
}

export function errorsOption(): Option {
  return new Option(
    '--errors <file>',
    'the lines that have none, the same way; without it they are counted',
  );
}

export function cancelOption(): Option {
  return new Option('--cancel-on-interrupt', 'Ctrl-C ends the batch, too');
}
