/** Between the bench and its load client, by Node's messages. */
import type { IdleOptions, LoadOptions, LoadResult } from './load.ts';

export type Told =
  | { readonly kind: 'run'; readonly options: LoadOptions }
  | { readonly kind: 'hold'; readonly options: IdleOptions }
  | { readonly kind: 'release' };

export type Tells =
  | { readonly kind: 'ready' }
  | { readonly kind: 'full'; readonly phase: 'begin' | 'end' }
  | { readonly kind: 'done'; readonly result: LoadResult }
  | { readonly kind: 'held' }
  | { readonly kind: 'released'; readonly lost: number; readonly bytes: number }
  | { readonly kind: 'failed'; readonly message: string };
