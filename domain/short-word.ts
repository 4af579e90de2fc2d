/** A short stable word: reasons, grounds, names of teams. What it may hold keeps texts about people out of histories and logs. */
export const SHORT_WORD = /^[a-z0-9][a-z0-9_.-]{0,59}$/;
