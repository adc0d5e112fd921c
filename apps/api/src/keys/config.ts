/** What the operator's tool reads of the environment. */
import { ConfigurationError, commonVariables, readEnvironment } from '@qarr/process';
import { keySecrets, keySecretsSchema } from './key-config.ts';

export const toolSchema = keySecretsSchema.extend({ REDIS_URL: commonVariables.REDIS_URL });

export interface ToolConfig {
  readonly redisUrl: string;
  /** Newest first, at least one. */
  readonly secrets: readonly string[];
}

export function readToolConfig(environment: NodeJS.ProcessEnv = process.env): ToolConfig {
  const variables = readEnvironment(toolSchema, environment);
  const secrets = keySecrets(variables);
  if (secrets.length > 0) return { redisUrl: variables.REDIS_URL, secrets };
  throw new ConfigurationError(
    'QARR_KEY_SECRETS: set it to what the API has, such as `openssl rand -base64 32` makes',
  );
}
