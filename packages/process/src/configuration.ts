/**
 * Reading configuration. Whatever is wrong with it ends the process at start, with one line that
 * names the option and says what to change.
 */
import { existsSync, readFileSync } from 'node:fs';
import { createDeployment, firstProblem } from '@qarr/router-core';
import type { Deployment } from '@qarr/router-core';
import { parse } from 'yaml';
import type { z } from 'zod';

/** A configuration that cannot be used. The message is one line, for whoever started the process. */
export class ConfigurationError extends Error {}

/** Reads variables by a schema; an empty or blank variable counts as absent. */
export function readEnvironment<Schema extends z.ZodType>(
  schema: Schema,
  environment: NodeJS.ProcessEnv,
): z.output<Schema> {
  const present = Object.entries(environment).filter(([, value]) => value?.trim() !== '');
  const parsed = schema.safeParse(Object.fromEntries(present));
  if (!parsed.success) throw new ConfigurationError(firstProblem(parsed.error));
  return parsed.data;
}

/** Reads the configuration file. Only the default path may be absent, which means the defaults. */
export function readDeployment({
  path,
  isDefault,
}: {
  path: string;
  isDefault: boolean;
}): Deployment {
  if (!existsSync(path)) {
    if (isDefault) return createDeployment(undefined);
    throw new ConfigurationError(`QARR_CONFIG: there is no file ${path}`);
  }
  try {
    return createDeployment(parse(readFileSync(path, 'utf8')));
  } catch (error) {
    // Below the line, ended by a colon, the parser would draw the place.
    const line = (error as Error).message.split('\n', 1)[0]?.replace(/:$/, '');
    throw new ConfigurationError(`${path}: ${line}`, { cause: error });
  }
}
