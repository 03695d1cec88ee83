/** What the guest does to its file system until the power goes, and what must be left of that. */
export const FILE_SYSTEMS = ['ext4', 'xfs'] as const;
export type FileSystem = (typeof FILE_SYSTEMS)[number];

/** The guest says so of a file that fsync has returned for. */
export const SYNCED = /^@@synced (\d+)$/;
/** No more files than fit. */
const MAX_FILES = 400;

const MAKE: Readonly<Record<FileSystem, string>> = { ext4: '/usr/sbin/mkfs.ext4 -q -b 4096', xfs: '/usr/sbin/mkfs.xfs -q -f' };
const MOUNT: Readonly<Record<FileSystem, string>> = { ext4: 'ext4', xfs: 'xfs -o nouuid' };

/** Sh: makes the file system, and then works on it until the power goes. */
export function workload(fs: FileSystem, work: string): string {
  return `${MAKE[fs]} /dev/vda && mount -t ${MOUNT[fs]} /dev/vda /m && sync && echo '@@mounted' || poweroff -f
echo 5 >/proc/sys/vm/dirty_writeback_centisecs; echo 5 >/proc/sys/vm/dirty_expire_centisecs
sleep 3
${work}
echo '@@over'
sleep 1000`;
}

/** Sh: writes files with fsync, one by one, beside others that nobody waits for. */
export const FILE_WORK = `i=0
while [ $i -lt ${MAX_FILES} ]; do
  i=$((i + 1))
  if yes "synced file $i" | head -c $((${sizeOf('i')})) | dd of=/m/s$i bs=4096 conv=fsync 2>/dev/null; then echo "@@synced $i"; else break; fi
  yes "open file $i" | head -c $((i * 331 % 40000)) >/m/o$((i % 7))
  [ $((i % 3)) = 0 ] && mv /m/o$((i % 7)) /m/r$i
  [ $((i % 5)) = 0 ] && rm -f /m/r$((i - 2))
done`;

/** Bytes of file \`i\`, as an expression of sh. */
function sizeOf(i: string): string {
  return `1 + ${i} * 7919 % 60000`;
}

/** What file \`nr\` holds. */
export function contentOf(nr: number): Buffer {
  const size = 1 + ((nr * 7919) % 60_000);
  const line = `synced file ${nr}\n`;
  return Buffer.from(line.repeat(Math.ceil(size / line.length)).slice(0, size));
}

/** Sh: mounts each disk, which replays its log, compares the files, and lets the file system's own checker look. */
export function checkScript(fs: FileSystem, disks: readonly string[], synced: readonly number[]): string {
  const check: Readonly<Record<FileSystem, string>> = { ext4: '/usr/sbin/e2fsck -fn', xfs: '/usr/sbin/xfs_repair -n' };
  return `for n in ${synced.join(' ')}; do yes "synced file $n" | head -c $((${sizeOf('n')})) | sha256sum | sed "s:-:/m/s$n:"; done >/tmp/sums
echo '@@begin'
for d in ${disks.join(' ')}; do
  if ! mount -t ${MOUNT[fs]} /dev/$d /m 2>/dev/null; then echo "@@$d cannot be mounted"; continue; fi
  bad=$(sha256sum -c /tmp/sums 2>/dev/null | grep -v ': OK$' | head -n 3 | tr '\\n' ' ')
  umount /m
  if [ -n "$bad" ]; then echo "@@$d $bad"; continue; fi
  ${check[fs]} /dev/$d >/tmp/log 2>&1 && echo "@@$d ok" || echo "@@$d checker: $(grep -v '^ *- ' /tmp/log | tail -n 3 | tr '\\n' ' ')"
done
echo '@@end'`;
}
