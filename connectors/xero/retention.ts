/** Which invoices keep a contact from being erased, and until when (GDPR Art. 17(3)(b) and (e)). */
import type { Invoice } from 'xero-node';
import type { XeroSettings } from './settings.ts';

/** States in which an invoice can still be changed or paid. */
export const OPEN_STATUSES = ['DRAFT', 'SUBMITTED', 'AUTHORISED'];
const VOID_STATUSES = ['VOIDED', 'DELETED'];
const DAY_MS = 86_400_000;
/** A review date is never nearer than this, or the same contact would come back every night. */
const SOONEST_DAYS = 30;

export interface Retention {
  /** Xero refuses to archive the contact. */
  hasOpen: boolean;
  /** `YYYY-MM-DD`. */
  reviewOn: string;
}

/** Undefined where nothing keeps the contact. */
export function retentionOf(invoices: Invoice[], settings: XeroSettings, nowMs: number): Retention | undefined {
  const valid = invoices.filter((invoice) => !VOID_STATUSES.includes(String(invoice.status)));
  const open = valid.filter(isOpen);
  const keeping = settings.retain === 'any_invoice' ? valid : open;
  if (keeping.length === 0) return undefined;
  const lastMs = Math.max(...keeping.map(lastDayMs));
  const endMs = plusYears(lastMs, settings.retentionYears);
  if (open.length === 0 && endMs <= nowMs) return undefined;
  return { hasOpen: open.length > 0, reviewOn: dayOf(Math.max(endMs, nowMs + SOONEST_DAYS * DAY_MS)) };
}

/** The review date where Xero says that there are open invoices and we have not seen them. */
export function reviewUnseen(settings: XeroSettings, nowMs: number): string {
  return dayOf(Math.max(plusYears(nowMs, settings.retentionYears), nowMs + SOONEST_DAYS * DAY_MS));
}

function isOpen(invoice: Invoice): boolean {
  return OPEN_STATUSES.includes(String(invoice.status)) && (invoice.amountDue ?? 1) > 0;
}

/** Typed as strings, but the SDK makes dates of them. */
function lastDayMs(invoice: Invoice): number {
  const ms = new Date(invoice.dueDate ?? invoice.date ?? Number.NaN).getTime();
  return Number.isNaN(ms) ? Date.now() : ms;
}

function plusYears(ms: number, years: number): number {
  const date = new Date(ms);
  date.setUTCFullYear(date.getUTCFullYear() + years);
  return date.getTime();
}

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}
