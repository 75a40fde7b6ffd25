//! The committed gRPC bindings are what `proto/externalscaler.proto` says.
//!
//! Generated with protox, so that nobody needs protoc, and committed, so that a build needs neither.
//! `UPDATE_PROTO=1 cargo test --test proto` writes them anew.

use std::path::Path;

/// The file in `src/keda` that this test owns.
const COMMITTED: &str = "src/keda/pb.rs";

#[test]
fn the_committed_bindings_are_what_the_proto_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let generated = generate(root);
    let committed = root.join(COMMITTED);
    if std::env::var_os("UPDATE_PROTO").is_some() {
        std::fs::write(&committed, &generated).expect("the source tree is writable");
    }
    let found = std::fs::read_to_string(&committed).unwrap_or_default();
    assert!(found == generated, "{COMMITTED} is stale; run `UPDATE_PROTO=1 cargo test --test proto`");
}

#[test]
fn the_first_line_names_the_commit_it_is_compatible_with() {
    let proto = include_str!("../proto/externalscaler.proto");
    let first = proto.lines().next().unwrap_or_default();
    assert!(first.starts_with("//") && first.ends_with("kedacore/keda at commit 8b4f083c."), "{first}");
}

fn generate(root: &Path) -> String {
    let descriptors =
        protox::compile(["externalscaler.proto"], [root.join("proto")]).expect("the proto compiles");
    let folder = tempfile::tempdir().expect("a temporary folder");
    tonic_prost_build::configure()
        .out_dir(folder.path())
        .compile_fds(descriptors)
        .expect("bindings are generated");
    std::fs::read_to_string(folder.path().join("externalscaler.rs")).expect("one file per package")
}
