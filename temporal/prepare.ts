/** Bundles the workflows ahead of the first start: for an image, whose file system may be read-only later. */
import { bundlePath } from './bundle.ts';

process.stdout.write(`${await bundlePath()}\n`);
