/** The engines whose protocol the client must speak, and what each of them can do. */
import { PERSONA_NAMES } from '../../apps/vllm-sim/src/personas.ts';

export interface Persona {
  /** As the simulator knows it. */
  readonly name: string;
  /** How an interrupted answer can be carried on by another engine of the kind. */
  readonly continues: 'by token ids' | 'by text' | 'never';
  /** It tells with each chunk how many tokens there are, so that a chunk that is missing shows. */
  readonly counts: boolean;
  /** It has tools, structured output, log probabilities and several choices. */
  readonly isVllm: boolean;
  /** It ends a stream with `[DONE]`. */
  readonly saysDone: boolean;
  /** It knows `tool_choice: "required"`. */
  readonly requiresTools: boolean;
}

/**
 * From vLLM's sources and documents, not from the simulator's: 0.6.4 has neither
 * `return_token_ids` (0.10.2) nor `tool_choice: "required"`, and `transformers serve` 5.x has no
 * `[DONE]`, no `/version` and nothing beyond plain chat.
 */
const KNOWN: readonly Persona[] = [
  {
    name: 'current',
    continues: 'by token ids',
    counts: true,
    isVllm: true,
    saysDone: true,
    requiresTools: true,
  },
  {
    name: '0.6.4',
    continues: 'by text',
    counts: true,
    isVllm: true,
    saysDone: true,
    requiresTools: false,
  },
  {
    name: '0.32',
    continues: 'by token ids',
    counts: true,
    isVllm: true,
    saysDone: true,
    requiresTools: true,
  },
  {
    name: 'generic',
    continues: 'never',
    counts: false,
    isVllm: false,
    saysDone: false,
    requiresTools: false,
  },
];

/** Fails on a persona of the simulator of which nothing is known here. */
export function knownPersonas(): readonly Persona[] {
  return PERSONA_NAMES.map((name) => {
    const persona = KNOWN.find((each) => each.name === name);
    if (persona === undefined) throw new Error(`Nothing is expected of the persona ${name}.`);
    return persona;
  });
}
