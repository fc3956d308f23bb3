#!/usr/bin/env bash
# Builds, serves and tests vsync. Runs from any directory; everything it makes is below build/, web/dist/ and
# web/node_modules/, and the hub's data below .data/.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
here=$PWD
out=$top/build
cd "$top"

# No stamp of the version control: it fails in a container whose user is not the owner of the tree.
export GOFLAGS="-buildvcs=false ${GOFLAGS:-}"

fuzz_time=1s

help() {
  cat <<'TEXT'
usage: ./build.sh <command>

  serve [flags]   build everything and run the hub; flags go to `vsync serve`:
                  --port N, --host ADDRESS, --data DIRECTORY (else .data), --origin URL …
  test            everything that is checked, in one run; installs what it needs
  wasm            build what runs in browsers into web/dist, and print its sizes
  site            put the static page together in build/site
  edge            build the hub for Cloudflare Workers into build/hub, with the page, and print its sizes
  edge dev        run it on this machine, offline, with its data in .data/edge; flags go to `wrangler dev`: --port N …
  edge keys       make a key for tokens in .data/edge/keys.json, which dev and deploy take along; flags go to `vsync keys`
  edge token      print a token by these keys; flags go to `vsync token`: --subject NAME --db NAME …
  edge deploy     put it on Cloudflare, with your account; --dry-run only puts together what would go there
  sim             simulate a thousand new histories, and one for every store call that can go wrong
  sim --seed N    replay the history of a seed with its trace, and what is left of it if it fails and is shrunk
  sim --minutes M simulate new histories for so long, on all cores
  sim --rules …   any of these with field rules in every history; else in every second
  sim --mutants   put known defects into the engine, one at a time: the simulation has to find each in ten seconds
  soak            tabs of two browsers write for ten minutes while all befalls them that befalls tabs; nothing may be lost, doubled, or grow:
                  memory and storage are measured; in less than eight minutes that proves nothing; --minutes M, --seed N
  bench           all benchmarks, those of IndexedDB in Chromium, as tables in build/bench.txt
  bench web       the longest task of pages that write and take up 100,000 objects; --objects N
  bench edge      the hub in a Durable Object against one in plain JavaScript, in workerd, and what a month of it costs; as tables in
                  build/bench-edge.txt
  clean           remove what was built; data and installed packages stay

needs Go 1.26 and Node 20; `test` also gcc, Chromium, Firefox, WebKitGTK's driver and Xvfb, which it installs when run as root on Debian
TEXT
}

say() { printf '%s\n' "$@"; }
die() { printf 'build.sh: %s\n' "$*" >&2; exit 1; }

# --- building ---------------------------------------------------------------------------------------------------

# What both hubs tell as their version: VSYNC_VERSION, or what git calls this tree, where it is one of git's and git may be asked.
tree_version() {
  if [[ -n ${VSYNC_VERSION:-} ]]; then
    say "${VSYNC_VERSION//[^A-Za-z0-9._+-]/}"
  elif [[ $(git rev-parse --show-toplevel 2>/dev/null) == "$top" ]]; then
    git describe --tags --always --dirty
  else
    say unversioned
  fi
}

build_hub() {
  need_go
  mkdir -p "$out"
  CGO_ENABLED=0 go build -trimpath -ldflags="-X main.version=$(tree_version)" -o "$out/vsync" ./edge/host/vsync
}

# What runs in browsers, into web/dist: the SDK, the worker with the engine, and the service worker. No types are checked here.
build_wasm() {
  need_go
  need_node
  local made=$out/web
  mkdir -p "$made"
  bundle web/src/vsync.ts "$made/vsync.js" --format=esm
  bundle web/src/worker.ts "$made/vsync-worker.js" --format=iife --inject:"$(go env GOROOT)/lib/wasm/wasm_exec.js"
  link "$made/vsync.wasm" ./wasm -tags device
  # The service worker knows which files are of one build with it.
  bundle web/src/sw.ts "$made/vsync-sw.js" --format=iife --define:FILES="$(node web/pack.mjs sums "$made")"
  node web/pack.mjs pack "$made"
}

# bundle ENTRY OUTPUT [FLAG…]; go only says where the bundler is, as it takes longer than the bundler does.
esbuild=
bundle() {
  local entry=$1 output=$2
  [[ -n $esbuild ]] || { go tool esbuild --version >/dev/null; esbuild=$(go tool -n esbuild); }
  "$esbuild" "$entry" --bundle --target=es2022 --minify --legal-comments=none --log-level=warning --outfile="$output" "${@:3}"
}

