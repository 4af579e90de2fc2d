/** Sets the clock of a process apart: loaded before anything of ours (`--import`), so that all of it believes another time. */

/** From now on `Date` is `byMs` milliseconds away from the machine's clock. Timers keep their pace. Says so on stdout. */
export function setApart(byMs: number): void {
  const now = Date.now.bind(Date);
  globalThis.Date = new Proxy(Date, {
    construct: (target, given: unknown[], made) =>
      Reflect.construct(target, given.length === 0 ? [now() + byMs] : given, made) as object,
    apply: (target) => new target(now() + byMs).toString(),
    get: (target, key, self): unknown => (key === 'now' ? () => now() + byMs : Reflect.get(target, key, self)),
  });
  process.stdout.write(`clock ${Date.now()} of ${now()}\n`);
}

/** Arguments for Node that set the clock of the program apart; none for the machine's own. */
export function clockArguments(byMs: number): string[] {
  if (byMs === 0) return [];
  const here = JSON.stringify(import.meta.url);
  return [`--import=data:text/javascript,import { setApart } from ${here}; setApart(${byMs});`];
}

/** How far apart the program whose output this is said that it is, in milliseconds. */
export function saidApart(output: string): number {
  const said = /^clock (\d+) of (\d+)$/m.exec(output);
  return said === null ? 0 : Number(said[1]) - Number(said[2]);
}
