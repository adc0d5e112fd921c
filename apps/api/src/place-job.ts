/**
 * Finds the tier that takes a job and writes it there. What is known of the tiers may be a second
 * old, so each answer of admission is checked again where the job is written; where it does not hold
 * there, admission is asked again with what was found.
 */
import type { Found, ProducerStore, Submission } from '@qarr/job-store';
import { admit, expectedCost, refusal, typicalTokens } from '@qarr/router-core';
import type {
  Admission,
  AdmissionOptions,
  AdmissionRequest,
  NewJob,
  Refusal,
  RefuseReason,
  Rerouted,
  TierSnapshot,
} from '@qarr/router-core';
import type { RoutedRequest } from './route-request.ts';
import type { TierWatch } from './tier-watch.ts';

/** Nobody is refused by figures that are older, where newer ones can be had. */
const REFUSED_BY_MS_MAX = 250;
/**
 * One for the job's own tier, one for each of two that it may be sent to, one more for its own, and
 * some because others submit at the same time.
 */
const TRIES_MAX = 6;

export interface PlaceDeps {
  readonly store: Pick<ProducerStore, 'submit'>;
  readonly watch: Pick<TierWatch, 'statuses' | 'snapshots' | 'learn' | 'freshen'>;
  readonly config: { readonly admission: AdmissionOptions };
}

export type Placed =
  | {
      readonly kind: 'submitted';
      readonly submission: Exclude<Submission, { kind: 'full' }>;
      readonly tier: string;
      readonly rerouted: Rerouted | null;
    }
  | Refusal;

/** A job is there, whatever becomes of the call that has made it. */
export interface Made {
  readonly jobId: string;
  readonly tier: string;
  readonly rerouted: Rerouted | null;
}

/** @param asked made of the same job by `admissionRequest` */
export async function placeJob(
  job: NewJob,
  { asked, onMade }: { asked: AdmissionRequest; onMade: (made: Made) => void },
  { store, watch, config: { admission: options } }: PlaceDeps,
): Promise<Placed> {
  /** By tier: what this job has found there. */
  const found = new Map<string, Found>();
  const known = () => watch.snapshots().map((tier) => ({ ...tier, ...found.get(tier.name) }));
  let answer = admit(asked, known(), options);
  let last: RefuseReason = 'wait_too_long';

  if (answer.kind === 'refuse' && (await watch.freshen(REFUSED_BY_MS_MAX))) {
    answer = admit(asked, known(), options);
  }
  for (let tries = 0; tries < TRIES_MAX; tries += 1) {
    if (answer.kind === 'refuse') return answer;
    const { tier, limits } = answer;
    const rerouted = reroutedBy(answer);
    const submission = await store.submit(
      { ...job, tier, rerouted: rerouted ?? undefined },
      {
        tokens: asked.tokens,
        limits,
        pace: named(tier, watch.snapshots()),
        onCreated: (jobId) => onMade({ jobId, tier, rerouted }),
      },
    );
    if (submission.kind === 'created' && submission.found !== undefined) {
      watch.learn(tier, submission.found.load);
    }
    if (submission.kind !== 'full') return { kind: 'submitted', submission, tier, rerouted };
    const { load, ahead, why } = submission;
    watch.learn(tier, load);
    found.set(tier, { load, ahead });
    last = why === 'depth' ? 'queue_full' : 'wait_too_long';
    answer = admit(asked, known(), options);
  }
  // Others were faster each time.
  return refusal(asked, { tier: named(asked.tier, known()), reason: last, options });
}

/** What admission has to know of a request. */
export function admissionRequest(
  { tier, features, fits, engineRequest }: RoutedRequest,
  job: Pick<AdmissionRequest, 'class' | 'fallback' | 'queueTimeoutMs'>,
  { watch, random = Math.random }: { watch: Pick<TierWatch, 'statuses'>; random?: () => number },
): AdmissionRequest {
  const status = watch.statuses().find(({ name }) => name === tier);
  const { promptTokens, maxTokens } = features;
  const { n: choices = 1, min_tokens: minTokens = 0, ignore_eos: neverStops } = engineRequest;
  return {
    tier,
    class: job.class,
    fallback: job.fallback,
    queueTimeoutMs: job.queueTimeoutMs,
    tokens: expectedCost({
      promptTokens,
      minTokens: (neverStops === true ? maxTokens : minTokens) * choices,
      maxTokens: maxTokens * choices,
      typicalTokens: status === undefined ? null : typicalTokens(status),
    }),
    fits,
    random: random(),
  };
}

function reroutedBy(answer: Admission): Rerouted | null {
  return answer.kind === 'spill' ? { from: answer.from, reason: answer.reason } : null;
}

function named(name: string, tiers: readonly TierSnapshot[]): TierSnapshot {
  const tier = tiers.find((candidate) => candidate.name === name);
  if (tier === undefined) throw new Error(`There is no tier ${name}`);
  return tier;
}
