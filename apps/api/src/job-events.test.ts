import { createLogger } from '@qarr/process';
import type { LoggedEvent, QueuePlace } from '@qarr/router-core';
import { describe, expect, it } from 'vitest';
import { streamJobEvents } from './job-events.ts';
import type { QueuedJob } from './positions.ts';

const QUEUED = { type: 'queued', tier: 'fast', route: [], position: 4, estimated_wait_ms: null };
const REROUTED = { type: 'rerouted', from: 'fast', to: 'precise', reason: 'depth_alert' };
const STARTED = { type: 'started', tier: 'fast', worker: 'w', attempt: 1 };
const CANCELLED = { type: 'cancelled', ran: true, tokens: 0, usage: null, timings: null };

/**
 * Follows a job whose log has these pages, and notes what is written, and who is told of its place
 * while the next page is waited for.
 */
async function follow(
  pages: { type: string }[][],
  { isWaiting = false, tell = false } = {},
): Promise<{ text: string; told: (string | null)[]; left: number }> {
  const followed = new Map<QueuedJob, { told: number | null; tell: (place: QueuePlace) => void }>();
  const told: (string | null)[] = [];
  let text = '';
  const note = () => {
    const all = [...followed].map(([{ tier }, reader]) => `${tier} ${reader.told}`);
    told.push(all.length === 0 ? null : all.join());
    if (!tell) return;
    for (const reader of followed.values()) reader.tell({ position: 2, estimatedWaitMs: 70 });
  };
  async function* log(): AsyncGenerator<LoggedEvent[]> {
    let seq = 0;
    note();
    for (const page of pages) {
      yield page.map((event) => {
        seq += 1;
        return { seq, type: event.type, json: JSON.stringify(event) } as LoggedEvent;
      });
      note();
    }
  }
  await streamJobEvents({ id: 'job_1', tier: 'fast', class: 'standard', isWaiting }, log(), {
    stream: {
      signal: new AbortController().signal,
      write: async (more) => void (text += more),
      mention: (more) => void (text += more),
      close: (last = '') => void (text += `${last}closed`),
    },
    positions: {
      follow(job, reader) {
        followed.set(job, reader);
        return () => void followed.delete(job);
      },
      placeOf: async () => null,
      stop: () => {},
    },
    log: createLogger({ name: 'test', level: 'silent' }),
  });
  return { text, told, left: followed.size };
}

describe('who follows a job', () => {
  it('is told of its place while it waits, and knows what the event said', async () => {
    const { told, left } = await follow([[QUEUED], [STARTED], [CANCELLED]]);
    expect(told).toEqual([null, 'fast 4', null, null]);
    expect(left).toBe(0);
  });

  it('is told of its place in the tier that has it', async () => {
    const { told } = await follow([[QUEUED, REROUTED], [STARTED]]);
    expect(told).toEqual([null, 'precise null', null]);
  });

  it('is told at once where it has seen that it waits', async () => {
    const { told, left } = await follow([[STARTED]], { isWaiting: true });
    expect(told).toEqual(['fast null', null]);
    expect(left).toBe(0);
  });

  it('is told by an event without an id, between the others', async () => {
    const { text } = await follow([[QUEUED], [CANCELLED]], { tell: true });
    const frames = text.split('\n\n');
    expect(frames).toEqual([
      `id: 1\nevent: queued\ndata: ${JSON.stringify(QUEUED)}`,
      'event: position\ndata: {"type":"position","position":2,"estimated_wait_ms":70}',
      `id: 2\nevent: cancelled\ndata: ${JSON.stringify(CANCELLED)}`,
      'closed',
    ]);
  });
});
