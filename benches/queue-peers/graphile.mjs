// Trivial jobs through graphile-worker: `node graphile.mjs URL JOBS [local]` prints jobs a second.
// With `local` it takes jobs in batches into a queue of its own, which is its fastest way.
import { Logger, makeWorkerUtils, run } from "graphile-worker";

const [connectionString, count, local] = process.argv.slice(2);
const jobs = Number(count);
const logger = new Logger(() => () => {});
const utils = await makeWorkerUtils({ connectionString, logger });
await utils.migrate();
for (let from = 0; from < jobs; from += 1000) {
  const specs = Array.from({ length: Math.min(1000, jobs - from) }, (_, n) => ({
    identifier: "trivial",
    payload: { text: String(from + n).padStart(1000, "0") },
  }));
  await utils.addJobs(specs);
}
let done = 0;
const began = performance.now();
const preset = {
  worker: {
    logger,
    connectionString,
    concurrentJobs: 16,
    maxPoolSize: 18,
    pollInterval: 100,
    ...(local ? { localQueue: { size: 100 }, completeJobBatchDelay: 0 } : {}),
  },
};
const runner = await run({
  logger,
  preset,
  taskList: {
    trivial: async () => {
      done += 1;
      if (done === jobs) {
        console.log(Math.round(jobs / ((performance.now() - began) / 1000)));
        setTimeout(() => process.exit(0), 200);
      }
    },
  },
});
await runner.promise;
