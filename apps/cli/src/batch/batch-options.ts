/** What `run` and `resume` are told alike. */
import { Option } from 'commander';

export function outputOption(): Option {
  return new Option('-o, --output <file>', 'the answers, once they are whole');
}

export function errorsOption(): Option {
  return new Option('--errors <file>', 'the lines that have none; without it they are counted');
}

export function cancelOption(): Option {
  return new Option('--cancel-on-interrupt', 'Ctrl-C ends the batch, too');
}
