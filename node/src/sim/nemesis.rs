//! What a nemesis can do to the links of a [`SimNetwork`]. Crashes are [`SimNetwork::crash`].

use kv::ids::NodeId;

use super::link::LinkProfile;
use super::network::SimNetwork;

impl SimNetwork {
    /// Cuts the link from one node to another, in this direction only.
    pub fn cut(&self, from: NodeId, to: NodeId) {
        let mut state = self.state();
        self.trace(|| format!("cut {from}>{to}"));
        state.link(from, to).cut = true;
    }

    /// Cuts the link in this direction so that nobody notices but by the silence.
    pub fn black_hole(&self, from: NodeId, to: NodeId) {
        let mut state = self.state();
        self.trace(|| format!("black hole {from}>{to}"));
        let link = state.link(from, to);
        (link.cut, link.black_hole) = (true, true);
    }

    /// Mends a cut link.
    pub fn heal(&self, from: NodeId, to: NodeId) {
        let mut state = self.state();
        self.trace(|| format!("heal {from}>{to}"));
        let link = state.link(from, to);
        (link.cut, link.black_hole) = (false, false);
    }

    /// Mends every cut link. Profiles stay.
    pub fn heal_all(&self) {
        let mut state = self.state();
        self.trace(|| "heal all".to_owned());
        for link in state.links.values_mut() {
            (link.cut, link.black_hole) = (false, false);
        }
    }

    /// Changes the profile of one directed link.
    pub fn set_profile(&self, from: NodeId, to: NodeId, profile: LinkProfile) {
        let mut state = self.state();
        self.trace(|| format!("profile {from}>{to} {profile:?}"));
        state.link(from, to).profile = profile;
    }

    /// Changes the profile of every link, also of those that do not exist yet.
    pub fn set_profile_all(&self, profile: LinkProfile) {
        let mut state = self.state();
        self.trace(|| format!("profile all {profile:?}"));
        state.profile = profile;
        state.links.values_mut().for_each(|link| link.profile = profile);
    }
}
