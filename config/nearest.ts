/** 'Did you mean': the known word that is nearest to a mistyped one. */

/** The nearest of `known` within a third of its length (Levenshtein, case ignored), else one that begins like it, or null. */
export function nearest(word: string, known: readonly string[]): string | null {
  const typed = word.toLowerCase().replaceAll(/[-_ ]/g, '');
  let best: { word: string; distance: number } | null = null;
  for (const candidate of known) {
    const distance = distanceOf(typed, candidate.toLowerCase().replaceAll(/[-_ ]/g, ''));
    const allowed = Math.max(1, Math.floor(candidate.length / 3));
    if (distance <= allowed && (best === null || distance < best.distance)) best = { word: candidate, distance };
  }
  return best?.word ?? (typed.length < 3 ? null : (known.find((candidate) => candidate.startsWith(typed)) ?? null));
}

function distanceOf(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const current = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const swap = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(swap, (previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}
