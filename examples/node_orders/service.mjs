// A service that takes part in a rollout at level 1 (docs/PARTICIPATE.md): one boolean flag, asked through its
// OpenFeature SDK once per unit of work, decides which side of the change the unit reads and writes.
//
// POUNDLOCK_URL names the server, PGHOST and its like the database, FIRST_ID the first of the 500 rows that
// this service owns, STATS_FILE where it says once a second how it fares. SIGTERM ends it.
import { writeFileSync, renameSync } from "node:fs";
import { OpenFeature } from "@openfeature/server-sdk";
import { OFREPProvider } from "@openfeature/ofrep-provider";
import pg from "pg";

const FLAG = "schema_v2_migration";
const firstId = Number(process.env.FIRST_ID ?? 1);
const stats = { reads_legacy: 0, reads_new: 0, writes_legacy: 0, writes_new: 0, errors: 0, lost: 0, last_error: "" };

// A domain of its own: whatever provider the rest of the application uses stays as it is.
await OpenFeature.setProviderAndWait("schema", new OFREPProvider({ baseUrl: process.env.POUNDLOCK_URL, timeoutMs: 500 }));
const flags = OpenFeature.getClient("schema");
const pool = new pg.Pool({ max: 4 });

const column = (isNew) => (isNew ? "new_status" : "legacy_status");

async function unitOfWork(turn, written) {
  const id = firstId + Math.floor(Math.random() * 500);
  // The key is the owner of the row, never the request: one owner stays on one side.
  const context = { targetingKey: `order-${id}`, context: turn % 10 === 0 ? "internal" : "public" };
  const isNew = await flags.getBooleanValue(FLAG, false, context);
  const side = isNew ? "new" : "legacy";
  if (turn % 5 === 0) {
    const status = `st_${String(turn % 1000).padStart(3, "0")}`;
    await pool.query(`UPDATE orders SET ${column(isNew)} = $1 WHERE id = $2`, [status, id]);
    written.set(id, status);
    stats[`writes_${side}`] += 1;
    return;
  }
  const { rows } = await pool.query(`SELECT id, ${column(isNew)} AS status FROM orders WHERE id = $1`, [id]);
  stats[`reads_${side}`] += 1;
  // Only this worker writes these rows: what it wrote on either side it has to read on either side.
  if (written.has(id) && rows[0].status !== written.get(id)) stats.lost += 1;
}

let running = true;
process.on("SIGTERM", () => (running = false));

function saveStats() {
  writeFileSync(`${process.env.STATS_FILE}.new`, JSON.stringify(stats));
  renameSync(`${process.env.STATS_FILE}.new`, process.env.STATS_FILE);
}
const saving = setInterval(saveStats, 1000);

const written = new Map();
for (let turn = 1; running; ++turn) {
  try {
    await unitOfWork(turn, written);
  } catch (error) {
    stats.errors += 1;
    stats.last_error = String(error);
  }
  await new Promise((resolve) => setTimeout(resolve, 2));
}
clearInterval(saving);
await pool.end();
await OpenFeature.close();
saveStats();
