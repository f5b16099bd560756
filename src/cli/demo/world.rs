//! Everything that runs: two origins, the proxy between them and the consumers, and the consumers.

use std::io;

use super::answer::V1_HIT_RATE;
use super::folder::{Folder, Wish};
use super::origin::Origin;
use super::traffic::Traffic;
use crate::app::{App, StartError};
use crate::backend::Backend;

/// Everything that runs.
pub(super) struct World {
    pub(super) v2: Origin,
    pub(super) traffic: Traffic,
    pub(super) app: App,
    _v1: Origin,
    /// Last, so that nobody uses it any more when it goes.
    pub(super) folder: Folder,
}

impl World {
    /// Everything listens on free ports of the loopback address.
    pub(super) async fn start(wish: Wish, v2_hit_rate: f64) -> Result<Self, StartError> {
        let v1 = Origin::start(Backend::V1, V1_HIT_RATE).await?;
        let v2 = Origin::start(Backend::V2, v2_hit_rate).await?;
        let folder = Folder::new()?;
        folder.write_crossfade(v1.address, v2.address)?;
        folder.write_rollout(&wish.text())?;
        let app = App::start(&folder.crossfade_toml(), None).await?;
        let Some(proxy) = app.listen.first().copied() else {
            return Err(io::Error::other("the proxy listens nowhere").into());
        };
        Ok(Self { v2, traffic: Traffic::start(proxy), app, _v1: v1, folder })
    }

    /// Ends in order; nothing is left behind.
    pub(super) async fn end(self) {
        self.traffic.stop().await;
        self.app.stop().await;
    }
}
