import { describe, expect, it } from 'vitest';
import { createDeployment } from './deployment.ts';
import { DEFAULT_POLICY } from './routing-policy.ts';

const rules = [{ tier: 'only', when: 'default' }];

describe('a deployment', () => {
  it.each([[undefined], [null], [{}], [{ routing: {} }]])('of %j is the default one', (file) => {
    const { policy, tiers } = createDeployment(file);
    expect(policy).toEqual(DEFAULT_POLICY);
    expect(tiers.map(({ name, precision }) => [name, precision])).toEqual([
      ['fast', 'awq-int4'],
      ['balanced', 'fp8'],
      ['precise', 'bf16'],
    ]);
  });

  it('takes tiers and rules from the file, and fills in what they leave out', () => {
    const { policy, tiers } = createDeployment({
      tiers: [{ name: 'only', upstreams: ['http://gpu-1:8000/v1'] }],
      routing: { rules, default_temperature: 0, default_max_tokens: 64 },
    });
    expect(tiers).toEqual([
      {
        name: 'only',
        precision: 'unknown',
        upstreams: ['http://gpu-1:8000/v1'],
        max_model_len: 8192,
      },
    ]);
    expect(policy).toMatchObject({
      tiers: [{ name: 'only', maxModelLen: 8192 }],
      defaultTemperature: 0,
      defaultMaxTokens: 64,
    });
  });

  it.each<[unknown, string]>([
    ['text', 'expected object'],
    [{ tier: [] }, '"tier"'],
    [{ tiers: [] }, 'tiers: '],
    [{ tiers: [{ name: 'Fast' }] }, 'tiers.0.name: must be 1 to 32'],
    [{ tiers: [{ name: 'auto' }] }, 'tiers.0.name: must not be "auto"'],
    [{ tiers: [{ name: 'a', window: 1 }] }, 'tiers.0: '],
    [{ tiers: [{ name: 'a', upstreams: ['gpu-1:8000'] }] }, 'tiers.0.upstreams.0: '],
    [{ tiers: [{ name: 'a', upstreams: ['file:///x'] }] }, 'tiers.0.upstreams.0: '],
    [{ tiers: [{ name: 'a', upstreams: manyUrls(65) }] }, 'tiers.0.upstreams: '],
    [{ tiers: [{ name: 'a', warmup_requests: 1001 }] }, 'tiers.0.warmup_requests: '],
    [{ tiers: [{ name: 'a', max_model_len: 0 }] }, 'tiers.0.max_model_len: '],
    [{ tiers: [{ name: 'a' }, { name: 'a' }], routing: { rules } }, 'tiers.1.name: "a" is named'],
    [{ tiers: [{ name: 'a' }] }, 'rules.0.tier: there is no tier "precise"'],
    [{ routing: { rules: [] } }, 'routing.rules: write at least one rule'],
    [{ routing: { rules: [{ tier: 'fast', when: 'x' }] } }, 'routing.rules.0.when: rule 0'],
    [{ routing: { rules: [{ tier: 'fast', when: 'code' }] } }, 'rules.0.when: the last rule'],
    [{ routing: { default_temperature: 3 } }, 'routing.default_temperature: '],
    [{ routing: { default_max_tokens: 0.5 } }, 'routing.default_max_tokens: '],
  ])('of %j is refused in one line that says where: %s', (file, where) => {
    const create = () => createDeployment(file);
    expect(create).toThrow(where);
    expect(create).toThrow(/^[^\r\n]{1,300}$/);
  });
});

function manyUrls(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `http://engine-${index}`);
}