# 1.0 MiB after brotli is the engine's budget. A build that is beyond it says so and can be used; a test of everything fails.
engine_size() {
  local packed
  packed=$(wc -c <web/dist/vsync.wasm.br)
  [[ $packed -le 1048576 ]] || die "the engine has $packed bytes after brotli, and may have 1,048,576: see core/internal/house/weight_test.go"
}

# link OUTPUT PACKAGE [FLAG…]: a Go program for browsers or Workers, made small.
link() {
  go run ./wasm/pack -lean "$out/lean"
  GOOS=js GOARCH=wasm go build -overlay "$out/lean/overlay.json" -trimpath -ldflags='-s -w' "${@:3}" -o "$1" "$2"
  go run ./wasm/pack "$1"
}

# The static page: what was written by hand lies over what was built. Static hosts compress by themselves.
build_site() {
  build_wasm
  rm -rf "$out/site"
  mkdir -p "$out/site"
  cp -R web/dist/. web/static/. "$out/site/"
  rm -f "$out"/site/.[a-z]* "$out/site/package.json"
  find "$out/site" -name '*.br' -delete -o -name '*.gz' -delete
}

# The hub as a Worker, into build/hub.
build_worker() {
  need_go
  need_node
  rm -rf "$out/hub"
  mkdir -p "$out/hub"
  bundle_worker edge/worker/front.ts "$out/hub/worker.js"
  link "$out/hub/hub.wasm" ./edge/worker
  worker_sizes
}

bundle_worker() {
  bundle "$1" "$2" --format=esm --external:./hub.wasm --external:node:crypto --inject:"$(go env GOROOT)/lib/wasm/wasm_exec.js" \
    --define:VERSION="\"$(tree_version)\""
}

# What tests run in workerd, into build/worker-tests: the Worker as it is, one whose program can be made to fail, and the tests of its store.
# They stand apart, as wrangler takes along all modules that it finds beside the Worker. And the hub and the plain one with a count of what they
# would be billed for, and the hub over storage that fails.
build_worker_tests() {
  local to=$out/worker-tests name
  mkdir -p "$to/hub" "$to/provoke" "$to/rows" "$to/plain" "$to/billed" "$to/billed-plain" "$to/faulty"
  cp "$out/hub/worker.js" "$out/hub/hub.wasm" "$to/hub/"
  cp "$out/hub/worker.js" "$to/provoke/"
  link "$to/provoke/hub.wasm" ./edge/worker -tags provoke
  GOOS=js GOARCH=wasm go test -c -trimpath -ldflags='-s -w' -o "$to/rows/hub.wasm" ./edge/worker/rows
  bundle_worker edge/worker/rows_test.ts "$to/rows/worker.js"
  bundle_worker edge/worker/bill/hub.ts "$to/billed/worker.js"
  bundle_worker edge/worker/bill/plain.ts "$to/billed-plain/worker.js"
  bundle_worker edge/worker/faulty/hub.ts "$to/faulty/worker.js"
  cp edge/worker/plain/plain.js "$to/plain/worker.js"
  for name in billed faulty; do cp "$out/hub/hub.wasm" "$to/$name/"; done
  for name in hub provoke rows billed faulty; do cp edge/worker/hub.capnp "$to/$name/"; done
  for name in plain billed-plain; do cp edge/worker/plain/plain.capnp "$to/$name/hub.capnp"; done
}

# Cloudflare counts what a Worker has together after gzip: 3 MB for an account that pays nothing, 10 MB for others.
worker_sizes() {
  local file raw packed sum=0
  for file in worker.js hub.wasm; do
    raw=$(wc -c <"$out/hub/$file")
    packed=$(gzip -9 -c "$out/hub/$file" | wc -c)
    sum=$((sum + packed))
    printf '%-10s %9d bytes, gzip %9d\n' "$file" "$raw" "$packed"
  done
  printf 'the Worker: %d of 3,145,728 bytes that an account without payment may have, after gzip\n' "$sum"
  [[ $sum -lt 3145728 ]] || die "the Worker is too large for an account without payment"
}

# --- what is needed ---------------------------------------------------------------------------------------------

at_least() { [[ $(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1) == "$1" ]]; }

need_go() {
  command -v go >/dev/null || die "Go is missing: install Go 1.26 or later from https://go.dev/dl/"
  local have
  have=$(go env GOVERSION)
  at_least 1.26 "${have#go}" || die "Go 1.26 or later is needed, this is ${have#go}: see https://go.dev/dl/"
}

