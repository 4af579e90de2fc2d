/** A secret that holds one or more keys: `id:base64` each, between them blanks, line ends or commas. The first is for what is new. */

export interface NamedKey {
  /** Stands beside what was made with the key, so it is no secret. */
  id: string;
  /** 32 bytes. */
  secret: Buffer;
}

export const KEY_BYTES = 32;
/** The id of a key that is given alone, without one. */
export const FIRST_KEY_ID = 'k1';
const KEY_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$/;
const BASE64 = /^[A-Za-z0-9+/_-]+={0,2}$/;

export function isKeyId(text: string): boolean {
  return KEY_ID.test(text);
}

/**
 * The keys of a secret, in their order.
 * @returns null where it is not of this form, is empty, or names an id twice
 */
export function parseKeys(text: string): NamedKey[] | null {
  const parts = text.split(/[\s,]+/).filter((part) => part !== '');
  const keys = parts.map((part): NamedKey | null => {
    const [id = '', base64 = ''] = part.includes(':') ? part.split(/:(.*)/s) : [FIRST_KEY_ID, part];
    const secret = BASE64.test(base64) ? Buffer.from(base64, 'base64') : Buffer.alloc(0);
    return isKeyId(id) && secret.length === KEY_BYTES ? { id, secret } : null;
  });
  const sound = keys.filter((key) => key !== null);
  const ids = new Set(sound.map(({ id }) => id));
  return sound.length > 0 && sound.length === keys.length && ids.size === keys.length ? sound : null;
}

/** One key as it is written in a secret. */
export function keyText({ id, secret }: NamedKey): string {
  return `${id}:${secret.toString('base64')}`;
}
