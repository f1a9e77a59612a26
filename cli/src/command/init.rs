//! `meridian init`.

use std::process::ExitCode;

use tokio::runtime::Runtime;

use super::{insist_on_insecure, resolve};
use crate::args::Init;

/// Creates the cluster that a node waits for.
pub(crate) fn run(runtime: &Runtime, init: Init) -> anyhow::Result<ExitCode> {
    insist_on_insecure(init.insecure)?;
    let membership = runtime.block_on(async {
        let address = resolve(&init.rpc_addr).await?;
        anyhow::Ok(node::real::setup::init(address).await?)
    })?;
    eprintln!("cluster {:016x} created", membership.cluster_id);
    for (id, member) in &membership.members {
        eprintln!("  {id} at {}", member.address);
    }
    Ok(ExitCode::SUCCESS)
}