need_node() {
  command -v node >/dev/null || die "Node is missing: install Node 20 or later from https://nodejs.org/"
  at_least 20 "$(node -p process.versions.node)" || die "Node 20 or later is needed, this is $(node --version)"
}

# installed PACKAGE…: where that can be done without asking.
installed() {
  [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null && apt-get update -q &&
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"
}

# The race detector links C code.
need_gcc() {
  command -v gcc >/dev/null && [[ -e /usr/include/stdlib.h || $(uname) != Linux ]] && return
  installed gcc libc6-dev || die "gcc and the C library's headers are missing, the race detector needs them: apt-get install gcc libc6-dev"
}

# Tests run in a real browser: the program that web/browser finds.
need_chromium() {
  local name
  if [[ -n ${CHROMIUM:-} ]]; then
    command -v "$CHROMIUM" >/dev/null || die "CHROMIUM is $CHROMIUM, which is no program"
    return
  fi
  for name in chromium chromium-browser google-chrome google-chrome-stable; do
    command -v "$name" >/dev/null && return
  done
  installed chromium || die "Chromium is missing: install chromium, or set CHROMIUM"
}

# The store, hosting and what users do are tried in two more engines. WebKit's needs a screen, which nobody has to see.
need_other_browsers() {
  local missing=()
  [[ -n ${FIREFOX:-} ]] || command -v firefox-esr >/dev/null || command -v firefox >/dev/null || missing+=(firefox-esr)
  [[ -n ${WEBKIT_DRIVER:-} ]] || command -v WebKitWebDriver >/dev/null || missing+=(webkit2gtk-driver)
  [[ -n ${XVFB:-} ]] || command -v Xvfb >/dev/null || missing+=(xvfb)
  [[ ${#missing[@]} != 0 ]] || return 0
  installed "${missing[@]}" || die "browsers to test in are missing: apt-get install ${missing[*]}, or set FIREFOX, WEBKIT_DRIVER, WEBKIT and XVFB"
}

# The copy of the lock says what is installed; npm's own takes seconds to compare.
need_node_modules() {
  need_node
  command -v npm >/dev/null || die "npm is missing: it comes with Node 20"
  cmp -s web/package-lock.json web/node_modules/.installed-lock && return
  (cd web && npm ci --no-progress)
  cp web/package-lock.json web/node_modules/.installed-lock
}

need_everything() {
  need_go
  need_gcc
  need_chromium
  need_other_browsers
  need_node_modules
}

# --- the steps of test ------------------------------------------------------------------------------------------

check_format() {
  local wrong
  wrong=$(find . \( -name node_modules -o -path ./build -o -name '.?*' \) -prune -o -name '*.go' -exec gofmt -l {} +)
  [[ -z $wrong ]] || { say "gofmt would change:" "$wrong"; return 1; }
}

vet_native() {
  go vet ./...
  go vet -tags mutants ./core/internal/sim/mutants
  go vet -tags workerd ./edge/e2e
}
vet_js() { GOOS=js GOARCH=wasm go vet ./core/... ./wasm/... ./edge/worker/...; }

# Structures that one goroutine at a time uses, as their files show: the race detector would find nothing in them,
# and make their long tests five to ten times as long.
one_goroutine() {
  local dir
  for dir in core/*/; do
    compgen -G "$dir*_test.go" >/dev/null || continue
    grep -qE '^\s*go [a-zA-Z(]|"sync"|"sync/atomic"|t\.Parallel\(' "$dir"*.go || echo "./${dir%/}"
  done
}

# Long tests of one goroutine each, in packages that have others too.
alone='^(TestDamageAtRest|TestDamageOfTheLogIsListed|TestBaseIsBounded|TestRulesThroughLosses|TestRulesAtRandom|TestPastOfAnyStory|TestLargestWrites|TestHoleInADevicesLog|TestHoleInAHubsLog|TestRefoldIsTheTables|TestCheckpointBrokenOff'
alone+='|TestHoleInAFeedIsFilled|TestHoleBehindWhatTheHubMayHave|TestRepairOfAHubDies|TestHubIsDamagedAgain|TestHubMendsWhatItMeets|TestPartsAreHandedBack|TestRulesInAHole'
alone+='|TestLostFeedIsHandedBack|TestRealBacklog|TestEveryByteCounts|TestHistoriesAgainstModel|TestEveryTornCommit|TestGenerationsOfEngines|TestEverySummaryByteCounts'
alone+='|TestDamagedFile|TestKill|TestFullDiskAtEveryPage|TestImportOfLargeRows|TestRepairOfALog|TestCheckAndRepair'
alone+='|TestReadsThatAreOvertakenAnywhere|TestPassesBesideChanges|TestCheckpointKeepsPace|TestSegmentsArePacked|TestEnginesThatDieInACheckpoint|TestScansWithBounds|TestCommitsBetweenSteps|TestTablesAgainstModel)$'

# What drives browsers and reads the tree: no engine and no hub runs in these processes. web/browser is held by all that it drives; its own
# tests are for who changes it.
drivers='./core/internal/house ./wasm/idb ./wasm/pack ./web'

test_drivers() { go test -short -p 2 -count=1 -timeout=30m $drivers; }
# Each test once: with the race detector where there can be a race. edge/e2e and web/e2e run programs against each
# other for minutes: steps of their own, like the simulation.
test_native() {
  local packages plain
  plain=$(one_goroutine)
  [[ $plain == *core/dag* && $plain != *core/watcher* ]] || { say "the packages of one goroutine cannot be right:" "$plain"; return 1; }
  packages=$(go list ./... | grep -vE '/e2e$|/internal/sim$|/web/browser' | grep -vE "^vsync/($(sed 's|^\./||' <<<"$plain" | paste -sd'|'))\$" | grep -vxF "$(go list $drivers)")
  go test -count=1 -timeout=30m $plain
  go test -count=1 -timeout=30m -run="$alone" ./core ./core/changelog ./core/pages ./core/watcher ./edge/host/sqlite ./edge/host/vsync
  CGO_ENABLED=1 go test -race -p 3 -count=1 -timeout=30m -skip="$alone" $packages
}

build_runner() { go build -o "$out/runner" ./web/browser/wasmtest/runner; }
# What runs in a worker of a browser is tested there.
test_chromium() {
  GOOS=js GOARCH=wasm go test -short -count=1 -timeout=30m -exec="'$out/runner'" ./core/... ./wasm/...
}

# One line for each fuzz function in the tree: directory and name.
fuzz_functions() {
  grep -rE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*\(' core edge web wasm 2>/dev/null |
    grep -v '/node_modules/' | sed -E 's|^(.*)/[^/]*:func (Fuzz[A-Za-z0-9_]*)\(.*|\1 \2|' | sort
}

# Two at a time, each with one worker: there are many, and most of their time is fuzzing.
fuzz_all() {
  local functions dir
  functions=$(fuzz_functions) || true
  [[ -n $functions ]] || { say "there is no fuzz function in the tree, which cannot be right"; return 1; }
  for dir in $(cut -d' ' -f1 <<<"$functions" | uniq); do
    go test -c -fuzz=. -o "$out/fuzz/$dir.test" "./$dir"
  done
  export -f fuzz_one fuzz_run say
  export out fuzz_time
  xargs -P 2 -L 1 bash -c 'fuzz_one "$1" "$2"' fuzz <<<"$functions"
}

# Go up to 1.26 now and then reports the end of the fuzzing time itself as a failure, "context deadline exceeded"
# without a failing input (go.dev/issue/75804). That one, and nothing else, is run again, at most twice.
fuzz_one() {
  local log=$out/fuzz/$2.log try
  for try in 1 2 3; do
    fuzz_run "$@" >"$log" 2>&1 && { say "$(tail -n 1 "$log")  $1 $2"; return; }
    grep -q 'context deadline exceeded' "$log" || break
    grep -qE 'Failing input|panic|DATA RACE' "$log" && break
    say "   $2: run $try ended by Go's own deadline"
  done
  say "-- $1 $2" "$(cat "$log")"
  return 1
}

fuzz_run() {
  cd "$1"
  "$out/fuzz/$1.test" -test.run='^$' -test.fuzz="^$2\$" -test.fuzztime="$fuzz_time" -test.fuzzminimizetime=5s -test.parallel=1 -test.timeout=10m \
    -test.fuzzcachedir="$out/fuzz/$1.found"
}

check_types() {
  web/node_modules/.bin/tsc -p web
  web/node_modules/.bin/tsc -p wasm
  web/node_modules/.bin/tsc -p edge/worker
}

test_node() { (cd web && node --test test/*.test.mjs); }

# Real input, and a proxy that cuts and stalls; with the program that users run.
test_e2e() {
  VSYNC_BIN=$out/vsync go test -count=1 -v -timeout=30m ./edge/e2e -args -for 6s
}

# Two real browsers, with the SDK and the engine that the hub serves.
test_browsers() {
  VSYNC_BIN=$out/vsync go test -count=1 -v -timeout=30m ./web/e2e -args -for 6s
}

# What differs between engines: the store, hosting, and the whole way from page to page. Not all of it, as it takes its time; see the README.
# The store's suite, and what becomes of it when connections end and others come; not what bends Chromium's own ways.
store_of_others='^(TestStore|TestFailedCommitAppliesNothing|TestConnectionDead|TestConnectionOpenedAgain|TestConnectionEndsInCommits|TestExistsAndDelete|TestDatabaseDeleted'
store_of_others+='|TestConnectionWithoutWhatWasConfirmed|TestNewerProgramTakesOver|TestManyOpenAtOnce|TestLockGrantedTwice'
store_of_others+='|TestStoredFormat|TestConnectionEndsInACommit|TestDurability|TestForeignRow|TestReadGivenUp|TestBlocked)$'

test_other_browsers() {
  local browser
  GOOS=js GOARCH=wasm go test -c -o "$out/idb.test" ./wasm/idb
  go test -c -o "$out/e2e.test" ./web/e2e
  for browser in firefox webkit; do
    export VSYNC_BROWSER=$browser
    (cd wasm/idb && "$out/runner" "$out/idb.test" -test.short -test.timeout=5m -test.run="$store_of_others")
    (cd web/e2e && VSYNC_BIN=$out/vsync "$out/e2e.test" -test.v -test.timeout=15m -test.run="$(hosting_of "$browser")")
  done
  unset VSYNC_BROWSER
}

# Firefox's engines end in shared workers, where a tab leads, and in the only tab; WebKit's pages come back out of the back/forward cache. Its
# engines end by hand only: rarely it leaves a transaction behind that nobody gets past for minutes.
hosting_of() {
  case $1 in
    firefox) say '^(TestLive|TestHostingShared|TestHostingLeader|TestHostingTab|TestConflict|TestStorageOfAnotherVersion)$' ;;
    webkit) say '^(TestLive|TestBackForwardCache)$' ;;
  esac
}

# What browsers do that the hub has most to do with: what they see of each other, whole batches, markers, and hubs that refuse them, are
# others, or have lost what they had.
browsers_of_worker='^(TestLive|TestConflict|TestTwoTabs|TestAllRulesAtOnce|TestLogout'
browsers_of_worker+='|TestBatchIsWhole|TestWatcherFromMarker|TestDatabases|TestOtherHub|TestHubLosesItsData)$'

# The hub in the program in which Cloudflare runs it, with storage on disk: the same tests as of the program, and its own; and browsers that
# sync through it. `edge dev` among them runs what the dry run has built.
test_worker() {
  need_workerd
  build_worker_tests
  export VSYNC_BIN=$out/vsync VSYNC_WORKER=$out/worker-tests VSYNC_WORKERD=$workerd VSYNC_BUILT=yes
  go test -tags workerd -count=1 -v -timeout=30m -parallel=6 ./edge/e2e -run '^(TestScenarios|TestThroughCuts|TestHTTP|TestAttack.*|TestKills|TestDiskFull|TestWorker.*)$' -args -host worker -for 5s
  go test -count=1 -v -timeout=30m ./web/e2e -run "$browsers_of_worker" -args -host worker
}

# Builds the Worker as wrangler has it built, and puts together what would be deployed.
test_deploy() { edge_deploy --dry-run; }

# Wrangler as it is here: it tells nobody, asks nothing, and keeps its logs with what was built.
quiet_wrangler() {
  need_node_modules
  export CI=1 CLOUDFLARE_CF_FETCH_ENABLED=false WRANGLER_SEND_METRICS=false WRANGLER_LOG_PATH=$out/wrangler-logs
}

# The program comes with wrangler, as a package for this kind of machine.
workerd=
need_workerd() {
  need_node_modules
  workerd=$(compgen -G "$top/web/node_modules/@cloudflare/workerd-*/bin/workerd" | head -n 1)
  [[ -x $workerd ]] || die "workerd is missing: npm has no package of it for this machine"
}

# --- commands ---------------------------------------------------------------------------------------------------

# A lane is a row of steps, each a name and a function, NAME=FUNCTION. Lanes run side by side, as browsers and lines mostly wait: those
# steps go first, and what has to compute takes what they leave. What a step prints comes in one piece, once it is over. No condition
# may stand around the call of a step, or bash would go on after a failing line inside it.
lane() {
  local lane=$1 niceness=$2 what from
  shift 2
  renice -n "$niceness" -p "$BASHPID" >/dev/null
  log=$out/test/$lane.log
  exec 3>&1 # a step that fails has its log as output
  trap lane_ended EXIT
  trap 'step=; exit 1' TERM # another lane has failed
  for what in "$@"; do
    step=${what%%=*}
    from=$SECONDS
    : >"$log"
    "${what#*=}" >>"$log" 2>&1
    told "== $step: passed in $((SECONDS - from)) s"
    say "$step" >>"$out/test/passed"
  done
  step=
}

# told prints what a step has printed, and a line about it; nothing of other lanes comes between.
told() {
  {
    flock 9
    say "" "== $step"
    cat "$log"
    say "$1"
  } 9>>"$out/test/printing" >&3
}

lane_ended() {
  [[ -z $step ]] || told "FAILED at: $step ($(wc -l <"$out/test/passed") steps passed before it, $SECONDS s)"
}

lanes=()
end_lanes() {
  local pid
  for pid in "${lanes[@]}"; do
    kill -- "-$pid" 2>/dev/null || true
  done
}

run_tests() {
  rm -rf "$out/test"
  mkdir -p "$out/test"
  touch "$out/test/passed" "$out/test/printing"
  need_everything
  lane first 0 "what runs in browsers=build_wasm" "the engine's size=engine_size" "the hub's program=build_hub" \
    "the runner of tests in browsers=build_runner"
  trap end_lanes EXIT
  trap - TERM
  export GOFLAGS="$GOFLAGS -vet=off" GOGC=400 # vet is a step of its own; compilers and tests have room, and little time
  set -m # each lane is a group of processes, which can be ended
  lane browsers 0 "browsers, end to end=test_browsers" </dev/null &
  lanes+=($!)
  lane hubs 0 "end to end=test_e2e" "deployment, dry run=test_deploy" "the Worker in workerd=test_worker" "what drives browsers=test_drivers" \
    "Firefox and WebKit=test_other_browsers" </dev/null &
  lanes+=($!)
  lane computing 10 "format=check_format" "vet, native=vet_native" "vet, js=vet_js" "types=check_types" "tests, node=test_node" \
    "tests, native, race detector=test_native" "tests in Chromium=test_chromium" </dev/null &
  lanes+=($!)
  lane searching 19 "simulation=test_simulation" "mutants=mutants" "fuzzing, $fuzz_time each=fuzz_all" </dev/null &
  lanes+=($!)
  for _ in "${lanes[@]}"; do wait -n; done # whichever ends
  lanes=()
  say "" "All $(wc -l <"$out/test/passed") steps passed in $SECONDS s: $(paste -sd';' "$out/test/passed" | sed 's/;/; /g')."
}

# The hub runs where the caller stands, so that a relative --data means what it says.
serve() {
  build_wasm >&2
  build_hub
  cd "$here"
  [[ " $*" =~ \ --?data(=|\ |$) ]] || set -- --data "$top/.data" "$@"
  exec "$out/vsync" serve "$@"
}

# edge builds the hub for Cloudflare, and runs it here or there.
edge() {
  local what=${1:-build}
  [[ $# -eq 0 ]] || shift
  case $what in
    build) build_edge ;;
    dev) edge_dev "$@" ;;
    keys) need_hub; mkdir -p "$edge_data"; "$out/vsync" keys "$edge_keys" "$@" ;;
    token) need_hub; "$out/vsync" token --keys "$edge_keys" "$@" ;;
    deploy) edge_deploy "$@" ;;
    *) help >&2; die "edge can build, dev, keys, token or deploy; it cannot \"$what\"" ;;
  esac
}

