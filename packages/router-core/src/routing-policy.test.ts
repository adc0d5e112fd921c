import { describe, expect, it } from 'vitest';
import {
  DEFAULT_POLICY,
  DEFAULT_ROUTING_RULES,
  createPolicy,
  routingRulesSchema,
} from './routing-policy.ts';

const tiers = [
  { name: 'small', maxModelLen: 1000 },
  { name: 'large', maxModelLen: 4000 },
];

describe('routing rules', () => {
  it('are parsed to data, with one spelling for what means the same', () => {
    const when = ' words >300  and temperature <= 0.30 and code';
    expect(routingRulesSchema.parse([{ tier: 'a', when }])).toEqual([
      {
        tier: 'a',
        when: 'words>300 and temperature<=0.3 and code',
        conditions: [
          { kind: 'compare', feature: 'words', operator: '>', value: 300 },
          { kind: 'compare', feature: 'temperature', operator: '<=', value: 0.3 },
          { kind: 'code' },
        ],
      },
    ]);
  });

  it.each([
    'wrods>150',
    'words',
    'words>',
    'words>x',
    'words>-1',
    'words>1e3',
    'words=150',
    'words=>150',
    'code>1',
    'code or words>3',
    'code and default',
    'default and code',
    'code and',
    'and code',
    'code code',
    'CODE',
    'constructor>1',
    '__proto__>1',
    '',
    'words>1 and '.repeat(1000),
  ])('that cannot be read are an issue that names the rule: %j', (when) => {
    const parsed = routingRulesSchema.safeParse([
      { tier: 'a', when: 'code' },
      { tier: 'a', when },
    ]);
    expect(parsed.error?.issues).toHaveLength(1);
    expect(parsed.error?.issues[0]?.path).toEqual([1, 'when']);
    expect(parsed.error?.issues[0]?.message).toMatch(/rule 1 .*for example "words>300/);
  });

  it('with an unknown field or none at all are an issue', () => {
    expect(routingRulesSchema.safeParse([{ tier: 'a', when: 'code', else: 1 }]).success).toBe(
      false,
    );
    expect(routingRulesSchema.safeParse([]).success).toBe(false);
  });
});

describe('a policy', () => {
  it('has the documented defaults', () => {
    expect(DEFAULT_POLICY.tiers.map((tier) => tier.name)).toEqual(['fast', 'balanced', 'precise']);
    expect(DEFAULT_POLICY.rules.map(({ tier, when }) => `${when} -> ${tier}`)).toEqual([
      'code -> precise',
      'max_tokens>1024 -> precise',
      'words>300 and temperature<=0.3 -> precise',
      'words>150 -> balanced',
      'max_tokens>512 -> balanced',
      'default -> fast',
    ]);
    expect(DEFAULT_POLICY.defaultTemperature).toBe(0.7);
    expect(DEFAULT_POLICY.defaultMaxTokens).toBe(512);
  });

  it('is made from rules as written and from rules already parsed', () => {
    const written = DEFAULT_ROUTING_RULES.map(({ tier, when }) => ({ tier, when }));
    const parsed = createPolicy({ tiers: DEFAULT_POLICY.tiers, rules: DEFAULT_ROUTING_RULES });
    expect(createPolicy({ tiers: DEFAULT_POLICY.tiers, rules: written })).toEqual(parsed);
  });

  it.each([
    [{ tiers: [], rules: [{ tier: 'a', when: 'default' }] }, /tiers: name at least one/],
    [
      { tiers: [...tiers, { name: 'small', maxModelLen: 1 }], rules: last('small') },
      /tiers\.2\.name: "small" is named twice/,
    ],
    [
      { tiers: [{ name: 'auto', maxModelLen: 1 }], rules: last('auto') },
      /tiers\.0\.name: .*"auto"/,
    ],
    [{ tiers: [{ name: 'A b', maxModelLen: 1 }], rules: last('A b') }, /tiers\.0\.name: use/],
    [{ tiers: [{ name: 'a', maxModelLen: 0 }], rules: last('a') }, /tiers\.0\.maxModelLen: /],
    [{ tiers, rules: [] }, /rules: write at least one rule/],
    [{ tiers, rules: last('medium') }, /rules\.0\.tier: .*"medium"; use one of: small, large/],
    [{ tiers, rules: [{ tier: 'small', when: 'code' }] }, /rules\.0\.when: .*must be "default"/],
    [
      { tiers, rules: [...last('small'), ...last('large')] },
      /rules\.0\.when: .*never match; move it to the end/,
    ],
    [
      { tiers, rules: [{ tier: 'small', when: 'nonsense' }] },
      /rules\.0\.when: rule 0 .*"nonsense"/,
    ],
    [{ tiers, rules: last('small'), defaultTemperature: 3 }, /defaultTemperature: /],
    [{ tiers, rules: last('small'), defaultMaxTokens: 0 }, /defaultMaxTokens: /],
  ])('that is wrong is refused in one line that names the field: %j', (policy, message) => {
    expect(() => createPolicy(policy)).toThrow(message);
    expect(() => createPolicy(policy)).toThrow(/^[^\n]*$/);
  });
});

function last(tier: string): { tier: string; when: string }[] {
  return [{ tier, when: 'default' }];
}
