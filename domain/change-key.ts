/**
 * What a change is called across processes, made of opaque ids alone. Whoever accepts a change and whoever carries it out make the same key of
 * it, so that nothing has to be handed from one to the other: neither a column nor a header.
 */
export const contactKey = (contactId: string, version: number): string => `contact/${contactId}/${version}`;
export const consentKey = (contactId: string, eventId: number): string => `consent/${contactId}/${eventId}`;
export const caseKey = (caseId: string): string => `case/${caseId}`;
export const runKey = (runId: string): string => `run/${runId}`;
