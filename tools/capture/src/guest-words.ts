/**
 * The words of guest scripts, as functions of busybox's sh: each does its part and sends what it saw over the second serial port, as items
 * `@@ NAME`, lines of base64, `@@.`, which guest-channel.ts reads.
 */

/** What the guests of the given captures brought along: `sweep` tries every mode, map and alignment. */
export const GUEST_PRELUDE = `
TARGET="-e namespace0.0"
sweep() {
  for o in "-m raw" \\
    "-m fsdax -M mem -a 4K" "-m fsdax -M mem -a 2M" "-m fsdax -M mem -a 1G" "-m fsdax -M dev -a 4K" "-m fsdax -M dev -a 2M" "-m fsdax -M dev -a 1G" \\
    "-m devdax -M mem -a 4K" "-m devdax -M mem -a 2M" "-m devdax -M mem -a 1G" "-m devdax -M dev -a 4K" "-m devdax -M dev -a 2M" "-m devdax -M dev -a 1G" \\
    "-m sector -l 512" "-m sector -l 520" "-m sector -l 4096" "-m sector -l 4160"; do
    run ndctl create-namespace -f -v $TARGET $o && run lite
    [ "$DESTROY" ] && run ndctl destroy-namespace -f all
  done
}
`;

/** Behind these comes the script. `run` runs a command in a shell of its own, so that nothing it opens stays open. */
export const GUEST_WORDS = `
stty -F /dev/ttyS1 raw -echo 115200
exec 8</dev/ttyS1 9>/dev/ttyS1
N=0
send() { { echo "@@ $1"; base64; echo '@@.'; } >&9; }
attributes() { # attributes DIR [NAME...]: the lines PATH=VALUE of the files in a folder
  local dir=$1 f v; shift
  for f in \${*:-$(ls "$dir" 2>/dev/null)}; do
    case $f in uevent|badblocks) continue;; esac
    f=$dir/$f
    [ -f "$f" ] && [ ! -L "$f" ] && IFS= read -r v 2>/dev/null <"$f" && printf '%s=%s\\n' "$f" "$v"
  done
}
attribute() { v=; IFS= read -r v 2>/dev/null <"$1"; printf '%s' "$v"; }
driver() { printf '%s/driver->%s\\n' "$1" "$(readlink "$1/driver" | sed 's,.*/,,')"; }
memory_blocks() {
  local a m n
  cd /sys/devices/system/memory
  for a in block_size_bytes auto_online_blocks; do printf '%s=' $a; attribute $a; echo; done
  for a in /sys/module/memory_hotplug/parameters/*; do printf '%s=' \${a##*/}; attribute $a; echo; done
  for a in has_cpu has_generic_initiator has_memory has_normal_memory online possible; do printf '%s=' $a; attribute /sys/devices/system/node/$a; echo; done
  for m in $(ls -d memory[0-9]* | sort -k1.7n); do
    printf '%s phys_index=' $m; attribute $m/phys_index; printf ' state='; attribute $m/state; printf ' removable='; attribute $m/removable
    for n in $m/node[0-9]*; do [ -e $n ] && printf ' node=%s' \${n##*node}; done
    printf ' valid_zones='; attribute $m/valid_zones; echo
  done
  cd /
}
devices() {
  local d
  case $1 in
    nd) for d in /sys/bus/nd/devices/*; do driver $d; attributes $d; [ -d $d/nfit ] && attributes $d/nfit; done ;;
    dax) for d in /sys/bus/dax/devices/*; do [ -e $d ] || continue; driver $d; attributes $d; attributes $d/mapping0; attributes $d/../dax_region; done ;;
    block) for d in /sys/block/*; do [ -e $d ] || continue; attributes $d size ro dev removable capability alignment_offset discard_alignment; attributes $d/queue; attributes $d/integrity; done ;;
  esac
}
state() {
  send iomem </proc/iomem
  send zoneinfo </proc/zoneinfo
  memory_blocks | send memory-blocks
  devices nd | send nd-sysfs; devices dax | send dax-sysfs; devices block | send block
}
messages() { dmesg | tail -n +$1; }
run() {
  if [ "$*" = lite ]; then lite; return; fi
  N=$((N + 1))
  local from=$(($(dmesg | wc -l) + 1))
  sh -c "$*" </dev/null >/tmp/.out 2>/tmp/.err 8<&- 9>&-
  RC=$?
  printf '%s' "$*" | send "run $N $RC"
  send stdout </tmp/.out; send stderr </tmp/.err; messages $from | send messages
  return $RC
}
lite() {
  N=$((N + 1))
  echo | send "lite $N"
  state; ndctl list -RNiv 2>/dev/null | send ndctl
  echo | send taken
}
cap() {
  echo | send "cap $1"
  state; ndctl list -BDRNFiv 2>/dev/null | send ndctl; daxctl list -RDMi 2>/dev/null | send daxctl
  echo | send taken
}
kpf() { :; }
host() {
  local from=$(($(dmesg | wc -l) + 1))
  printf '%s' "$*" | send host
  IFS= read -r RC <&8
  [ "$1" = monitor ] && sleep 2 # the kernel hears of what was done later than the monitor answers
  messages $from | send heard
  return $RC
}
firmware() {
  local t
  for t in SRAT SLIT NFIT HMAT; do [ -f /sys/firmware/acpi/tables/$t ] && send "table $t" </sys/firmware/acpi/tables/$t; done
  cd /sys/firmware/memmap && for t in $(ls | sort -n); do printf '%s %s %s\\n' "$(cat $t/start)" "$(cat $t/end)" "$(cat $t/type)"; done | send memmap
  cd /
}
# What a guest's own script may define or change is set before it.
`;

/** A guest's whole script. */
export function guestScript(script: string): string {
  return `${GUEST_WORDS}${GUEST_PRELUDE}\nfirmware\n${script}\ndmesg | send log\necho | send end\nsleep 1`;
}
