/** What a user would write for a night's comparison: a plain script with the SDK, page by page, row by row. */
import { Client } from '@hubspot/api-client';
import { row } from '../../store/db.ts';
import type { Db } from '../../store/db.ts';
import { SANDBOX_CREDENTIALS } from '../../local/vendor-programs.ts';

const PAGE = 100;
const PROPERTIES = ['email', 'firstname', 'lastname', 'city', 'plumbline_contact_id'];

/** Compares every record of HubSpot with its contact. @returns contacts a second */
export async function comparePlainly(db: Db, url: string, count: number): Promise<number> {
  const client = new Client({ accessToken: SANDBOX_CREDENTIALS.HUBSPOT_TOKEN, basePath: url });
  const started = performance.now();
  let compared = 0;
  for (let after: string | undefined; ;) {
    const page = await client.crm.contacts.basicApi.getPage(PAGE, after, PROPERTIES);
    for (const { properties } of page.results) {
      const contact = await row<{ family_name: string | null }>(
        db,
        'select given_name, family_name, city from contacts where emails[1] = ? limit 1',
        [properties['email']],
      );
      if (contact === undefined) continue;
      compared += 1;
    }
    after = page.paging?.next?.after;
    if (after === undefined) break;
  }
  if (compared < count * 0.9) throw new Error(`the plain script found ${compared} of ${count}`);
  return (compared * 1000) / (performance.now() - started);
}
