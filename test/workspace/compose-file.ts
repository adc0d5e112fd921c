/** docker-compose.yml as it is for somebody who has set nothing: variables have their defaults. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

export const ROOT = join(import.meta.dirname, '../..');

export interface Service {
  readonly image: string;
  readonly build?: { readonly args: Readonly<Record<string, string>> };
  readonly profiles?: readonly string[];
  readonly command?: readonly string[];
  readonly entrypoint?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly user: string;
  readonly restart: string;
  readonly healthcheck?: { readonly disable?: true; readonly test?: readonly string[] };
  readonly stop_grace_period?: string;
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  /** Names, or aliases by name. */
  readonly networks?: readonly string[] | Readonly<Record<string, { aliases: readonly string[] }>>;
  readonly depends_on?: Readonly<Record<string, { readonly required?: false }>>;
  readonly [other: string]: unknown;
}

export interface ComposeFile {
  readonly services: Readonly<Record<string, Service>>;
  readonly networks: Readonly<Record<string, { readonly internal?: boolean }>>;
  readonly volumes: Readonly<Record<string, unknown>>;
}

export function readComposeFile(): ComposeFile {
  return parse(withDefaults(readText('docker-compose.yml')), { merge: true });
}

export function readText(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

/** `${NAME:-default}`; a variable without a default would be a hole in the file. */
function withDefaults(text: string): string {
  return text.replaceAll(/\$\{(\w+)(?::-([^}]*))?\}/g, (_, name: string, value?: string) => {
    if (value === undefined) throw new Error(`${name} has no default`);
    return value;
  });
}

/** The networks of a service, with the other names by which it is found there. */
export function networksOf({ networks = [] }: Service): Map<string, readonly string[]> {
  if (isList(networks)) return new Map(networks.map((name) => [name, []]));
  return new Map(Object.entries(networks).map(([name, { aliases }]) => [name, aliases]));
}

/** What `--name=value` or `--name value` says on a command line. */
export function flagOf({ command = [] }: Service, name: string): string | undefined {
  const at = command.findIndex((word) => word === name || word.startsWith(`${name}=`));
  const word = command[at];
  return word === name ? command[at + 1] : word?.slice(name.length + 1);
}

function isList(value: unknown): value is readonly string[] {
  return Array.isArray(value);
}
