import { readFileSync } from 'node:fs';
import { ConfigurationError } from '@qarr/process';

/** What is in a file that a variable names. Throws a ConfigurationError where it cannot be read. */
export function readSecretFile(variable: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new ConfigurationError(`${variable}: there is no file ${path} to read`, {
      cause: error,
    });
  }
}