edge_data=${VSYNC_EDGE_DATA:-$top/.data/edge}
edge_key=$edge_data/hub.key
edge_keys=$edge_data/keys.json

# Where VSYNC_BUILT is set, what stands in build/ is taken as it is.
need_hub() { [[ -n ${VSYNC_BUILT:-} ]] || build_hub; }

# Wrangler asks for this as wrangler.toml says, `wrangler dev` even twice.
build_edge() {
  [[ -z ${VSYNC_BUILT:-} ]] || return 0
  build_site >&2
  build_worker
}

# The hub's key is made once. Without it, what was accepted before cannot be proven to be this hub's.
need_edge_key() {
  [[ ! -s $edge_key ]] || return 0
  mkdir -p "$(dirname "$edge_key")"
  (umask 077 && node -p 'require("crypto").randomBytes(32).toString("hex")' >"$edge_key.new" && mv "$edge_key.new" "$edge_key")
}

# The process becomes wrangler, so that whoever ends it ends all of it.
edge_dev() {
  need_node
  need_edge_key
  build_edge
  local vars=$edge_data/dev.vars
  (umask 077 && printf 'HUB_KEY=%s\nLOG=yes\n' "$(<"$edge_key")" >"$vars")
  if [[ -s $edge_keys ]]; then
    need_hub
    printf "TOKEN_KEYS='%s'\n" "$("$out/vsync" keys "$edge_keys" --public)" >>"$vars"
  fi
  quiet_wrangler
  VSYNC_BUILT=yes exec web/node_modules/.bin/wrangler dev --env-file "$vars" --persist-to "$edge_data" --show-interactive-dev-session=false "$@"
}

