import type { JobClass } from '@qarr/router-core';
import { describe, expect, it } from 'vitest';
import { classFor } from './job-class.ts';

describe('the class of a job', () => {
  it.each<[maxClass: JobClass, named: JobClass | undefined, usual: JobClass, expected: JobClass]>([
    ['interactive', undefined, 'interactive', 'interactive'],
    ['interactive', undefined, 'standard', 'standard'],
    ['interactive', 'batch', 'interactive', 'batch'],
    ['standard', undefined, 'interactive', 'standard'],
    ['standard', 'standard', 'interactive', 'standard'],
    ['standard', undefined, 'batch', 'batch'],
    ['batch', undefined, 'interactive', 'batch'],
  ])(
    'with a key for %s, of a client that names %s, usually %s, is %s',
    (maxClass, named, usual, expected) => {
      expect(classFor({ maxClass }, { named, usual })).toBe(expected);
    },
  );

  it.each<[JobClass, JobClass]>([
    ['standard', 'interactive'],
    ['batch', 'standard'],
  ])('with a key for %s cannot be named %s', (maxClass, named) => {
    const refuse = () => classFor({ maxClass }, { named, usual: 'batch' });
    expect(refuse).toThrow(expect.objectContaining({ code: 'class_not_allowed', param: 'class' }));
  });
});
