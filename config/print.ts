/** The configuration in force, for people: defaults filled in, no secret in it. */
import { stringify } from 'yaml';
import type { Config } from './types.ts';

/**
 * YAML of the configuration in force. Secrets show where they are kept; passwords in web addresses and wordings of
 * statements are left out (the latter are long and stand in the file).
 */
export function redacted(config: Config): string {
  const shown = {
    ...config,
    api: { ...config.api, publicUrl: redactedUrl(config.api.publicUrl) },
    purposes: Object.fromEntries(
      Object.entries(config.purposes).map(([name, purpose]) => [
        name,
        { ...purpose, statements: Object.keys(purpose.statements) },
      ]),
    ),
    systems: Object.fromEntries(
      Object.entries(config.systems).map(([name, system]) => [
        name,
        { ...system, baseUrl: system.baseUrl === null ? null : redactedUrl(system.baseUrl) },
      ]),
    ),
  };
  return stringify(shown, { lineWidth: 0, aliasDuplicateObjects: false });
}

/** A web or database address without its password. */
export function redactedUrl(address: string): string {
  try {
    const url = new URL(address);
    if (url.password !== '') url.password = 'redacted';
    return url.href.replace(/\/$/, '');
  } catch {
    return 'not an address';
  }
}