# A deployment has its key as a secret, and what judges tokens as another, where there are keys of tokens; what signs them stays here.
# It is made here once, and what is kept of it is for moving the databases elsewhere.
edge_deploy() {
  if [[ " $* " == *" --dry-run "* ]]; then
    (quiet_wrangler; web/node_modules/.bin/wrangler deploy --outdir="$out/worker" "$@")
    return
  fi
  need_node_modules
  web/node_modules/.bin/wrangler deploy "$@"
  if ! web/node_modules/.bin/wrangler secret list | grep -q '"HUB_KEY"'; then
    need_edge_key
    web/node_modules/.bin/wrangler secret put HUB_KEY <"$edge_key"
    say "The hub's key is a secret of the Worker now, and is kept in $edge_key: it is needed to move the databases."
  fi
  if [[ -s $edge_keys ]]; then
    need_hub
    "$out/vsync" keys "$edge_keys" --public | web/node_modules/.bin/wrangler secret put TOKEN_KEYS
  fi
}

mutants() {
  need_go
  go test -tags mutants ./core/internal/sim/mutants -run '^TestMutants$' -count=1 -v -timeout=40m -args -only "${1:-}"
}

# Always the same histories; ./build.sh sim looks for new ones.
test_simulation() { go test ./core/internal/sim -count=1 -v -timeout=40m -args -seeds 150 -every 97; }

