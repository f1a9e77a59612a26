//! Compiles the protocol between nodes. protox parses it in process, so that no protoc is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let protos = ["proto/meridian/node/v1/node.proto", "proto/meridian/setup/v1/setup.proto"];
    println!("cargo::rerun-if-changed=proto/meridian/kv/v1/kv.proto");
    for proto in protos {
        println!("cargo::rerun-if-changed={proto}");
    }
    let descriptors = protox::compile(protos, ["proto"])?;
    // `bytes`: payloads are slices of the received frame, not copies of it. kv's messages are its own, so that each is
    // encoded once, within its frame.
    tonic_prost_build::configure()
        .bytes(".meridian.node.v1")
        .extern_path(".meridian.kv.v1", "::kv::rpc")
        .compile_fds(descriptors)?;
    Ok(())
}
