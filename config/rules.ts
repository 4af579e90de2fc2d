/** What the engine needs of a system's configuration, as pure data. */
import type { SystemRules } from '../domain/want.ts';
import type { Config, SystemConfig } from './types.ts';

/** @throws Error where the configuration has no such system; callers take names from it or from the database */
export function systemConfig(config: Config, name: string): SystemConfig {
  const system = Object.hasOwn(config.systems, name) ? config.systems[name] : undefined;
  if (system === undefined) throw new Error(`the configuration has no system '${name}'`);
  return system;
}

/** The rules by which contacts are projected into a system. */
export function systemRules(config: Config, name: string): SystemRules {
  const { connector, who, outsiders, fields, consents, addressIsKey, addressRequired } = systemConfig(config, name);
  return { name, connector, who, outsiders, fields, consents, addressIsKey, addressRequired };
}

/** Every wording of every purpose, for the table of statements. */
export function statementsOf(config: Config): { id: string; purpose: string; wording: string }[] {
  return Object.entries(config.purposes).flatMap(([purpose, { statements }]) =>
    Object.entries(statements).map(([id, wording]) => ({ id, purpose, wording })),
  );
}