# Without anything: a thousand new histories, and one for every store call that can go wrong.
simulate() {
  need_go
  local seeds=() minutes= class=-both
  while [[ $# -gt 0 ]]; do
    case $1 in
      --mutants) shift; mutants "$@"; return ;;
      --rules) class=-ruled ;;
      --minutes) minutes=${2:?how many minutes}; shift ;;
      --minutes=*) minutes=${1#*=} ;;
      --seed) seeds+=("${2:?which seed}"); shift ;;
      --seed=*) seeds+=("${1#*=}") ;;
      *) seeds+=("$1") ;;
    esac
    shift
  done
  local run=(env GOGC=400 go test ./core/internal/sim -count=1 -v) seed # little of what a history leaves lives: twice as many, collected seldom
  if [[ -n $minutes ]]; then
    exec "${run[@]}" -timeout=0 -run '^TestSeeds$' -args -seed "${seeds[0]:-$(date +%s)}" -minutes "$minutes" -failures 10 "$class"
  elif [[ ${#seeds[@]} == 0 ]]; then
    exec "${run[@]}" -timeout=30m -run '^(TestSeeds|TestEveryStoreCall)$' -args -seed "$(date +%s)" -seeds 1000 -every 1 "$class"
  fi
  for seed in "${seeds[@]}"; do
    "${run[@]}" -timeout=30m -run '^TestSeeds$' -args -seed "$seed" -seeds 1 -whole "$class"
  done
}

# The hub in a Durable Object beside one in plain JavaScript, in workerd on this machine's disk. The times of a machine that has other things
# to do say little; the ratio of the two does.
bench_edge() {
  need_workerd
  mkdir -p "$out"
  build_hub
  build_worker
  build_worker_tests
  VSYNC_BIN=$out/vsync VSYNC_WORKER=$out/worker-tests VSYNC_WORKERD=$workerd \
    go test -tags workerd -run='^$' -bench='^BenchmarkEdge' -benchtime="${1:-64000x}" -count=1 -timeout=60m -v ./edge/e2e -args -host worker |
    tee "$out/bench-edge.raw.txt"
  { bench_table; echo; grep '^|' "$out/bench-edge.raw.txt"; } <"$out/bench-edge.raw.txt" >"$out/bench-edge.txt"
  say "" "$(cat "$out/bench-edge.txt")" "" "written to build/bench-edge.txt"
}

# Two pages in two browsers, of which one writes, and both show it all.
bench_web() {
  local objects=100000
  while [[ $# -gt 0 ]]; do
    case $1 in
      --objects) objects=${2:?how many objects}; shift ;;
      --objects=*) objects=${1#*=} ;;
      *) help >&2; die "bench web knows --objects; not \"$1\"" ;;
    esac
    shift
  done
  need_chromium
  build_wasm >&2
  build_hub
  VSYNC_BIN=$out/vsync go test ./web/e2e -count=1 -v -timeout=20m -run '^TestMainThread$' -args -objects "$objects"
}

# Four tabs in two browsers; memory and storage are held flat. The seed that is printed brings the same events again, as far as processes are the same twice.
soak() {
  local minutes=10 seed=0
  while [[ $# -gt 0 ]]; do
    case $1 in
      --minutes) minutes=${2:?how many minutes}; shift ;;
      --minutes=*) minutes=${1#*=} ;;
      --seed) seed=${2:?which seed}; shift ;;
      --seed=*) seed=${1#*=} ;;
      *) help >&2; die "soak knows --minutes and --seed; not \"$1\"" ;;
    esac
    shift
  done
  need_chromium
  build_wasm >&2
  build_hub
  VSYNC_BIN=$out/vsync go test ./web/e2e -count=1 -v -timeout=0 -run '^TestSoak$' -args -minutes "$minutes" -seed "$seed"
}

bench() {
  case ${1:-} in
    '') ;;
    edge) shift; bench_edge "$@"; return ;;
    web) shift; bench_web "$@"; return ;;
    *) help >&2; die "bench has no \"$1\"" ;;
  esac
  need_go
  mkdir -p "$out"
  go test -run='^$' -bench=. -benchmem -count=1 -timeout=60m ./... | tee "$out/bench.raw.txt"
  need_chromium
  go build -o "$out/runner" ./web/browser/wasmtest/runner
  GOOS=js GOARCH=wasm go test -run='^$' -bench=. -benchmem -count=1 -exec="'$out/runner'" ./wasm/... | tee -a "$out/bench.raw.txt"
  bench_table <"$out/bench.raw.txt" >"$out/bench.txt"
  need_node_modules
  node web/test/value.bench.mjs >>"$out/bench.txt"
  say "" "$(cat "$out/bench.txt")" "" "written to build/bench.txt"
}

