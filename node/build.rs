//! Compiles the protocol between nodes. protox parses it in process, so that no protoc is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let protos = ["proto/meridian/node/v1/node.proto", "proto/meridian/setup/v1/setup.proto"];
    for proto in protos {
        println!("cargo::rerun-if-changed={proto}");
    }
    let descriptors = protox::compile(protos, ["proto"])?;
    // `bytes`: payloads are slices of the received frame, not copies of it.
    tonic_prost_build::configure().bytes(".meridian.node.v1").compile_fds(descriptors)?;
    Ok(())
}
