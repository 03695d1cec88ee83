/**
 * Bundles the command: loading two hundred small modules takes longer than booting the machine.
 * What a call may not need (the console, image files) stays in chunks of its own.
 */
export default {
  input: 'dist/main.js',
  platform: 'node',
  output: { dir: 'dist/bundle', format: 'esm', sourcemap: true, cleanDir: true },
};