# A Markdown table of what `go test -bench` prints: name, runs, then pairs of value and unit.
bench_table() {
  awk '
    BEGIN { print "| package | benchmark | ns/op | MB/s | B/op | allocs/op | other |"; print "|---|---|--:|--:|--:|--:|---|" }
    /^pkg:/ { package = $2; sub(/^vsync\//, "", package) }
    /^cpu:/ { sub(/^cpu: */, ""); cpu = $0 }
    /^Benchmark/ && NF >= 4 {
      delete value; other = ""
      for (i = 3; i < NF; i += 2) {
        if ($(i + 1) ~ /^(ns\/op|MB\/s|B\/op|allocs\/op)$/) value[$(i + 1)] = $i
        else other = other (other ? ", " : "") $i " " $(i + 1)
      }
      name = $1; sub(/^Benchmark/, "", name); sub(/-[0-9]+$/, "", name)
      print "| " package " | " name " | " value["ns/op"] " | " value["MB/s"] " | " value["B/op"] " | " value["allocs/op"] " | " other " |"
    }
    END { if (cpu) print "\n" cpu }'
}

clean() {
  rm -rf "$out" .wrangler
  find web/dist -mindepth 1 ! -name .keep -delete
}

main() {
  local command=${1:-help}
  [[ $# -eq 0 ]] || shift
  case $command in
    serve) serve "$@" ;;
    test) run_tests ;;
    wasm) build_wasm ;;
    site) build_site ;;
    edge) edge "$@" ;;
    sim) simulate "$@" ;;
    soak) soak "$@" ;;
    bench) bench "$@" ;;
    clean) clean ;;
    help | -h | --help) help ;;
    *) help >&2; die "there is no command \"$command\"" ;;
  esac
}

main "$@"
