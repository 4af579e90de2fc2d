/** The configuration: what other folders may use of it. */
export { adoptLocalEnvironment, LOCAL_ENVIRONMENT_FILE } from './environment.ts';
export { baseUrlVariable, EnvironmentProblem, LOG_LEVELS, readEnvironment, variable } from './environment.ts';
export type { Env, Environment, LogLevel } from './environment.ts';
export { configJsonSchema } from './json-schema.ts';
export { checkConfig, loadConfig } from './load.ts';
export { redacted, redactedUrl } from './print.ts';
export { ConfigProblem, formatProblem } from './problems.ts';
export type { Problem } from './problems.ts';
export { statementsOf, systemConfig, systemRules } from './rules.ts';
export { codecKeys, mainKeys, missingSecrets, SecretMissing, secretReader } from './secrets.ts';
export type { Config, PurposeConfig, Schedule, SecretRef, SystemConfig } from './types.ts';
