/** The parts, in the order in which they run. */
import type { Part } from '../kit/part.ts';
import { bulk } from './bulk.ts';
import { edit } from './edit.ts';
import { massErasure } from './erasure.ts';
import { importing } from './import.ts';
import { limits } from './limits.ts';
import { peer } from './peer.ts';
import { reconcile } from './reconcile.ts';
import { suppression } from './suppression.ts';

export const PARTS: readonly Part[] = [edit, bulk, limits, peer, massErasure, suppression, importing, reconcile];
