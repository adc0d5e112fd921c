/** OpenAI's `service_tier`: who is served first. It has nothing to do with our tiers. */
import { z } from 'zod';
import type { JobClass } from './job.ts';

const SERVICE_TIERS = ['auto', 'default', 'flex', 'scale', 'priority', 'fast'] as const;
export const serviceTierSchema = z.enum(
  SERVICE_TIERS,
  `must be one of ${SERVICE_TIERS.join(', ')}`,
);
export type ServiceTier = z.infer<typeof serviceTierSchema>;

/** What an answer says that it was served as: nobody can buy more than the default. */
export function servedAs(asked: ServiceTier | undefined): 'default' | 'flex' {
  return asked === 'flex' ? 'flex' : 'default';
}

/** The class that it stands for; undefined where the class is as it would be without it. */
export function classOfServiceTier(asked: ServiceTier | undefined): JobClass | undefined {
  return asked === 'flex' ? 'standard' : undefined;
}
