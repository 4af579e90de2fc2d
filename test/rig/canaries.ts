/** Looks for secrets in what an installation says, in every form that a careless line could give them. */
import type { Config } from '../../config/index.ts';
import { parseKeys } from '../../domain/keys.ts';

/** Secrets by what they are. */
export type Secrets = ReadonlyMap<string, string>;

/** Environment variables of every secret that the configuration names: one that is added later is looked for by itself. */
export function secretVariables(config: Config): string[] {
  const refs = [
    ...Object.values(config.systems).flatMap(({ credentials }) => Object.values(credentials)),
    ...Object.values(config.keys),
  ];
  return [...new Set(refs.flatMap((ref) => (ref !== null && 'env' in ref ? [ref.env] : [])))];
}

/** A secret as it is, within a header or address, and as bytes. */
function formsOf(secret: string): string[] {
  const keys = (parseKeys(secret) ?? []).map((key) => key.secret);
  const texts = [secret, ...keys.map((key) => key.toString('base64')), ...keys.map((key) => key.toString('base64url'))];
  const bytes = [...texts.map((text) => Buffer.from(text)), ...keys];
  return [
    ...new Set([
      ...texts,
      ...texts.map(encodeURIComponent),
      ...bytes.map((one) => one.toString('hex')),
      // Whatever stands before it: base64 of what begins at each of the three places, without the ends that others touch.
      ...bytes.flatMap((one) =>
        [0, 1, 2].map((shift) => {
          const whole = Buffer.concat([Buffer.alloc(shift), one]).toString('base64');
          return whole.slice(shift === 0 ? 0 : 4, -4);
        }),
      ),
    ]),
  ].filter((form) => form.length >= 8);
}

/** `secret in output` for each that was found; the secret itself is not repeated. */
export function leaks(secrets: Secrets, outputs: ReadonlyMap<string, string>): string[] {
  const found: string[] = [];
  for (const [what, secret] of secrets) {
    const forms = formsOf(secret);
    for (const [where, text] of outputs)
      if (forms.some((form) => text.includes(form))) found.push(`${what} in ${where}`);
  }
  return found;
}
