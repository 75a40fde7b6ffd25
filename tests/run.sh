#!/usr/bin/env bash
# Checks and tests everything, after fetching what is missing to do so. Can be run again and again.
#
# On Debian and its kin the Prometheus that the tests run against is unpacked into target/tools, not installed: the
# package would start a service. Elsewhere this says what to install. DuckDB, which reads what we write, goes there too, as do
# Helm's engine and Kubernetes' schemas, which the chart is held against.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '== %s\n' "$*"; }
fail() { printf 'tests/run.sh: %s\n' "$*" >&2; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }
as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; elif has sudo; then sudo -n "$@"; else return 1; fi; }

update_package_lists() {
  as_root apt-get update -qq || fail "the package lists are out of date; run 'apt-get update' as root, then this again"
}

need_python() {
  has python3 && return
  has apt-get || fail 'python3 is missing; install it'
  say 'installing python3'
  update_package_lists
  as_root apt-get install -y -qq --no-install-recommends python3 >/dev/null \
    || fail "python3 is missing; run 'apt-get install python3' as root"
}

need_rust() {
  has cargo || fail 'cargo is missing; install Rust, in the version that Cargo.toml names or newer, with rustup'
  for component in rustfmt clippy; do
    # rustup puts a command there even when the component is missing, so only running it tells.
    cargo "${component/rustfmt/fmt}" --version >/dev/null 2>&1 && continue
    has rustup || fail "$component is missing; install it"
    say "installing $component"
    rustup component add "$component"
  done
  cargo nextest --version >/dev/null 2>&1 && return
  say 'installing cargo-nextest'
  cargo install cargo-nextest --locked
}

# Where tests/prometheus/server.rs looks, in its order.
has_prometheus() {
  local place
  for place in "${PROMETHEUS_BIN_DIR:-}" target/tools/prometheus/usr/bin; do
    [ -n "$place" ] && [ -x "$place/prometheus" ] && [ -x "$place/promtool" ] && return
  done
  has prometheus && has promtool
}

need_prometheus() {
  has_prometheus && return
  if ! has apt-get || ! has dpkg-deb; then
    fail 'prometheus and promtool are missing; install Prometheus 2.40 or newer, or set PROMETHEUS_BIN_DIR to their folder'
  fi
  say 'unpacking prometheus into target/tools'
  local tools=target/tools
  rm -rf "$tools/download"
  mkdir -p "$tools/download"
  download_prometheus "$tools/download" || { update_package_lists; download_prometheus "$tools/download"; } \
    || fail 'prometheus cannot be downloaded; see above'
  rm -rf "$tools/prometheus"
  dpkg-deb -x "$tools"/download/prometheus_*.deb "$tools/prometheus"
  rm -rf "$tools/download"
  has_prometheus || fail "the package holds no prometheus and promtool in usr/bin; set PROMETHEUS_BIN_DIR"
}

download_prometheus() {
  # As ourselves: apt's own user may not enter the target folder.
  (cd "$1" && apt-get download -qq -o APT::Sandbox::User="$(id -un)" prometheus)
}

need_pip() {
  python3 -m pip --version >/dev/null 2>&1 && return
  has apt-get || fail 'pip is missing; install it for python3'
  say 'installing pip'
  update_package_lists
  as_root apt-get install -y -qq --no-install-recommends python3-pip >/dev/null \
    || fail "pip is missing; run 'apt-get install python3-pip' as root"
}

# MODULE PACKAGE, where tests/archive/duckdb.rs and tests/chart/render.rs look.
need_package() {
  local packages=target/tools/python
  PYTHONPATH=$packages python3 -c "import $1" 2>/dev/null && return
  need_pip
  say "fetching $2 into target/tools"
  python3 -m pip install --quiet --root-user-action=ignore --upgrade --target "$packages" "$2" \
    || fail "$2 cannot be fetched; run 'python3 -m pip install --target $packages $2'"
}

need_python
need_rust
need_prometheus
need_package duckdb duckdb
need_package helm_python helm-python-sdk==0.2.2
need_package kubernetes_validate kubernetes-validate==1.37.0

say 'format'
cargo fmt --check
say 'lints'
cargo clippy --all-targets --locked -- -D warnings
say 'tests'
cargo nextest run --locked
say 'examples in the documentation'
cargo test --doc --locked
say 'all is well'
