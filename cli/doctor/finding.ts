/** What one look of the doctor found. Sentences hold no secret and no person. */
export interface Finding {
  state: 'ok' | 'warn' | 'fail';
  /** What was looked at: `database`, `hubspot-main` … */
  what: string;
  found: string;
  /** What to do about it. */
  advice?: string;
}

const LOOK_MS = 10_000;

/** A look that fails or takes too long becomes a finding. */
export async function look(what: string, otherwise: string, fn: () => Promise<Finding[]>): Promise<Finding[]> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Finding[]>((resolve) => {
    timer = setTimeout(
      () => resolve([{ state: 'fail', what, found: `no answer within ${LOOK_MS / 1000} s`, advice: otherwise }]),
      LOOK_MS,
    );
  });
  try {
    return await Promise.race([fn(), late]);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : '';
    return [{ state: 'fail', what, found: `cannot be used${code}`, advice: otherwise }];
  } finally {
    clearTimeout(timer);
  }
}
