/**
 * Reading all of an audience, or what changed. Offsets shift when members change between two pages, so pages go by time of last
 * change, oldest first: whatever changes meanwhile moves to the end and is met there. Only members of one and the same second
 * (a bulk import) are paged by offset, and then the size of that second tells whether some have left it.
 */
import type { Gate, Observation, Page } from '../kit/connector.ts';
import { PAGE_SIZE, SECOND_MS } from './limits.ts';
import { observe } from './member.ts';
import type { Member } from './member.ts';
import type { Session } from './session.ts';

interface Cursor {
  /** `again`: who came out of the archive between the first two passes. */
  pass: 'listed' | 'archived' | 'again';
  /** Changed at or after; null: all. */
  fromMs: number | null;
  /** Paging within the second `fromMs`. */
  second?: Second;
  /** Of a scan of changes: where each pass starts. */
  sinceMs: number | null;
  /** Latest change met in the first pass. */
  topMs: number;
}

interface Second {
  /** So many were read. */
  offset: number;
  /** So many there were then. */
  size: number;
  /** So many of them are read again, since as many may leave between two pages and the others move up. */
  overlap?: number;
}

const LEAST_OVERLAP = 50;

/** @throws ConnectorStop */
export async function readPage(
  session: Session,
  text: string | undefined,
  since: string | undefined,
  gate: Gate,
): Promise<Page> {
  const sinceMs = since === undefined ? null : Math.floor(Date.parse(since) / SECOND_MS) * SECOND_MS;
  const cursor: Cursor =
    text === undefined ? { pass: 'listed', fromMs: sinceMs, sinceMs, topMs: 0 } : (JSON.parse(text) as Cursor);
  const { members, next } =
    cursor.second === undefined
      ? await byTime(session, cursor, gate)
      : await bySecond(session, cursor, cursor.second, gate);
  const topMs = cursor.pass === 'listed' ? Math.max(cursor.topMs, ...members.map(changedMs)) : cursor.topMs;
  const going = next === null ? nextPass({ ...cursor, topMs }) : { ...next, topMs };
  const observations: Observation[] = members.map((member) => observe(member, session.mapped));
  return { observations, ...(going === null ? {} : { cursor: JSON.stringify(going) }) };
}

interface Step {
  members: Member[];
  /** Null: the pass is through. */
  next: Cursor | null;
}

async function byTime(session: Session, cursor: Cursor, gate: Gate): Promise<Step> {
  const { fromMs } = cursor;
  const { members } = await session.client.page(
    // Whether the vendor counts the bound itself in is not documented: one second earlier, and what is too early dropped.
    { archived: cursor.pass === 'archived', ...(fromMs === null ? {} : { sinceMs: fromMs - SECOND_MS }) },
    gate,
  );
  const kept = members.filter((member) => fromMs === null || changedMs(member) >= fromMs);
  if (members.length < PAGE_SIZE) return { members: kept, next: null };
  const lastMs = Math.max(changedMs(members.at(-1)!), fromMs ?? 0);
  const whole = kept.filter((member) => changedMs(member) < lastMs);
  // The last second may go on after this page: it is read whole next time.
  if (whole.length > 0) return { members: whole, next: { ...cursor, fromMs: lastMs } };
  return { members: [], next: { ...cursor, fromMs: lastMs, second: { offset: 0, size: 0 } } };
}

async function bySecond(session: Session, cursor: Cursor, second: Second, gate: Gate): Promise<Step> {
  const fromMs = cursor.fromMs ?? 0;
  const overlap = second.overlap ?? 0;
  const offset = Math.max(0, second.offset - overlap);
  const query = { archived: cursor.pass === 'archived', sinceMs: fromMs - SECOND_MS, beforeMs: fromMs + SECOND_MS };
  const { members, total } = await session.client.page({ ...query, offset }, gate);
  const left = Math.max(0, second.size - total);
  if (offset > 0 && left > second.offset - offset) {
    // Some that were not read are before this page now: go back by as many. Where members go on leaving, that alone would never end.
    const more = Math.min(PAGE_SIZE / 2, Math.max(LEAST_OVERLAP, overlap * 2, left * 2));
    return {
      members: [],
      next: { ...cursor, second: { offset: Math.max(0, second.offset - left), size: total, overlap: more } },
    };
  }
  const kept = members.filter((member) => changedMs(member) === fromMs);
  if (members.length < PAGE_SIZE) {
    const { second: _done, ...rest } = cursor;
    return { members: kept, next: { ...rest, fromMs: fromMs + SECOND_MS } };
  }
  return { members: kept, next: { ...cursor, second: { offset: offset + members.length, size: total, overlap } } };
}

function nextPass({ pass, sinceMs, topMs }: Cursor): Cursor | null {
  switch (pass) {
    case 'listed':
      return { pass: 'archived', fromMs: sinceMs, sinceMs, topMs };
    case 'archived':
      return sinceMs === null ? { pass: 'again', fromMs: topMs + SECOND_MS, sinceMs, topMs } : null;
    case 'again':
      return null;
  }
}

/** Milliseconds since 1970; 0 where the vendor does not say. */
function changedMs(member: Member): number {
  const ms = Date.parse(member.last_changed ?? '');
  return Number.isNaN(ms) ? 0 : ms;
}
