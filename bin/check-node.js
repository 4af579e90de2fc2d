// Plain JavaScript that any Node can run: says in one sentence what an old Node would answer with a stack trace.
// `npm` puts node_modules/.bin first on the PATH, and there is the Node that Plumbline brings; when it is missing, this runs.
const needed = 24;
const major = Number(process.versions.node.split('.')[0]);
if (major < needed) {
  process.stderr.write(
    `Plumbline needs Node ${needed}, and this is Node ${process.versions.node}. It brings its own as an optional package: run "npm ci" without --omit=optional, or install Node ${needed}.\n`,
  );
  process.exit(1);
}
