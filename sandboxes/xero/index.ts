/** A sandbox of Xero: contacts of one organisation, with its identity server. */
export { defaultSettings } from './settings.ts';
export { createVendor } from './vendor.ts';
export const name = 'xero';
