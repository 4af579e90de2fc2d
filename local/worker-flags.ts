/**
 * Flags of Node for the worker: a small young generation, and an old one that is collected when it has grown by a third. Measured with a
 * bulk change (`npm run bench -- --only bulk`): without flags 600 MB; with `--optimize-for-size` 300 MB at more than twice the processor
 * time, most of it collecting; with these 310 MB. A young generation of 2 MB costs a tenth more time than one of 8 and saves 17 MB; one of
 * 16 is no faster.
 */
export const WORKER_FLAGS: readonly string[] = ['--max-semi-space-size=8', '--heap-growing-percent=30'];

/**
 * For the worker's environment: two arenas in glibc's allocator in place of eight a core, which keep what each of the worker's nineteen
 * threads once had (mallopt(3)). 40 MB less after a bulk change; other C libraries do not read it.
 */
export const WORKER_ENV: Readonly<Record<string, string>> = { MALLOC_ARENA_MAX: '2' };
