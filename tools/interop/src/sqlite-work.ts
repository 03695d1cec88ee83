/** SQLite: one row a transaction, and what must be left of the rows that it has committed. */
import { execFileSync } from 'node:child_process';
import type { CrashWork } from './crash-work.js';

/** Rows of one run of sqlite3. */
const MAX_ROWS = 300;
const DATABASE = 'db';
/** The last row below which none is missing or has another content. */
const WHOLE_ROWS = 'SELECT max(n) FROM t WHERE n = (SELECT count(*) FROM t AS u WHERE u.n <= t.n) AND length(text) = n * 37 % 3000';

export const SQLITE_WORK: CrashWork = {
  unit: 'rows committed',
  script: `{
  echo "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t(n INTEGER PRIMARY KEY, text TEXT);"
  n=0
  while [ $n -lt ${MAX_ROWS} ]; do
    n=$((n + 1))
    echo "INSERT INTO t VALUES($n, printf('%.*c', $((n * 37 % 3000)), 'x'));"
    echo "SELECT '@@synced ' || $n;"
  done
} | sqlite3 -bail /m/${DATABASE}`,
  files: () => [DATABASE, `${DATABASE}-journal`, `${DATABASE}-wal`],
  trouble(folder, { length: committed }) {
    const ask = (sql: string): string =>
      execFileSync('sqlite3', [`${folder}/${DATABASE}`, sql], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
    try {
      const integrity = ask('PRAGMA integrity_check');
      if (integrity !== 'ok') return `integrity_check: ${integrity.slice(0, 200)}`;
      const rows = committed === 0 ? 0 : Number(ask(WHOLE_ROWS));
      return rows < committed ? `row ${committed} was committed, and there are ${rows}` : undefined;
    } catch (error) {
      return String((error as { stderr?: string }).stderr ?? error).slice(0, 200);
    }
  },
};
