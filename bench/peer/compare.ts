/** What a user would write for a night's comparison: a plain script with the SDK, page by page, row by row. */
import { Client } from '@hubspot/api-client';
import { row, rows } from '../../store/db.ts';
import type { Db } from '../../store/db.ts';
import { SANDBOX_CREDENTIALS } from '../../local/vendor-programs.ts';

const PAGE = 100;
const PROPERTIES = ['email', 'firstname', 'lastname', 'city', 'plumbline_contact_id'];
/** Enough to know its speed: each record costs the same. */
const ENOUGH = 20_000;

interface Plain {
  given_name: string | null;
  family_name: string | null;
  city: string | null;
}

/** Compares records of HubSpot with their contacts, 20,000 at most. @returns contacts a second */
export async function comparePlainly(db: Db, url: string, count: number): Promise<number> {
  const client = new Client({ accessToken: SANDBOX_CREDENTIALS.HUBSPOT_TOKEN, basePath: url });
  // Whoever looks people up by address has an index for it.
  await rows(db, 'create index on contacts ((emails[1]))');
  await rows(db, 'analyze contacts');
  const started = performance.now();
  let compared = 0;
  let differing = 0;
  for (let after: string | undefined; ;) {
    const page = await client.crm.contacts.basicApi.getPage(PAGE, after, PROPERTIES);
    for (const { properties } of page.results) {
      const contact = await row<Plain>(
        db,
        'select given_name, family_name, city from contacts where emails[1] = ? limit 1',
        [properties['email']],
      );
      if (contact === undefined) continue;
      compared += 1;
      const { firstname, lastname, city } = properties;
      if (contact.given_name !== firstname || contact.family_name !== lastname || contact.city !== city) differing += 1;
    }
    after = page.paging?.next?.after;
    if (after === undefined || compared >= ENOUGH) break;
  }
  const seconds = (performance.now() - started) / 1000;
  if (compared < Math.min(count, ENOUGH) * 0.9) throw new Error(`the plain script found ${compared} of ${count}`);
  if (differing > 0) throw new Error(`the plain script found ${differing} of ${compared} different after a night`);
  return compared / seconds;
}
