/** Three real questions, each of which the router gives to another tier of the default deployment. */
export interface DemoPrompt {
  /** Where the default rules send it. */
  readonly tier: string;
  readonly prompt: string;
  readonly maxTokens: number;
}

export const DEMO_PROMPTS: readonly DemoPrompt[] = [
  // Short, no code, a short answer: nothing speaks against the fastest tier.
  { tier: 'fast', prompt: 'Why is the sky blue? Two sentences, please.', maxTokens: 96 },
  // More than 150 words.
  {
    tier: 'balanced',
    prompt: [
      'Please summarise this report for somebody who has one minute.',
      'Over the last year our support team answered a little more than forty thousand messages, which is about a third more than in the year before, although the number of customers grew by only a tenth. Most of the growth came from two sources. The first is the new billing page, on which many people could not find the invoice of an earlier month; these questions are easy to answer, but there are a great many of them, and they arrive in the first three days of every month. The second is the mobile application, which signed people out after each update until the middle of the summer. Since that mistake was mended, such messages have become rare. The time until a first answer rose from two hours to nearly five in spring, and came back to three in autumn, after four colleagues had joined the team. Customers who waited for more than four hours were twice as likely to cancel within the same quarter. We propose to rebuild the billing page first, to answer its questions automatically in the meantime, and to keep the size of the team as it is.',
    ].join('\n\n'),
    maxTokens: 128,
  },
  // Code is never left to a quantization that loses on it.
  {
    tier: 'precise',
    prompt: [
      'This function should return the median, but it is wrong for some lists. Find the mistakes and correct it.',
      '```python\ndef median(values):\n    values.sort()\n    return values[len(values) // 2]\n```',
    ].join('\n\n'),
    maxTokens: 128,
  },
];

/**
 * Those that have their tier in this deployment; where none has, the short question, because the
 * router knows a tier for everything.
 */
export function promptsFor(tierNames: readonly string[]): readonly DemoPrompt[] {
  const known = DEMO_PROMPTS.filter((prompt) => tierNames.includes(prompt.tier));
  return known.length > 0 ? known : DEMO_PROMPTS.slice(0, 1);
}
