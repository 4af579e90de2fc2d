/** Seeds that found something once, with what it was: the test command runs them for ever, as far as the campaign that found it. */
export const SEEDS: readonly { seed: number; count: number; found: string }[] = [];
