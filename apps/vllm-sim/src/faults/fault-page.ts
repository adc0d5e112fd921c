import { describeParam } from './fault-params.ts';
import type { ParamSpec } from './fault-params.ts';
import { FAULTS, type FaultName } from './fault-table.ts';

/** The faults of a family as a Markdown table: those in docs/simulator.md. */
export function faultTable(family: 'before' | 'stream' | 'engine'): string {
  const names = (Object.keys(FAULTS) as FaultName[]).filter(
    (name) => FAULTS[name].family === family,
  );
  const rows = names.map((name) => {
    const { answer, help, params } = FAULTS[name];
    return `| \`${name}\` | ${answer} | ${help} | ${describeParams(params)} |`;
  });
  const head = '| fault | the answer | what happens | parameters |';
  return [head, '| --- | --- | --- | --- |', ...rows].join('\n');
}

/** The places in a stream are the same for all: the page explains them once. */
function describeParams(params: Readonly<Record<string, ParamSpec>>): string {
  const places = Object.keys(params).filter((name) => PLACES.has(name));
  const others = Object.entries(params).filter(([name]) => !PLACES.has(name));
  return [
    ...(places.length === 0 ? [] : [places.length > 2 ? 'a place' : 'a place by events']),
    ...others.map(([name, spec]) => `\`${name}\`: ${describeParam(spec)}${byDefault(spec)}`),
  ].join('; ');
}

const PLACES = new Set(['after', 'within', 'after_bytes', 'within_bytes']);

function byDefault(spec: ParamSpec): string {
  return spec.default === undefined ? '' : ` (${spec.default})`;
}
