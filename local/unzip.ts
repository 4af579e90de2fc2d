/** One entry out of a zip file: enough for a Python wheel, without asking for an unzip program. */
import { createReadStream, createWriteStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { createInflateRaw } from 'node:zlib';

/**
 * Writes the entry `name` of `archive` to `target` as a stream. Throws when the file is no zip or has no such entry.
 * Format: PKWARE APPNOTE 6.3, sections 4.3.12 (central directory) and 4.3.16 (its end); no zip64, no encryption.
 */
export async function unzipEntry(archive: string, name: string, target: string): Promise<void> {
  const file = await open(archive, 'r');
  let start: number;
  let compressedBytes: number;
  let method: number;
  try {
    const { size } = await file.stat();
    const tail = await read(file, Math.max(0, size - 65_557), Math.min(size, 65_557));
    const end = tail.lastIndexOf(Buffer.from('PK\x05\x06', 'latin1'));
    if (end === -1) throw new Error(`${archive} is not a zip file`);
    const directory = await read(file, tail.readUInt32LE(end + 16), tail.readUInt32LE(end + 12));
    const entry = findEntry(directory, name);
    if (entry === undefined) throw new Error(`${archive} has no entry ${name}`);
    // The local header repeats the name and has an extra field of its own length, so the data begin after both.
    const header = await read(file, entry.headerAt, 30);
    start = entry.headerAt + 30 + header.readUInt16LE(26) + header.readUInt16LE(28);
    compressedBytes = entry.compressedBytes;
    method = entry.method;
  } finally {
    await file.close();
  }
  const source = createReadStream(archive, { start, end: start + compressedBytes - 1 });
  const sink = createWriteStream(target, { mode: 0o755 });
  if (method === 0) await pipeline(source, sink);
  else if (method === 8) await pipeline(source, createInflateRaw(), sink);
  else throw new Error(`${archive} uses compression method ${method}, which is not supported`);
}

async function read(file: Awaited<ReturnType<typeof open>>, position: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, position);
  return buffer.subarray(0, bytesRead);
}

interface Entry {
  method: number;
  compressedBytes: number;
  headerAt: number;
}

function findEntry(directory: Buffer, name: string): Entry | undefined {
  for (let at = 0; at + 46 <= directory.length && directory.readUInt32LE(at) === 0x02014b50;) {
    const nameBytes = directory.readUInt16LE(at + 28);
    if (directory.toString('utf8', at + 46, at + 46 + nameBytes) === name) {
      return {
        method: directory.readUInt16LE(at + 10),
        compressedBytes: directory.readUInt32LE(at + 20),
        headerAt: directory.readUInt32LE(at + 42),
      };
    }
    at += 46 + nameBytes + directory.readUInt16LE(at + 30) + directory.readUInt16LE(at + 32);
  }
  return undefined;
}
