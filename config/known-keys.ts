/** Which keys a zod schema allows at a path, for naming them in a message. */
import type { z } from 'zod';
import type { Path } from './source.ts';

type Def = z.core.$ZodTypeDef & {
  shape?: Record<string, z.core.$ZodType>;
  valueType?: z.core.$ZodType;
  element?: z.core.$ZodType;
  innerType?: z.core.$ZodType;
  in?: z.core.$ZodType;
  options?: readonly z.core.$ZodType[];
};

/** Keys of the object at `path` within `schema`, sorted; empty where there is none. */
export function knownKeys(schema: z.core.$ZodType, path: Path): string[] {
  const keys = new Set<string>();
  for (const def of defsAt([schema], path)) for (const key of Object.keys(def.shape ?? {})) keys.add(key);
  return [...keys].toSorted();
}

function defsAt(schemas: readonly z.core.$ZodType[], path: Path): Def[] {
  const defs = schemas.flatMap(unwrapped);
  const [step, ...rest] = path;
  if (step === undefined) return defs;
  const next = defs.flatMap((def) => def.shape?.[String(step)] ?? def.valueType ?? def.element ?? []);
  return next.length === 0 ? [] : defsAt(next, rest);
}

/** Looks through optional, default, pipe and union. */
function unwrapped(schema: z.core.$ZodType): Def[] {
  const def = schema._zod.def as Def;
  if (def.innerType !== undefined) return unwrapped(def.innerType);
  if (def.in !== undefined) return unwrapped(def.in);
  if (def.options !== undefined) return def.options.flatMap(unwrapped);
  return [def];
}
