import { describe, expect, it } from 'vitest';
import { parseLiveMessage } from './live-message.ts';

describe('a live message', () => {
  it('is read back, spaces in its JSON included', () => {
    expect(parseLiveMessage(Buffer.from('job_1 12 delta {"type":"delta","text":"é  🙂"}'))).toEqual(
      [
        {
          jobId: 'job_1',
          event: { seq: 12, type: 'delta', json: '{"type":"delta","text":"é  🙂"}' },
        },
      ],
    );
  });

  it('has events of several jobs, in their order', () => {
    const message = ['job_1 2 delta {"n":1}', 'job_2 9 delta {"n":2}', 'job_1 3 completed {}'];
    const events = parseLiveMessage(Buffer.from(message.join('\n')));
    expect(events.map(({ jobId, event }) => [jobId, event.seq, event.type])).toEqual([
      ['job_1', 2, 'delta'],
      ['job_2', 9, 'delta'],
      ['job_1', 3, 'completed'],
    ]);
  });
});
