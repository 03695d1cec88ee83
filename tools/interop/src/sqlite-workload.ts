/** SQLite on the guest's file system: one row a transaction, and what must be left of the rows that it has committed. */
import { execFileSync } from 'node:child_process';

/** Rows of one run of sqlite3. */
const MAX_ROWS = 300;
const DATABASE = 'db';
/** The database and what SQLite keeps beside it. */
export const DATABASE_FILES = [DATABASE, `${DATABASE}-journal`, `${DATABASE}-wal`];

/** Sh, with the file system at /m: says `@@synced N` for each row that SQLite has committed. */
export const SQLITE_WORK = `{
  echo "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t(n INTEGER PRIMARY KEY, text TEXT);"
  n=0
  while [ $n -lt ${MAX_ROWS} ]; do
    n=$((n + 1))
    echo "INSERT INTO t VALUES($n, printf('%.*c', $((n * 37 % 3000)), 'x'));"
    echo "SELECT '@@synced ' || $n;"
  done
} | sqlite3 -bail /m/${DATABASE}`;

/** What is wrong with a database in `folder` that had committed row `last`; undefined if nothing is. Opens it, as after a crash. */
export function sqliteTrouble(folder: string, last: number): string | undefined {
  const ask = (sql: string): string => execFileSync('sqlite3', [`${folder}/${DATABASE}`, sql], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();
  try {
    const integrity = ask('PRAGMA integrity_check');
    if (integrity !== 'ok') return `integrity_check: ${integrity.slice(0, 200)}`;
    const rows = last === 0 ? 0 : Number(ask('SELECT max(n) FROM t WHERE n = (SELECT count(*) FROM t AS u WHERE u.n <= t.n) AND length(text) = n * 37 % 3000'));
    return rows < last ? `row ${last} was committed, and there are ${rows}` : undefined;
  } catch (error) {
    return String((error as { stderr?: string }).stderr ?? error).slice(0, 200);
  }
}
