import { describe, expect, it } from 'vitest';
import { ERROR_TABLE, QarrError, errorBody, errorRow } from './errors.ts';
import type { ErrorCode } from './errors.ts';

const codes = Object.keys(ERROR_TABLE) as ErrorCode[];

describe.each(codes)('%s', (code) => {
  const { httpStatus, type, retryable, message } = errorRow(code);

  it('has an HTTP status of an error', () => {
    expect(Number.isInteger(httpStatus)).toBe(true);
    expect(httpStatus).toBeGreaterThanOrEqual(400);
    expect(httpStatus).toBeLessThan(600);
  });

  it('blames the side that its status blames', () => {
    const types: Partial<Record<number, string>> = {
      401: 'authentication_error',
      403: 'permission_error',
      429: 'rate_limit_error',
    };
    const expected = httpStatus < 500 ? 'invalid_request_error' : 'server_error';
    expect(type).toBe(types[httpStatus] ?? expected);
  });

  it('is one sentence or more', () => {
    expect(message).toMatch(/^[A-Z"a-z].*\.$/);
  });

  it('never calls a wrong request retryable', () => {
    const mayPass = httpStatus >= 500 || [408, 429].includes(httpStatus);
    expect(retryable && !mayPass).toBe(false);
  });
});

describe('the table', () => {
  it('has no failure of ours that clients would send again in vain by themselves', () => {
    const lasting = codes.filter((code) => !errorRow(code).retryable);
    expect(lasting.filter((code) => errorRow(code).httpStatus >= 500)).toEqual([]);
  });

  it('uses the codes of OpenAI for what OpenAI has codes for', () => {
    expect(errorRow('model_not_found').httpStatus).toBe(404);
    expect(errorRow('context_length_exceeded').httpStatus).toBe(400);
    expect(errorRow('invalid_api_key').httpStatus).toBe(401);
    expect(errorRow('rate_limit_exceeded').httpStatus).toBe(429);
    expect(errorRow('insufficient_quota').httpStatus).toBe(429);
  });
});

describe('an error', () => {
  it("says the table's words where it has none of its own", () => {
    expect(new QarrError('poison').message).toBe(ERROR_TABLE.poison.message);
    expect(new QarrError('poison', { message: 'Thrice.' }).message).toBe('Thrice.');
  });

  it('keeps its cause, and the field that is wrong', () => {
    const cause = new Error('why');
    expect(new QarrError('invalid_request', { cause, param: 'tier' })).toMatchObject({
      name: 'QarrError',
      code: 'invalid_request',
      param: 'tier',
      cause,
    });
    expect(new QarrError('invalid_request').param).toBeNull();
  });
});

describe('the body of an error', () => {
  it('has exactly the four keys that official clients read', () => {
    for (const code of codes) {
      expect(errorBody(new QarrError(code, { param: 'x', cause: 1 }))).toStrictEqual({
        error: {
          message: ERROR_TABLE[code].message,
          type: ERROR_TABLE[code].type,
          param: 'x',
          code,
        },
      });
    }
  });

  it('has a null where no field is to blame', () => {
    expect(errorBody({ code: 'poison', message: 'm' }).error.param).toBeNull();
  });
});
