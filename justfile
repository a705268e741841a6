# Everything here also runs as plain cargo; `just --list` shows the recipes.

# formatting, lints, tests, documentation
check: lint test doc

# tests; those on PostgreSQL are skipped with a word where it is not installed
test:
    cargo test --workspace

# tests, with PostgreSQL demanded
test-pg:
    REQUIRE_POSTGRES=1 cargo test --workspace

# the adapters in a program outside the workspace
test-outside:
    cargo test --manifest-path tests/outside/Cargo.toml --target-dir target

# formatting and lints
lint:
    cargo fmt --all -- --check
    cargo clippy --workspace --all-targets -- -D warnings

# API documentation
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# a whole job on a small repository of its own
demo:
    cargo run --release -- demo

# the release archive of this platform, in dist/ (TARGET=aarch64-unknown-linux-gnu for another)
release:
    deploy/release

# overhead of one job, time to the first answer, idle memory
bench:
    cargo bench -p patchwright-server --bench overhead

# durable acceptance of deliveries beside bare prototypes (needs wrk; PostgreSQL for its rows)
bench-intake:
    cargo bench -p patchwright-server --bench intake

# jobs accepted, taken and ended at once, and a claim behind a long queue, on both databases
bench-queue:
    cd benches/queue-peers && cargo build --release --target-dir target && npm install --no-audit --no-fund
    QUEUE_PEERS={{justfile_directory()}}/benches/queue-peers cargo bench -p patchwright-store-diesel --bench queue

# ten thousand issues started in one request
bench-batch:
    cargo bench -p patchwright-server --bench batch

# the dashboard over ten thousand issues, and a thousand viewers of what happens
bench-pages:
    cargo bench -p patchwright-server --bench pages

# ranking a repository without and with a cache, beside ctags and aider (LOCATE_REPO, LOCATE_REV, LOCATE_NEXT, AIDER)
bench-locate:
    cargo bench -p patchwright-code-index --bench locate

# the working copy of the next job beside git's (WORKSPACE_REPO: a bare repository with a history)
bench-workspaces:
    cargo bench -p patchwright-gitops-gix --bench workspaces

# statistics over a million jobs
bench-stats:
    cargo bench -p patchwright-store-diesel --bench stats

# servers killed at random moments, forge and model failing by chance, at full size
chaos:
    CHAOS_JOBS=100 CHAOS_KILLS=200 cargo test --release -p patchwright-server --test it chaos -- --nocapture

# three nodes, one killed, one cut off, one draining, at full size
nodes:
    NODE_TASKS=200 cargo test --release -p patchwright-server --test it every_task_ends_once -- --nocapture

# writes the generated parts of docs/ anew
docs-update:
    UPDATE_DOCS=1 cargo test -p patchwright-domain the_documented_tables
    UPDATE_DOCS=1 cargo test -p patchwright-server the_documentation_is_made

# a new adapter crate with its README and manifest
new-adapter NAME:
    mkdir -p crates/{{NAME}}/src
    printf '[package]\nname = "patchwright-{{NAME}}"\nversion.workspace = true\nedition.workspace = true\nrust-version.workspace = true\nlicense.workspace = true\npublish.workspace = true\ndescription = "{{NAME}} for Patchwright"\n\n[lints]\nworkspace = true\n\n[dependencies]\npatchwright-core.workspace = true\npatchwright-domain.workspace = true\npatchwright-http.workspace = true\n' > crates/{{NAME}}/Cargo.toml
    printf '# patchwright-{{NAME}}\n' > crates/{{NAME}}/README.md
    printf '#![doc = include_str!("../README.md")]\n' > crates/{{NAME}}/src/lib.rs
    @echo "now: the architecture map in tests/, server/src/compose.rs, docs/adapters.md"

# a minute of each fuzz target (FUZZ_SECONDS), from the seeds in tests/fuzz
fuzz:
    .ci/fuzz
