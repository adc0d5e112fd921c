/** A version of vLLM whose protocol is spoken. */
export type Persona = {
  readonly name: string;
  /** What /version says. */
  readonly version: string;
  /** `system_fingerprint` of every answer: `vllm-<version>-<hash of the engine's configuration>`. */
  readonly systemFingerprint: string;
};

const PERSONAS: readonly Persona[] = [
  { name: 'current', version: '0.28.0', systemFingerprint: 'vllm-0.28.0-5e1f0c3d' },
];

export const PERSONA_NAMES = PERSONAS.map((persona) => persona.name);

export function findPersona(name: string): Persona | undefined {
  return PERSONAS.find((persona) => persona.name === name);
}
