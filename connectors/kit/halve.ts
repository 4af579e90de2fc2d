/**
 * Runs a batch; where the vendor refuses it as a whole for the data in it, halves it down to the culprits, so that one bad item
 * never decides for its neighbours. Costs at most `2 × culprits × log2(n)` further calls.
 *
 * @param run answers one result per item in order, or `'refused_whole'` when the vendor had no effect and blames the batch
 * @param alone what a single item that is still refused becomes
 */
export async function halving<I, R>(
  items: I[],
  run: (items: I[]) => Promise<R[] | 'refused_whole'>,
  alone: (item: I) => R | Promise<R>,
): Promise<R[]> {
  if (items.length === 0) return [];
  const answer = await run(items);
  if (answer !== 'refused_whole') return answer;
  const [only] = items;
  if (items.length === 1 && only !== undefined) return [await alone(only)];
  const middle = Math.ceil(items.length / 2);
  const left = await halving(items.slice(0, middle), run, alone);
  const right = await halving(items.slice(middle), run, alone);
  return [...left, ...right];
}
