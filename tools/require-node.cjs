/**
 * Preloaded by the npm scripts (`node -r`), before Node meets the first `.ts` file.
 * The repository brings its own Node as a dev dependency; where npm was told not to run install scripts,
 * that binary is missing and an older system Node runs instead. Then this says what to do, in one line.
 * Kept to syntax that any Node understands.
 */
'use strict';

var wanted = 24;
if (parseInt(process.versions.node, 10) < wanted) {
  console.error(
    'gatewright needs Node ' +
      wanted +
      ' or newer, and this is ' +
      process.version +
      '. ' +
      'The repository brings one: npm rebuild node --ignore-scripts=false',
  );
  process.exit(1);
}
