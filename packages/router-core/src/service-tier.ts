/** OpenAI's `service_tier`: who is served first. It has nothing to do with our tiers. */
import type { JobClass } from './job.ts';

/** What an answer says that it was served as: nobody can ask for more than the default. */
export function servedAs(asked: string | undefined): 'default' | 'flex' {
  return asked === 'flex' ? 'flex' : 'default';
}

/** The class that it stands for; undefined where the class is as it would be without it. */
export function classOfServiceTier(asked: string | undefined): JobClass | undefined {
  return asked === 'flex' ? 'standard' : undefined;
}
