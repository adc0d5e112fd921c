/** What a key may do. */
import { z } from 'zod';

/** `admin` shows what concerns all tenants: workers, engines, hosts. */
export const SCOPES = ['submit', 'read', 'cancel', 'batch', 'admin'] as const;
export const scopeSchema = z.enum(SCOPES, `must be one of ${SCOPES.join(', ')}`);
export type Scope = z.infer<typeof scopeSchema>;
