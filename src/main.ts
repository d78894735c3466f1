// Signals first, and the command line loaded late: a stop that arrives while the program is still being read counts too.
const stop = new AbortController();
let signals = 0;
const onSignal = (): void => {
  signals += 1;
  // Whoever asks twice does not want to wait for a safe point.
  if (signals > 1) process.exit(130);
  stop.abort();
};
process.on('SIGINT', onSignal);
process.on('SIGTERM', onSignal);

const { createProcessIo, runCli } = await import('./cli/index.ts');
process.exitCode = await runCli(process.argv.slice(2), createProcessIo(stop));
